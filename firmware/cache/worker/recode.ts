/** gzip as varnishd does it: packing, unpacking, and the check that what says it is gzip is (Gzip records of the log). */
import { gunzip, gunzipSync, gzip, gzipSync } from "node:zlib";

/** A body of up to so many bytes is recoded on the spot; a longer one beside, or everybody else would wait. */
export const AT_ONCE_BYTES = 128 * 1024;
/** What unpacks to more is not unpacked on the spot either. */
const UNPACK_AT_ONCE_BYTES = 8 * 1024 * 1024;

export type Recoding = "gzip" | "gunzip" | "check";

export type Recoded =
	/** `bytes` is undefined when the body stays as it is; `record` is the payload of the Gzip record. */
	| { readonly ok: true; readonly bytes: Uint8Array | undefined; readonly record: string }
	/** `tooLong`: nothing is wrong with it so far, but it unpacks to more than was allowed. */
	| { readonly ok: false; readonly reason: string; readonly tooLong?: boolean };

export function recode(body: Uint8Array, recoding: Recoding, level: number): Recoded {
	if (recoding === "gzip") return packed(body, gzipSync(body, { level }));
	try {
		return unpacked(body, gunzipSync(body, { maxOutputLength: UNPACK_AT_ONCE_BYTES }), recoding);
	} catch (error) {
		return invalidGzip(error);
	}
}

/** The same beside everything else; it may unpack to `limitBytes`. */
export function recodeBeside(
	body: Uint8Array,
	recoding: Recoding,
	level: number,
	limitBytes: number,
	done: (recoded: Recoded) => void,
): void {
	if (recoding === "gzip")
		gzip(body, { level }, (error, bytes) => done(error === null ? packed(body, bytes) : invalidGzip(error)));
	else
		gunzip(body, { maxOutputLength: limitBytes }, (error, bytes) =>
			done(error === null ? unpacked(body, bytes, recoding) : invalidGzip(error)),
		);
}

const packed = (body: Uint8Array, bytes: Uint8Array): Recoded => ({
	ok: true,
	bytes,
	record: packedRecord("-", body.length, bytes.length),
});

/** `page`: E of one with ESI tags. */
export const packedRecord = (page: "E" | "-", plainBytes: number, packedBytes: number) =>
	`G F ${page} ${plainBytes} ${packedBytes} 80 80 ${packedBytes * 8}`;

function unpacked(body: Uint8Array, plain: Uint8Array, recoding: Recoding): Recoded {
	const unpacks = recoding === "gunzip";
	const record = unpackedRecord(unpacks ? "U F" : "u F", body.length, plain.length);
	return { ok: true, bytes: unpacks ? plain : undefined, record };
}

/** `way`: unpacked or only tried, in a fetch or a delivery (vsl(7), Gzip). */
export const unpackedRecord = (way: "U F" | "u F" | "U D", packedBytes: number, plainBytes: number) =>
	`${way} - ${packedBytes} ${plainBytes} 80 80 ${packedBytes * 8}`;

/** In varnishd's words, where it has any. */
function gzipFault(message: string): string {
	return message === "unexpected end of file"
		? `tGunzip failed: ${message}`
		: `Invalid Gzip data: ${message}`;
}

export const invalidGzip = (error: unknown): Recoded => ({
	ok: false,
	reason: gzipFault(error instanceof Error ? error.message : String(error)),
	tooLong: (error as { code?: unknown } | null)?.code === "ERR_BUFFER_TOO_LARGE",
});
