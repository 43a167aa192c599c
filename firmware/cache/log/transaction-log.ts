/**
 * The log records of one transaction, gathered as the bytes that they are in the ring and written to it at once.
 *
 *   Link of the parent, if any | batch head | records …
 *
 * A record is two little-endian words and the payload (VSL layout): tag << 24 | payload length with its final NUL,
 * then the transaction's id, then the text, padded with NULs to whole words.
 */
import { allocateBytes, type ByteBuffer } from "../http/bytes.ts";
import { digitsOf, putDigits, putMicros } from "./digits.ts";
import { BATCH_TAG, formatSeconds, payloadLimit } from "./records.ts";
import type { LogSink } from "./sink.ts";
import { shownTags, Tag } from "./tags.ts";

/** Two words: the mark of a batch and its length. */
const BATCH_HEAD_BYTES = 8;
const RECORD_HEAD_BYTES = 8;
/** Of a record beside its payload: its head, the final NUL and the padding. */
const RECORD_EXTRA_BYTES = RECORD_HEAD_BYTES + 4;
/** "1700000000.000000" and the like, three times, with what is between them. */
const TIMES_BYTES = 3 * 24;
/** putDigits() takes numbers up to here. */
export const DIGITS_LIMIT = 2 ** 31 - 1;
/** Six of them, with blanks. */
const ACCOUNT_BYTES = 6 * 11;
/** A transaction and three durations. */
const HIT_BYTES = 10 + 3 * 20;
const COLON = 0x3a;
const BLANK = 0x20;

/** A duration that putMicros() can write: most are, but a policy may say "10000y". */
export const isPlain = (seconds: number) => seconds >= 0 && seconds < 1e9;

/** Writes a whole number below 2^31; returns where it ends. */
export function putNumber(bytes: Uint8Array, at: number, value: number): number {
	const digits = digitsOf(value);
	putDigits(bytes, at, value, digits);
	return at + digits;
}

/** Writes a Hit's payload (TransactionLog.hit) of plain durations in microseconds; returns where it ends. */
export function putHit(
	bytes: Uint8Array,
	at: number,
	vxid: number,
	remainingMicros: number,
	graceMicros: number,
	keepMicros: number,
): number {
	let to = putNumber(bytes, at, vxid);
	bytes[to++] = BLANK;
	to = putMicros(bytes, to, remainingMicros);
	bytes[to++] = BLANK;
	to = putMicros(bytes, to, graceMicros);
	bytes[to++] = BLANK;
	return putMicros(bytes, to, keepMicros);
}

/** Writes an account's payload (TransactionLog.account); returns where it ends. */
export function putAccount(
	bytes: Uint8Array,
	at: number,
	headA: number,
	bodyA: number,
	headB: number,
	bodyB: number,
): number {
	let to = putNumber(bytes, at, headA);
	bytes[to++] = BLANK;
	to = putNumber(bytes, to, bodyA);
	bytes[to++] = BLANK;
	to = putNumber(bytes, to, headA + bodyA);
	bytes[to++] = BLANK;
	to = putNumber(bytes, to, headB);
	bytes[to++] = BLANK;
	to = putNumber(bytes, to, bodyB);
	bytes[to++] = BLANK;
	return putNumber(bytes, to, headB + bodyB);
}

/** So few are sooner put one by one than handed to the library. */
const SHORT_TEXT = 24;
const SHORT_BYTES = 32;

function putText(bytes: ByteBuffer, at: number, text: string): void {
	const { length } = text;
	if (length > SHORT_TEXT) bytes.latin1Write(text, at);
	else for (let index = 0; index < length; index++) bytes[at + index] = text.charCodeAt(index);
}

/** Room for one transaction. Most fit into a small one; what does not fit into a large one is written in parts. */
class Slab {
	readonly bytes: ByteBuffer;
	readonly words: Int32Array;

	constructor(size: number) {
		this.bytes = allocateBytes(size);
		this.words = new Int32Array(this.bytes.buffer, this.bytes.byteOffset, size >> 2);
	}
}

/** Slabs of one size that are kept for the next transaction: at most `limit`. */
class Slabs {
	readonly size: number;
	readonly #limit: number;
	readonly #free: Slab[] = [];

	constructor(size: number, limit: number) {
		this.size = size;
		this.#limit = limit;
	}
	take(): Slab {
		return this.#free.pop() ?? new Slab(this.size);
	}
	give(slab: Slab): void {
		if (this.#free.length < this.#limit) this.#free.push(slab);
	}
}

const small = new Slabs(4096, 1024);
/** A payload has at most 16 KB (vsl_reclen). */
const large = new Slabs(32 * 1024, 64);

/** Records that are bytes already, their ids in place. */
export interface RecordForm {
	readonly bytes: Buffer;
	readonly recordCount: number;
	/** Copies `bytes` to `into` at `at`, a multiple of four; `words` are the same bytes. */
	copyTo(into: Buffer, words: Int32Array, at: number): void;
}

/** What a transaction that has ended is told. */
const grave = new Slab(large.size);

export class TransactionLog {
	readonly #sink: LogSink;
	/** Transaction number with its side bit. */
	readonly id: number;
	readonly #startMicros: number;
	#lastMicros: number;
	#slab = small.take();
	/** Place of the batch head. */
	#batchAt = 0;
	/** Where the next record begins. */
	#at = BATCH_HEAD_BYTES;
	#records = 0;
	/** Part of it has been written. */
	#parted = false;
	#ended = false;

	/** `start` is the Unix time of its beginning (of what it begins again, in a restart or a retry), seconds. */
	constructor(sink: LogSink, id: number, start: number) {
		this.#sink = sink;
		this.id = id;
		this.#startMicros = Math.round(start * 1e6);
		this.#lastMicros = this.#startMicros;
	}

	/** For what is done without a trace. */
	static nowhere(sink: LogSink): TransactionLog {
		const log = new TransactionLog(sink, 0, 0);
		small.give(log.#slab);
		log.#slab = grave;
		log.#ended = true;
		return log;
	}

	/** `payload` has one character per byte. */
	add(tag: number, payload: string): void {
		if (shownTags[tag] === 0) return;
		const text = payload.length < payloadLimit ? payload : payload.slice(0, payloadLimit - 1);
		const slab = this.#room(text.length);
		putText(slab.bytes, this.#at + RECORD_HEAD_BYTES, text);
		this.#seal(slab, tag, text.length);
	}

	/** The same with a payload that is bytes already: those of `source` from `start` to before `end`. */
	addBytes(tag: number, source: Buffer, start: number, end: number): void {
		if (shownTags[tag] === 0) return;
		const length = Math.min(end - start, payloadLimit - 1);
		const slab = this.#room(length);
		const at = this.#at + RECORD_HEAD_BYTES;
		if (length > SHORT_BYTES) source.copy(slab.bytes, at, start, start + length);
		else for (let index = 0; index < length; index++) slab.bytes[at + index] = source[start + index]!;
		this.#seal(slab, tag, length);
	}

	/** The time stamps Start and Req of a client's request. */
	begin(now: number): void {
		this.timestamp("Start", now);
		this.timestamp("Req", now);
	}

	/** The time stamp Start of a restart or a retry: the time since the first beginning goes on. */
	beginAgain(now: number): void {
		this.#lastMicros = Math.round(now * 1e6);
		this.timestamp("Start", now);
	}

	/** "Label: absolute since-start since-last" */
	timestamp(label: string, now: number): void {
		if (shownTags[Tag.Timestamp] === 0) return;
		const micros = Math.round(now * 1e6);
		const since = micros - this.#startMicros;
		const step = micros - this.#lastMicros;
		this.#lastMicros = micros;
		if (since < 0 || step < 0) {
			// The clock was set back.
			const [ago, before] = [since, step].map((each) => (each / 1e6).toFixed(6));
			this.add(Tag.Timestamp, `${label}: ${formatSeconds(now)} ${ago} ${before}`);
			return;
		}
		const slab = this.#room(label.length + TIMES_BYTES);
		const { bytes } = slab;
		const from = this.#at + RECORD_HEAD_BYTES;
		putText(bytes, from, label);
		let at = from + label.length;
		bytes[at++] = COLON;
		bytes[at++] = BLANK;
		at = putMicros(bytes, at, micros);
		bytes[at++] = BLANK;
		at = putMicros(bytes, at, since);
		bytes[at++] = BLANK;
		at = putMicros(bytes, at, step);
		this.#seal(slab, Tag.Timestamp, at - from);
	}

	/** Hit: the object's transaction, what is left of its lifetime, grace and keep, in seconds. */
	hit(vxid: number, remaining: number, grace: number, keep: number): void {
		if (!(isPlain(remaining) && isPlain(grace) && isPlain(keep))) {
			const times = [remaining, grace, keep].map(formatSeconds);
			this.add(Tag.Hit, `${vxid} ${times.join(" ")}`);
			return;
		}
		if (shownTags[Tag.Hit] === 0) return;
		const slab = this.#room(HIT_BYTES);
		const { bytes } = slab;
		const from = this.#at + RECORD_HEAD_BYTES;
		const at = putHit(
			bytes,
			from,
			vxid,
			Math.round(remaining * 1e6),
			Math.round(grace * 1e6),
			Math.round(keep * 1e6),
		);
		this.#seal(slab, Tag.Hit, at - from);
	}

	/** ReqAcct and BereqAcct: bytes of head and body, and both together, of what came and of what went (or back). */
	account(tag: number, headA: number, bodyA: number, headB: number, bodyB: number): void {
		if (headA + bodyA > DIGITS_LIMIT || headB + bodyB > DIGITS_LIMIT) {
			this.add(tag, `${headA} ${bodyA} ${headA + bodyA} ${headB} ${bodyB} ${headB + bodyB}`);
			return;
		}
		if (shownTags[tag] === 0) return;
		const slab = this.#room(ACCOUNT_BYTES);
		const { bytes } = slab;
		const from = this.#at + RECORD_HEAD_BYTES;
		const at = putAccount(bytes, from, headA, bodyA, headB, bodyB);
		this.#seal(slab, tag, at - from);
	}

	/** Adds a form: at most half of what a large slab holds. */
	addForm(form: RecordForm): void {
		const { length } = form.bytes;
		const { bytes, words } = this.#room(length);
		form.copyTo(bytes, words, this.#at);
		this.#at += length;
		this.#records += form.recordCount;
		if (this.#sink.immediate) this.flush();
	}

	/** Adds records made with record() or records(). */
	addText(text: string): void {
		const { length } = text;
		if (length > large.size / 2) {
			this.#part();
			this.#sink.write(this.id, text, 0, "");
			return;
		}
		const { bytes, words } = this.#room(length);
		bytes.latin1Write(text, this.#at);
		let word = this.#at >> 2;
		const end = word + (length >> 2);
		while (word < end) {
			words[word + 1] = this.id;
			word += 2 + (((words[word]! & 0xffff) + 3) >> 2);
			this.#records++;
		}
		this.#at += length;
		if (this.#sink.immediate) this.flush();
	}

	/** The session's Link to this request, which must be in the ring before it. Called before anything is added. */
	linkRequest(sessionId: number, transaction: number): void {
		if (shownTags[Tag.Link] === 0) return;
		const ahead = !this.#sink.immediate;
		if (ahead) this.#at = 0;
		const slab = this.#slab;
		const { bytes } = slab;
		const from = this.#at + RECORD_HEAD_BYTES;
		putText(bytes, from, "req ");
		const end = putNumber(bytes, from + 4, transaction);
		putText(bytes, end, " rxreq");
		this.#seal(slab, Tag.Link, end + 6 - from, sessionId);
		if (!ahead) return;
		this.#batchAt = this.#at;
		this.#at += BATCH_HEAD_BYTES;
	}

	/** A slab with room for a payload of `length` bytes in the next record. */
	#room(length: number): Slab {
		const slab = this.#slab;
		return this.#at + length + RECORD_EXTRA_BYTES <= slab.bytes.length ? slab : this.#makeRoom(length);
	}

	#makeRoom(length: number): Slab {
		const extra = length + RECORD_EXTRA_BYTES;
		if (this.#at + extra > large.size) this.#part();
		const slab = this.#slab;
		if (this.#at + extra > slab.bytes.length) {
			this.#slab = large.take();
			slab.bytes.copy(this.#slab.bytes, 0, 0, this.#at);
			small.give(slab);
		}
		return this.#slab;
	}

	/** Completes the record whose payload of `length` bytes is in its place. */
	#seal(slab: Slab, tag: number, length: number, id = this.id): void {
		const { bytes, words } = slab;
		const word = this.#at >> 2;
		let at = this.#at + RECORD_HEAD_BYTES + length;
		do bytes[at++] = 0;
		while ((at & 3) !== 0);
		words[word] = (tag << 24) | (length + 1);
		words[word + 1] = id;
		this.#at = at;
		this.#records++;
		if (this.#sink.immediate) this.flush();
	}

	#part(): void {
		this.#parted = true;
		this.flush();
	}

	/** Writes what there is. */
	flush(): void {
		const { bytes, words } = this.#slab;
		const batchAt = this.#batchAt;
		const recordsAt = batchAt + BATCH_HEAD_BYTES;
		if (this.#records > 0 && !this.#ended) {
			const { immediate } = this.#sink;
			if (immediate) bytes.copyWithin(batchAt, recordsAt, this.#at);
			else {
				words[batchAt >> 2] = BATCH_TAG;
				words[(batchAt >> 2) + 1] = this.#at - recordsAt;
			}
			this.#sink.append(bytes, immediate ? this.#at - BATCH_HEAD_BYTES : this.#at, this.#records);
		}
		this.#batchAt = 0;
		this.#at = BATCH_HEAD_BYTES;
		this.#records = 0;
	}

	/**
	 * The last record: what comes later goes nowhere. Returns all records as text (ids and all) when that is `wanted`
	 * and none has been written before.
	 */
	end(wanted = false): string | undefined {
		this.add(Tag.End, "");
		const whole = wanted && !this.#parted && !this.#sink.immediate;
		const text = whole ? this.#slab.bytes.latin1Slice(this.#batchAt + BATCH_HEAD_BYTES, this.#at) : undefined;
		this.flush();
		if (!this.#ended) (this.#slab.bytes.length === small.size ? small : large).give(this.#slab);
		this.#ended = true;
		this.#slab = grave;
		return text;
	}
}
