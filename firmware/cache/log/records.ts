/**
 * Log records as text, one character per byte, in the layout of transaction-log.ts. The id words stay zero until they
 * are written, so that records which many transactions share (the header block of a browser, the head of a stored
 * object) are made once.
 */
import { shownTags } from "./tags.ts";

/** vsl_reclen: longest payload with its NUL. Set from the parameter. */
export let payloadLimit = 255;
export function setPayloadLimit(bytes: number): void {
	payloadLimit = bytes;
}

/** First word of a batch: the records of one transaction, the second word says how many bytes. */
export const BATCH_TAG = 255 << 24;

const padding = ["\0\0\0\0", "\0\0\0", "\0\0", "\0"];
/** First eight bytes of a record by tag and payload length, made when first needed. */
const heads: (string | undefined)[] = new Array(256 * 512);

function recordHead(tag: number, length: number): string {
	const index = tag * 512 + length;
	const known = length < 512 ? heads[index] : undefined;
	if (known !== undefined) return known;
	const head = String.fromCharCode(length & 255, length >> 8, 0, tag, 0, 0, 0, 0);
	if (length < 512) heads[index] = head;
	return head;
}

/** One record as text; empty when the tag is not shown. Two header words, payload, padding. */
export function record(tag: number, payload: string): string {
	if (shownTags[tag] === 0) return "";
	const text = payload.length < payloadLimit ? payload : payload.slice(0, payloadLimit - 1);
	return recordHead(tag, text.length + 1) + text + padding[text.length & 3];
}

/** The same with bytes that are no text: without the NUL at the end. */
export function binaryRecord(tag: number, payload: string): string {
	if (shownTags[tag] === 0) return "";
	const bytes = payload.length <= payloadLimit ? payload : payload.slice(0, payloadLimit);
	return recordHead(tag, bytes.length) + bytes + "\0".repeat(-bytes.length & 3);
}

/** Records of one tag, a line each. */
export function records(tag: number, lines: readonly string[]): string {
	let text = "";
	for (const line of lines) text += record(tag, line);
	return text;
}

const threeDigits = Array.from({ length: 1000 }, (_, index) => String(index).padStart(3, "0"));
let lastWhole = -1;
let lastWholeText = "";
let lastSeconds = Number.NaN;
let lastText = "";

/** A number of seconds with six decimals, as "%.6f" prints it. */
export function formatSeconds(seconds: number): string {
	if (seconds === lastSeconds) return lastText;
	if (!(seconds >= 0)) return seconds.toFixed(6);
	const micros = Math.round(seconds * 1e6);
	const whole = Math.floor(micros / 1e6);
	const part = micros - whole * 1e6;
	const high = (part / 1000) | 0;
	if (whole !== lastWhole) {
		lastWhole = whole;
		lastWholeText = String(whole);
	}
	const text = `${lastWholeText}.${threeDigits[high]}${threeDigits[part - high * 1000]}`;
	// Times of day come in pairs; durations differ every time.
	if (whole > 1e9) {
		lastSeconds = seconds;
		lastText = text;
	}
	return text;
}

/** A number of seconds without a fraction, as "%.0f" prints it. */
export const wholeSeconds = (seconds: number): string => String(Math.round(seconds));

/** Which side of the cache a transaction is on; the bit its id carries. */
export const Side = { none: 0, client: 0x40000000, backend: 0x80000000 } as const;
