/**
 * Records of a transaction as bytes, with the places of what differs when the same is logged again: transaction and
 * session numbers, times, the client's port, the age.
 *
 * A form fits as long as those numbers have as many digits as it has places for; `shapeOf` says which form that is.
 */
import { digitsOf, putDigits, putSeconds, putSixDigits } from "../log/digits.ts";
import { BATCH_TAG, record, Side } from "../log/records.ts";
import { Tag } from "../log/tags.ts";

/** What the records of one transaction say, taken apart. */
export type LoggedRecord =
	| { readonly kind: "constant"; readonly text: string }
	| { readonly kind: "begin" }
	| { readonly kind: "timestamp"; readonly label: "Start" | "Req" | "Process" | "Resp" }
	| { readonly kind: "request-start"; readonly address: string; readonly listener: string }
	| { readonly kind: "hit"; readonly vxid: string; readonly lifetimes: string }
	| { readonly kind: "x-varnish"; readonly tag: number }
	| { readonly kind: "age"; readonly tag: number }
	| { readonly kind: "account"; readonly requestBytes: number };

/** A record of a tag that is shown, whose payload, of one length, is put in by whoever has the form. */
export interface Gap {
	readonly kind: "gap";
	readonly tag: number;
	readonly length: number;
}

/** The facts of the run that was written down. */
export interface Facts {
	readonly transaction: number;
	readonly session: number;
	readonly port: number;
	/** The Age that was sent, and the number of the object's own transaction. */
	readonly age: number;
	readonly objectTransaction: number;
}

const expectedLabels = "Start Req Process Resp";

/**
 * Takes the text of a transaction's records (records.ts) apart; undefined when it is not that of a plain hit, in
 * which case it must not be repeated.
 */
export function takeApart(text: string, facts: Facts): readonly LoggedRecord[] | undefined {
	const parts: LoggedRecord[] = [];
	const labels: string[] = [];
	let xVarnish = 0;
	let ages = 0;
	for (let at = 0; at < text.length; ) {
		const length = text.charCodeAt(at) | (text.charCodeAt(at + 1) << 8);
		const tag = text.charCodeAt(at + 3);
		const payload = text.slice(at + 8, at + 8 + length - 1);
		const next = at + 8 + ((length + 3) & ~3);
		const constant: LoggedRecord = { kind: "constant", text: text.slice(at, next) };
		at = next;
		switch (tag) {
			case Tag.Begin:
				if (payload !== `req ${facts.session} rxreq`) return undefined;
				parts.push({ kind: "begin" });
				break;
			case Tag.Timestamp: {
				const label = payload.slice(0, payload.indexOf(":"));
				labels.push(label);
				parts.push({ kind: "timestamp", label: label as "Start" });
				break;
			}
			case Tag.ReqStart: {
				const [address, port, listener] = payload.split(" ");
				if (port !== String(facts.port) || listener === undefined) return undefined;
				parts.push({ kind: "request-start", address: address!, listener });
				break;
			}
			case Tag.Hit: {
				const [vxid, , ...lifetimes] = payload.split(" ");
				if (lifetimes.length !== 2) return undefined;
				parts.push({ kind: "hit", vxid: vxid!, lifetimes: lifetimes.join(" ") });
				break;
			}
			case Tag.ReqAcct:
				parts.push({ kind: "account", requestBytes: Number(payload.slice(0, payload.indexOf(" "))) });
				break;
			case Tag.RespHeader:
			case Tag.RespUnset:
				if (payload === xVarnishLine(facts.transaction, facts.objectTransaction)) {
					if (tag === Tag.RespHeader) xVarnish++;
					parts.push({ kind: "x-varnish", tag });
				} else if (payload === `Age: ${facts.age}`) {
					if (tag === Tag.RespHeader) ages++;
					parts.push({ kind: "age", tag });
				} else parts.push(constant);
				break;
			case Tag.ExpBan:
				return undefined;
			default:
				parts.push(constant);
		}
	}
	// A field of the origin's that reads like one of ours could not be told from it.
	if (xVarnish > 1 || ages > 1) return undefined;
	if (labels.length > 0 && labels.join(" ") !== expectedLabels) return undefined;
	return parts;
}

export const xVarnishLine = (transaction: number, object: number) => `X-Varnish: ${transaction} ${object}`;

/** The numbers of one run. Times in whole microseconds. */
export interface Run {
	readonly transaction: number;
	readonly session: number;
	readonly port: number;
	readonly age: number;
	/** Of the object's lifetime. */
	readonly remainingMicros: number;
}

const MICROS = 1e6;
/** Unix seconds have ten digits until 2286. */
const TIME_DIGITS = 10;

/** Names the form that has room for these numbers. */
export function shapeOf(run: Run): number {
	return (
		digitsOf(run.transaction) +
		16 * digitsOf(run.session) +
		256 * digitsOf(run.port) +
		2048 * digitsOf(run.age) +
		65536 * digitsOf(Math.floor(run.remainingMicros / MICROS))
	);
}

/** Forms of one thing that are kept: sessions whose numbers have different widths. */
export const FORM_LIMIT = 3;

/** The forms of one thing by their shape. */
export class Forms<Kind> {
	readonly #make: (run: Run) => Kind;
	readonly #forms = new Map<number, Kind>();
	#form: Kind | undefined;
	#shape = -1;

	constructor(make: (run: Run) => Kind) {
		this.#make = make;
	}

	/** `shape` is shapeOf(run). */
	of(run: Run, shape: number): Kind {
		if (shape === this.#shape) return this.#form!;
		let form = this.#forms.get(shape);
		if (form === undefined) {
			if (this.#forms.size >= FORM_LIMIT) this.#forms.clear();
			form = this.#make(run);
			this.#forms.set(shape, form);
		}
		this.#form = form;
		this.#shape = shape;
		return form;
	}
}

const ZERO = 0x30;
const RECORD_HEAD_BYTES = 8;
export const zeros = (count: number) => "0".repeat(count);

/** Places in a form's bytes. */
interface Places {
	readonly transaction: number[];
	readonly session: number[];
	readonly port: number[];
	readonly age: number[];
	/** Absolute times of the beginning and of the end. */
	readonly begins: number[];
	readonly ends: number[];
	/** Seconds since the beginning. */
	readonly durations: number[];
	readonly remaining: number[];
}

/** What the records of a whole hit need: the session's Link is ahead of them, and the head of a batch. */
interface Whole {
	readonly objectTransaction: number;
	/** Of the answer. */
	readonly headBytes: number;
	readonly bodyBytes: number;
}
/** With gaps in place of the records that need it. */
export const GAPPED: Whole = { objectTransaction: 0, headBytes: 0, bodyBytes: 0 };
/** Records that can be a part of a form by themselves need none of it. */
const PART: Whole = { objectTransaction: 0, headBytes: 0, bodyBytes: 0 };

/** So few words are sooner copied one by one than handed to the library. */
const SHORT_WORDS = 64;

export class LogForm {
	readonly bytes: Buffer;
	readonly recordCount: number;
	/** Where the payloads of the gaps go, in their order. */
	readonly gapsAt: readonly number[];
	readonly #words: Int32Array;
	/** Words that hold the transaction's id. */
	readonly #idWords: Int32Array;
	readonly #linkIdWord: number;
	readonly #places: Places;
	readonly #digits: Run;
	#second = -1;
	#age = -1;

	constructor(records: readonly (LoggedRecord | Gap)[], run: Run, around = PART) {
		const digits = {
			transaction: digitsOf(run.transaction),
			session: digitsOf(run.session),
			port: digitsOf(run.port),
			age: digitsOf(run.age),
			remainingMicros: digitsOf(Math.floor(run.remainingMicros / MICROS)),
		};
		this.#digits = digits;
		const isWhole = around !== PART;
		const places: Places = {
			transaction: [],
			session: [],
			port: [],
			age: [],
			begins: [],
			ends: [],
			durations: [],
			remaining: [],
		};
		this.#places = places;
		let text = "";
		const idWords: number[] = [];
		/** Adds a record; each `0…` stretch that `marks` names by its offset in the payload is a place. */
		const add = (tag: number, payload: string, marks: readonly (readonly [keyof Places, number])[]) => {
			const bytes = record(tag, payload);
			if (bytes === "") return;
			for (const [name, offset] of marks) places[name].push(text.length + RECORD_HEAD_BYTES + offset);
			idWords.push((text.length >> 2) + 1);
			text += bytes;
		};
		if (isWhole) add(Tag.Link, `req ${zeros(digits.transaction)} rxreq`, [["transaction", 4]]);
		this.#linkIdWord = idWords.length > 0 ? idWords.pop()! : -1;
		const gapsAt: number[] = [];
		let recordCount = this.#linkIdWord < 0 ? 0 : 1;
		const batchAt = text.length;
		if (isWhole) text += "\0".repeat(8);
		const time = `${zeros(TIME_DIGITS)}.${zeros(6)}`;
		const short = "0.000000";
		for (const part of records)
			switch (part.kind) {
				case "constant":
					idWords.push((text.length >> 2) + 1);
					text += part.text;
					break;
				case "gap":
					gapsAt.push(text.length + RECORD_HEAD_BYTES);
					add(part.tag, zeros(part.length), []);
					break;
				case "begin":
					add(Tag.Begin, `req ${zeros(digits.session)} rxreq`, [["session", 4]]);
					break;
				case "timestamp": {
					const { label } = part;
					const from = label.length + 2;
					const late = label === "Resp";
					const marks: [keyof Places, number][] = [[late ? "ends" : "begins", from]];
					if (late)
						marks.push(
							["durations", from + time.length + 1],
							["durations", from + time.length + short.length + 2],
						);
					add(Tag.Timestamp, `${label}: ${time} ${short} ${short}`, marks);
					break;
				}
				case "request-start":
					add(Tag.ReqStart, `${part.address} ${zeros(digits.port)} ${part.listener}`, [
						["port", part.address.length + 1],
					]);
					break;
				case "hit":
					add(Tag.Hit, `${part.vxid} ${zeros(digits.remainingMicros)}.000000 ${part.lifetimes}`, [
						["remaining", part.vxid.length + 1],
					]);
					break;
				case "x-varnish":
					add(part.tag, `X-Varnish: ${zeros(digits.transaction)} ${around.objectTransaction}`, [
						["transaction", "X-Varnish: ".length],
					]);
					break;
				case "age":
					add(part.tag, `Age: ${zeros(digits.age)}`, [["age", "Age: ".length]]);
					break;
				case "account": {
					const { requestBytes } = part;
					const { headBytes, bodyBytes } = around;
					add(
						Tag.ReqAcct,
						`${requestBytes} 0 ${requestBytes} ${headBytes} ${bodyBytes} ${headBytes + bodyBytes}`,
						[],
					);
					break;
				}
				default:
					part satisfies never;
			}
		recordCount += idWords.length;
		this.recordCount = recordCount;
		this.gapsAt = gapsAt;
		this.#words = new Int32Array(text.length >> 2);
		this.bytes = Buffer.from(this.#words.buffer);
		this.bytes.write(text, "latin1");
		if (isWhole) {
			this.#words[batchAt >> 2] = BATCH_TAG;
			this.#words[(batchAt >> 2) + 1] = text.length - batchAt - 8;
		}
		this.#idWords = Int32Array.from(idWords);
	}

	/** Puts the numbers of a run in, those that are known before it is answered. */
	fill(run: Run, beganMicros: number): void {
		const { bytes } = this;
		const digits = this.#digits;
		const places = this.#places;
		const { transaction, age } = run;
		if (age !== this.#age) {
			this.#age = age;
			for (const at of places.age) putDigits(bytes, at, age, digits.age);
		}
		const words = this.#words;
		const ids = this.#idWords;
		const id = transaction | Side.client;
		for (let index = 0; index < ids.length; index++) words[ids[index]!] = id;
		if (this.#linkIdWord >= 0) words[this.#linkIdWord] = run.session | Side.client;
		for (let index = 0; index < places.transaction.length; index++)
			putDigits(bytes, places.transaction[index]!, transaction, digits.transaction);
		for (let index = 0; index < places.session.length; index++)
			putDigits(bytes, places.session[index]!, run.session, digits.session);
		for (let index = 0; index < places.port.length; index++)
			putDigits(bytes, places.port[index]!, run.port, digits.port);
		if (places.begins.length + places.ends.length > 0) {
			const second = Math.floor(beganMicros / MICROS);
			const part = beganMicros - second * MICROS;
			if (second !== this.#second) {
				this.#second = second;
				for (const at of places.begins) putSeconds(bytes, at, second);
				for (const at of places.ends) putSeconds(bytes, at, second);
			}
			for (let index = 0; index < places.begins.length; index++)
				putSixDigits(bytes, places.begins[index]! + TIME_DIGITS + 1, part);
		}
		for (let index = 0; index < places.remaining.length; index++) {
			const whole = Math.floor(run.remainingMicros / MICROS);
			const at = places.remaining[index]!;
			putDigits(bytes, at, whole, digits.remainingMicros);
			putSixDigits(bytes, at + digits.remainingMicros + 1, run.remainingMicros - whole * MICROS);
		}
	}

	/** Copies its bytes to `bytes` at `at`, a multiple of four; `words` are the same bytes. */
	copyTo(bytes: Buffer, words: Int32Array, at: number): void {
		const own = this.#words;
		const { length } = own;
		if (length > SHORT_WORDS) this.bytes.copy(bytes, at, 0, length << 2);
		else for (let index = 0, word = at >> 2; index < length; index++) words[word + index] = own[index]!;
	}

	/** Puts the end in. */
	finish(endedMicros: number, beganMicros: number): void {
		const { bytes } = this;
		const places = this.#places;
		if (places.ends.length === 0) return;
		const second = Math.floor(endedMicros / MICROS);
		if (second !== this.#second) {
			// The next fill() must write the seconds of its beginning again.
			this.#second = -1;
			for (const at of places.ends) putSeconds(bytes, at, second);
		}
		const part = endedMicros - second * MICROS;
		for (let index = 0; index < places.ends.length; index++)
			putSixDigits(bytes, places.ends[index]! + TIME_DIGITS + 1, part);
		const since = Math.min(Math.max(0, endedMicros - beganMicros), 10 * MICROS - 1);
		const whole = Math.floor(since / MICROS);
		for (let index = 0; index < places.durations.length; index++) {
			const at = places.durations[index]!;
			bytes[at] = ZERO + whole;
			putSixDigits(bytes, at + 2, since - whole * MICROS);
		}
	}
}
