/**
 * An HTTP/1.x answer, read as it arrives. Pure: bytes in, events out.
 * RFC 9112 §4 (status line), §5 (fields), §6 (body length), §7.1 (chunked).
 * Lenient where servers are: bare LF, any version, junk between fields; and as keepalived is: any protocol's name in
 * front of the status ("ICY 200 OK").
 */

/** Status line and fields together; more is an error. */
export const HEAD_LIMIT_BYTES = 64 * 1024;
/** A body that goes on beyond this is an error: the check would never end. */
export const BODY_LIMIT_BYTES = 256 * 1024 * 1024;
/** RFC 9112 §7.1: a chunk's size line with its extensions, or one trailer line. */
const CHUNK_LINE_LIMIT_BYTES = 4 * 1024;

export interface ResponseSink {
	/** Body bytes as they are on the wire (with chunk framing, if any), up to Content-Length. */
	raw(bytes: Uint8Array): void;
	/** Body bytes with the chunk framing taken off. */
	body(bytes: Uint8Array): void;
}

type State =
	| { readonly kind: "head" }
	| { readonly kind: "length"; left: number }
	| { readonly kind: "until-close" }
	| { readonly kind: "chunk-size" }
	| { readonly kind: "chunk-data"; left: number }
	| { readonly kind: "chunk-end" }
	| { readonly kind: "trailer" }
	| { readonly kind: "done" };

const headState: State = { kind: "head" };
const doneState: State = { kind: "done" };
const statusLine = /^[A-Za-z]{1,16}(?:\/\d+(?:\.\d+)?)?[ \t]+(\d{3})(?!\d)/;
/** What may still become a status line. */
const beginsStatusLine = /^[A-Za-z]{0,16}(?:$|[/ \t])/;
const contentLengthField = /\ncontent-length[ \t]*:[ \t]*(\d{1,15})[ \t]*\r?\n/i;
const chunkedField = /\ntransfer-encoding[ \t]*:[^\n]*\bchunked[ \t]*\r?\n/i;

export class ResponseError extends Error {}

export class HttpResponseReader {
	/** 0 until the status line was read. */
	status = 0;
	/** As announced; null when it is not. */
	contentLength: number | null = null;
	/** Status line and fields with the blank line, a character for each byte; empty until they were read. */
	head = "";
	chunked = false;
	/** Body bytes on the wire so far. */
	bodyBytes = 0;
	#state: State = headState;
	#unread = "";
	#line = "";
	readonly #sink: ResponseSink | null;
	readonly #bodyless: boolean;

	/**
	 * `sink` null: nobody wants the body's bytes, which are then counted only. `bodyless`: the request was one whose
	 * answer has no body (HEAD).
	 */
	constructor(sink: ResponseSink | null, bodyless = false) {
		this.#sink = sink;
		this.#bodyless = bodyless;
	}

	/** The whole message has arrived, as far as it tells its own length. */
	get complete(): boolean {
		return this.#state.kind === "done";
	}

	/** The head was read to its end. */
	get headRead(): boolean {
		return this.#state.kind !== "head";
	}

	/** Bytes are still missing from a message that told its length. */
	get truncated(): boolean {
		return this.#state.kind !== "done" && this.#state.kind !== "until-close" && this.#state.kind !== "head";
	}

	/** Takes the next bytes. Throws a ResponseError when this is no HTTP answer or is over a limit. */
	push(chunk: Uint8Array): void {
		let at = 0;
		if (this.#state.kind === "head") {
			at = this.#readHead(chunk);
			if (at < 0) return;
		}
		while (at < chunk.length && this.#state.kind !== "done") at = this.#readBody(chunk, at);
	}

	/** Returns where the body begins in `chunk`, or -1 when the head goes on. */
	#readHead(chunk: Uint8Array): number {
		const before = this.#unread.length;
		this.#unread += latin1(chunk, 0, chunk.length);
		// The blank line may have begun in an earlier chunk.
		const end = endOfHead(this.#unread, Math.max(0, before - 3));
		if (end < 0) {
			if (this.#unread.length > HEAD_LIMIT_BYTES)
				throw new ResponseError(`the answer's head is longer than ${HEAD_LIMIT_BYTES} bytes`);
			if (
				!beginsStatusLine.test(this.#unread) ||
				(this.#unread.includes("\n") && !statusLine.test(this.#unread))
			)
				throw new ResponseError(`no HTTP answer: ${quote(this.#unread)}`);
			return -1;
		}
		if (end > HEAD_LIMIT_BYTES)
			throw new ResponseError(`the answer's head is longer than ${HEAD_LIMIT_BYTES} bytes`);
		this.head = this.#unread.slice(0, end);
		this.#unread = "";
		this.#parseHead(this.head);
		return end - before;
	}

	#parseHead(head: string): void {
		const match = statusLine.exec(head);
		if (match === null) throw new ResponseError(`no HTTP status line: ${quote(head)}`);
		this.status = Number(match[1]);
		const length = contentLengthField.exec(head);
		this.contentLength = length === null ? null : Number(length[1]);
		this.chunked = chunkedField.test(head);
		if (this.#bodyless || this.status === 204 || this.status === 304) this.#state = doneState;
		else if (this.chunked) this.#state = { kind: "chunk-size" };
		else if (this.contentLength === 0) this.#state = doneState;
		else if (this.contentLength !== null) this.#state = { kind: "length", left: this.contentLength };
		else this.#state = { kind: "until-close" };
	}

	/** Consumes at least the byte at `from`; returns where it stopped. */
	#readBody(bytes: Uint8Array, from: number): number {
		const state = this.#state;
		switch (state.kind) {
			case "length":
			case "chunk-data": {
				const end = Math.min(bytes.length, from + state.left);
				this.#take(bytes, from, end, true);
				state.left -= end - from;
				if (state.left === 0) this.#state = state.kind === "length" ? doneState : { kind: "chunk-end" };
				return end;
			}
			case "until-close":
				this.#take(bytes, from, bytes.length, true);
				return bytes.length;
			case "chunk-size":
			case "chunk-end":
			case "trailer":
				return this.#readLine(bytes, from, state.kind);
			case "head":
			case "done":
				return bytes.length;
		}
	}

	#readLine(bytes: Uint8Array, from: number, kind: "chunk-size" | "chunk-end" | "trailer"): number {
		const newline = bytes.indexOf(10, from);
		const end = newline < 0 ? bytes.length : newline + 1;
		this.#take(bytes, from, end, false);
		this.#line += latin1(bytes, from, end);
		if (this.#line.length > CHUNK_LINE_LIMIT_BYTES) throw new ResponseError("a chunk line is too long");
		if (newline < 0) return end;
		const line = this.#line.replace(/\r?\n$/, "");
		this.#line = "";
		if (kind === "chunk-end") {
			if (line !== "") throw new ResponseError("a chunk does not end where it says");
			this.#state = { kind: "chunk-size" };
		} else if (kind === "trailer") {
			if (line === "") this.#state = doneState;
		} else {
			const size = /^([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?$/.exec(line);
			if (size === null) throw new ResponseError(`no chunk size: ${quote(line)}`);
			const left = Number.parseInt(size[1]!, 16);
			this.#state = left === 0 ? { kind: "trailer" } : { kind: "chunk-data", left };
		}
		return end;
	}

	/** `isBody`: these are no chunk framing. */
	#take(bytes: Uint8Array, from: number, end: number, isBody: boolean): void {
		this.bodyBytes += end - from;
		if (this.bodyBytes > BODY_LIMIT_BYTES)
			throw new ResponseError(`the body is longer than ${BODY_LIMIT_BYTES} bytes`);
		if (this.#sink === null) return;
		const part = bytes.subarray(from, end);
		this.#sink.raw(part);
		if (isBody) this.#sink.body(part);
	}
}

/** As a Buffer says it, without making one of `bytes`. */
function latin1(bytes: Uint8Array, from: number, end: number): string {
	return Buffer.prototype.toString.call(bytes, "latin1", from, end);
}

/** Index after the blank line that ends the head, or -1. */
function endOfHead(text: string, from: number): number {
	for (let index = text.indexOf("\n", from); index >= 0; index = text.indexOf("\n", index + 1)) {
		if (text.charCodeAt(index + 1) === 10) return index + 2;
		if (text.charCodeAt(index + 1) === 13 && text.charCodeAt(index + 2) === 10) return index + 3;
	}
	return -1;
}

/** The beginning of what a server said, safe to print. */
export function quote(text: string): string {
	const line = text.split(/[\r\n]/, 1)[0]!.slice(0, 60);
	return JSON.stringify(line.replace(/[^\x20-\x7e]/g, "."));
}
