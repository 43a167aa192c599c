/** How many bytes a record takes, and whether what it says of that can be believed. Pure. */
import { Flag, PROGRAM_BYTES, RECORD_BYTES, Record } from "./layout.ts";

const ALIGN = 8;
export const round8 = (bytes: number) => Math.ceil(bytes / ALIGN) * ALIGN;

/** Bytes of the ESI program of the record at `base`. */
export const programBytes = (words: Int32Array, base: number) =>
	(words[(base + Record.flags) >> 2]! & Flag.esi) === 0 ? 0 : words[(base + Record.esiBytes) >> 2]!;

/** Bytes that the record at `base` takes; negative when its parts come to another length than it says: it is damaged. */
export function soundBytes(words: Int32Array, base: number): number {
	const word = base >> 2;
	let bytes = RECORD_BYTES;
	for (const part of [Record.keyBytes, Record.varyBytes, Record.headBytes, Record.bodyBytes]) {
		const length = words[word + (part >> 2)]!;
		if (length < 0) return -1;
		bytes += length;
	}
	const esiBytes = programBytes(words, base);
	if (esiBytes < 0 || esiBytes > PROGRAM_BYTES) return -1;
	const total = round8(bytes + esiBytes);
	return total === words[word + (Record.totalBytes >> 2)]! ? total : -1;
}
