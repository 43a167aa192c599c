/**
 * One fetch: the backend side of VCL. It asks a backend, turns the answer into an Answer, stores it when it may
 * be stored, and tells who waits. Every way a backend can lie ends in vcl_backend_error or, when bytes are
 * already on their way to a client, in a connection that breaks visibly.
 */

import { EsiParser, type EsiRemark } from "../esi/parser.ts";
import { type EsiProgram, encodeProgram } from "../esi/program.ts";
import { copyOf } from "../http/bytes.ts";
import { formatHttpDate, parseHttpDate } from "../http/date.ts";
import { FieldList, listMembers } from "../http/headers.ts";
import { contentRangeFault } from "../http/range.ts";
import type { ResponseHead } from "../http/response.ts";
import { reasonPhrase } from "../http/status.ts";
import { Side, wholeSeconds } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import { TransactionLog } from "../log/transaction-log.ts";
import type { ObjectMeta, StoredObject } from "../store/arena.ts";
import {
	ageAt,
	ageOf,
	initialLifetime,
	isStrict,
	keptForRevalidation,
	type Lifetime,
	staleIfError,
} from "../store/freshness.ts";
import { PROGRAM_BYTES, TRANSIENT } from "../store/layout.ts";
import type { Reservation } from "../store/reservation.ts";
import { tagsOf } from "../store/tags.ts";
import { varySpecification } from "../store/vary.ts";
import type { Action, Connection, RequestMessage, Session } from "../vcl/runtime.ts";
import { type Answer, bannable, headText } from "./answer.ts";
import type { BackendCloseReason } from "./backend.ts";
import { type BackendBlock, backendBlock } from "./backend-block.ts";
import { BackendRequestFields, BackendResponseFields } from "./backend-messages.ts";
import { type BodySource, BodyStream, PAUSE_BYTES } from "./body-stream.ts";
import { BUSY_BODY_BYTES, type BusyMark } from "./busy-marks.ts";
import type { ClientRequestFields } from "./client-messages.ts";
import { type ActiveVcl, type Engine, Main } from "./engine.ts";
import { makePage } from "./esi-page.ts";
import { Exchange } from "./exchange.ts";
import { GzipCheck } from "./gzip-check.ts";
import { fetchFields, privateFields, storedFields, varyByEncoding, weaken } from "./hop-by-hop.ts";
import { type FetchReason, type Inflight, register, unregister, type Waiter } from "./inflight.ts";
import { AT_ONCE_BYTES, packedRecord, type Recoded, type Recoding, recode, recodeBeside } from "./recode.ts";
import { recodeStream } from "./recode-stream.ts";
import type { RequestBody } from "./request-body.ts";
import { updatedFields } from "./revalidation.ts";
import { type Fetched, metaOf, replacesOlder, storeAnswer, storeMarker } from "./store-answer.ts";
import { failedIn, type Outcome, type Waiting } from "./task.ts";

/** What beresp.filters may name. */
const FILTERS: ReadonlySet<string> = new Set(["gzip", "gunzip", "testgunzip", "esi", "esi_gzip"]);

/** As Fetch_Body records have it. */
const framingNames = { chunked: "2 chunked", length: "3 length", eof: "4 eof", none: "0 none" } as const;

/** The request that a fetch is for. */
export interface FetchClient {
	readonly vcl: ActiveVcl;
	readonly key: string;
	readonly xid: number;
	readonly connection: Connection;
	readonly session: Session;
	readonly req: ClientRequestFields;
	/** Here is what to deliver. */
	onAnswer(answer: Answer, fetch: FetchTask): void;
	/** `why`: in the operator's words. */
	onFetchFailed(why: string): void;
	/** A retry goes on in a task of its own. */
	fetchReplaced(fetch: FetchTask): void;
}

export interface FetchStart {
	readonly reason: FetchReason;
	/** Request that it is for: its number and what it asked. */
	readonly client: FetchClient;
	/** Stale object to revalidate. */
	readonly stale: Answer | undefined;
	/** The hit-for-miss that the request met. */
	readonly met: StoredObject | undefined;
	readonly body: RequestBody | undefined;
	readonly hitForMiss: boolean;
	readonly hitForPass: boolean;
	/** Tells other workers of this fetch; released here. */
	readonly busyMark: BusyMark | undefined;
}

const saidError = (status: number, method: string) => `the VCL said return (error(${status})) in ${method}`;

export class FetchTask extends Exchange implements BodySource, Inflight {
	readonly start: FetchStart;
	readonly reason: FetchReason;
	readonly key: string;
	readonly startedAt: number;
	/** Clients that wait for this fetch to say what it is. */
	readonly waiters: Set<Waiter>;
	override beresp: BackendResponseFields = undefined as never;
	retries: number;
	/** Set when it may be delivered; `joinable` while others may share it. */
	answer: Answer | undefined;
	joinable = false;
	#client: FetchClient | undefined;
	#stream: BodyStream | undefined;
	#announced = false;
	#cacheable = false;
	#fault: string | undefined;
	/** Not for hits, but its body is kept to be asked about (no-cache with a validator). */
	#remembered = false;
	/** What stands in the store for an answer that is no object for hits. */
	#marker: StoredObject | undefined;
	#lifetime: Lifetime | undefined;
	/** Of the stored answer that a 304 has confirmed. */
	#staleBody: Uint8Array | undefined;
	/** That answer itself, pinned, when its body is too large to be held. */
	#staleObject: StoredObject | undefined;
	/** What it is made of, if it is a page with ESI tags. */
	#staleProgram: EsiProgram | undefined;
	#hitForPassSeconds = -1;
	/** return (pass(…)) says for how long: that is the lifetime of this answer, too. */
	#saysHowLong = false;
	#received: { method: string; url: string; fields: FieldList };
	/** Of a first try. */
	#block: BackendBlock | undefined;

	constructor(engine: Engine, start: FetchStart, retryOf?: FetchTask) {
		const { client } = start;
		const xid = engine.nextTransaction();
		const now = engine.now();
		const startedAt = retryOf?.startedAt ?? now;
		const log = new TransactionLog(engine.log, xid | Side.backend, startedAt);
		super(engine, client.vcl, xid, log, now);
		this.start = start;
		this.reason = start.reason;
		this.key = client.key;
		this.startedAt = startedAt;
		// Those of a first try wait for the next one.
		this.waiters = retryOf?.waiters ?? new Set();
		this.retries = retryOf === undefined ? 0 : retryOf.retries + 1;
		this.connection = client.connection;
		this.session = client.session;
		this.#client = start.reason === "bgfetch" ? undefined : client;
		this.requestBody = start.body;
		const parent = retryOf === undefined ? client.xid : retryOf.xid;
		const reason = retryOf === undefined ? start.reason : "retry";
		log.add(Tag.Begin, `bereq ${parent} ${reason}`);
		if (retryOf === undefined) log.add(Tag.VCL_use, this.vcl.name);
		log.beginAgain(now);
		if (retryOf !== undefined) {
			this.earlierBytes = retryOf.allBytes;
			this.bereq = new BackendRequestFields(
				this,
				retryOf.bereq.method,
				retryOf.bereq.url,
				retryOf.bereq.fields.copy(),
			);
			this.bereq.backend = retryOf.bereq.backend;
			this.inheritState(retryOf);
			this.#client = retryOf.#client;
			this.#received = retryOf.#received;
			this.requestBody = retryOf.requestBody;
		} else {
			const pass = start.reason === "pass";
			const purpose = pass ? "pass" : engine.parameters.gzipSupport ? "gzip" : "plain";
			this.#block = backendBlock(client.req.fields, client.req.received, purpose);
			const fields = this.#block.fields.copy();
			const { stale } = start;
			if (stale !== undefined && stale.status === 200) {
				const etag = stale.fields.get("etag");
				const modified = stale.fields.get("last-modified");
				if (modified !== undefined) fields.append("If-Modified-Since", modified);
				if (etag !== undefined) fields.append("If-None-Match", etag);
			}
			fields.append("X-Varnish", String(xid));
			this.bereq = new BackendRequestFields(this, pass ? client.req.method : "GET", client.req.url, fields);
			this.bereq.backend = client.req.backendHint;
			this.#received = { method: this.bereq.method, url: this.bereq.url, fields: fields.copy() };
		}
		if (this.bereq.backend === undefined) this.bereq.backend = this.vcl.loaded.defaultBackend;
		if (this.reason !== "pass") {
			this.#registered = true;
			register(engine.inflight, this.key, this, retryOf);
		}
		this.vcl.busy++;
		engine.fetchCount++;
	}

	#registered = false;

	get awaited(): boolean {
		return !this.#announced && (this.answer === undefined || this.#cacheable);
	}

	#unregister(): void {
		if (!this.#registered) return;
		this.#registered = false;
		unregister(this.engine.inflight, this.key, this);
	}

	get client(): FetchClient | undefined {
		return this.#client;
	}

	/** The client has gone away. A fetch for the cache goes on; a private one has nobody left. */
	clientGone(): void {
		this.#client = undefined;
		if (this.reason === "pass" && this.phase !== "done") this.#stop();
	}

	override rollback(_message: RequestMessage): void {
		this.forgetState();
		const { method, url, fields } = this.#received;
		this.bereq.rollBack(method, url, "HTTP/1.1", fields.copy());
	}

	dropRequestBody(): void {
		this.requestBody?.drop();
		this.requestBody = undefined;
	}

	// ── asking ──────────────────────────────────────────────────────────────────────────────

	run(): void {
		const block = this.#block;
		if (block === undefined) {
			this.bereq.logAll();
			this.bereq.setHeader("x-varnish", "X-Varnish", String(this.xid));
		} else this.bereq.logAll(block.logText, block.fields.count);
		this.#afterFetch(this.call("vcl_backend_fetch"));
	}

	#afterFetch(action: Outcome): void {
		switch (action.kind) {
			case "waiting":
				action.afterwards((acted) => this.#afterFetch(acted));
				return;
			case "fetch":
				this.connect(false);
				return;
			case "error":
				this.#error(action.status, action.reason, saidError(action.status, "vcl_backend_fetch"));
				return;
			default:
				this.#abandoned(action);
		}
	}

	// ── the answer ──────────────────────────────────────────────────────────────────────────

	protected override onHead(head: ResponseHead, rest: Uint8Array): void {
		this.now = this.engine.now();
		this.vslLog.timestamp("Beresp", this.now);
		const fields = new FieldList(head.lines, head.keys);
		let beresp = new BackendResponseFields(this, head.status, head.reason, head.proto, fields);
		this.beresp = beresp;
		fields.collect("cache-control");
		fields.collect("vary");
		beresp.logAll();
		if (!fields.has("date")) beresp.append("Date", formatHttpDate(this.now));
		const { framing } = head;
		switch (framing.kind) {
			case "chunked":
				this.engine.count(Main.fetch_chunked);
				break;
			case "length":
				this.engine.count(Main.fetch_length);
				break;
			case "eof":
				this.engine.count(Main.fetch_eof);
				break;
			case "none":
				this.engine.count(
					this.bereq.method === "HEAD"
						? Main.fetch_head
						: head.status === 204
							? Main.fetch_204
							: head.status === 304
								? Main.fetch_304
								: Main.fetch_none,
				);
				break;
		}
		const contentRange = head.status === 206 || head.status === 416 ? fields.get("content-range") : undefined;
		if (contentRange !== undefined) {
			const length = framing.kind === "length" ? framing.bytes : undefined;
			const fault = contentRangeFault(contentRange, this.bereq.fields.has("range"), length);
			if (fault !== undefined) {
				this.fetchError(fault);
				return;
			}
		}
		if (head.status === 304 && this.reason !== "pass")
			switch (this.#revalidate()) {
				case "updated":
					beresp = this.beresp;
					break;
				case "gone":
					this.letGo();
					this.tellLetGo();
					this.bereq.unsetHeader("if-none-match");
					this.bereq.unsetHeader("if-modified-since");
					this.connect(false);
					return;
				case "unasked":
					// The backend answers, and wrongly: no reason to serve what is stale.
					this.vslLog.add(Tag.Error, "304 response but not conditional fetch");
					this.engine.count(Main.fetch_failed);
					this.closeConnection("RX_BAD");
					this.#error(
						503,
						"Backend fetch failed",
						"the backend said 304, and nothing stored was asked about",
					);
					return;
			}
		if (this.reason === "pass") {
			beresp.setLifetime(this.now - ageOf(fields), -1, 0, 0);
			beresp.markUncacheable();
		} else {
			const lifetime = initialLifetime(beresp.status, beresp.fields, this.now, this.engine.parameters);
			this.#lifetime = lifetime;
			beresp.setLifetime(lifetime.tOrigin, lifetime.ttl, lifetime.grace, lifetime.keep);
			this.#logRfcLifetime(lifetime);
			if (beresp.was304) beresp.logUpdate(fields);
			if (this.start.hitForMiss && this.#client !== undefined) this.vslLog.add(Tag.Debug, "hit-for-miss");
		}
		const gzipped = fields.get("content-encoding")?.toLowerCase() === "gzip";
		beresp.usualFilters = gzipped && this.engine.parameters.gzipSupport ? "testgunzip" : "";
		if (this.#serveStaleInstead(beresp.status)) return;
		const action = this.call("vcl_backend_response");
		if (action.kind === "waiting") this.#waitWithResponse(action, rest);
		else this.#afterResponse(action, rest);
	}

	/** vsl(7), TTL: the lifetimes, now, when it was made, Date, Expires, max-age. */
	#logRfcLifetime({ ttl, grace, keep, tOrigin, maxAge }: Lifetime): void {
		const { fields } = this.beresp;
		const date = parseHttpDate(fields.get("date") ?? "") ?? this.now;
		const expiresText = fields.get("expires");
		const expires = (expiresText !== undefined && parseHttpDate(expiresText)) || 0;
		const lifetimes = `${wholeSeconds(ttl)} ${wholeSeconds(grace)} ${wholeSeconds(keep)}`;
		const times = `${wholeSeconds(this.now)} ${wholeSeconds(tOrigin)} ${wholeSeconds(date)} ${expires}`;
		this.vslLog.add(Tag.TTL, `RFC ${lifetimes} ${times} ${maxAge} cacheable`);
	}

	/** What the backend says while vcl_backend_response waits is kept: what the socket had when it was stopped. */
	#waitWithResponse(action: Waiting, rest: Uint8Array): void {
		const held = this.holdAnswer(rest);
		action.afterwards((acted) => held.goOn((bytes) => this.#afterResponse(acted, bytes)));
	}

	protected override resume(goOn: () => void): void {
		if (this.phase === "done") return;
		goOn();
	}

	/**
	 * RFC 9111 §4.3.4: a 304 to our question freshens the stored answer. "gone": it was evicted meanwhile, and has to
	 * be asked for in full.
	 */
	#revalidate(): "updated" | "gone" | "unasked" {
		const { stale } = this.start;
		if (stale === undefined || stale.status !== 200 || stale.body.kind !== "stored") return "unasked";
		if (!this.bereq.fields.has("if-none-match") && !this.bereq.fields.has("if-modified-since"))
			return "unasked";
		const object = this.engine.pin(this.key, stale.body.object);
		if (object === undefined) return "gone";
		this.#staleProgram = stale.esi;
		const { proto, fields, storage } = this.beresp;
		const { arena } = this.engine;
		if (object.bodyBytes > this.engine.heldLimitBytes(stale.storage)) this.#staleObject = object;
		else {
			this.#staleBody = copyOf(object.body);
			arena.unpin(object);
		}
		const updated = updatedFields(stale.fields, fields);
		this.beresp = new BackendResponseFields(this, 200, stale.reason, proto, updated, storage);
		this.beresp.was304 = true;
		return "updated";
	}

	/** RFC 5861 §4: an error answer while a stale one may still be used (stale-if-error). */
	#serveStaleInstead(status: number): boolean {
		const { stale } = this.start;
		if (status < 500 || stale === undefined) return false;
		const allowed = staleIfError(stale.fields, false, this.engine.parameters);
		if (allowed <= 0 || stale.uncacheable || stale.tOrigin + stale.ttl + allowed < this.now) return false;
		this.vslLog.add(Tag.Error, `stale-if-error=${allowed}: the stored answer is used instead of ${status}`);
		this.#giveStale(stale, `the backend said ${status}`, status);
		return true;
	}

	#giveStale(answer: Answer, fault: string, backendStatus: number): void {
		this.#stop();
		const stale = {
			...answer,
			fault: `${fault}; the stored answer is served (stale-if-error)`,
			backendStatus,
		};
		this.answer = stale;
		const client = this.#client;
		this.#client = undefined;
		client?.onAnswer(stale, this);
		this.#release();
		this.#finish();
	}

	/** TTL of return (pass(…)), in front of its VCL_return. */
	protected override returning(action: Action): void {
		super.returning(action);
		if (action.kind !== "pass" || action.durationSeconds === null || action.durationSeconds === undefined)
			return;
		const lifetime = `${wholeSeconds(action.durationSeconds)} 0 0 ${wholeSeconds(this.beresp.tOrigin)}`;
		this.vslLog.add(Tag.TTL, `HFP ${lifetime} uncacheable`);
	}

	#afterResponse(action: Action, rest: Uint8Array): void {
		switch (action.kind) {
			case "deliver":
				break;
			case "pass":
				this.#hitForPassSeconds = action.durationSeconds ?? this.beresp.wholeTtl;
				this.#saysHowLong = typeof action.durationSeconds === "number";
				this.beresp.markUncacheable();
				break;
			case "retry":
				this.#retry();
				return;
			case "error":
				this.closeConnection("RESP_CLOSE");
				this.#error(action.status, action.reason, saidError(action.status, "vcl_backend_response"));
				return;
			default:
				this.closeConnection("RESP_CLOSE");
				this.#abandoned(action);
				return;
		}
		this.closes = listMembers(this.beresp.fields.joined("connection") ?? "").includes("close");
		const unknown = this.beresp.namedFilters?.find((name) => !FILTERS.has(name));
		if (unknown !== undefined) {
			this.fetchError(`Filter '${unknown}' not found`, "OVERLOAD");
			return;
		}
		this.#prepare();
		if (rest.length > 0 && this.phase === "body") this.bodyBytes(rest);
		else if (this.head?.framing.kind === "none" && this.phase === "body") this.onBodyEnd();
		// Whatever was wrong with the first bytes is known by now: a lie found here still becomes a 503.
		if (this.phase === "body" && this.beresp.doStream) this.#announce();
	}

	/** Which variant the answer is: by the fields that reached the origin, since no others can have chosen it. */
	#variant(language?: string): string | undefined {
		const vary = this.beresp.fields.joined("vary");
		if (vary === undefined) return "";
		const { req } = this.#client ?? this.start.client;
		return varySpecification(
			vary,
			fetchFields(req.fields, req.received),
			language,
			this.engine.parameters.gzipSupport,
		);
	}

	/** Decides what becomes of the answer and makes the object's head. */
	#prepare(): void {
		const { beresp, engine } = this;
		this.vslLog.timestamp("Process", engine.now());
		const { parameters } = engine;
		const vary = this.#variant(parameters.rfc9111 ? beresp.fields.joined("content-language") : undefined);
		if (vary === undefined && this.reason !== "pass") {
			beresp.markUncacheable();
			if (!beresp.fields.joined("vary")?.includes("*")) {
				this.vslLog.add(Tag.Error, "Malformed Vary header");
				this.vslLog.add(Tag.Error, "Illegal 'Vary' header from backend, making this a pass.");
			}
		}
		this.#cacheable = !beresp.uncacheable && this.reason !== "pass" && vary !== undefined;
		this.#remembered =
			parameters.rfc9111 &&
			beresp.uncacheable &&
			this.reason !== "pass" &&
			this.#hitForPassSeconds < 0 &&
			vary !== undefined &&
			keptForRevalidation(beresp.status, beresp.fields);
		const strict =
			this.#lifetime !== undefined && isStrict(this.#lifetime, beresp.lifetimeDecided, parameters);
		const fields =
			this.reason === "pass" || (beresp.uncacheable && !this.#remembered)
				? privateFields(beresp.fields, this.head!)
				: storedFields(beresp.fields, this.head!);
		const { framing } = this.head!;
		// Nothing is not packed: whoever would unpack it would find it broken.
		const head = this.bereq.method === "HEAD";
		const empty = framing.kind === "none" && !head && !beresp.was304;
		if (empty) fields.unset("content-encoding");
		// A part of something packed is nothing that can be unpacked, nor is a part to be packed by itself.
		const isPart = beresp.status === 206;
		const gzipped = !isPart && fields.get("content-encoding")?.toLowerCase() === "gzip";
		const named = beresp.namedFilters;
		const esi =
			(named === undefined ? beresp.doEsi : named.some((name) => name.startsWith("esi"))) &&
			!head &&
			!empty &&
			!beresp.was304;
		if (esi && isPart) {
			this.vslLog.add(Tag.VCL_Error, "Attempted ESI on partial (206) response");
			this.vslLog.add(Tag.FetchError, "Fetch filter esi failed to open");
			this.#unusable("do_esi needs the whole page, and the backend said 206", undefined);
			return;
		}
		const gunzip =
			gzipped &&
			(named === undefined
				? beresp.doGunzip && parameters.gzipSupport
				: named.includes("gunzip") && !named.includes("esi_gzip"));
		const gzip =
			!gzipped &&
			!isPart &&
			!head &&
			!empty &&
			(named === undefined
				? beresp.doGzip && parameters.gzipSupport
				: named.includes("gzip") || named.includes("esi_gzip")) &&
			!fields.has("content-encoding");
		if (gunzip) {
			fields.unset("content-encoding");
			weaken(fields);
		}
		if (gzip) {
			fields.set("Content-Encoding", "gzip");
			weaken(fields);
		}
		// Clients get it packed or not, by what they take: so may those behind other caches.
		if (gzip || (gzipped && !gunzip && parameters.gzipSupport && framing.kind !== "none"))
			varyByEncoding(fields);
		if (esi && gzipped && !gunzip) weaken(fields);
		if (gunzip || gzip || esi) {
			fields.unset("content-length");
			beresp.doStream = false;
		}
		// Nothing is fetched where the stored body stays.
		if (!beresp.was304)
			this.vslLog.add(Tag.Filters, esi ? beresp.filters : gunzip ? "gunzip" : gzip ? "gzip" : beresp.filters);
		if (beresp.uncacheable && this.reason !== "pass") this.#insertMarker(fields);
		const lifetime = beresp.wholeTtl + beresp.grace + beresp.keep;
		const transient = !this.#cacheable || lifetime < parameters.shortlived;
		if (beresp.uncacheable) engine.count(Main.beresp_uncacheable);
		else if (transient) engine.count(Main.beresp_shortlived);
		const storage = transient ? TRANSIENT : (beresp.storage ?? engine.nextStorage()).name;
		this.vslLog.add(Tag.Storage, `malloc ${storage}`);
		const keeping = this.#cacheable || this.#remembered || !beresp.doStream;
		this.#stream = new BodyStream(keeping, this, engine.bodies);
		this.#esi = esi ? { unpacks: gzipped, packs: gzip || (gzipped && !gunzip) } : undefined;
		let length = framing.kind === "length" && !gunzip && !gzip && !esi ? framing.bytes : undefined;
		if (framing.kind === "none") length = 0;
		this.#heldLimitBytes = engine.heldLimitBytes(storage);
		this.answer = {
			status: beresp.status % 1000,
			reason: beresp.reason,
			proto: beresp.proto,
			fields,
			logText: undefined,
			delivered: false,
			vxid: this.xid,
			tOrigin: beresp.tOrigin,
			ttl: this.#saysHowLong ? this.#hitForPassSeconds : beresp.wholeTtl,
			grace: this.#saysHowLong ? 0 : beresp.grace,
			keep: this.#saysHowLong ? 0 : beresp.keep,
			strict,
			insertedAt: this.now,
			uncacheable: beresp.uncacheable,
			gzip: gzip || (gzipped && !gunzip),
			esi: this.#staleProgram,
			body: { kind: "stream", stream: this.#stream, length },
			storage,
			vary: vary ?? "",
			fault: undefined,
			backendStatus: beresp.was304 ? 304 : beresp.status % 1000,
		};
		if (length !== undefined && length > this.#heldLimitBytes && !this.#reserve(length)) this.#tooLarge();
		this.#transform = gunzip ? "gunzip" : gzip ? "gzip" : undefined;
		this.#isChecked =
			gzipped &&
			!gunzip &&
			!esi &&
			!beresp.was304 &&
			!head &&
			(named === undefined ? parameters.gzipSupport : named.includes("testgunzip"));
		if (this.#isChecked) this.#check = new GzipCheck(() => this.#checkCaughtUp());
		this.phase = "body";
		if (!beresp.was304)
			this.vslLog.add(
				Tag.Fetch_Body,
				`${framingNames[framing.kind]} ${beresp.doStream && framing.kind !== "none" ? "stream" : "-"}`,
			);
		if (this.#staleBody !== undefined) this.#stream.push(this.#staleBody);
		else if (this.#staleObject !== undefined) this.#renew(this.#staleObject);
		if (framing.kind !== "none") this.limitBetweenBytes();
	}

	#heldLimitBytes = 0;
	/** The body is a page with ESI tags: what it is when it comes, and when it is stored. */
	#esi: { readonly unpacks: boolean; readonly packs: boolean } | undefined;
	#transform: "gzip" | "gunzip" | undefined;
	/** It says it is gzip, and stays it. */
	#isChecked = false;
	#check: GzipCheck | undefined;
	/** The backend waits for the check, for the body's readers, or for both. */
	#checkIsBehind = false;
	#readersAreBehind = false;
	/** The last bytes of a body of known length: with them it would look whole, so they wait for the check. */
	#last: Uint8Array | undefined;

	override pauseBody(): void {
		this.#readersAreBehind = true;
		super.pauseBody();
	}

	override resumeBody(): void {
		this.#readersAreBehind = false;
		if (!this.#checkIsBehind) super.resumeBody();
	}

	#checkCaughtUp(): void {
		if (!this.#checkIsBehind) return;
		this.#checkIsBehind = false;
		if (!this.#readersAreBehind && this.phase === "body") super.resumeBody();
	}

	abandonBody(): void {
		if (!this.#cacheable && this.#announced) this.#stop();
	}

	/**
	 * A body that a 304 has confirmed, and that is too large to be held: it is copied within the store, or stays where it is
	 * if there is no room for another one, and has its fields of before.
	 */
	#renew(object: StoredObject): void {
		const { arena } = this.engine;
		const stream = this.#stream!;
		this.#staleObject = undefined;
		if (this.#reserve(object.bodyBytes)) {
			stream.push(object.body);
			arena.unpin(object);
			return;
		}
		stream.stayInStore({ reservation: undefined, onLeft: () => arena.unpin(object) });
		stream.push(object.body);
		if (this.#cacheable) {
			this.vslLog.add(Tag.Error, "no room for another one of that size: the stored one lives on");
			arena.relive(object, this.answer!);
		}
		this.#staleLivesOn = true;
		this.#cacheable = false;
		this.#remembered = false;
	}
	/** There is no room for another one of its size. */
	#staleLivesOn = false;

	/** Has the body written into the store as it comes, since it is too large to be held; false: there is no room. */
	#reserve(length: number): boolean {
		const { arena } = this.engine;
		const stream = this.#stream;
		if (stream === undefined || !(this.#cacheable || this.#remembered)) return false;
		const answer = this.answer!;
		const meta = metaOf(this.engine, this.#fetched, answer, this.#remembered);
		const reservation = arena.reserve(meta, length);
		if (reservation === undefined) return false;
		this.#reserved = { reservation, meta };
		stream.stayInStore({ reservation, onLeft: () => arena.release(reservation) });
		return true;
	}

	/** The same for a body of unknown length, of which a part is here: it goes on in the store as long as there is room. */
	#moveIntoStore(): boolean {
		const { arena } = this.engine;
		const stream = this.#stream!;
		const mayBe = (this.#cacheable || this.#remembered) && this.#transform === undefined;
		if (!mayBe || this.#esi !== undefined || !stream.keeping) return false;
		const meta = metaOf(this.engine, this.#fetched, this.answer!, this.#remembered);
		const reservation = arena.reserveRoom(meta, stream.bytes);
		if (reservation === undefined) return false;
		this.#reserved = { reservation, meta };
		stream.stayInStore({
			reservation,
			extend: () => arena.extend(reservation, meta),
			onFull: () => {
				this.#reserved = undefined;
				this.#tooLarge();
			},
			onLeft: () => arena.release(reservation),
		});
		return true;
	}

	#reserved: { readonly reservation: Reservation; readonly meta: ObjectMeta } | undefined;

	/** The body cannot be held: it is passed on, recoded on its way if it has to be, never stored, never cut. */
	#tooLarge(): void {
		const source = this.#stream;
		if (source === undefined || !source.keeping) return;
		if (this.#esi !== undefined) {
			this.fetchError(`page with ESI tags is larger than what may be held (${this.#heldLimitBytes} bytes)`);
			return;
		}
		const recoding = this.#transform;
		this.#transform = undefined;
		const stored = this.#cacheable || this.#remembered;
		this.#cacheable = false;
		this.#remembered = false;
		this.joinable = false;
		if (stored) this.vslLog.add(Tag.Error, "object is larger than what may be held: passed, not stored");
		this.#unregister();
		this.beresp.doStream = true;
		if (this.answer !== undefined && recoding !== undefined) {
			const { parameters, bodies } = this.engine;
			const stream = recodeStream(source, recoding, parameters.gzipLevel, bodies);
			this.engine.count({ gzip: Main.n_gzip, gunzip: Main.n_gunzip }[recoding]);
			this.answer = { ...this.answer, body: { kind: "stream", stream, length: undefined } };
		}
		if (this.answer !== undefined) this.#announce();
		source.stopKeeping();
	}

	/** `fields`: those of the answer. */
	#insertMarker(fields: FieldList): void {
		const { beresp, engine } = this;
		const passes = this.#hitForPassSeconds >= 0;
		const lifetime = {
			tOrigin: beresp.tOrigin,
			ttl: passes ? this.#hitForPassSeconds : beresp.wholeTtl,
			grace: passes ? 0 : beresp.grace,
			keep: passes ? 0 : beresp.keep,
		};
		if (lifetime.ttl <= 0) return;
		const kind = passes ? "hitForPass" : "hitForMiss";
		const { proto, reason } = beresp;
		// Bans look at its fields, too.
		const head = headText({ proto, status: beresp.status % 1000, reason, fields });
		this.#marker = storeMarker(engine, this, kind, { vary: this.#variant() ?? "", head }, lifetime, this.now);
	}

	/** Of a body that was none, nothing is remembered: who asks next finds out. */
	#removeMarker(): void {
		if (this.#marker !== undefined) this.engine.arena.remove(this.#marker);
		this.#marker = undefined;
	}

	protected override onBodyBytes(bytes: Uint8Array): void {
		if (bytes.length === 0) return;
		const stream = this.#stream!;
		if (this.#check?.push(bytes) === false && !this.#checkIsBehind) {
			this.#checkIsBehind = true;
			super.pauseBody();
		}
		const { framing } = this.head!;
		if (this.#isChecked && framing.kind === "length" && stream.bytes + bytes.length === framing.bytes) {
			this.#last = bytes;
			return;
		}
		stream.push(bytes);
		const { bytes: held } = stream;
		// Short bodies are held whatever else is on its way.
		if (stream.inStore) return;
		const isLong = held > this.#heldLimitBytes;
		if (isLong) this.#forgetTags();
		const mayPass = this.#esi === undefined;
		if (isLong || (mayPass && held > PAUSE_BYTES && this.engine.bodies.over))
			if (!this.#moveIntoStore()) this.#tooLarge();
	}

	/** A program may ask for tags in whatever it fetches; what begins as no page does goes on as it would without. */
	#forgetTags(): void {
		const first = this.#stream?.pieces[0];
		if (this.#esi === undefined || this.#esi.unpacks || first === undefined) return;
		let note = "";
		const parser = new EsiParser(this.bereq.url, this.engine.parameters.esi, ({ text }) => {
			note = text;
		});
		parser.push(first);
		if (!parser.isNoPage) return;
		this.#esi = undefined;
		this.vslLog.add(Tag.ESI_xmlerror, note);
	}

	protected override broken(reason: string, close?: BackendCloseReason): void {
		if (this.phase === "done") return;
		if (this.phase === "body" && this.#announced) {
			this.vslLog.add(Tag.FetchError, reason);
			this.engine.count(Main.fetch_failed);
			this.#removeMarker();
			this.closeConnection(close);
			this.#stream?.fail();
			this.#unregister();
			this.#release();
			this.#finish();
			return;
		}
		this.fetchError(reason, close);
	}

	/** Nothing has reached a client yet: the VCL decides what it gets. */
	protected override fetchError(reason: string, close?: BackendCloseReason): void {
		this.vslLog.add(Tag.FetchError, reason);
		this.#unusable(reason, close);
	}

	#unusable(reason: string, close: BackendCloseReason | undefined): void {
		this.engine.count(Main.fetch_failed);
		this.#removeMarker();
		this.closeConnection(close);
		if (this.head === undefined) this.vslLog.timestamp("Beresp", this.engine.now());
		const { stale } = this.start;
		// In the background nobody needs the stale answer instead: the VCL hears of the error.
		const wanted = this.reason !== "bgfetch" || this.waiters.size > 0;
		if (wanted && stale !== undefined && stale.body.kind === "stored" && !stale.uncacheable) {
			const allowed = staleIfError(stale.fields, true, this.engine.parameters);
			if (allowed > 0 && stale.tOrigin + stale.ttl + allowed > this.engine.now()) {
				this.#giveStale(stale, `the fetch failed: ${reason}`, 0);
				return;
			}
		}
		this.#error(503, "Backend fetch failed", `the fetch failed: ${reason}`);
	}

	/** `fault`: why, in the operator's words. */
	#error(status: number, reason: string | null, fault: string): void {
		this.#fault = fault;
		this.closeConnection();
		this.#forgetBody();
		this.now = this.engine.now();
		this.vslLog.timestamp("Error", this.now);
		const fields = new FieldList();
		const beresp = new BackendResponseFields(
			this,
			status,
			reason ?? reasonPhrase(status),
			"HTTP/1.1",
			fields,
		);
		this.beresp = beresp;
		beresp.logStart();
		beresp.append("Date", formatHttpDate(this.now));
		beresp.append("Server", "Varnish");
		// With clients waiting, the error answers them all, so that they do not queue up for a dead backend.
		if (this.waiters.size > 0) beresp.setLifetime(this.now, 1, 5, 5);
		else beresp.setLifetime(this.now, 0, 0, 0);
		if (this.reason === "pass") beresp.markUncacheable();
		this.#afterError(this.call("vcl_backend_error"));
	}

	#afterError(action: Outcome): void {
		const { beresp } = this;
		switch (action.kind) {
			case "waiting":
				action.afterwards((acted) => this.#afterError(acted));
				return;
			case "deliver":
				break;
			case "retry":
				this.#retry();
				return;
			default:
				this.#abandoned(action);
				return;
		}
		const bytes = Buffer.from(beresp.body, "latin1");
		this.#cacheable = !beresp.uncacheable && beresp.wholeTtl > 0;
		if (beresp.uncacheable) this.engine.count(Main.beresp_uncacheable);
		else if (beresp.wholeTtl + beresp.grace + beresp.keep < this.engine.parameters.shortlived)
			this.engine.count(Main.beresp_shortlived);
		beresp.fields.set("Content-Length", String(bytes.length));
		this.answer = {
			status: beresp.status % 1000,
			reason: beresp.reason,
			proto: "HTTP/1.1",
			fields: beresp.fields,
			logText: undefined,
			delivered: false,
			vxid: this.xid,
			tOrigin: beresp.tOrigin,
			ttl: beresp.wholeTtl,
			grace: beresp.grace,
			keep: beresp.keep,
			strict: false,
			insertedAt: this.now,
			uncacheable: beresp.uncacheable,
			gzip: false,
			esi: undefined,
			body: { kind: "bytes", bytes },
			storage: "Transient",
			vary: "",
			fault: this.#fault,
			backendStatus: 0,
		};
		if (this.#cacheable) this.#store([bytes]);
		this.vslLog.add(Tag.Storage, "malloc Transient");
		this.vslLog.add(Tag.Length, String(bytes.length));
		this.#announce();
		this.#finish();
	}

	/** Nothing will come of what has been fetched. */
	#forgetBody(): void {
		this.#stream?.fail();
		this.#stream?.settle();
		this.#reserved = undefined;
		if (this.#staleObject !== undefined) this.engine.arena.unpin(this.#staleObject);
		this.#staleObject = undefined;
	}

	#retry(): void {
		const body = this.requestBody;
		if (this.head?.framing.kind === "none") this.letGo();
		this.closeConnection("RESP_CLOSE");
		if (this.retries >= this.engine.parameters.maxRetries) {
			this.vslLog.add(Tag.VCL_Error, "Too many retries, delivering 503");
			const why = `the VCL said return (retry) more than ${this.retries} times (max_retries)`;
			if (this.method === "vcl_backend_error") this.#abandon(why);
			else this.#error(503, "Backend fetch failed", why);
			return;
		}
		if (body?.spent) {
			this.vslLog.add(Tag.VCL_Error, "Request body not cached, cannot retry");
			this.#abandon(
				"the VCL said return (retry), and the request's body is gone (std.cache_req_body keeps it)",
			);
			return;
		}
		body?.leave(this);
		this.#forgetBody();
		this.vslLog.timestamp("Retry", this.engine.now());
		const next = new FetchTask(this.engine, this.start, this);
		this.vslLog.add(Tag.Link, `bereq ${next.xid} retry`);
		this.#client?.fetchReplaced(next);
		this.#client = undefined;
		this.phase = "done";
		this.countBytes();
		this.vcl.busy--;
		this.engine.fetchCount--;
		this.vslLog.end();
		next.run();
	}

	#abandoned({ kind }: Action): void {
		const { method } = this;
		this.#abandon(kind === "abandon" ? `the VCL said return (abandon) in ${method}` : failedIn(method));
	}

	/** `why`: in the operator's words. */
	#abandon(why: string): void {
		this.closeConnection();
		const client = this.#client;
		this.#client = undefined;
		this.#unregister();
		this.phase = "done";
		client?.onFetchFailed(why);
		this.#release();
		this.#finish();
	}

	// ── the end ─────────────────────────────────────────────────────────────────────────────

	protected override onBodyEnd(): void {
		this.letGo();
		const check = this.#check;
		if (this.#esi !== undefined) this.#unpackPage();
		else if (this.#transform !== undefined) this.#recodeBody(this.#transform);
		else if (check === undefined || check.empty) this.#bodyIsHere();
		else
			check.end((outcome) => {
				if (this.phase !== "done" && this.#recoded(outcome, "check")) this.#bodyIsHere();
			});
	}

	/** What it unpacks to may be as much as may be held; more is unpacked on its way. */
	#recodeBody(recoding: "gzip" | "gunzip"): void {
		const { parameters } = this.engine;
		const { gzipLevel } = parameters;
		const whole = Buffer.concat(this.#stream!.pieces);
		const done = (recoded: Recoded) => {
			if (this.phase === "done") return;
			if (!recoded.ok && recoded.tooLong === true) {
				this.#tooLarge();
				this.#bodyIsHere();
			} else if (this.#recoded(recoded, recoding)) this.#bodyIsHere();
		};
		if (whole.length === 0) {
			this.#bodyIsHere();
			return;
		}
		const recoded = whole.length > AT_ONCE_BYTES ? undefined : recode(whole, recoding, gzipLevel);
		if (recoded === undefined || (!recoded.ok && recoded.tooLong === true))
			recodeBeside(whole, recoding, gzipLevel, this.#heldLimitBytes, done);
		else done(recoded);
	}

	#unpackPage(): void {
		const whole = Buffer.concat(this.#stream!.pieces);
		if (whole.length === 0) this.#bodyIsHere();
		else if (this.#esi?.unpacks !== true) this.#readPage(whole, undefined);
		else
			recodeBeside(whole, "gunzip", 0, this.#heldLimitBytes, (recoded) => {
				if (this.phase === "done") return;
				if (!recoded.ok && recoded.tooLong === true) this.#tooLarge();
				else if (!recoded.ok) this.broken(recoded.reason);
				else {
					this.engine.count(Main.n_gunzip);
					this.#readPage(recoded.bytes!, { bytes: whole, record: recoded.record });
				}
			});
	}

	/** `packed`: what it was when it came, and what is to be said of its unpacking. */
	#readPage(
		plain: Uint8Array,
		packed: { readonly bytes: Uint8Array; readonly record: string } | undefined,
	): void {
		const { engine, vslLog } = this;
		const { parameters } = engine;
		const packs = this.#esi?.packs === true;
		const source = {
			plain,
			url: this.bereq.url,
			rules: parameters.esi,
			packLevel: packs ? parameters.gzipLevel : undefined,
			packed: packed?.bytes,
			tell: ({ kind, text }: EsiRemark) => {
				if (kind !== "note") engine.count(kind === "error" ? Main.esi_errors : Main.esi_warnings);
				vslLog.add(Tag.ESI_xmlerror, text);
			},
		};
		const isWanted = () => this.phase !== "done";
		makePage(source, isWanted, ({ bytes, program }) => {
			if (packs && bytes !== packed?.bytes) {
				engine.count(Main.n_gzip);
				vslLog.add(Tag.Gzip, packedRecord("E", plain.length, bytes.length));
			}
			if (packed !== undefined) vslLog.add(Tag.Gzip, packed.record);
			const programBytes = program === undefined ? 0 : encodeProgram(program).length;
			if (programBytes > PROGRAM_BYTES) {
				this.fetchError(
					`page has too many ESI tags: ${programBytes} bytes of steps, ${PROGRAM_BYTES} may be`,
				);
				return;
			}
			this.#replaceBody(bytes);
			this.answer = { ...this.answer!, esi: program };
			this.#bodyIsHere();
		});
	}

	#bodyIsHere(): void {
		const stream = this.#stream!;
		if (this.#last !== undefined) stream.push(this.#last);
		this.tellLetGo();
		this.vslLog.timestamp("BerespBody", this.engine.now());
		this.vslLog.add(Tag.Length, String(stream.bytes));
		if (this.#cacheable || this.#remembered) this.#store(stream.pieces);
		this.#supersede();
		const announced = this.#announced;
		this.phase = "done";
		stream.finish();
		if (!announced) this.#announce();
		this.#unregister();
		this.#release();
		this.#finish();
	}

	/** False when the body is not what it says. */
	#recoded(recoded: Recoded, recoding: Recoding): boolean {
		if (!recoded.ok) {
			this.broken(recoded.reason);
			return false;
		}
		this.engine.count({ gzip: Main.n_gzip, gunzip: Main.n_gunzip, check: Main.n_test_gunzip }[recoding]);
		this.vslLog.add(Tag.Gzip, recoded.record);
		if (recoded.bytes !== undefined) this.#replaceBody(recoded.bytes);
		return true;
	}

	#replaceBody(bytes: Uint8Array): void {
		const stream = new BodyStream(true, undefined, this.engine.bodies);
		stream.push(bytes);
		this.#stream?.fail();
		this.#stream?.settle();
		this.#stream = stream;
		this.answer = { ...this.answer!, body: { kind: "stream", stream, length: bytes.length } };
	}

	get isPurged(): boolean {
		const { purges } = this.engine;
		if (purges.last === this.#purgesAtStart) return false;
		const tags = this.answer === undefined ? [] : tagsOf(this.answer.fields);
		return purges.since(this.#purgesAtStart, [this.key, ...tags]);
	}
	readonly #purgesAtStart = this.engine.purges.last;

	/** What came over it, so that nobody would look for it or test it once it is stored. */
	get #outdated(): string | undefined {
		if (this.isPurged) return "it was purged";
		return this.banAtStart < this.engine.bansOver ? "a ban came and ended" : undefined;
	}

	#store(pieces: readonly Uint8Array[]): void {
		const { engine } = this;
		const answer = this.answer!;
		if (ageAt(answer, this.now).kind === "expired" && !(answer.ttl + answer.grace + answer.keep > 0)) return;
		const subject = { request: undefined, object: bannable(answer, this.now) };
		if (engine.bans.holdsForNew(this.banAtStart, subject) !== undefined) {
			this.vslLog.add(Tag.Error, "a ban that came while it was fetched holds for it: not stored");
			return;
		}
		let length = 0;
		for (const piece of pieces) length += piece.length;
		const { fields } = answer;
		if (this.bereq.method !== "HEAD" && !fields.has("content-length"))
			fields.append("Content-Length", String(length));
		const stored =
			this.#reserved === undefined
				? storeAnswer(engine, this.#fetched, answer, this.#remembered, pieces)
				: engine.arena.commit(
						this.#reserved.reservation,
						this.#reserved.meta,
						replacesOlder(this.#fetched, answer),
					);
		if (!stored) {
			const outdated = this.#outdated;
			const why =
				outdated === undefined ? "Could not get storage" : `${outdated} while it was fetched: not stored`;
			this.vslLog.add(Tag.Error, why);
		} else if (this.#marker !== undefined) engine.arena.remove(this.#marker);
	}

	/**
	 * A whole answer is in place of what it was fetched for, whatever variant it is of, or if it is for no hits: a stale
	 * object, or a hit-for-miss. RFC 9111 §4.3.3: an error of the server's leaves the stale object for those whom it may
	 * still be given (§4.2.4).
	 */
	#supersede(): void {
		const { stale, met } = this.start;
		if (met !== undefined) this.engine.arena.remove(met);
		if (stale?.body.kind !== "stored" || this.#staleLivesOn) return;
		if (this.engine.parameters.rfc9111 && this.answer!.status >= 500) return;
		this.engine.arena.remove(stale.body.object);
	}

	readonly banAtStart = this.engine.bans.newest;

	get #fetched(): Fetched {
		return {
			key: this.key,
			xid: this.xid,
			ban: this.banAtStart,
			isOutdated: () => this.#outdated !== undefined,
			refreshes: this.start.stale !== undefined,
		};
	}

	/** Gives the answer to the client that asked, and lets those who wait look again. */
	#announce(): void {
		if (this.#announced) return;
		this.#announced = true;
		const answer = this.answer!;
		this.joinable = this.#cacheable && this.phase !== "done";
		const { body } = answer;
		const soon = body.kind !== "stream" || (body.length !== undefined && body.length <= BUSY_BODY_BYTES);
		if (!this.joinable || !soon) this.#unmark();
		const client = this.#client;
		this.#client = undefined;
		client?.onAnswer(answer, this);
		if (answer.body.kind === "stream" && client === undefined && !this.#cacheable && this.phase !== "done") {
			this.#stop();
			return;
		}
		if (!this.joinable) this.#unregister();
		this.#release();
	}

	/** Other workers need not wait any more: the answer is stored, or is not going to be, or takes long. */
	#unmark(): void {
		const { busyMark } = this.start;
		if (busyMark !== undefined && !this.#unmarked) this.engine.busy.release(busyMark);
		this.#unmarked = true;
	}
	#unmarked = false;

	#release(): void {
		if (this.waiters.size === 0) return;
		const alone = !this.#cacheable || this.answer === undefined || this.answer.ttl <= 0;
		const waiters = [...this.waiters];
		this.waiters.clear();
		for (const waiter of waiters) {
			this.engine.count(Main.busy_wakeup);
			waiter.wake(alone);
		}
	}

	/** Ends without an answer: nobody is left who wants it. */
	#stop(): void {
		this.closeConnection();
		if (this.phase === "done") return;
		this.#stream?.fail();
		this.#unregister();
		this.#finish();
	}

	#finished = false;
	#finish(): void {
		if (this.#finished) return;
		this.#finished = true;
		this.#unmark();
		this.#check?.giveUp();
		this.#forgetBody();
		this.phase = "done";
		this.#unregister();
		this.requestBody?.leave(this);
		this.tellLetGo();
		this.account();
		this.vcl.busy--;
		this.engine.fetchCount--;
		this.vslLog.end();
	}
}
