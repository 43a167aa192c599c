/**
 * The chunked transfer coding (RFC 9112 §7.1). The decoder is strict: a size line is hexadecimal digits,
 * an optional extension, CRLF; data is followed by CRLF. Anything else is an error, since two parsers that
 * disagree here disagree about where the next message starts.
 */

import { isTokenByte } from "./syntax.ts";

/** Longest size line with its extension; a longer one is refused. */
const SIZE_LINE_BYTES = 256;
/** Longest trailer section; it is read and dropped. */
const TRAILER_BYTES = 8192;
/** 2^53 has 14 hexadecimal digits: a size of more than 12 cannot be meant. */
const SIZE_DIGITS = 12;

const State = {
	size: 0,
	extension: 1,
	sizeLf: 2,
	data: 3,
	dataCr: 4,
	dataLf: 5,
	trailer: 6,
	done: 7,
} as const;
type State = (typeof State)[keyof typeof State];

export class ChunkedDecoder {
	#state: State = State.size;
	#left = 0;
	#digits = 0;
	#lineBytes = 0;
	#trailerLineBytes = 0;
	#trailerBytes = 0;
	#sawCr = false;
	#inTrailerValue = false;

	get done(): boolean {
		return this.#state === State.done;
	}

	/**
	 * Takes bytes from `from`; `onData` gets slices of `bytes`, valid during the call.
	 * Returns the index after the last byte taken (less than the length only when done), or why it is malformed.
	 */
	push(bytes: Uint8Array, from: number, onData: (data: Uint8Array) => void): number | string {
		let at = from;
		while (at < bytes.length) {
			if (this.#state === State.done) return at;
			if (this.#state === State.data) {
				const take = Math.min(this.#left, bytes.length - at);
				onData(bytes.subarray(at, at + take));
				at += take;
				this.#left -= take;
				if (this.#left === 0) this.#state = State.dataCr;
				continue;
			}
			const fault = this.#step(bytes[at]!);
			if (fault !== undefined) return fault;
			at++;
		}
		return at;
	}

	#step(byte: number): string | undefined {
		switch (this.#state) {
			case State.size: {
				if (++this.#lineBytes > SIZE_LINE_BYTES) return "chunk size line is over its limit";
				const digit = hexDigit(byte);
				if (digit >= 0) {
					if (++this.#digits > SIZE_DIGITS) return "chunk size is over its limit";
					this.#left = this.#left * 16 + digit;
					return undefined;
				}
				if (this.#digits === 0) return "chunk size is missing";
				if (byte === 0x0d) this.#state = State.sizeLf;
				else if (byte === 0x3b) this.#state = State.extension;
				else return "chunk size is not hexadecimal";
				return undefined;
			}
			case State.extension:
				if (++this.#lineBytes > SIZE_LINE_BYTES) return "chunk size line is over its limit";
				if (byte === 0x0d) this.#state = State.sizeLf;
				else if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f)
					return "chunk extension holds a control character";
				return undefined;
			case State.sizeLf:
				if (byte !== 0x0a) return "chunk size line does not end with CRLF";
				this.#lineBytes = 0;
				this.#digits = 0;
				this.#state = this.#left === 0 ? State.trailer : State.data;
				return undefined;
			case State.dataCr:
				if (byte !== 0x0d) return "chunk data is longer than its size";
				this.#state = State.dataLf;
				return undefined;
			case State.dataLf:
				if (byte !== 0x0a) return "chunk data does not end with CRLF";
				this.#left = 0;
				this.#state = State.size;
				return undefined;
			case State.trailer:
				return this.#trailer(byte);
			default:
				return undefined;
		}
	}

	#trailer(byte: number): string | undefined {
		if (++this.#trailerBytes > TRAILER_BYTES) return "trailer is over its limit";
		if (this.#sawCr) {
			if (byte !== 0x0a) return "bare CR in the trailer";
			this.#sawCr = false;
			if (this.#trailerLineBytes === 0) this.#state = State.done;
			this.#trailerLineBytes = 0;
			this.#inTrailerValue = false;
			return undefined;
		}
		if (byte === 0x0a) return "bare LF in the trailer";
		if (byte === 0x0d) {
			// To a reader without trailers that would be the next request.
			if (this.#trailerLineBytes > 0 && !this.#inTrailerValue) return "line without a colon in the trailer";
			this.#sawCr = true;
			return undefined;
		}
		if (this.#inTrailerValue) {
			if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) return "control character in the trailer";
		} else if (byte === 0x3a && this.#trailerLineBytes > 0) this.#inTrailerValue = true;
		else if (!isTokenByte(byte)) return "name of a trailer field is not a token";
		this.#trailerLineBytes++;
		return undefined;
	}
}

function hexDigit(byte: number): number {
	if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
	const lower = byte | 0x20;
	return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** The size line before `bytes` of data; CRLF follows the data. */
export const chunkHead = (bytes: number) => `${bytes.toString(16)}\r\n`;
export const LAST_CHUNK = "0\r\n\r\n";
