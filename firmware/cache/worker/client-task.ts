/**
 * One client request: the client side of VCL, from vcl_recv to the last byte.
 *
 * A hit runs from the received bytes to the sent ones without a pause: no promise, no timer, no allocation that
 * could be saved. Everything slower (waiting for a fetch, streaming, pipe) hangs on callbacks of the tasks it
 * waits for.
 */
import { gunzipSync } from "node:zlib";
import { chunkHead, LAST_CHUNK } from "../http/chunked.ts";
import { notModified } from "../http/conditional.ts";
import { formatHttpDate } from "../http/date.ts";
import { FieldList, flat } from "../http/headers.ts";
import type { RequestHead } from "../http/request.ts";
import { reasonPhrase } from "../http/status.ts";
import { formatSeconds, record, Side, TransactionLog } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import type { BanSubject } from "../store/bans.ts";
import { ageAt, isUnsafe, varyMatches } from "../store/freshness.ts";
import { Flag } from "../store/layout.ts";
import type { Action, RequestMessage } from "../vcl/runtime.ts";
import { type Answer, answerLogText } from "./answer.ts";
import type { BodyReader, BodyStream } from "./body-stream.ts";
import {
	ClientRequestFields,
	ClientResponseFields,
	type Forwarded,
	HitObject,
	withForwardedFor,
} from "./client-messages.ts";
import { type ActiveVcl, Main } from "./engine.ts";
import { FetchTask, linkRecord, weaken } from "./fetch-task.ts";
import { gunzipStream } from "./gunzip-stream.ts";
import { respTags } from "./messages.ts";
import { Pipe } from "./pipe.ts";
import { applyRange, type Outgoing } from "./range-body.ts";
import type { RequestBody } from "./request-body.ts";
import type { ClientSession } from "./session.ts";
import { Task } from "./task.ts";

const VIA = "1.1 varnish (Varnish/7.1)";
const VIA_LINE = `Via: ${VIA}`;
/** Stored bodies up to this size are copied next to their head and sent in one write. */
const COPY_BYTES = 96 * 1024;
/** A stored gzip body up to this size is unpacked at once for a client that does not take gzip. */
const UNPACK_AT_ONCE_BYTES = 4 * 1024 * 1024;

const getRecord = flat(record(Tag.ReqMethod, "GET"));
const http11Record = flat(record(Tag.ReqProtocol, "HTTP/1.1"));
const http10Record = flat(record(Tag.ReqProtocol, "HTTP/1.0"));
const viaRecord = flat(record(Tag.RespHeader, `Via: ${VIA}`));
const acceptRangesRecord = flat(record(Tag.RespHeader, "Accept-Ranges: bytes"));
const keepAliveRecord = flat(record(Tag.RespHeader, "Connection: keep-alive"));
const noFiltersRecord = flat(record(Tag.Filters, ""));

/** How the answer came about, for Cache-Status and `cache why`. */
export type Handling = "hit" | "miss" | "pass" | "pipe" | "synth" | "error";

export class ClientTask extends Task implements BodyReader {
	readonly client: ClientSession;
	readonly head: RequestHead;
	readonly body: RequestBody | undefined;
	readonly startedAt: number;
	readonly restarts: number;
	override readonly req: ClientRequestFields;
	override resp: ClientResponseFields = undefined as never;
	key = "";
	handling: Handling = "error";
	/** Why, in the operator's words. */
	why = "";
	#fetch: FetchTask | undefined;
	#answer: Answer | undefined;
	#stream: BodyStream | undefined;
	#streamChunked = false;
	#streamLeft: number | undefined;
	#headBytes = 0;
	#bodyBytes = 0;
	#waiting = false;
	#done = false;
	#late100 = false;
	#sent100 = false;
	#normaliseGzip = true;
	#headOnly: boolean;
	#baseFields: FieldList;
	#forwarded: Forwarded | undefined;
	/** `drover cache why` wants to be told; taken from local clients only. */
	#asksWhy = false;
	#processedAt = 0;
	#streamed = false;

	constructor(
		client: ClientSession,
		vcl: ActiveVcl,
		head: RequestHead,
		body: RequestBody | undefined,
		previous?: ClientTask,
	) {
		const { engine } = client;
		const now = engine.now();
		const xid = engine.nextTransaction();
		const log = new TransactionLog(engine.log, xid | Side.client, now);
		super(engine, vcl, xid, log, previous?.startedAt ?? now);
		this.client = client;
		this.head = head;
		this.body = body;
		this.startedAt = previous?.startedAt ?? now;
		this.restarts = previous === undefined ? 0 : previous.restarts + 1;
		this.connection = client.connection;
		this.session = client.settings;
		this.#headOnly = head.method === "HEAD";
		if (previous === undefined) {
			log.linkParent(client.xid | Side.client, record(Tag.Link, `req ${xid} rxreq`));
			log.addText(client.beginRecord);
		} else log.add(Tag.Begin, `req ${previous.xid} restart`);
		log.begin(now);
		log.addText(client.startRecords(vcl.name));
		if (previous === undefined) {
			const made = withForwardedFor(head.fields, client.connection.clientIp.text);
			this.#forwarded = made;
			const fields = new FieldList(made.lines, made.keys);
			this.req = new ClientRequestFields(this, head, fields);
			log.addText(head.method === "GET" ? getRecord : record(Tag.ReqMethod, head.method));
			log.addText(record(Tag.ReqURL, head.url));
			log.addText((head.proto === "HTTP/1.1" ? http11Record : http10Record) + made.logText);
			if (head.host !== undefined) this.req.setHeader("host", "Host", head.host);
			if (head.fields.expect !== undefined) this.req.unsetHeader("expect");
			if (client.local && fields.has("drover-why")) {
				this.#asksWhy = true;
				this.req.fields.unset("drover-why");
			}
			this.#baseFields = this.req.fields.copy();
		} else {
			this.req = new ClientRequestFields(this, head, previous.req.fields.copy());
			this.req.rollBack(previous.req.method, previous.req.url, this.req.fields);
			this.req.backendHint = previous.req.backendHint;
			this.req.grace = previous.req.grace;
			this.req.ttl = previous.req.ttl;
			this.req.hashAlwaysMiss = previous.req.hashAlwaysMiss;
			this.req.hashIgnoreBusy = previous.req.hashIgnoreBusy;
			this.req.hashIgnoreVary = previous.req.hashIgnoreVary;
			this.#baseFields = previous.#baseFields;
			this.#sent100 = previous.#sent100;
			this.req.logAll();
		}
		this.reqTop = this.req;
		vcl.busy++;
	}

	override rollback(_message: RequestMessage): void {
		this.req.rollBack(this.head.method, this.head.url, this.#baseFields.copy());
	}

	override hashData(text: string): void {
		this.key += `${text}\0`;
		this.vslLog.add(Tag.Hash, text);
	}

	override cacheRequestBody(sizeBytes: number): boolean {
		const { body } = this;
		if (body === undefined) return true;
		if (body.length === undefined || body.length > sizeBytes) return false;
		body.cache();
		return true;
	}

	override late100Continue(late: boolean): void {
		this.#late100 = late;
	}

	override purge(ttlSeconds: number, graceSeconds: number, keepSeconds: number): number {
		return this.#purge(ttlSeconds, graceSeconds, keepSeconds);
	}

	// ── vcl_recv to look-up ─────────────────────────────────────────────────────────────────

	run(): void {
		const { head } = this;
		if (this.restarts > this.engine.parameters.maxRestarts) {
			this.vslLog.add(Tag.VCL_Error, "Too many restarts");
			this.#synth(503, null);
			return;
		}
		const action = this.call("vcl_recv");
		if (action.kind === "vcl") {
			this.#switchVcl(action.label);
			return;
		}
		if (head.fields.expect !== undefined && this.body !== undefined && !this.#late100 && !this.#sent100)
			this.#continue();
		if (this.#normaliseGzip && action.kind !== "pipe" && action.kind !== "pass") this.#normaliseEncoding();
		if (action.kind !== "fail") {
			this.key = "";
			const hashed = this.call("vcl_hash");
			if (hashed.kind === "fail") {
				this.#fail();
				return;
			}
		}
		switch (action.kind) {
			case "hash":
				this.#lookup();
				return;
			case "pass":
				this.why = this.#whyPass();
				this.#pass(false);
				return;
			case "pipe":
				this.#pipe();
				return;
			case "purge":
				this.#purgeRequest();
				return;
			default:
				this.#common(action);
		}
	}

	#continue(): void {
		this.#sent100 = true;
		this.client.emit("HTTP/1.1 100 Continue\r\n\r\n", undefined);
	}

	#whyPass(): string {
		const { req } = this;
		if (req.method !== "GET" && req.method !== "HEAD") return `method ${req.method} is not cached`;
		if (req.fields.has("authorization")) return "the request carries Authorization";
		if (req.fields.has("cookie")) return "the request carries a Cookie";
		return "the VCL said return (pass) in vcl_recv";
	}

	/** Restart, synth and fail, from any sub that may. */
	#common(action: Action): void {
		switch (action.kind) {
			case "synth":
				this.#synth(action.status, action.reason);
				return;
			case "restart":
				this.#restart();
				return;
			default:
				this.#fail();
		}
	}

	#fail(): void {
		this.rollback(this.req);
		this.client.closeAfter("VCL_FAILURE");
		this.#synth(503, "VCL failed");
	}

	#switchVcl(label: string): void {
		const target = this.engine.labels.get(label);
		if (target === undefined || this.restarts > 0 || this.vcl !== this.engine.active) {
			this.vslLog.add(Tag.VCL_Error, "Illegal return(vcl): Not after restarts or from labels");
			this.#synth(503, null);
			return;
		}
		const next = new ClientTask(this.client, target, this.head, this.body, this);
		this.client.replaceTask(next);
		this.vslLog.add(Tag.Link, `req ${next.xid} restart`);
		this.#close();
		next.run();
	}

	#restart(): void {
		this.#fetch?.clientGone();
		this.vslLog.timestamp("Restart", this.engine.now());
		const next = new ClientTask(this.client, this.vcl, this.head, this.body, this);
		this.vslLog.add(Tag.Link, `req ${next.xid} restart`);
		this.client.replaceTask(next);
		this.#close();
		next.run();
	}

	/** Accept-Encoding becomes "gzip" or goes away, so that one variant serves all (varnishd does the same). */
	#normaliseEncoding(): void {
		const { req } = this;
		if (!this.engine.parameters.gzipSupport) return;
		const made = this.#forwarded;
		if (made !== undefined && req.fields.lines === made.lines) {
			req.fields = new FieldList(made.normalised.lines, made.normalised.keys);
			this.vslLog.addText(made.normalised.logText);
			return;
		}
		const value = req.fields.get("accept-encoding");
		if (value === undefined || value === "gzip") return;
		req.unsetHeader("accept-encoding");
		if (req.canGzip) req.setHeader("accept-encoding", "Accept-Encoding", "gzip");
	}

	#banned(answer: Answer): boolean {
		if (answer.body.kind !== "stored") return false;
		const { bans, arena } = this.engine;
		const { object } = answer.body;
		if (object.ban >= bans.newest) return false;
		const now = this.startedAt;
		const subject: BanSubject = {
			request: { url: this.req.url, header: (key) => this.req.fields.get(key) },
			object: {
				status: answer.status,
				age: now - answer.tOrigin,
				ttl: answer.ttl,
				grace: answer.grace,
				keep: answer.keep,
				header: (key) => answer.fields.get(key),
			},
		};
		const ban = bans.holds(object.ban, subject);
		if (ban === undefined) {
			arena.noteBan(object, bans.newest);
			(object as { ban: number }).ban = bans.newest;
			return false;
		}
		this.vslLog.add(Tag.ExpBan, `${object.vxid} banned lookup`);
		this.engine.count(Main.bans_obj_killed);
		arena.remove(object);
		this.why = `it was banned by "${ban.text}"`;
		return true;
	}

	#lookup(): void {
		const { engine, req } = this;
		const now = this.startedAt;
		let stale: Answer | undefined;
		if (!req.hashAlwaysMiss) {
			const { answers } = engine.objects.find(this.key);
			let sawVariant = false;
			for (const answer of answers) {
				if (this.#banned(answer)) continue;
				if (!req.hashIgnoreVary && answer.vary !== "" && !varyMatches(answer.vary, req.fields)) {
					sawVariant = true;
					continue;
				}
				if (answer.ttl + answer.grace + answer.keep <= 0) continue;
				const age = ageAt(answer, now, req.ttl, req.grace);
				if (age.kind === "fresh") {
					this.#fresh(answer);
					return;
				}
				if (
					age.kind !== "expired" &&
					!answer.uncacheable &&
					(stale === undefined || answer.tOrigin > stale.tOrigin)
				)
					stale = answer;
			}
			if (this.why === "")
				this.why =
					stale !== undefined
						? `the stored object's lifetime of ${stale.ttl} s is over`
						: sawVariant
							? "only other variants (Vary) are stored"
							: "nothing is stored for it yet";
			if (this.#joinFetch(stale)) return;
			if (stale !== undefined && ageAt(stale, now, req.ttl, req.grace).kind === "grace") {
				this.#hit(stale, true, true);
				return;
			}
		} else this.why = "req.hash_always_miss";
		this.#miss(stale);
	}

	#fresh(answer: Answer): void {
		if (answer.uncacheable && answer.body.kind === "stored") {
			const { object } = answer.body;
			const remaining = formatSeconds(Math.max(0, answer.tOrigin + answer.ttl - this.startedAt));
			if ((object.flags & Flag.hitForPass) !== 0) {
				this.engine.count(Main.cache_hitpass);
				this.vslLog.add(Tag.HitPass, `${answer.vxid} ${remaining}`);
				this.req.isHitpass = true;
				this.why = "hit-for-pass: an earlier answer must not be cached";
				this.#pass(false);
			} else {
				this.engine.count(Main.cache_hitmiss);
				this.vslLog.add(Tag.HitMiss, `${answer.vxid} ${remaining}`);
				this.req.isHitmiss = true;
				this.why = "hit-for-miss: an earlier answer was not cacheable";
				this.#miss(undefined);
			}
			return;
		}
		this.#hit(answer, false, false);
	}

	/** Joins or waits for a fetch of the same key; true when this request is taken care of. */
	#joinFetch(stale: Answer | undefined): boolean {
		const { engine, req } = this;
		const fetches = engine.inflight.get(this.key);
		if (fetches === undefined) return false;
		for (const fetch of fetches) {
			const { answer } = fetch;
			if (answer !== undefined) {
				if (!fetch.joinable || answer.body.kind !== "stream" || !answer.body.stream.keeping) continue;
				if (!varyMatches(answer.vary, req.fields)) continue;
				if (ageAt(answer, this.startedAt, req.ttl, req.grace).kind !== "fresh") continue;
				this.#hit(answer, false, false);
				return true;
			}
			// Not known yet: whether it will be the same variant is guessed from the variants there are.
			if (fetch.start.hitForMiss || req.hashIgnoreBusy) continue;
			const guess = engine.objects.find(this.key).answers.find((each) => each.vary !== "");
			if (guess !== undefined && differs(guess.vary, req.fields, fetch.start.client.req.fields)) continue;
			if (stale !== undefined && ageAt(stale, this.startedAt, req.ttl, req.grace).kind === "grace") {
				this.#hit(stale, true, false);
				return true;
			}
			if (fetch.reason === "bgfetch" && stale !== undefined) continue;
			fetch.waiters.push(this);
			this.#waiting = true;
			engine.count(Main.busy_sleep);
			return true;
		}
		return false;
	}

	/** The fetch this request waited for has its answer, or has none: look again. */
	wake(): void {
		if (!this.#waiting || this.#done) return;
		this.#waiting = false;
		this.now = this.engine.now();
		this.vslLog.timestamp("Waitinglist", this.now);
		this.client.cork(() => this.#lookup());
	}

	#hit(answer: Answer, grace: boolean, refresh: boolean): void {
		const { engine } = this;
		engine.count(Main.cache_hit);
		if (grace) engine.count(Main.cache_hit_grace);
		this.handling = "hit";
		const remaining = answer.tOrigin + answer.ttl - this.startedAt;
		this.vslLog.add(
			Tag.Hit,
			`${answer.vxid} ${formatSeconds(remaining)} ${formatSeconds(answer.grace)} ${formatSeconds(answer.keep)}`,
		);
		const hits = answer.body.kind === "stored" ? engine.arena.use(answer.body.object) + 1 : 1;
		this.obj = new HitObject(answer, engine, this.startedAt, hits);
		const action = this.call("vcl_hit");
		switch (action.kind) {
			case "deliver":
				if (refresh) this.#refresh(answer);
				this.#deliver(answer);
				return;
			case "pass":
				this.why = "the VCL said return (pass) in vcl_hit";
				this.#pass(false);
				return;
			default:
				this.#common(action);
		}
	}

	#refresh(stale: Answer): void {
		const { engine } = this;
		if (engine.inflight.get(this.key)?.some((fetch) => fetch.reason === "bgfetch")) return;
		engine.count(Main.s_bgfetch);
		engine.count(Main.s_fetch);
		const fetch = new FetchTask(engine, {
			reason: "bgfetch",
			client: this,
			stale: stale.body.kind === "stored" ? stale : undefined,
			body: undefined,
			hitForMiss: false,
			hitForPass: false,
		});
		this.vslLog.addText(linkRecord(fetch.xid, "bgfetch"));
		queueMicrotask(() => fetch.run());
	}

	#miss(stale: Answer | undefined): void {
		const action = this.call("vcl_miss");
		switch (action.kind) {
			case "fetch":
				this.handling = "miss";
				this.engine.count(Main.cache_miss);
				this.#startFetch("fetch", stale);
				return;
			case "pass":
				this.why = "the VCL said return (pass) in vcl_miss";
				this.#pass(false);
				return;
			default:
				this.#common(action);
		}
	}

	#pass(_fromHit: boolean): void {
		const action = this.call("vcl_pass");
		if (action.kind === "fetch") {
			this.handling = "pass";
			this.engine.count(Main.s_pass);
			this.#startFetch("pass", undefined);
			return;
		}
		this.#common(action);
	}

	#startFetch(reason: "fetch" | "pass", stale: Answer | undefined): void {
		this.engine.count(Main.s_fetch);
		if (this.head.fields.expect !== undefined && this.body !== undefined && !this.#sent100) this.#continue();
		const fetch = new FetchTask(this.engine, {
			reason,
			client: this,
			stale,
			body: this.body,
			hitForMiss: this.req.isHitmiss,
			hitForPass: this.req.isHitpass,
		});
		this.#fetch = fetch;
		this.vslLog.addText(linkRecord(fetch.xid, reason));
		fetch.run();
	}

	fetchReplaced(fetch: FetchTask): void {
		this.#fetch = fetch;
	}

	onAnswer(answer: Answer, _fetch: FetchTask): void {
		this.#fetch = undefined;
		if (this.#done) return;
		this.now = this.engine.now();
		this.vslLog.timestamp("Fetch", this.now);
		if (this.handling === "pass" && isUnsafe(this.req.method) && answer.status >= 200 && answer.status < 400)
			this.#invalidate();
		this.client.cork(() => {
			this.obj = new HitObject(answer, this.engine, this.now, 0);
			this.#deliver(answer);
		});
	}

	onFetchFailed(): void {
		this.#fetch = undefined;
		if (this.#done) return;
		this.now = this.engine.now();
		this.vslLog.timestamp("Fetch", this.now);
		this.client.cork(() => this.#synth(503, "Service Unavailable"));
	}

	/** RFC 9111 §4.4: an unsafe request that went well makes what is stored for its target useless. */
	#invalidate(): void {
		const { arena } = this.engine;
		for (const object of arena.lookup(this.key)) arena.remove(object);
	}

	#purgeRequest(): void {
		const purged = this.#purge(0, 0, 0);
		this.vslLog.add(Tag.Debug, `purged ${purged}`);
		const action = this.call("vcl_purge");
		this.#common(action);
	}

	#purge(ttl: number, grace: number, keep: number): number {
		const { arena } = this.engine;
		this.engine.count(Main.n_purges);
		let count = 0;
		for (const object of arena.lookup(this.key)) {
			if (ttl === 0 && grace === 0 && keep === 0) arena.remove(object);
			else {
				const age = this.engine.now() - object.tOrigin;
				arena.relive(object, {
					...(ttl >= 0 ? { ttl: Math.min(object.ttl, age + ttl) } : {}),
					...(grace >= 0 ? { grace } : {}),
					...(keep >= 0 ? { keep } : {}),
				});
			}
			count++;
		}
		this.engine.count(Main.n_obj_purged, count);
		return count;
	}

	#pipe(): void {
		this.handling = "pipe";
		new Pipe(this).run();
	}

	runPipe(): Action {
		return this.call("vcl_pipe");
	}

	/** Pipe gave up before it began: synth and friends. */
	afterPipe(action: Action): void {
		this.#common(action);
	}

	/** The pipe is over; the session ends with it. */
	pipeDone(account: string): void {
		this.vslLog.timestamp("PipeSess", this.engine.now());
		this.vslLog.add(Tag.PipeAcct, account);
		this.#close();
	}

	// ── delivery ────────────────────────────────────────────────────────────────────────────

	#deliver(answer: Answer): void {
		this.#answer = answer;
		const { vslLog } = this;
		const resp = new ClientResponseFields(
			answer.status,
			answer.reason,
			answer.proto,
			answer.fields.copy(),
			vslLog,
			respTags,
		);
		this.resp = resp;
		resp.time = this.now;
		resp.isStreaming = answer.body.kind === "stream" && answer.body.stream.state === "open";
		vslLog.addText(answerLogText(answer));
		resp.appendHeader(
			"x-varnish",
			"X-Varnish",
			this.handling === "hit" ? `${this.xid} ${answer.vxid}` : String(this.xid),
		);
		resp.appendHeader("age", "Age", String(Math.max(0, Math.floor(this.now - answer.tOrigin))));
		const via = resp.fields.get("via");
		if (via === undefined) {
			resp.fields.appendLine(VIA_LINE, "via");
			vslLog.addText(viaRecord);
		} else resp.setHeader("via", "Via", `${via}, ${VIA}`);
		if (answer.status === 200 && this.engine.parameters.rangeSupport && this.handling !== "pass") {
			resp.fields.appendLine("Accept-Ranges: bytes", "accept-ranges");
			vslLog.addText(acceptRangesRecord);
		}
		if (this.engine.cacheStatus || this.#asksWhy) resp.append("Cache-Status", this.#cacheStatus(answer));
		const action = this.call("vcl_deliver");
		switch (action.kind) {
			case "deliver":
				break;
			case "restart":
				this.#dropAnswer();
				this.#restart();
				return;
			case "synth":
				this.#dropAnswer();
				this.#synth(action.status, action.reason);
				return;
			default:
				this.#dropAnswer();
				this.#fail();
				return;
		}
		this.#transmit(answer);
	}

	/** An answer that will not be sent: a private stream has to be let go. */
	#dropAnswer(): void {
		const body = this.#answer?.body;
		if (body?.kind === "stream") {
			body.stream.join(this);
			body.stream.leave(this);
		}
	}

	/** RFC 9211. */
	#cacheStatus(answer: Answer): string {
		const ttl = Math.floor(answer.tOrigin + answer.ttl - this.now);
		switch (this.handling) {
			case "hit":
				return `"Drover"; hit; ttl=${ttl}`;
			case "miss":
				return `"Drover"; fwd=${this.req.isHitmiss ? "bypass" : this.why.includes("lifetime") ? "stale" : this.why.includes("Vary") ? "vary-miss" : "uri-miss"}; fwd-status=${answer.status}${answer.uncacheable ? "" : "; stored"}; detail="${this.why.replace(/["\\]/g, "")}"`;
			default:
				return `"Drover"; fwd=${isUnsafe(this.req.method) ? "method" : "bypass"}; fwd-status=${answer.status}; detail="${this.why.replace(/["\\]/g, "")}"`;
		}
	}

	#synth(status: number, reason: string | null): void {
		const { engine, vslLog } = this;
		engine.count(Main.s_synth);
		if (this.handling !== "hit") this.handling = "synth";
		this.now = engine.now();
		this.vslLog.timestamp("Process", this.now);
		const resp = new ClientResponseFields(
			status,
			reason ?? reasonPhrase(status),
			"HTTP/1.1",
			new FieldList(),
			vslLog,
			respTags,
		);
		this.resp = resp;
		resp.time = this.now;
		resp.logStart();
		resp.append("Date", formatHttpDate(this.now));
		resp.append("Server", "Varnish");
		resp.append("X-Varnish", String(this.xid));
		const action = this.call("vcl_synth");
		switch (action.kind) {
			case "deliver":
				break;
			case "restart":
				if (this.restarts < engine.parameters.maxRestarts) {
					this.#restart();
					return;
				}
				break;
			default:
				engine.count(Main.client_resp_500);
				this.client.closeAfter("VCL_FAILURE");
				this.client.emit("HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n", undefined);
				this.#finish();
				return;
		}
		const bytes = Buffer.from(resp.body ?? "", "latin1");
		resp.fields.unset("content-length");
		this.#send({ kind: "bytes", bytes, length: bytes.length });
	}

	#transmit(answer: Answer): void {
		const { resp, req, engine } = this;
		const top = req.method === "GET" || req.method === "HEAD";
		this.#processedAt = engine.now();
		this.vslLog.timestamp("Process", this.#processedAt);
		if (resp.status === 200 && top && this.handling !== "pass") {
			const etag = resp.fields.get("etag");
			const modified = resp.fields.get("last-modified");
			if (notModified(req.fields, etag, modified)) {
				resp.setStatus(304);
				resp.fields.unset("content-length");
				this.vslLog.add(Tag.Filters, "");
				this.#dropAnswer();
				this.#send({ kind: "none", length: undefined });
				return;
			}
		}
		const gunzip =
			answer.gzip &&
			!req.canGzip &&
			engine.parameters.gzipSupport &&
			!this.#headOnly &&
			this.handling !== "pass";
		if (answer.gzip && !req.canGzip && engine.parameters.gzipSupport && this.handling !== "pass") {
			resp.unsetHeader("content-encoding");
			resp.fields.unset("content-length");
			weaken(resp.fields);
			if (gunzip) engine.count(Main.n_gunzip);
		}
		if (resp.body !== undefined) {
			this.#dropAnswer();
			const bytes = Buffer.from(resp.body, "latin1");
			this.#send({ kind: "bytes", bytes, length: bytes.length });
			return;
		}
		const { body } = answer;
		switch (body.kind) {
			case "bytes":
				this.#send({ kind: "bytes", bytes: body.bytes, length: body.bytes.length });
				return;
			case "stored":
				this.#sendStored(answer, gunzip);
				return;
			case "stream": {
				const { stream } = body;
				const length = stream.state === "whole" ? stream.bytes : body.length;
				if (gunzip) this.#send({ kind: "stream", stream: gunzipStream(stream), length: undefined });
				else if (this.#headOnly && stream.state === "whole" && !stream.keeping)
					this.#send({ kind: "stream", stream, length: undefined });
				else this.#send({ kind: "stream", stream, length });
				return;
			}
		}
	}

	#sendStored(answer: Answer, gunzip: boolean): void {
		const { engine } = this;
		if (answer.body.kind !== "stored") return;
		let { object } = answer.body;
		if (!engine.arena.pin(object)) {
			// Something in its shard changed since the look-up: find it again.
			const again = engine.objects.find(this.key).answers.find((each) => each.vxid === answer.vxid);
			if (again?.body.kind !== "stored" || !engine.arena.pin(again.body.object)) {
				this.#restart();
				return;
			}
			object = again.body.object;
		}
		if (gunzip) {
			const packed = Uint8Array.from(object.body);
			engine.arena.unpin(object);
			this.vslLog.add(Tag.Filters, "gunzip");
			try {
				const plain = gunzipSync(packed, { maxOutputLength: UNPACK_AT_ONCE_BYTES * 64 });
				this.#send({ kind: "bytes", bytes: plain, length: plain.length, filtersLogged: true });
			} catch {
				this.client.closeAfter("TX_ERROR");
				this.#synth(503, "Stored object cannot be unpacked");
			}
			return;
		}
		const { body } = object;
		if (body.length <= COPY_BYTES) {
			this.#send({ kind: "bytes", bytes: body, length: body.length });
			engine.arena.unpin(object);
		} else
			this.#send({
				kind: "bytes",
				bytes: body,
				length: body.length,
				release: () => engine.arena.unpin(object),
			});
	}

	#send(body: Outgoing): void {
		const { resp, client, head } = this;
		const { fields } = resp;
		let status = resp.status % 1000;
		let source = body;
		let ranges = "";
		const mayHaveBody = status >= 200 && status !== 204 && status !== 304;
		if (status === 200 && this.#answer !== undefined && this.handling !== "pass" && body.kind !== "none") {
			const ranged = applyRange(this, body, () => this.#dropAnswer());
			if (ranged !== undefined) {
				source = ranged;
				ranges = "range";
				status = resp.status % 1000;
			}
		}
		if (source.kind === "none" || !("filtersLogged" in source)) {
			if (ranges === "") this.vslLog.addText(noFiltersRecord);
			else this.vslLog.add(Tag.Filters, ranges);
		}
		const headOnly = this.#headOnly || !mayHaveBody;
		let chunked = false;
		if (!mayHaveBody) {
			if (status !== 304) fields.unset("content-length");
		} else if (source.length !== undefined && !(this.#headOnly && fields.has("content-length"))) {
			const text = String(source.length);
			if (fields.get("content-length") !== text) {
				fields.unset("content-length");
				resp.append("Content-Length", text);
			}
		} else if (source.length === undefined && !this.#headOnly) {
			fields.unset("content-length");
			if (head.proto === "HTTP/1.1") {
				chunked = true;
				resp.append("Transfer-Encoding", "chunked");
			} else client.closeAfter("TX_EOF");
		}
		const wanted = fields.get("connection");
		if (wanted !== undefined) {
			if (/(?:^|,)\s*close\s*(?:$|,)/i.test(wanted)) client.closeAfter("RESP_CLOSE");
			fields.unset("connection");
		}
		if (this.body !== undefined && !this.body.ended && !client.willClose) {
			// The rest of a body that nobody wants: read it if it is short, else close.
			if (this.body.length !== undefined && this.body.length < 1 << 20) this.body.drop();
			else client.closeAfter("RX_BODY");
		}
		if (client.willClose) resp.append("Connection", "close");
		else {
			fields.appendLine("Connection: keep-alive", "connection");
			this.vslLog.addText(keepAliveRecord);
		}
		const text = `HTTP/1.1 ${String(status).padStart(3, "0")} ${resp.reason}\r\n${fields.text()}\r\n`;
		this.#headBytes = text.length;
		if (headOnly || source.kind === "none") {
			client.emit(text, undefined);
			if (source.kind === "bytes") source.release?.();
			if (source.kind === "stream") {
				source.stream.join(this);
				source.stream.leave(this);
			}
			this.#finish();
			return;
		}
		if (source.kind === "bytes") {
			this.#bodyBytes = source.bytes.length;
			client.emit(text, source.bytes, source.release);
			this.#finish();
			return;
		}
		client.emit(text, undefined);
		this.#stream = source.stream;
		this.#streamed = true;
		this.#streamChunked = chunked;
		this.#streamLeft = source.length;
		source.stream.join(this);
		this.onBody();
	}

	/** More of a streamed body. Also called by the session when the client takes bytes again. */
	onBody(): void {
		const stream = this.#stream;
		if (stream === undefined || this.#done) return;
		this.client.cork(() => {
			while (!this.client.blocked) {
				const piece = stream.take(this);
				if (piece === undefined) break;
				this.#bodyBytes += piece.length;
				if (this.#streamChunked) {
					const size = chunkHead(piece.length);
					this.#bodyBytes += size.length + 2;
					this.client.emit(size, piece);
					this.client.emit("\r\n", undefined);
				} else {
					if (this.#streamLeft !== undefined) this.#streamLeft -= piece.length;
					this.client.emit("", piece);
				}
			}
			if (stream.state === "failed") {
				// What the client has is not whole: the connection must show it.
				stream.leave(this);
				this.#stream = undefined;
				this.client.abort("TX_ERROR");
				return;
			}
			if (stream.state === "whole" && stream.drained(this)) {
				stream.leave(this);
				this.#stream = undefined;
				if (this.#streamChunked) {
					this.client.emit(LAST_CHUNK, undefined);
					this.#bodyBytes += LAST_CHUNK.length;
				} else if (this.#streamLeft !== undefined && this.#streamLeft !== 0) {
					this.client.abort("TX_ERROR");
					return;
				}
				this.#finish();
			}
		});
	}

	/** The client has gone. */
	abandon(): void {
		if (this.#done) return;
		const stream = this.#stream;
		this.#stream = undefined;
		stream?.leave(this);
		const fetch = this.#fetch;
		this.#fetch = undefined;
		fetch?.clientGone();
		this.#account();
		this.#close();
	}

	#account(): void {
		const { engine } = this;
		// A stored body leaves in the same breath: one look at the clock does for both.
		const now =
			this.#stream === undefined && !this.#streamed && this.#processedAt > 0
				? this.#processedAt
				: engine.now();
		this.vslLog.timestamp("Resp", now);
		const bodyIn = this.body?.bytes ?? 0;
		const headIn = this.client.headBytes;
		engine.count(Main.s_req_hdrbytes, headIn);
		engine.count(Main.s_req_bodybytes, bodyIn);
		engine.count(Main.s_resp_hdrbytes, this.#headBytes);
		engine.count(Main.s_resp_bodybytes, this.#bodyBytes);
		this.vslLog.add(
			Tag.ReqAcct,
			`${headIn} ${bodyIn} ${headIn + bodyIn} ${this.#headBytes} ${this.#bodyBytes} ${this.#headBytes + this.#bodyBytes}`,
		);
		if (engine.accessLog !== undefined) this.#logAccess(now);
	}

	#logAccess(now: number): void {
		const { req, resp } = this;
		this.engine.accessLog?.write({
			time: new Date(this.startedAt * 1000).toISOString(),
			client: this.connection.clientIp.text,
			method: this.head.method,
			host: this.head.host ?? req.fields.get("host") ?? "",
			url: this.head.url,
			status: resp === undefined ? 0 : resp.status % 1000,
			bytes: this.#bodyBytes,
			seconds: Number((now - this.startedAt).toFixed(6)),
			handling: this.handling,
			why: this.handling === "hit" ? "" : this.why,
			referer: req.fields.get("referer") ?? "",
			userAgent: req.fields.get("user-agent") ?? "",
			xid: this.xid,
		});
	}

	#finish(): void {
		this.#account();
		this.#close();
		this.client.taskDone(this);
	}

	#close(): void {
		if (this.#done) return;
		this.#done = true;
		this.vcl.busy--;
		this.vslLog.end();
	}
}

/** Two requests select different variants under the names of a stored one. */
function differs(specification: string, one: FieldList, other: FieldList): boolean {
	for (const line of specification.split("\n")) {
		const name = line.slice(0, line.indexOf("\x01"));
		if (one.joined(name) !== other.joined(name)) return true;
	}
	return false;
}
