/**
 * Pages as one gzip member that can be taken apart: each stretch is packed by itself and ends on a byte, so that others
 * fit between any two of them (RFC 1951 §3.2.3, blocks; RFC 1952, the member around them).
 */
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { combineCrc32 } from "./crc32.ts";
import type { EsiStep } from "./program.ts";

/** Stretches are no longer than this before they are packed: each is unpacked at once. */
export const STRETCH_BYTES = 64 * 1024;

/** No name, no time. */
export const MEMBER_HEAD: Uint8Array = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3);

/** An empty last block, the CRC-32 and the length (modulo 2³²) of everything. */
export function memberEnd(crc: number, plainBytes: number): Uint8Array {
	const end = Buffer.alloc(13);
	end.set([1, 0, 0, 0xff, 0xff]);
	end.writeUInt32LE(crc >>> 0, 5);
	end.writeUInt32LE(plainBytes >>> 0, 9);
	return end;
}

/** Blocks none of which is the last. */
export const packStretch = (plain: Uint8Array, level: number): Uint8Array =>
	deflateRawSync(plain, { level, finishFlush: constants.Z_SYNC_FLUSH });

/** Throws when `packed` is not what packStretch() made. */
export const unpackStretch = (packed: Uint8Array): Uint8Array =>
	inflateRawSync(packed, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: STRETCH_BYTES });

/** One gzip member of `page`, piece by piece; what it returns at its end are `steps` as they lie in that member. */
export function* packPage(
	page: Uint8Array,
	steps: readonly EsiStep[],
	level: number,
): Generator<Uint8Array, readonly EsiStep[]> {
	yield MEMBER_HEAD;
	const packed: EsiStep[] = [{ kind: "skip", bytes: MEMBER_HEAD.length }];
	let at = 0;
	let sum = 0;
	for (const step of steps) {
		if (step.kind === "include") {
			packed.push(step);
			continue;
		}
		const end = at + step.bytes;
		for (; at < end; at = Math.min(end, at + STRETCH_BYTES)) {
			const plain = page.subarray(at, Math.min(end, at + STRETCH_BYTES));
			const crc = Bun.hash.crc32(plain);
			sum = combineCrc32(sum, crc, plain.length);
			const piece = packStretch(plain, level);
			yield piece;
			packed.push(
				step.kind === "skip"
					? { kind: "skip", bytes: piece.length }
					: { kind: "verbatim", bytes: piece.length, crc, plainBytes: plain.length },
			);
		}
	}
	yield memberEnd(sum, page.length);
	return packed;
}
