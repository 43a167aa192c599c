/**
 * Hits on what this worker has not seen yet, or not lately, for clients that it has seen: answered by the pattern of
 * an earlier hit with the same header fields (hit-pattern.ts), without parsing them or running the VCL.
 *
 * Beside what holds for replays (replay.ts), the program must have used the URL only as its key and in questions
 * that have the same answers again (LoadedVcl.urlShape), and nothing of the object but the fields that are compared.
 * The object is read without a lock or a pin: its bytes are copied first and believed if it is still there then.
 */
import { allocateBytes, type ByteBuffer, copyOf } from "../http/bytes.ts";
import type { HeadLimits } from "../http/syntax.ts";
import { Side } from "../log/records.ts";
import type { LogSink } from "../log/sink.ts";
import { Tag } from "../log/tags.ts";
import { TransactionLog } from "../log/transaction-log.ts";
import type { Arena, Glance } from "../store/arena.ts";
import { Flag } from "../store/layout.ts";
import type { LoadedVcl } from "../vcl/runtime.ts";
import { HitForms } from "./hit-form.ts";
import {
	type FieldMarks,
	fieldMarks,
	fits,
	frontLength,
	HEAD_BYTES,
	type HitPattern,
	lines,
	patternOf,
	placed,
	putHead,
	SENT_HEAD_BYTES,
	tailLength,
	widthsOf,
} from "./hit-pattern.ts";
import { shapeOf } from "./log-form.ts";
import { Main } from "./main-counters.ts";
import type { Outcome, ReplaySession } from "./replay.ts";

/** Header blocks that are known; a power of two. */
const SETS = 1024;
const PATTERNS_PER_SET = 4;
const SEEN_SLOTS = 4096;
const REQUEST_BYTES = 8192;
const URL_BYTES = 2048;
/** Requests of one batch that are foreseen. */
const BATCH_LIMIT = 64;
const BODY_BYTES = 64 * 1024;
/** Room for the head in front of the body: what one was made of may have been shorter. */
const BODY_AT = SENT_HEAD_BYTES + 2 * HEAD_BYTES;
/** Learning is paid from what was saved by it, as with replays. */
const CREDIT_LIMIT = 4096;
const LEARNING_PRICE = 4;
const TRICKLE = 64;
/** putDigits() takes numbers up to here. */
const AGE_LIMIT = 2 ** 31 - 1;

const METHOD = Buffer.from("GET /");
const URL_AT = METHOD.length - 1;
/** " HTTP/1.1" behind the URL. */
const PROTOCOL_BYTES = 9;
const CR = 0x0d;
/** Answers to these depend on the object's validators and its length. */
const conditional = /\r\n(?:if-|range:)/i;

/** What answer() works out of a request first. */
interface Foreseen {
	bytes: ByteBuffer;
	urlEnd: number;
	set: PatternSet;
	url: string;
	shape: number;
	key: string;
	/** The arena's number for the key. */
	place: number;
}

interface PatternsEngine {
	readonly arena: Arena;
	readonly bans: { readonly newest: number };
	readonly log: LogSink;
	readonly counters: Float64Array;
	readonly active:
		| { readonly name: string; readonly loaded: Pick<LoadedVcl, "urlShape" | "answerFields"> }
		| undefined;
	readonly accessLog: object | undefined;
	readonly cacheStatus: boolean;
	readonly parameters: { readonly request: HeadLimits };
	now(): number;
	nextTransaction(): number;
}

/** What a pattern needs to know of the connection. */
export interface PatternSession
	extends Pick<ReplaySession, "xid" | "endpoint" | "clientIp" | "addressSum" | "sendWhole"> {
	/** What answered last here: a client sends the same fields again. */
	lastPatterns: PatternSet | undefined;
}

/** The patterns of one header block from one address. */
export interface PatternSet {
	/** What follows the URL, to the end of the head. */
	readonly block: Uint8Array;
	readonly checksum: number;
	readonly generation: number;
	readonly address: string;
	readonly endpoint: object;
	readonly vcl: object;
	readonly marks: FieldMarks;
	/** Newest first. */
	patterns: readonly HitPattern[];
}

const scratch = allocateBytes(HEAD_BYTES);
const answer = allocateBytes(BODY_AT + BODY_BYTES);
/** The tail of the head in `answer`, which ends at BODY_AT: whose it is, how wide its numbers are, its bytes. */
const tail: { of: HitPattern | undefined; widths: number; bytes: number } = {
	of: undefined,
	widths: 0,
	bytes: 0,
};
const run = { transaction: 0, session: 0, port: 0, age: 0, remainingMicros: 0 };
const hit = {
	request: scratch as Uint8Array,
	urlAt: URL_AT,
	urlEnd: 0,
	storedHead: scratch,
	sentHead: answer,
	sentHeadBytes: 0,
	bodyBytes: 0,
	objectTransaction: 0,
	remainingMicros: 0,
	graceMicros: 0,
	keepMicros: 0,
};
const numbers = { transaction: 0, objectTransaction: 0, age: 0, bodyBytes: 0 };

export class Patterns {
	readonly #engine: PatternsEngine;
	readonly #sets: (PatternSet | undefined)[] = new Array(SETS).fill(undefined);
	readonly #seen = new Int32Array(SEEN_SLOTS);
	readonly #forms = new HitForms();
	#generation = 1;
	#credit = CREDIT_LIMIT;
	#strangers = 0;
	// Of the request that answer() did not know.
	#checksum = 0;
	#shape = 0;
	#urlEnd = 0;
	/** answer() had no pattern for the request: its outcome is worth learning. */
	wanted = false;
	/** Requests of a batch whose keys have been worked out, in their order; who answers is at #next. */
	readonly #foreseen: Foreseen[] = [];
	#foreseenCount = 0;
	#next = 0;
	/** What was foreseen last in this batch, and the set whose block is at its end. */
	#provenBytes: ByteBuffer | undefined;
	#proven: PatternSet | undefined;

	constructor(engine: PatternsEngine) {
		this.#engine = engine;
	}

	/** What was learnt is void. */
	forget(): void {
		this.#generation++;
		this.#sets.fill(undefined);
		this.#forms.forget();
	}

	/** A batch of requests begins. */
	begin(): void {
		this.#foreseenCount = 0;
		this.#next = 0;
		this.#provenBytes = undefined;
		this.#engine.arena.forgetForeseen();
	}

	/**
	 * The request that `bytes` are will be asked for in this batch. Those that are foreseen are answered in the same
	 * order, from the same buffers. `before` came before it in the batch, and of both so many bytes at the end are the same.
	 */
	foresee(session: PatternSession, bytes: ByteBuffer, before?: ByteBuffer, commonEnd = 0): void {
		const set = session.lastPatterns;
		if (set === undefined || this.#foreseenCount === BATCH_LIMIT) return;
		const urlEnd = urlEndOf(bytes);
		const { active, arena } = this.#engine;
		if (urlEnd < 0 || active === undefined) return;
		const isProven =
			before !== undefined &&
			before === this.#provenBytes &&
			set === this.#proven &&
			commonEnd >= set.block.length;
		if (!this.#holds(set, session, bytes, urlEnd, isProven)) return;
		this.#provenBytes = bytes;
		this.#proven = set;
		const url = latin1(bytes, URL_AT, urlEnd);
		const shape = active.loaded.urlShape(url);
		const pattern = set.patterns.find((each) => each.shape === shape);
		if (pattern === undefined) return;
		const key = keyOf(pattern, url);
		const place = arena.foresee(key);
		if (place < 0) return;
		const count = this.#foreseenCount++;
		const known = this.#foreseen[count];
		if (known === undefined) {
			this.#foreseen.push({ bytes, urlEnd, set, url, shape, key, place });
			return;
		}
		known.bytes = bytes;
		known.urlEnd = urlEnd;
		known.set = set;
		known.url = url;
		known.shape = shape;
		known.key = key;
		known.place = place;
	}

	/** All of the batch are foreseen. */
	readAhead(): void {
		if (this.#foreseenCount > 1) this.#engine.arena.readAhead();
	}

	/**
	 * Answers the request that `bytes` are, if it is one request for a fresh object and there is a pattern for it.
	 * `receivedAt` is engine.now().
	 */
	answer(session: PatternSession, bytes: ByteBuffer, receivedAt: number): boolean {
		this.wanted = false;
		const foreseen = this.#takeForeseen(bytes);
		const urlEnd = foreseen === undefined ? urlEndOf(bytes) : foreseen.urlEnd;
		if (urlEnd < 0) return false;
		const engine = this.#engine;
		const { active } = engine;
		const { length } = bytes;
		if (active === undefined || length > engine.parameters.request.headBytes) return false;
		this.#urlEnd = urlEnd;
		const set = foreseen === undefined ? this.#setOf(session, bytes, urlEnd) : foreseen.set;
		if (set === undefined) return false;
		this.#checksum = set.checksum;
		const url = foreseen === undefined ? latin1(bytes, URL_AT, urlEnd) : foreseen.url;
		const shape = foreseen === undefined ? active.loaded.urlShape(url) : foreseen.shape;
		this.#shape = shape;
		const { patterns } = set;
		// As the log has it.
		const now = Math.round(receivedAt * 1e6) / 1e6;
		let key = "";
		let found: Glance | undefined;
		for (let index = 0; index < patterns.length; index++) {
			const pattern = patterns[index]!;
			if (pattern.shape !== shape) continue;
			// Patterns of one shape have the same key.
			if (key === "") {
				key = foreseen === undefined ? keyOf(pattern, url) : foreseen.key;
				found = engine.arena.glance(key, foreseen === undefined ? -1 : foreseen.place);
				if (found === undefined) return false;
			}
			if (this.#repeat(session, set, pattern, found!, bytes, urlEnd, now)) return true;
		}
		this.#offer(true);
		return false;
	}

	/** What was worked out of this request, if nothing has changed since. */
	#takeForeseen(bytes: ByteBuffer): Foreseen | undefined {
		for (let index = this.#next; index < this.#foreseenCount; index++) {
			const foreseen = this.#foreseen[index]!;
			if (foreseen.bytes !== bytes) continue;
			this.#next = index + 1;
			const { set } = foreseen;
			return set.generation === this.#generation && set.vcl === this.#engine.active ? foreseen : undefined;
		}
		return undefined;
	}

	/** The set for what follows the URL; notes the checksum when there is none. */
	#setOf(session: PatternSession, bytes: ByteBuffer, urlEnd: number): PatternSet | undefined {
		const last = session.lastPatterns;
		if (last !== undefined && this.#holds(last, session, bytes, urlEnd)) return last;
		const checksum = (Bun.hash.crc32(bytes.subarray(urlEnd)) ^ session.addressSum) | 0;
		this.#checksum = checksum;
		const set = this.#sets[checksum & (SETS - 1)];
		if (set !== undefined && set.checksum === checksum && this.#holds(set, session, bytes, urlEnd)) {
			session.lastPatterns = set;
			return set;
		}
		const { active } = this.#engine;
		const at = checksum & (SEEN_SLOTS - 1);
		const seen = this.#seen[at] === checksum;
		this.#seen[at] = checksum;
		if (seen && active !== undefined) {
			this.#shape = active.loaded.urlShape(bytes.latin1Slice(URL_AT, urlEnd));
			this.#offer(true);
		} else this.#offer(false);
		return undefined;
	}

	/** `isProven`: so many bytes at the end of `bytes` are the set's block. */
	#holds(
		set: PatternSet,
		session: PatternSession,
		bytes: ByteBuffer,
		urlEnd: number,
		isProven = false,
	): boolean {
		const { block } = set;
		return (
			set.generation === this.#generation &&
			set.vcl === this.#engine.active &&
			block.length === bytes.length - urlEnd &&
			set.endpoint === session.endpoint &&
			set.address === session.clientIp.text &&
			(isProven || bytes.compare(block, 0, block.length, urlEnd, bytes.length) === 0)
		);
	}

	/** Decides whether the request at hand is to be learnt from, and takes the price. */
	#offer(seen: boolean): void {
		if (++this.#strangers % TRICKLE === 0 && this.#credit < CREDIT_LIMIT) this.#credit++;
		if (!seen || this.#credit < LEARNING_PRICE) return;
		const { log, accessLog, cacheStatus } = this.#engine;
		if (log.immediate || accessLog !== undefined || cacheStatus) return;
		this.#credit -= LEARNING_PRICE;
		this.wanted = true;
	}

	#repeat(
		session: PatternSession,
		set: PatternSet,
		pattern: HitPattern,
		object: Glance,
		bytes: ByteBuffer,
		urlEnd: number,
		now: number,
	): boolean {
		const engine = this.#engine;
		const { arena } = engine;
		const { map, headAt, bodyAt, bodyBytes, tOrigin, ttl, flags, vxid } = object;
		const headBytes = bodyAt - headAt;
		if (
			headBytes > HEAD_BYTES ||
			bodyBytes > BODY_BYTES ||
			(flags & (Flag.hitForMiss | Flag.hitForPass | Flag.esi)) !== 0 ||
			((flags & Flag.gzip) !== 0) !== pattern.gzip ||
			!(ttl > 0 && tOrigin + ttl > now) ||
			!(now - tOrigin < AGE_LIMIT) ||
			object.ban < engine.bans.newest ||
			object.hits + 1 <= pattern.hitsBound ||
			headAt - object.varyAt !== pattern.vary.length ||
			(pattern.vary !== "" && map.buffer.latin1Slice(object.varyAt, headAt) !== pattern.vary)
		)
			return false;
		map.buffer.copy(scratch, 0, headAt, bodyAt);
		if (!fits(pattern, set.marks, scratch, headBytes, bodyBytes)) return false;
		map.buffer.copy(answer, BODY_AT, bodyAt, bodyAt + bodyBytes);
		// From here on everything is said of a copy.
		if (!arena.holds(object)) return false;
		arena.use(object);
		const transaction = engine.nextTransaction();
		numbers.transaction = transaction;
		numbers.objectTransaction = vxid;
		numbers.age = Math.max(0, Math.floor(now - tOrigin));
		numbers.bodyBytes = bodyBytes;
		const widths = widthsOf(numbers);
		const isTailThere = tail.of === pattern && tail.widths === widths;
		if (!isTailThere) {
			tail.of = pattern;
			tail.widths = widths;
			tail.bytes = tailLength(pattern, numbers);
		}
		const sentHead = frontLength(pattern) + tail.bytes;
		putHead(pattern, numbers, scratch, answer, BODY_AT - sentHead, isTailThere);
		session.sendWhole(answer, BODY_AT - sentHead, BODY_AT + bodyBytes);
		this.#log(session, pattern, object, now, bytes, urlEnd, sentHead);
		const { counters } = engine;
		counters[Main.client_req]!++;
		counters[Main.cache_hit]!++;
		counters[Main.s_req_hdrbytes]! += bytes.length;
		counters[Main.s_resp_hdrbytes]! += sentHead;
		counters[Main.s_resp_bodybytes]! += bodyBytes;
		if (this.#credit < CREDIT_LIMIT) this.#credit++;
		return true;
	}

	#log(
		session: PatternSession,
		pattern: HitPattern,
		object: Glance,
		now: number,
		bytes: ByteBuffer,
		urlEnd: number,
		sentHead: number,
	): void {
		const engine = this.#engine;
		const { transaction, bodyBytes } = numbers;
		run.transaction = transaction;
		run.session = session.xid;
		run.port = session.clientIp.port;
		const formShape = shapeOf(run);
		const beganMicros = Math.round(now * 1e6);
		const endedMicros = Math.round(engine.now() * 1e6);
		hit.request = bytes;
		hit.urlEnd = urlEnd;
		hit.sentHeadBytes = sentHead;
		hit.bodyBytes = bodyBytes;
		hit.objectTransaction = object.vxid;
		hit.remainingMicros = Math.round((object.tOrigin + object.ttl - now) * 1e6);
		hit.graceMicros = Math.round(object.grace * 1e6);
		hit.keepMicros = Math.round(object.keep * 1e6);
		const whole = engine.log.immediate ? undefined : this.#forms.of(pattern, hit, run, formShape);
		if (whole !== undefined) {
			whole.fill(run, beganMicros);
			whole.finish(endedMicros, beganMicros);
			engine.log.append(whole.bytes, whole.bytes.length, whole.recordCount);
			return;
		}
		const log = new TransactionLog(engine.log, transaction | Side.client, now);
		log.linkRequest(session.xid | Side.client, transaction);
		const { steps } = pattern;
		for (let index = 0; index < steps.length; index++) {
			const step = steps[index]!;
			switch (step.kind) {
				case "form": {
					const form = step.forms.of(run, formShape);
					form.fill(run, beganMicros);
					form.finish(endedMicros, beganMicros);
					log.addForm(form);
					break;
				}
				case "url":
					log.addBytes(Tag.ReqURL, bytes, URL_AT, urlEnd);
					break;
				case "hit":
					log.hit(object.vxid, object.tOrigin + object.ttl - now, object.grace, object.keep);
					break;
				case "fields":
					for (let line = 0; line < lines.count; line++)
						log.addBytes(Tag.RespHeader, scratch, lines.starts[line]!, lines.ends[line]!);
					break;
				case "x-varnish":
					if (placed.varnishEnd > 0) log.addBytes(step.tag, answer, placed.varnishAt, placed.varnishEnd);
					else log.add(step.tag, `X-Varnish: ${transaction} ${object.vxid}`);
					break;
				case "age":
					if (placed.ageEnd > 0) log.addBytes(step.tag, answer, placed.ageAt, placed.ageEnd);
					else log.add(step.tag, `Age: ${numbers.age}`);
					break;
				case "length":
					log.add(Tag.RespHeader, `Content-Length: ${bodyBytes}`);
					break;
				case "account":
					log.account(Tag.ReqAcct, bytes.length, 0, sentHead, bodyBytes);
					break;
				default:
					step satisfies never;
			}
		}
		log.end();
	}

	/** Makes a pattern of how the request was answered that answer() had none for. */
	learn(session: PatternSession, bytes: ByteBuffer, outcome: Outcome): void {
		const { active } = this.#engine;
		const urlEnd = this.#urlEnd;
		const block = copyOf(bytes.subarray(urlEnd));
		if (active === undefined || conditional.test(bytes.latin1Slice(urlEnd, bytes.length))) return;
		const known = this.#sets[this.#checksum & (SETS - 1)];
		const isKnown = known !== undefined && this.#holds(known, session, bytes, urlEnd);
		const marks = isKnown ? known.marks : fieldMarks(active.loaded.answerFields);
		if (marks === undefined) return;
		const url = bytes.latin1Slice(URL_AT, urlEnd);
		const facts = {
			transaction: outcome.transaction,
			session: session.xid,
			port: session.clientIp.port,
			age: outcome.age,
			objectTransaction: outcome.object.vxid,
		};
		const pattern = patternOf(outcome, url, this.#shape, facts, marks);
		if (pattern === undefined) return;
		if (isKnown) known.patterns = [pattern, ...known.patterns].slice(0, PATTERNS_PER_SET);
		else
			this.#sets[this.#checksum & (SETS - 1)] = {
				block,
				checksum: this.#checksum,
				generation: this.#generation,
				address: session.clientIp.text,
				endpoint: session.endpoint,
				vcl: active,
				marks,
				patterns: [pattern],
			};
	}
}

const latin1 = (bytes: ByteBuffer, start: number, end: number): string =>
	(bytes as unknown as { latin1Slice(start: number, end: number): string }).latin1Slice(start, end);

const keyOf = ({ keyParts }: HitPattern, url: string): string =>
	keyParts.length === 2 ? keyParts[0]! + url + keyParts[1]! : keyParts.join(url);

/** Where the URL of a GET ends whose target begins with a slash and holds nothing unusual; negative otherwise. */
function urlEndOf(bytes: ByteBuffer): number {
	const { length } = bytes;
	if (length > REQUEST_BYTES || length < METHOD.length) return -1;
	for (let index = 0; index < METHOD.length; index++) if (bytes[index] !== METHOD[index]) return -1;
	const limit = Math.min(length, URL_BYTES);
	let at = METHOD.length;
	while (at < limit && bytes[at]! > 0x20 && bytes[at]! < 0x7f) at++;
	return at < limit && bytes[at] === 0x20 && bytes[at + PROTOCOL_BYTES] === CR ? at : -1;
}
