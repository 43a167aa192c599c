/**
 * Log records of one transaction, gathered as one string and written to the shared ring at once.
 *
 * A record is two little-endian words and the payload (VSL layout): tag << 24 | payload length with its final
 * NUL, then the transaction's id, then the text, padded with NULs to whole words. The string holds exactly those
 * bytes; the id words stay zero until the ring writes them, so that records which many transactions share
 * (the header block of a browser, the head of a stored object) are made once.
 */
import { shownTags, Tag } from "./tags.ts";

/** vsl_reclen: longest payload with its NUL. Set from the parameter. */
let payloadLimit = 255;
export function setPayloadLimit(bytes: number): void {
	payloadLimit = bytes;
}

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

/** Start and Req time stamps around their (17-character) times. */
const startParts = (() => {
	const time = "1".repeat(17);
	const text =
		record(Tag.Timestamp, `Start: ${time} 0.000000 0.000000`) +
		record(Tag.Timestamp, `Req: ${time} 0.000000 0.000000`);
	return text.split(time).map((part) => Buffer.from(part, "latin1").toString("latin1")) as [
		string,
		string,
		string,
	];
})();

const endRecord = Buffer.from(record(Tag.End, ""), "latin1").toString("latin1");

/** Which side of the cache a transaction is on; the bit its id carries. */
export const Side = { none: 0, client: 0x40000000, backend: 0x80000000 } as const;

/** Where finished transactions go. */
export interface LogSink {
	/** `before`: records of the parent that are written ahead, under `parentId`; either may be empty. */
	write(id: number, text: string, parentId: number, before: string): void;
	/** Records that are whole already: ids in their places, the batch with its head. */
	append(block: Uint8Array, records: number): void;
	/** Every record is written as it is made (debug=+syncvsl). */
	readonly immediate: boolean;
}

export class TransactionLog {
	readonly #sink: LogSink;
	/** Transaction number with its side bit. */
	readonly id: number;
	readonly start: number;
	#text = "";
	#last: number;
	#parent = 0;
	#before = "";
	#held = "";

	/** `start` is the Unix time of its beginning, seconds. */
	constructor(sink: LogSink, id: number, start: number) {
		this.#sink = sink;
		this.id = id;
		this.start = start;
		this.#last = start;
	}

	add(tag: number, payload: string): void {
		if (this.#held !== "") this.#settle();
		this.#text += record(tag, payload);
		if (this.#sink.immediate) this.flush();
	}

	/** Adds `text` as soon as anything else is added: it may be replaced until then. */
	hold(text: string): void {
		this.#settle();
		this.#held = text;
	}

	get holding(): boolean {
		return this.#held !== "";
	}

	/** Adds `text` instead of what is held. */
	replaceHeld(text: string): void {
		this.#held = "";
		this.addText(text);
	}

	#settle(): void {
		if (this.#held === "") return;
		this.#text += this.#held;
		this.#held = "";
	}

	/** Adds records made with record() or records(). */
	addText(text: string): void {
		if (this.#held !== "") this.#settle();
		this.#text += text;
		if (this.#sink.immediate) this.flush();
	}

	/** The time stamps Start and Req of a client's request. */
	begin(now: number): void {
		const text = formatSeconds(now);
		if (text.length === 17 && shownTags[Tag.Timestamp] === 1)
			this.addText(startParts[0] + text + startParts[1] + text + startParts[2]);
		else {
			this.timestamp("Start", now);
			this.timestamp("Req", now);
		}
	}

	/** "Label: absolute since-start since-last" */
	timestamp(label: string, now: number): void {
		const since = now - this.start;
		const step = now - this.#last;
		this.#last = now;
		this.add(
			Tag.Timestamp,
			`${label}: ${formatSeconds(now)} ${since === 0 ? "0.000000" : formatSeconds(since)} ${step === 0 ? "0.000000" : formatSeconds(step)}`,
		);
	}

	/** A record of the parent that must be in the ring before this transaction's. */
	linkParent(parentId: number, text: string): void {
		this.#parent = parentId;
		this.#before = text;
	}

	flush(): void {
		this.#settle();
		if (this.#text === "" && this.#before === "") return;
		this.#sink.write(this.id, this.#text, this.#parent, this.#before);
		this.#text = "";
		this.#before = "";
	}

	/** Returns the records that were still here: all of them, unless the sink wants each at once. */
	end(): string {
		this.#settle();
		this.#text += endRecord;
		const text = this.#text;
		this.flush();
		return text;
	}
}

export const discardingSink: LogSink = { write() {}, append() {}, immediate: false };
