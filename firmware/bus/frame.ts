/**
 * Frames on the local sockets: a 32-bit big-endian length, then that many bytes of CBOR.
 * Pure: bytes in, values out.
 */
import { Decoder, Encoder } from "cbor-x";

/** A longer frame is an error: whoever sends it is broken. */
export const FRAME_LIMIT_BYTES = 64 * 1024 * 1024;

const encoder = new Encoder({ useRecords: false, mapsAsObjects: true });

/** Reads maps as such: into an object it would write "__proto__" as another key. */
const mapDecoder = new Decoder({ useRecords: false, mapsAsObjects: false });
const PROTO = Buffer.from("__proto__");

/** One value; a key may be any name, "__proto__" too. */
function decode(body: Uint8Array): unknown {
	return Buffer.from(body.buffer, body.byteOffset, body.length).includes(PROTO)
		? plain(mapDecoder.decode(body))
		: encoder.decode(body);
}

function plain(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(plain);
	if (!(value instanceof Map)) return value;
	return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]));
}

export function encodeFrame(value: unknown): Uint8Array {
	const body = encoder.encode(value);
	const frame = new Uint8Array(4 + body.length);
	new DataView(frame.buffer).setUint32(0, body.length);
	frame.set(body, 4);
	return frame;
}

/** Collects bytes and yields whole values. Throws a RangeError on a frame over the limit and an Error on bad CBOR. */
export class FrameReader {
	#pending: Uint8Array = new Uint8Array(0);
	/** The whole length that `#pending` needs before it is worth looking at again. */
	#needed = 4;
	#parts: Uint8Array[] = [];
	#collected = 0;

	push(chunk: Uint8Array): unknown[] {
		this.#parts.push(new Uint8Array(chunk));
		this.#collected += chunk.length;
		if (this.#collected < this.#needed) return [];
		this.#pending = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
		const values: unknown[] = [];
		let offset = 0;
		this.#needed = 4;
		while (this.#pending.length - offset >= 4) {
			const length = new DataView(this.#pending.buffer, this.#pending.byteOffset + offset).getUint32(0);
			if (length > FRAME_LIMIT_BYTES) throw new RangeError(`frame of ${length} bytes is over the limit`);
			if (this.#pending.length - offset < 4 + length) {
				this.#needed = 4 + length;
				break;
			}
			values.push(decode(this.#pending.subarray(offset + 4, offset + 4 + length)));
			offset += 4 + length;
		}
		const rest = this.#pending.subarray(offset);
		this.#parts = rest.length > 0 ? [rest] : [];
		this.#collected = rest.length;
		return values;
	}
}
