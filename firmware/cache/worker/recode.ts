/** gzip as varnishd does it: packing, unpacking, and the check that what says it is gzip is (Gzip records of the log). */
import { gunzipSync, gzipSync } from "node:zlib";

/** A body that unpacks to more is not checked or unpacked here. */
const UNPACK_LIMIT_BYTES = 256 * 1024 * 1024;

export type Recoding = "gzip" | "gunzip" | "check";

export type Recoded =
	/** `bytes` is undefined when the body stays as it is; `record` is the payload of the Gzip record. */
	| { readonly ok: true; readonly bytes: Uint8Array | undefined; readonly record: string }
	| { readonly ok: false; readonly reason: string };

export function recode(body: Uint8Array, recoding: Recoding, level: number): Recoded {
	if (recoding === "gzip") {
		const packed = gzipSync(body, { level });
		const record = `G F - ${body.length} ${packed.length} 80 80 ${packed.length * 8}`;
		return { ok: true, bytes: packed, record };
	}
	try {
		const plain = gunzipSync(body, { maxOutputLength: UNPACK_LIMIT_BYTES });
		const unpacks = recoding === "gunzip";
		const record = unpackedRecord(unpacks ? "U F" : "u F", body.length, plain.length);
		return { ok: true, bytes: unpacks ? plain : undefined, record };
	} catch (error) {
		return invalidGzip(error);
	}
}

/** `way`: unpacked or only tried, in a fetch or a delivery (vsl(7), Gzip). */
export const unpackedRecord = (way: "U F" | "u F" | "U D", packedBytes: number, plainBytes: number) =>
	`${way} - ${packedBytes} ${plainBytes} 80 80 ${packedBytes * 8}`;

export const invalidGzip = (error: unknown): Recoded => ({
	ok: false,
	reason: `Invalid Gzip input: ${error instanceof Error ? error.message : error}`,
});
