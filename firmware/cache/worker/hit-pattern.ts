/**
 * What the hits of one client have in common whatever URL they are of: the same header fields, the same way through
 * the VCL, and of the stored head the same in everything that the VCL or the delivery looks at.
 *
 * A pattern is taken from one such hit: its log as steps, the end of its head as pieces, and the lines that a stored
 * head must have to be delivered likewise. The other lines pass as they are.
 */
import { allocateBytes, type ByteBuffer } from "../http/bytes.ts";
import { digitsOf, putDigits } from "../log/digits.ts";
import { record } from "../log/records.ts";
import { shownTags, Tag } from "../log/tags.ts";
import { Flag } from "../store/layout.ts";
import { type Facts, Forms, LogForm, type LoggedRecord, takeApart } from "./log-form.ts";
import type { Outcome } from "./replay.ts";

type Formed = Extract<LoggedRecord, { readonly kind: "constant" | "begin" | "timestamp" | "request-start" }>;

/** One part of the records of a hit, in their order. */
export type LogStep =
	| Exclude<LoggedRecord, { readonly kind: Formed["kind"] }>
	/** Records of one length each, whatever the URL and the object are. */
	| { readonly kind: "form"; readonly records: readonly LoggedRecord[]; readonly forms: Forms<LogForm> }
	| { readonly kind: "url" }
	/** The fields of the stored head. */
	| { readonly kind: "fields" }
	/** Content-Length where the stored head has none. */
	| { readonly kind: "length" };

/** A piece of the head behind the stored fields. */
export type TailPiece =
	| { readonly kind: "text"; readonly bytes: Uint8Array }
	| { readonly kind: "x-varnish" | "age" | "length" };

/** Numbers of one hit. */
export interface HitNumbers {
	readonly transaction: number;
	readonly objectTransaction: number;
	readonly age: number;
	readonly bodyBytes: number;
}

export interface HitPattern {
	/** Tells patterns apart, mostly. */
	readonly serial: number;
	readonly shape: number;
	/** The key around the URL, which is between each two of these. */
	readonly keyParts: readonly string[];
	readonly vary: string;
	readonly gzip: boolean;
	readonly hitsBound: number;
	/** Status line of the stored head and of the answer, with CRLF. */
	readonly storedStart: Uint8Array;
	readonly sentStart: Uint8Array;
	/** Lines that the stored head must have, with CRLF, one behind the other. */
	readonly fixed: Uint8Array;
	/** Which of them are sent. */
	readonly keepsFixed: readonly boolean[];
	readonly hasLength: boolean;
	readonly tail: readonly TailPiece[];
	readonly steps: readonly LogStep[];
}

// ── marks: which lines of a stored head matter, by the length and the first letter of their names ──

const FIXED = 1;
const LENGTH = 2;
const CONTENT_LENGTH = Buffer.from("content-length");
/** What the delivery itself looks at or sets. */
const ownFields = ["age", "via", "x-varnish", "connection", "accept-ranges", "transfer-encoding"];

const markAt = (nameLength: number, first: number) => ((nameLength & 63) << 5) | (first & 31);

/** Names that are alike in length and first letter share a mark: one more line that has to be the same, no harm. */
export type FieldMarks = Uint8Array;

/** Undefined: the program meddles with the length, and no hit is like another. */
export function fieldMarks(answerFields: ReadonlySet<string>): FieldMarks | undefined {
	if (answerFields.has("content-length")) return undefined;
	const marks = new Uint8Array(64 << 5);
	for (const name of [...ownFields, ...answerFields]) marks[markAt(name.length, name.charCodeAt(0))] = FIXED;
	marks[markAt(CONTENT_LENGTH.length, CONTENT_LENGTH[0]!)] = LENGTH;
	return marks;
}

// ── a stored head, line by line ──

/** Longest stored head that is looked at here, and the longest that is made of one. */
export const HEAD_BYTES = 4096;
export const SENT_HEAD_BYTES = 8192;
export const LINE_LIMIT = 64;
/** Longest constant records of one transaction. */
const FORMED_BYTES = 16384;
const CR = 0x0d;
const COLON = 0x3a;
const BLANK = 0x20;
const ZERO = 0x30;

/** Lines of the head that was walked last, without CRLF; what of it is sent, in stretches. */
export const lines = { count: 0, starts: new Int32Array(LINE_LIMIT), ends: new Int32Array(LINE_LIMIT) };
export const stretches = {
	count: 0,
	bytes: 0,
	starts: new Int32Array(LINE_LIMIT + 1),
	ends: new Int32Array(LINE_LIMIT + 1),
};

/** True when a stored head of `length` bytes is one that `pattern` delivers; `lines` and `stretches` are its then. */
export function fits(
	pattern: HitPattern,
	marks: FieldMarks,
	head: Uint8Array,
	length: number,
	bodyBytes: number,
): boolean {
	const { storedStart, fixed, keepsFixed } = pattern;
	if (length < storedStart.length) return false;
	for (let index = 0; index < storedStart.length; index++)
		if (head[index] !== storedStart[index]) return false;
	let at = storedStart.length;
	let stretch = at;
	let fixedAt = 0;
	let fixedCount = 0;
	let lengths = 0;
	lines.count = 0;
	stretches.count = 0;
	stretches.bytes = 0;
	while (at < length) {
		let colon = at;
		while (colon < length && head[colon] !== COLON) colon++;
		let end = colon;
		while (end < length && head[end] !== CR) end++;
		if (end + 2 > length || lines.count >= LINE_LIMIT) return false;
		lines.starts[lines.count] = at;
		lines.ends[lines.count++] = end;
		end += 2;
		const mark = marks[markAt(colon - at, head[at]!)];
		if (mark === FIXED) {
			if (fixedAt + end - at > fixed.length) return false;
			for (let index = at; index < end; index++) if (head[index] !== fixed[fixedAt++]) return false;
			if (!keepsFixed[fixedCount++]) {
				addStretch(stretch, at);
				stretch = end;
			}
		} else if (mark === LENGTH) {
			if (++lengths > 1 || !saysLength(head, at, end - 2, bodyBytes)) return false;
		}
		at = end;
	}
	addStretch(stretch, at);
	return (
		fixedAt === fixed.length && fixedCount === keepsFixed.length && lengths === (pattern.hasLength ? 1 : 0)
	);
}

function addStretch(start: number, end: number): void {
	if (start === end) return;
	stretches.starts[stretches.count] = start;
	stretches.ends[stretches.count++] = end;
	stretches.bytes += end - start;
}

/** The line is "Content-Length: N", in any case, written as the delivery would write it. */
function saysLength(head: Uint8Array, start: number, end: number, bytes: number): boolean {
	for (let index = 0; index < CONTENT_LENGTH.length; index++)
		if ((head[start + index]! | 0x20) !== CONTENT_LENGTH[index]) return false;
	let at = start + CONTENT_LENGTH.length + 2;
	if (head[at - 1] !== BLANK || end - at !== digitsOf(bytes)) return false;
	let value = 0;
	for (; at < end; at++) value = value * 10 + head[at]! - ZERO;
	return value === bytes;
}

// ── learning ──

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");
const CRLF = "\r\n";

let serials = 0;

/** The pattern of a hit that was answered the usual way; undefined when the next one may be otherwise. */
export function patternOf(
	outcome: Outcome,
	url: string,
	shape: number,
	facts: Facts,
	marks: FieldMarks,
): HitPattern | undefined {
	const { urlPlaces, key, object, body, head } = outcome;
	const keyParts: string[] = [];
	let keyAt = 0;
	for (const place of urlPlaces) {
		keyParts.push(key.slice(keyAt, place));
		keyAt = place + url.length;
	}
	keyParts.push(key.slice(keyAt));
	if (keyParts.length < 2 || keyParts.join(url) !== key) return undefined;
	if (body.length !== object.bodyBytes) return undefined;
	if (object.head.length > HEAD_BYTES || head.length > SENT_HEAD_BYTES) return undefined;
	const records = takeApart(outcome.log, facts);
	if (records === undefined) return undefined;

	// The stored head: which of its lines were sent.
	const [storedStart = "", ...stored] = object.head.split(CRLF).slice(0, -1);
	const [sentStart = "", ...sent] = head.split(CRLF).slice(0, -2);
	if (/^HTTP\/1\.\d (?:1|204|304)/.test(storedStart)) return undefined;
	let fixed = "";
	const keepsFixed: boolean[] = [];
	let hasLength = false;
	let passed = 0;
	for (const line of stored) {
		const mark = marks[markAt(line.indexOf(":"), line.charCodeAt(0))];
		const isSent = line === sent[passed];
		if (isSent) passed++;
		if (mark === FIXED) {
			fixed += line + CRLF;
			keepsFixed.push(isSent);
		} else if (!isSent) return undefined;
		if (mark === LENGTH) hasLength = true;
	}
	const numbers: HitNumbers = { ...facts, bodyBytes: body.length };
	const tail = tailOf(sent.slice(passed), numbers, hasLength);
	const steps = stepsOf(records, stored, url, hasLength ? undefined : body.length);
	if (tail === undefined || steps === undefined) return undefined;
	const pattern: HitPattern = {
		serial: ++serials,
		shape,
		keyParts,
		vary: object.vary,
		gzip: (object.flags & Flag.gzip) !== 0,
		hitsBound: outcome.hitsBound,
		storedStart: latin1(storedStart + CRLF),
		sentStart: latin1(sentStart + CRLF),
		fixed: latin1(fixed),
		keepsFixed,
		hasLength,
		tail,
		steps,
	};
	// What was sent must come out of it again.
	const bytes = latin1(object.head);
	if (!fits(pattern, marks, bytes, bytes.length, body.length)) return undefined;
	const made = allocateBytes(frontLength(pattern) + tailLength(pattern, numbers));
	putHead(pattern, numbers, bytes, made, 0, false);
	return made.latin1Slice() === head ? pattern : undefined;
}

const xVarnish = ({ transaction, objectTransaction }: HitNumbers) =>
	`X-Varnish: ${transaction} ${objectTransaction}`;

function tailOf(
	sent: readonly string[],
	numbers: HitNumbers,
	hasLength: boolean,
): readonly TailPiece[] | undefined {
	const pieces: TailPiece[] = [];
	let text = "";
	const kinds = new Set<TailPiece["kind"]>();
	const add = (kind: "x-varnish" | "age" | "length") => {
		if (kinds.has(kind)) return false;
		kinds.add(kind);
		pieces.push({ kind: "text", bytes: latin1(text) }, { kind });
		text = CRLF;
		return true;
	};
	for (const line of sent) {
		if (line === xVarnish(numbers)) {
			text += "X-Varnish: ";
			if (!add("x-varnish")) return undefined;
		} else if (line === `Age: ${numbers.age}`) {
			text += "Age: ";
			if (!add("age")) return undefined;
		} else if (!hasLength && line === `Content-Length: ${numbers.bodyBytes}`) {
			text += "Content-Length: ";
			if (!add("length")) return undefined;
		} else text += line + CRLF;
	}
	if (!hasLength && !kinds.has("length")) return undefined;
	pieces.push({ kind: "text", bytes: latin1(text + CRLF) });
	return pieces;
}

const tagOf = (text: string) => text.charCodeAt(3);
const withoutId = (text: string) => `${text.slice(0, 4)}\0\0\0\0${text.slice(8)}`;

/** `bodyBytes`: a Content-Length was added to the head. */
function stepsOf(
	records: readonly LoggedRecord[],
	stored: readonly string[],
	url: string,
	bodyBytes: number | undefined,
): readonly LogStep[] | undefined {
	// With these hidden the fields could not be found; with these shown the URL stands where it is not looked for.
	if (shownTags[Tag.RespReason] === 0 || shownTags[Tag.RespHeader] === 0 || shownTags[Tag.Hash] !== 0)
		return undefined;
	const steps: LogStep[] = [];
	let formed: Formed[] = [];
	const flush = () => {
		const together = formed;
		if (together.length > 0)
			steps.push({
				kind: "form",
				records: together,
				forms: new Forms((run) => new LogForm(together, run)),
			});
		formed = [];
	};
	const step = (each: LogStep) => {
		flush();
		steps.push(each);
	};
	const added = bodyBytes === undefined ? "" : record(Tag.RespHeader, `Content-Length: ${bodyBytes}`);
	let bytes = 0;
	let urls = 0;
	let reasons = 0;
	let lengths = 0;
	for (let index = 0; index < records.length; index++) {
		const each = records[index]!;
		switch (each.kind) {
			case "constant": {
				const constant = withoutId(each.text);
				const tag = tagOf(constant);
				if (tag === Tag.ReqURL) {
					if (++urls > 1 || constant !== record(Tag.ReqURL, url)) return undefined;
					step({ kind: "url" });
					break;
				}
				if (tag === Tag.End && index === records.length - 1) break;
				if (constant === added && reasons > 0) {
					lengths++;
					step({ kind: "length" });
					break;
				}
				bytes += constant.length;
				formed.push(each);
				if (tag !== Tag.RespReason || ++reasons > 1) break;
				for (const line of stored) {
					const next = records[++index];
					if (next?.kind !== "constant") return undefined;
					if (withoutId(next.text) !== record(Tag.RespHeader, line)) return undefined;
				}
				step({ kind: "fields" });
				break;
			}
			case "begin":
			case "timestamp":
			case "request-start":
				formed.push(each);
				break;
			default:
				step(each);
		}
	}
	flush();
	const isWhole = reasons === 1 && lengths === (bodyBytes === undefined ? 0 : 1);
	return isWhole && bytes <= FORMED_BYTES ? steps : undefined;
}

// ── the head of an answer ──

/** Names how wide the numbers are: tails of one pattern that have this in common differ in the numbers alone. */
export function widthsOf(numbers: HitNumbers): number {
	return (
		digitsOf(numbers.transaction) +
		16 * digitsOf(numbers.objectTransaction) +
		256 * digitsOf(numbers.age) +
		4096 * digitsOf(numbers.bodyBytes)
	);
}

/** Bytes of the head in front of its tail, for the stored one that fits() saw last. */
export const frontLength = (pattern: HitPattern): number => pattern.sentStart.length + stretches.bytes;

/** Bytes of the head behind the stored fields. */
export function tailLength(pattern: HitPattern, numbers: HitNumbers): number {
	let length = 0;
	for (const piece of pattern.tail)
		switch (piece.kind) {
			case "text":
				length += piece.bytes.length;
				break;
			case "x-varnish":
				length += digitsOf(numbers.transaction) + 1 + digitsOf(numbers.objectTransaction);
				break;
			case "age":
				length += digitsOf(numbers.age);
				break;
			default:
				length += digitsOf(numbers.bodyBytes);
		}
	return length;
}

/** Where putHead() put the lines X-Varnish and Age, for the log; an end of 0: nowhere. */
export const placed = { varnishAt: 0, varnishEnd: 0, ageAt: 0, ageEnd: 0 };

/**
 * Writes the head at `at`; `stored` is the head that fits() saw last. `isTailThere`: the last head that was written ends
 * at the same place, and its tail differs in the numbers alone.
 */
export function putHead(
	pattern: HitPattern,
	numbers: HitNumbers,
	stored: Uint8Array,
	into: ByteBuffer,
	at: number,
	isTailThere: boolean,
): void {
	const { sentStart, tail } = pattern;
	let to = at;
	for (let from = 0; from < sentStart.length; from++) into[to++] = sentStart[from]!;
	for (let index = 0; index < stretches.count; index++) {
		const end = stretches.ends[index]!;
		for (let from = stretches.starts[index]!; from < end; from++) into[to++] = stored[from]!;
	}
	placed.varnishEnd = 0;
	placed.ageEnd = 0;
	for (let index = 0; index < tail.length; index++) {
		const piece = tail[index]!;
		switch (piece.kind) {
			case "text": {
				const { bytes } = piece;
				if (isTailThere) to += bytes.length;
				else for (let from = 0; from < bytes.length; from++) into[to++] = bytes[from]!;
				break;
			}
			case "x-varnish":
				placed.varnishAt = to - "X-Varnish: ".length;
				to = putNumber(into, to, numbers.transaction);
				into[to++] = BLANK;
				to = putNumber(into, to, numbers.objectTransaction);
				placed.varnishEnd = to;
				break;
			case "age":
				placed.ageAt = to - "Age: ".length;
				to = putNumber(into, to, numbers.age);
				placed.ageEnd = to;
				break;
			default:
				to = putNumber(into, to, numbers.bodyBytes);
		}
	}
}

function putNumber(bytes: Uint8Array, at: number, value: number): number {
	const digits = digitsOf(value);
	putDigits(bytes, at, value, digits);
	return at + digits;
}
