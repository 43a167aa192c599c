/**
 * Reads back what is in the ring now (VSL layout, see ring.ts): the newest seven eighths of it, since the
 * eighth that is being written may change under the reader. Pure over the mapped bytes.
 */
const HEAD_BYTES = 88;
const SEGMENTS = 8;
const END_TAG = 0xfe45;
const BATCH = 0xff;
const WRAP_MARK = 0xfe575757 | 0;

export type OnRecord = (tag: number, id: number, payload: string) => void;

/** Gives every record to `onRecord`, oldest first. `id` has no side bits. Stops at whatever it does not understand. */
export function readRing(bytes: Uint8Array, onRecord: OnRecord): void {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const segmentWords = Number(view.getBigInt64(8, true));
	const words = new Int32Array(bytes.buffer, bytes.byteOffset + HEAD_BYTES, segmentWords * SEGMENTS);
	const text = Buffer.from(bytes.buffer, bytes.byteOffset + HEAD_BYTES, words.length * 4);
	const newest = view.getUint32(16, true);
	const current = newest % SEGMENTS;
	// After the first turn the oldest whole segment is the second after the one that is written.
	const turned = newest < 0x80000000;
	let at = 0;
	if (turned) at = Number(view.getBigInt64(24 + ((current + 2) % SEGMENTS) * 8, true));
	let wrapped = !turned;
	for (let count = 0; count < words.length; count++) {
		if (at < 0 || at >= words.length) return;
		const word = Atomics.load(words, at);
		if (word === WRAP_MARK) {
			if (wrapped) return;
			wrapped = true;
			at = 0;
			continue;
		}
		if (word >>> 16 === END_TAG) return;
		const tag = word >>> 24;
		if (tag === BATCH) {
			at += 2;
			continue;
		}
		const length = word & 0xffff;
		if (length > 0)
			onRecord(
				tag,
				words[at + 1]! & 0x3fffffff,
				text.toString("latin1", (at + 2) * 4, (at + 2) * 4 + length - 1),
			);
		at += 2 + ((length + 3) >> 2);
	}
}
