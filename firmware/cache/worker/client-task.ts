/**
 * One client request: the client side of VCL, from vcl_recv to the last byte.
 *
 * A hit runs from the received bytes to the sent ones without a pause: no promise, no timer, no allocation that
 * could be saved. Everything slower (waiting for a fetch, streaming, pipe) hangs on callbacks of the tasks it
 * waits for.
 */
import { FieldList } from "../http/headers.ts";
import type { RequestHead } from "../http/request.ts";
import { sameOriginTarget } from "../http/target.ts";
import { formatSeconds, Side } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import { TransactionLog } from "../log/transaction-log.ts";
import type { StoredObject } from "../store/arena.ts";
import type { BanSubject } from "../store/bans.ts";
import type { Departure } from "../store/departures.ts";
import { ageAt, isUnsafe, purgedSoftly } from "../store/freshness.ts";
import { Flag } from "../store/layout.ts";
import { varyDifference, varyMatches } from "../store/vary.ts";
import type { Action, RequestMessage } from "../vcl/runtime.ts";
import { type Answer, bannable } from "./answer.ts";
import { BUSY_WAIT_MS, type BusyMark } from "./busy-marks.ts";
import { NOTHING_STORED, whyGone } from "./cache-status.ts";
import { ClientRequestFields, type Forwarded, HitObject, withForwardedFor } from "./client-messages.ts";
import type { ClientPort, Included } from "./client-port.ts";
import { Delivery, type PartRequest } from "./delivery.ts";
import { type ActiveVcl, Main } from "./engine.ts";
import { type FetchClient, FetchTask } from "./fetch-task.ts";
import { IncludePort } from "./include-port.ts";
import type { Waiter } from "./inflight.ts";
import { Pipe, type PipedRequest } from "./pipe.ts";
import type { RequestBody } from "./request-body.ts";
import { failedIn, type Outcome } from "./task.ts";

export class ClientTask extends Delivery implements FetchClient, PipedRequest, Waiter {
	#fetch: FetchTask | undefined;
	/** Set while it waits for the fetch of another request: has it wait no more. */
	#stopWaiting: (() => void) | undefined;
	/** Says to other workers that this request fetches. Handed on to the fetch. */
	#busyMark: BusyMark | undefined;
	/** Has waited in vain, or for another worker as long as it may: it goes on by itself. */
	#hasWaited = false;
	#late100 = false;
	#sent100 = false;
	#normaliseGzip = true;
	#baseFields: FieldList;
	#forwarded: Forwarded | undefined;
	#asksPurge = false;
	/** The program that this request began with, and those for parts of its page do. */
	readonly #entryVcl: ActiveVcl;
	/** return (vcl) has led to another program than the active one. */
	#switched = false;

	constructor(
		client: ClientPort,
		vcl: ActiveVcl,
		head: RequestHead,
		body: RequestBody | undefined,
		previous?: ClientTask,
	) {
		super(client, vcl, head, body, previous);
		const { xid, vslLog: log } = this;
		const { included } = client;
		if (previous === undefined) {
			if (included === undefined) log.linkRequest(client.xid | Side.client, xid);
			log.addText(client.beginRecord);
		} else log.add(Tag.Begin, `req ${previous.xid} restart`);
		if (previous === undefined && included === undefined) log.begin(this.startedAt);
		else log.beginAgain(this.engine.now());
		// A restart goes on with the program that it began with.
		if (previous === undefined && included !== undefined) this.req = this.#partRequest(included);
		if (previous?.vcl === vcl || included !== undefined) log.addText(client.clientRecord);
		else if (head.fields.expect === undefined) log.addText(client.startRecords(vcl.name));
		else {
			const { lines, keys } = head.fields;
			log.add(Tag.VCL_use, vcl.name);
			for (const [index, line] of lines.entries()) if (keys[index] === "expect") log.add(Tag.ReqUnset, line);
			log.addText(client.clientRecord);
		}
		if (previous === undefined && included !== undefined) {
			this.req.logAll();
			this.#baseFields = this.req.fields.copy();
		} else if (previous === undefined) {
			const made = withForwardedFor(head.fields, client.connection.clientIp.text);
			this.#forwarded = made;
			const fields = new FieldList(made.lines, made.keys);
			this.req = new ClientRequestFields(this, head, fields);
			log.add(Tag.ReqMethod, head.method);
			log.add(Tag.ReqURL, head.url);
			log.add(Tag.ReqProtocol, head.proto);
			log.addText(made.logText);
			if (head.host !== undefined) this.req.setHeader("host", "Host", head.host);
			if (client.local && fields.has("drover-why")) {
				this.asksWhy = true;
				this.#asksPurge = client.administrative && fields.get("drover-why") === "purge";
				this.req.fields.unset("drover-why");
			}
			this.#baseFields = this.req.fields.copy();
			if (body !== undefined) body.onWhole = () => log.timestamp("ReqBody", this.engine.now());
		} else {
			this.req = new ClientRequestFields(this, head, previous.req.fields.copy());
			this.req.takeOver(previous.req);
			this.#baseFields = previous.#baseFields;
			this.#sent100 = previous.#sent100;
			this.inheritState(previous);
			this.req.logAll();
		}
		this.reqTop = included?.top ?? this.req;
		this.#entryVcl = previous === undefined ? vcl : previous.#entryVcl;
		vcl.busy++;
	}

	/** The page's request, made one for a part of it: what is left out or set for that is logged. */
	#partRequest({ fields, include, packed }: Included): ClientRequestFields {
		this.vslLog.add(Tag.ReqURL, include.url);
		const req = new ClientRequestFields(this, this.head, fields.copy());
		if (include.host !== "") req.setHeader("host", "Host", include.host);
		// It wants the whole part, whatever the client has of the page.
		for (const name of ["if-modified-since", "if-none-match", "range"]) req.unsetHeader(name);
		if (packed) req.setHeader("accept-encoding", "Accept-Encoding", "gzip");
		else req.unsetHeader("accept-encoding");
		for (const name of ["content-length", "transfer-encoding"]) req.unsetHeader(name);
		return req;
	}

	protected override ask(included: Included, done: () => void): PartRequest {
		const { received } = this.req;
		const { lines, keys } = included.fields;
		const port = new IncludePort(this.client, this.xid, included, done);
		const head: RequestHead = {
			kind: "request",
			method: "GET",
			url: included.include.url,
			proto: "HTTP/1.1",
			host: undefined,
			fields: {
				...received,
				lines,
				keys,
				framing: { kind: "none" },
				expect: undefined,
				canGzip: included.packed,
			},
			end: 0,
		};
		const part = new ClientTask(port, this.#entryVcl, head, undefined);
		this.vslLog.add(Tag.Link, `req ${part.xid} esi`);
		port.replaceTask(part);
		return { run: () => part.run(), abandon: () => port.abandon() };
	}

	protected override get receivedFields(): FieldList {
		return this.#baseFields;
	}

	override rollback(_message: RequestMessage): void {
		this.forgetState();
		const { method, url, proto } = this.head;
		this.req.rollBack(method, url, proto, this.#baseFields.copy());
	}

	override hashData(text: string): void {
		this.key += `${text}\0`;
		this.vslLog.add(Tag.Hash, text);
	}

	override hashUrl(): void {
		if (this.client.learning) this.urlPlaces.push(this.key.length);
		this.hashData(this.req.url);
	}

	override cacheRequestBody(sizeBytes: number, done: (fits: boolean) => void): void {
		const { body } = this;
		if (body === undefined) {
			done(true);
			return;
		}
		const tooLong = body.length !== undefined && body.length > sizeBytes;
		if (!body.kept && !tooLong) this.vslLog.add(Tag.Storage, "malloc Transient");
		if (this.owesContinue && !tooLong) this.sayContinue();
		const chunked = body.length === undefined;
		body.cache(sizeBytes, (fits) => {
			if (fits && chunked) this.#nameLength(body.bytes);
			if (!fits && !body.spent) {
				this.vslLog.add(Tag.FetchError, "Request body too big to cache");
				if (chunked) this.vslLog.timestamp("ReqBody", this.engine.now());
				this.#bodyRefused = true;
			}
			done(fits);
		});
	}

	/** Its body is longer than std.cache_req_body() allowed: what the VCL says of it does not matter. */
	#bodyRefused = false;

	/** A body that came in chunks is here, and goes on with its length. */
	#nameLength(bodyBytes: number): void {
		this.req.unsetHeader("transfer-encoding");
		this.req.setHeader("content-length", "Content-Length", String(bodyBytes));
		this.#baseFields.unset("transfer-encoding");
		this.#baseFields.set("Content-Length", String(bodyBytes));
	}

	override late100Continue(late: boolean): void {
		this.#late100 = late;
	}

	override purge(ttlSeconds: number, graceSeconds: number, keepSeconds: number): number {
		return this.#purge(ttlSeconds, graceSeconds, keepSeconds);
	}

	// ── vcl_recv to look-up ─────────────────────────────────────────────────────────────────

	run(): void {
		this.#received(this.call("vcl_recv"));
	}

	#received(action: Outcome): void {
		if (action.kind === "waiting") {
			action.afterwards((acted) => this.#received(acted));
			return;
		}
		if (this.#bodyRefused) {
			this.client.abort("RX_BODY");
			return;
		}
		if (action.kind === "vcl" && this.#switchVcl(action.label)) {
			this.#received(this.call("vcl_recv"));
			return;
		}
		if (!this.#late100 && this.owesContinue) this.sayContinue();
		if (this.#normaliseGzip && action.kind !== "pipe" && action.kind !== "pass") this.#normaliseEncoding();
		if (action.kind === "fail") {
			this.fail();
			return;
		}
		this.key = "";
		this.#hashed(this.call("vcl_hash"), action);
	}

	/** `action` is what vcl_recv said. */
	#hashed(hashed: Outcome, action: Action): void {
		if (hashed.kind === "waiting") {
			hashed.afterwards((acted) => this.#hashed(acted, action));
			return;
		}
		if (hashed.kind === "fail") {
			this.fail();
			return;
		}
		if (this.#asksPurge && (action.kind === "hash" || action.kind === "pass")) {
			this.#answerPurge();
			return;
		}
		switch (action.kind) {
			case "hash":
				this.#lookup();
				return;
			case "pass":
				this.why = this.#whyPass();
				this.#pass();
				return;
			case "pipe":
				if (this.client.included === undefined) this.#pipe();
				else this.#passInsteadOfPipe();
				return;
			case "purge":
				this.#purgeRequest();
				return;
			case "vcl":
				this.#refuseSwitch(action.label);
				return;
			default:
				this.#common(action, "vcl_recv");
		}
	}

	#passInsteadOfPipe(): void {
		this.vslLog.add(Tag.VCL_Error, "vcl_recv{} returns pipe for ESI included object.  Doing pass.");
		this.why = "the VCL said return (pipe), and a part of a page cannot be piped";
		this.#pass();
	}

	protected override get owesContinue(): boolean {
		return this.head.fields.expect !== undefined && this.body !== undefined && !this.#sent100;
	}

	/** Not to who has sent the body already (RFC 9110 §10.1.1). */
	protected override sayContinue(): void {
		this.#sent100 = true;
		if (this.body?.cameWithHead) return;
		this.client.sayContinue();
		this.vslLog.add(Tag.RespProtocol, this.client.transport === "HTTP/1" ? "HTTP/1.1" : "HTTP/2.0");
		this.vslLog.add(Tag.RespStatus, "100");
		this.vslLog.add(Tag.RespReason, "Continue");
	}

	#whyPass(): string {
		const { req } = this;
		if (req.method !== "GET" && req.method !== "HEAD") return `method ${req.method} is not cached`;
		if (req.fields.has("authorization")) return "the request carries Authorization";
		if (req.fields.has("cookie")) return "the request carries a Cookie";
		return "the VCL said return (pass) in vcl_recv";
	}

	/** Restart, synth and fail, from any sub that may. `method`: the sub that said it. */
	#common(action: Action, method = this.method): void {
		switch (action.kind) {
			case "synth":
				this.synthByVcl(action, method);
				return;
			case "restart":
				this.restart();
				return;
			default:
				this.fail();
		}
	}

	protected override fail(): void {
		this.why = failedIn(this.method);
		this.rollback(this.req);
		this.client.closeAfter("VCL_FAILURE");
		this.synth(503, "VCL failed");
	}

	/** VCL_use of the program that a label leads to, in front of its VCL_return. */
	protected override returning(action: Action): void {
		super.returning(action);
		const target = action.kind === "vcl" ? this.#switchTarget(action.label) : undefined;
		if (action.kind === "vcl" && target !== undefined)
			this.vslLog.add(Tag.VCL_use, `${target.name} via ${action.label}`);
	}

	/** The program that return (vcl) may go on with. */
	#switchTarget(label: string): ActiveVcl | undefined {
		return this.#switched || this.restarts > 0 ? undefined : this.engine.labels.get(label);
	}

	/** The request as it was received goes to the program under that label; false when that may not be. */
	#switchVcl(label: string): boolean {
		const target = this.#switchTarget(label);
		if (target === undefined) return false;
		this.#switched = true;
		// Tomorrow the label may lead elsewhere.
		this.varied = true;
		this.forgetState();
		this.vcl.busy--;
		this.vcl = target;
		target.busy++;
		this.req = new ClientRequestFields(this, this.head, this.#baseFields.copy());
		if (this.client.included === undefined) this.reqTop = this.req;
		this.vslLog.add(Tag.ReqHeader, `X-Forwarded-For: ${this.req.header("x-forwarded-for")}`);
		return true;
	}

	#refuseSwitch(label: string): void {
		const when = this.restarts > 0 ? "Not after restarts" : "Only from active VCL";
		this.vslLog.add(Tag.VCL_Error, `Illegal return(vcl): ${when}`);
		this.why = `return (vcl(${label})) is for the active VCL alone, and not after a restart`;
		this.synth(503, null);
	}

	protected override restart(): void {
		this.#fetch?.clientGone();
		if (this.restarts >= this.engine.parameters.maxRestarts) {
			this.restarts++;
			this.vslLog.add(Tag.VCL_Error, "Too many restarts");
			this.why = `the VCL restarted more than ${this.engine.parameters.maxRestarts} times (max_restarts)`;
			this.synth(503, null);
			return;
		}
		this.vslLog.timestamp("Restart", this.engine.now());
		const next = new ClientTask(this.client, this.vcl, this.head, this.body, this);
		this.vslLog.add(Tag.Link, `req ${next.xid} restart`);
		this.client.replaceTask(next);
		this.close();
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
		const ban = bans.holds(object.ban, this.#subject(answer));
		if (ban === undefined) {
			arena.noteBan(object, bans.newest);
			(object as { ban: number }).ban = bans.newest;
			return false;
		}
		this.vslLog.add(Tag.ExpBan, `${object.vxid} banned lookup`);
		this.engine.count(Main.bans_obj_killed);
		arena.remove(object, "banned", ban.number);
		this.why = `it was banned by "${ban.text}"`;
		return true;
	}

	/** What bans look at. */
	#subject(answer: Answer): BanSubject {
		return {
			request: { url: this.req.url, header: (key) => this.req.fields.get(key) },
			object: bannable(answer, this.startedAt),
		};
	}

	#lookup(): void {
		const { engine, req } = this;
		const now = this.startedAt;
		let stale: Answer | undefined;
		/** Not for hits, and past its lifetime. */
		let lapsed: Answer | undefined;
		if (!req.hashAlwaysMiss) {
			const { answers } = engine.objects.find(this.key, this.req);
			let sawVariant: string | undefined;
			let expired: Answer | undefined;
			for (const answer of answers) {
				if (this.#banned(answer)) continue;
				if (!req.hashIgnoreVary && answer.vary !== "" && !varyMatches(answer.vary, req.fields)) {
					sawVariant ??= varyDifference(answer.vary, req.fields);
					continue;
				}
				if (answer.ttl + answer.grace + answer.keep <= 0) continue;
				const age = ageAt(answer, now, req.ttl, req.grace);
				if (age.kind === "fresh") {
					if (answer.uncacheable && this.#joinComing()) return;
					this.freshUntil = answer.tOrigin + (req.ttl > 0 ? Math.min(req.ttl, answer.ttl) : answer.ttl);
					this.#fresh(answer);
					return;
				}
				if (age.kind === "expired") {
					if (!answer.uncacheable) expired = answer;
				} else if (answer.uncacheable) lapsed ??= answer;
				else {
					// One that may be served goes before a newer one that may only be asked about.
					const usable = Number(this.#usableStale(answer));
					const kept = stale === undefined ? -1 : Number(this.#usableStale(stale));
					const newer = stale !== undefined && answer.tOrigin > stale.tOrigin;
					if (usable > kept || (usable === kept && newer)) stale = answer;
				}
			}
			// In its grace a hit-for-miss still keeps requests from waiting for each other.
			if (stale === undefined && lapsed !== undefined && isHitForMiss(lapsed)) {
				if (!this.#joinComing()) this.#fresh(lapsed);
				return;
			}
			if (stale !== undefined) {
				this.missed = "stale";
				this.why = `the stored object's lifetime of ${Number(stale.ttl.toFixed(3))} s is over`;
			} else if (this.why === "" && sawVariant !== undefined) {
				this.missed = "vary-miss";
				this.why = `only other variants are stored (Vary: ${sawVariant})`;
			} else if (this.why === "" && this.#isAskedWhy) this.why = this.#whyNothing(expired);
			if (this.#joinFetch(stale)) return;
			if (stale !== undefined && this.#usableStale(stale)) {
				this.#hit(stale, true, true);
				return;
			}
			// Which variant another worker fetches cannot be seen from here: with variants, nobody waits.
			if (sawVariant === undefined && !req.hashIgnoreBusy && !this.#claim()) return;
		} else {
			this.missed = "request";
			this.why = "req.hash_always_miss";
		}
		this.#miss(stale);
	}

	/** In its grace. What never was fresh has none, as with varnishd: it is only asked about. */
	#usableStale(stale: Answer): boolean {
		const { ttl, grace } = this.req;
		return stale.ttl > 0 && ageAt(stale, this.startedAt, ttl, grace).kind === "grace";
	}

	/** False when another worker fetches this object: then this request waits for it. */
	#claim(): boolean {
		const { engine, key } = this;
		if (this.#busyMark !== undefined || this.#hasWaited) return true;
		const mark = engine.busy.claim(key);
		if (mark === "theirs") {
			if (!this.#maySleep()) return false;
			const until = performance.now() + BUSY_WAIT_MS;
			const stop = engine.busy.wait(key, () => {
				engine.count(Main.busy_wakeup);
				// With nothing stored the answer was for one request alone, as the next one will be.
				this.wake(performance.now() >= until || engine.objects.find(key, this.req).answers.length === 0);
			});
			this.#sleep(stop);
			return false;
		}
		if (mark !== "unmarked") this.#busyMark = mark;
		return true;
	}

	#sleep(stop: () => void): void {
		this.#stopWaiting = stop;
		this.engine.sleeperCount++;
		this.engine.count(Main.busy_sleep);
	}

	/** Whatever it has waited for. */
	#awake(): void {
		if (this.#stopWaiting === undefined) return;
		this.#stopWaiting();
		this.#stopWaiting = undefined;
		this.engine.sleeperCount--;
	}

	/** False when it may not, and has been answered; so is #mayFetch(). */
	#maySleep(): boolean {
		const { engine } = this;
		if (engine.maySleep()) return true;
		this.#turnAway(`${engine.sleeperCount} requests wait for the fetches of others already`);
		return false;
	}

	#mayFetch(): boolean {
		const { engine } = this;
		if (engine.mayFetch()) return true;
		this.#turnAway(`${engine.fetchCount} fetches are under way already (thread_pool_max)`);
		return false;
	}

	/** `why`: in the operator's words. */
	#turnAway(why: string): void {
		this.#unclaim();
		this.why = why;
		this.vslLog.add(Tag.FetchError, why);
		this.synth(503, "Service Unavailable");
	}

	#unclaim(): void {
		if (this.#busyMark !== undefined) this.engine.busy.release(this.#busyMark);
		this.#busyMark = undefined;
	}

	/** The hit-for-miss that this request met. */
	#met: StoredObject | undefined;

	#fresh(answer: Answer): void {
		if (answer.uncacheable && answer.body.kind === "stored") {
			const { object } = answer.body;
			const remaining = formatSeconds(answer.tOrigin + answer.ttl - this.startedAt);
			if (!isHitForMiss(answer)) {
				this.engine.count(Main.cache_hitpass);
				this.vslLog.add(Tag.HitPass, `${answer.vxid} ${remaining}`);
				this.req.isHitpass = true;
				this.why = "hit-for-pass: an earlier answer must not be cached";
				this.#pass();
			} else {
				this.engine.count(Main.cache_hitmiss);
				this.vslLog.add(Tag.HitMiss, `${answer.vxid} ${remaining}`);
				this.req.isHitmiss = true;
				this.#met = object;
				this.missed = "bypass";
				this.why = "hit-for-miss: an earlier answer was not cacheable";
				this.#miss((object.flags & Flag.remembered) !== 0 ? answer : undefined);
			}
			return;
		}
		this.#hit(answer, false, false);
	}

	/** Somebody is told. */
	get #isAskedWhy(): boolean {
		const { cacheStatus, accessLog } = this.engine;
		return this.asksWhy || cacheStatus || accessLog !== undefined;
	}

	/** `expired`: one that is past all use, and not yet taken out. */
	#whyNothing(expired: Answer | undefined): string {
		const { arena, bans } = this.engine;
		const gone: Departure | undefined =
			expired === undefined
				? arena.departure(this.key)
				: { cause: "expired", at: expired.tOrigin + expired.ttl + expired.grace + expired.keep, ban: 0 };
		return gone === undefined ? NOTHING_STORED : whyGone(gone, bans.textOf(gone.ban), this.now);
	}

	/** Takes an answer that is still coming, which is newer than whatever is stored; true when there is one. */
	#joinComing(): boolean {
		const { req } = this;
		const { bans, inflight } = this.engine;
		for (const fetch of inflight.get(this.key) ?? []) {
			const { answer, joinable, banAtStart } = fetch;
			if (!joinable || answer?.body.kind !== "stream" || !answer.body.stream.keeping) continue;
			if (!varyMatches(answer.vary, req.fields)) continue;
			if (fetch.isPurged) continue;
			if (banAtStart < bans.newest && bans.holds(banAtStart, this.#subject(answer)) !== undefined) continue;
			const { kind } = ageAt(answer, this.startedAt, req.ttl, req.grace);
			if (kind !== "fresh" && (kind !== "grace" || answer.ttl <= 0)) continue;
			this.#hit(answer, kind === "grace", false);
			return true;
		}
		return false;
	}

	/** Joins or waits for a fetch of the same key; true when this request is taken care of. */
	#joinFetch(stale: Answer | undefined): boolean {
		const { engine, req } = this;
		const fetches = engine.inflight.get(this.key);
		if (fetches === undefined) return false;
		if (this.#joinComing()) return true;
		for (const fetch of fetches) {
			if (!fetch.awaited || fetch.isPurged) continue;
			// Not known yet: whether it will be the same variant is guessed from the variants there are.
			if (fetch.start.hitForMiss || req.hashIgnoreBusy || this.#hasWaited) continue;
			const guess = engine.objects.find(this.key, this.req).answers.find((each) => each.vary !== "");
			if (guess !== undefined && differs(guess.vary, req.fields, fetch.start.client.req.fields)) continue;
			if (stale !== undefined && this.#usableStale(stale)) {
				this.#hit(stale, true, false);
				return true;
			}
			if (this.#maySleep()) {
				fetch.waiters.add(this);
				this.#sleep(() => fetch.waiters.delete(this));
			}
			return true;
		}
		return false;
	}

	/** The fetch this request waited for has its answer, or has none: look again. */
	wake(alone: boolean): void {
		if (this.#stopWaiting === undefined || this.done) return;
		this.#awake();
		this.#hasWaited ||= alone;
		this.now = this.engine.now();
		this.vslLog.timestamp("Waitinglist", this.now);
		this.client.cork(() => this.#lookup());
	}

	#hit(answer: Answer, grace: boolean, refresh: boolean): void {
		const { engine } = this;
		engine.count(Main.cache_hit);
		if (grace) engine.count(Main.cache_hit_grace);
		this.handling = "hit";
		this.found = true;
		const remaining = answer.tOrigin + answer.ttl - this.startedAt;
		this.vslLog.hit(answer.vxid, remaining, answer.grace, answer.keep);
		const hits = answer.body.kind === "stored" ? engine.arena.use(answer.body.object) + 1 : 1;
		this.obj = new HitObject(answer, engine, this.startedAt, hits);
		this.#afterHit(this.call("vcl_hit"), answer, refresh);
	}

	#afterHit(action: Outcome, answer: Answer, refresh: boolean): void {
		switch (action.kind) {
			case "waiting":
				action.afterwards((acted) => this.#afterHit(acted, answer, refresh));
				return;
			case "deliver":
				if (refresh) this.#refresh(answer);
				this.deliver(answer);
				return;
			case "pass":
				this.why = "the VCL said return (pass) in vcl_hit";
				this.#pass();
				return;
			default:
				this.#common(action);
		}
	}

	#refresh(stale: Answer): void {
		const { engine } = this;
		if (engine.inflight.get(this.key)?.some((fetch) => fetch.reason === "bgfetch")) return;
		// What is stale has been delivered: the next one who wants it may ask.
		if (!engine.mayFetch()) return;
		const mark = engine.busy.claim(this.key);
		if (mark === "theirs") return;
		engine.count(Main.s_bgfetch);
		engine.count(Main.s_fetch);
		const fetch = new FetchTask(engine, {
			reason: "bgfetch",
			client: this,
			stale: stale.body.kind === "stored" ? stale : undefined,
			met: undefined,
			// What VCL lets a POST look up, it may fetch by POST. The answer does not wait for what is not here.
			body: this.body?.ended === true ? this.body : undefined,
			hitForMiss: false,
			hitForPass: false,
			busyMark: mark === "unmarked" ? undefined : mark,
		});
		this.vslLog.add(Tag.Link, `bereq ${fetch.xid} bgfetch`);
		queueMicrotask(() => fetch.run());
	}

	#miss(stale: Answer | undefined): void {
		this.#afterMiss(this.call("vcl_miss"), stale);
	}

	#afterMiss(action: Outcome, stale: Answer | undefined): void {
		if (action.kind === "waiting") {
			action.afterwards((acted) => this.#afterMiss(acted, stale));
			return;
		}
		if (action.kind !== "fetch") this.#unclaim();
		switch (action.kind) {
			case "fetch":
				this.handling = "miss";
				this.engine.count(Main.cache_miss);
				this.#startFetch("fetch", stale);
				return;
			case "pass":
				this.why = "the VCL said return (pass) in vcl_miss";
				this.#pass();
				return;
			default:
				this.#common(action);
		}
	}

	#pass(): void {
		this.#afterPass(this.call("vcl_pass"));
	}

	#afterPass(action: Outcome): void {
		if (action.kind === "waiting") {
			action.afterwards((acted) => this.#afterPass(acted));
			return;
		}
		if (action.kind === "fetch") {
			this.handling = "pass";
			this.engine.count(Main.s_pass);
			this.#startFetch("pass", undefined);
			return;
		}
		this.#common(action);
	}

	#startFetch(reason: "fetch" | "pass", stale: Answer | undefined): void {
		if (!this.#mayFetch()) return;
		this.engine.count(Main.s_fetch);
		const fetch = new FetchTask(this.engine, {
			reason,
			client: this,
			stale,
			met: reason === "fetch" ? this.#met : undefined,
			body: this.body,
			hitForMiss: this.req.isHitmiss,
			hitForPass: this.req.isHitpass,
			busyMark: this.#busyMark,
		});
		this.#busyMark = undefined;
		this.#fetch = fetch;
		this.vslLog.add(Tag.Link, `bereq ${fetch.xid} ${reason}`);
		if (this.body !== undefined && !this.body.kept) this.vslLog.add(Tag.Storage, "malloc Transient");
		if (this.owesContinue) this.sayContinue();
		fetch.run();
	}

	protected override resume(goOn: () => void): void {
		if (this.done) return;
		this.client.cork(goOn);
	}

	protected override forsake(): void {
		this.#awake();
		const { body } = this;
		if (body?.isGathered && !body.ended)
			this.vslLog.add(
				Tag.FetchError,
				`${body.length === undefined ? "chunked" : "straight"} insufficient bytes`,
			);
		const fetch = this.#fetch;
		this.#fetch = undefined;
		fetch?.clientGone();
	}

	fetchReplaced(fetch: FetchTask): void {
		this.#fetch = fetch;
	}

	onAnswer(answer: Answer, _fetch: FetchTask): void {
		this.#fetch = undefined;
		if (this.done) return;
		this.now = this.engine.now();
		this.vslLog.timestamp("Fetch", this.now);
		if (this.handling === "pass") this.#invalidate(answer);
		if (answer.fault !== undefined)
			this.why = this.why === "" ? answer.fault : `${this.why}; ${answer.fault}`;
		this.client.cork(() => {
			this.obj = new HitObject(answer, this.engine, this.now, 0);
			this.deliver(answer);
		});
	}

	onFetchFailed(why: string): void {
		this.#fetch = undefined;
		if (this.done) return;
		this.why = why;
		this.now = this.engine.now();
		this.vslLog.timestamp("Fetch", this.now);
		this.client.cork(() => this.synth(503, "Service Unavailable"));
	}

	/**
	 * RFC 9111 §4.4: an unsafe request that went well makes what is stored for its target useless, and what is
	 * stored for the places that its answer names, when they are of the same origin.
	 */
	#invalidate(answer: { readonly status: number; readonly fields: FieldList }): void {
		const { parameters } = this.engine;
		const { req } = this;
		if (!isUnsafe(req.method) || answer.status < 200 || answer.status >= 400) return;
		this.#invalidateKey(this.key);
		if (!parameters.rfc9111) return;
		const host = req.fields.get("host");
		const targets = new Set([req.url]);
		for (const name of ["location", "content-location"]) {
			const value = answer.fields.get(name);
			const target = value === undefined ? undefined : sameOriginTarget(value, req.url, host);
			if (target !== undefined) targets.add(target);
		}
		for (const target of targets) {
			const key = this.#keyOf(target);
			if (key !== undefined && key !== this.key) this.#invalidateKey(key);
		}
	}

	#invalidateKey(key: string): void {
		const { arena } = this.engine;
		this.engine.notePurge([key]);
		for (const object of arena.surely(key)) arena.remove(object, "invalidated");
	}

	/** The key that a GET of that target would have, by the VCL's own vcl_hash over this request's fields. */
	#keyOf(target: string): string | undefined {
		const { key, method, req, vslLog } = this;
		const { method: asked, url, proto, fields } = req;
		this.key = "";
		// It is no step of this request's way.
		this.vslLog = TransactionLog.nowhere(this.engine.log);
		req.rollBack("GET", target, proto, fields);
		const failed = this.callAtOnce("vcl_hash").kind === "fail";
		req.rollBack(asked, url, proto, fields);
		const made = this.key;
		this.key = key;
		this.method = method;
		this.vslLog = vslLog;
		return failed || made === "" ? undefined : made;
	}

	/** A pipe's answer began like this; its bytes go on to the client as they are. */
	pipeAnswered(answer: { readonly status: number; readonly fields: FieldList }): void {
		this.#invalidate(answer);
	}

	#purgeRequest(): void {
		const purged = this.#purge(0, 0, 0);
		this.vslLog.add(Tag.Debug, `purged ${purged}`);
		this.#afterPurge(this.call("vcl_purge"));
	}

	#afterPurge(action: Outcome): void {
		if (action.kind === "waiting") action.afterwards((acted) => this.#afterPurge(acted));
		else this.#common(action);
	}

	/** For `drover cache purge`: what this request would be answered with is gone. */
	#answerPurge(): void {
		const purged = this.#purge(0, 0, 0);
		this.whenLasting(
			() => this.sendBare(200, "Purged", "drover-purged", String(purged)),
			(failure) => this.#common(failure),
		);
	}

	#purge(ttl: number, grace: number, keep: number): number {
		const { arena } = this.engine;
		this.engine.count(Main.n_purges);
		this.engine.notePurge([this.key]);
		let count = 0;
		for (const object of arena.surely(this.key)) {
			if (ttl === 0 && grace === 0 && keep === 0) arena.remove(object, "purged");
			else {
				const age = this.startedAt - object.tOrigin;
				const lifetime = purgedSoftly(object, age, { ttl, grace, keep });
				arena.relive(object, lifetime);
				if (this.obj instanceof HitObject) this.obj.relive(object.vxid, lifetime);
			}
			count++;
		}
		this.engine.count(Main.n_obj_purged, count);
		if (count > 0) this.purgedFromStore();
		return count;
	}

	#pipe(): void {
		if (this.client.transport === "HTTP/2") {
			this.vslLog.add(Tag.VCL_Error, "vcl_recv{} returns pipe for HTTP/2 request.  Doing pass.");
			this.why = "a request of HTTP/2 cannot be piped";
			this.#pass();
			return;
		}
		this.handling = "pipe";
		new Pipe(this).run();
	}

	runPipe(): Outcome {
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
		this.close();
	}
}

const isHitForMiss = ({ body }: Answer) =>
	body.kind === "stored" && (body.object.flags & Flag.hitForMiss) !== 0;

/** Two requests select different variants under the names of a stored one. */
function differs(specification: string, one: FieldList, other: FieldList): boolean {
	for (const line of specification.split("\n")) {
		const name = line.slice(0, line.indexOf("\x01"));
		if (one.joined(name) !== other.joined(name)) return true;
	}
	return false;
}
