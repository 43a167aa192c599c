/**
 * Where things are in a store file. One file holds everything that the budget pays for: the index, the
 * bookkeeping and the objects. Every process maps it; positions are fixed when the file is made.
 *
 *   control | shard versions | buckets | slots | tags | expiry wheel | segments | pins | ghosts | data
 *
 * The data area is cut into segments of equal size. Objects are written one after another into an open
 * segment; room is made by a segment at a time (see arena.ts).
 */

export const STORE_MAGIC = 0x44525653;
export const STORE_VERSION = 5;

/** Most processes that may map one store. */
export const WORKER_LIMIT = 32;
/** Changes are told apart by 2^SHARD_BITS version counters. */
export const SHARD_COUNT = 16384;
/** One-second steps of the expiry wheel. */
export const WHEEL_STEPS = 4096;
export const CONTROL_BYTES = 4096;
/** No mapping is larger (a JavaScript array buffer ends at 4 GiB). */
const MAP_BYTES = 1 << 30;
const PAGE_BYTES = 4096;

/** Int32 indices into the control page. */
export const Control = {
	magic: 0,
	version: 1,
	/** Worker id + 1 of who holds the store's lock; 0 when free. */
	lock: 2,
	slotCount: 3,
	segmentCount: 4,
	segmentBytes: 5,
	freeSlot: 6,
	sequence: 7,
	wheelSecond: 8,
	liveObjects: 9,
	seed: 10,
	nuked: 11,
	expired: 12,
	smallSegments: 13,
	ghostHand: 14,
	banSequence: 15,
	clean: 16,
	largeSegments: 17,
	/** Of the bookkeeping, when it was laid down. */
	bookSum: 18,
	/** Open segment + 1 of each worker, two queues each. */
	open: 64,
} as const;

/** Float64 indices into the control page. */
export const ControlFloat = { liveBytes: 256, transientBytes: 257, transientObjects: 258 } as const;

export interface Layout {
	readonly totalBytes: number;
	readonly segmentBytes: number;
	readonly segmentCount: number;
	readonly slotCount: number;
	/** Power of two. */
	readonly bucketCount: number;
	/** Power of two. */
	readonly ghostCount: number;
	readonly shardsAt: number;
	readonly bucketsAt: number;
	readonly slotsAt: number;
	readonly tagsAt: number;
	readonly wheelAt: number;
	readonly segmentsAt: number;
	readonly pinsAt: number;
	readonly ghostsAt: number;
	/** End of the bookkeeping, start of the data; on a page boundary. */
	readonly dataAt: number;
	/** Segments per mapping of the data area. */
	readonly segmentsPerMap: number;
}

/** Int32 words of one slot. */
export const SLOT_WORDS = 12;
export const Slot = {
	next: 0,
	hashLow: 1,
	hashHigh: 2,
	segment: 3,
	/** Byte offset in the segment. */
	offset: 4,
	flags: 5,
	hits: 6,
	/** Uses since it was last considered for eviction, at most 3. */
	frequency: 7,
	wheelNext: 8,
	wheelPrevious: 9,
	/** Unix second at which nothing of it is of use any more. */
	deadline: 10,
	/** The newest ban it was tested against. */
	ban: 11,
} as const;

/** Int32 words of the tags of one slot (tags.ts): a column of their own, since they are looked through one after another. */
export const TAG_WORDS = 2;

/** Slot flags. */
export const Flag = {
	live: 1,
	hitForMiss: 2,
	hitForPass: 4,
	transient: 8,
	gzip: 16,
	/** Checked against its checksum since the file was opened. */
	verified: 32,
	large: 64,
	/** A hit-for-miss that has the answer with it, to ask the origin whether it still holds. */
	remembered: 128,
	/** Its grace is only for revalidation (RFC 9111 §4.2.4). */
	strict: 256,
} as const;

export const SEGMENT_WORDS = 8;
export const Segment = {
	state: 0,
	queue: 1,
	sequence: 2,
	usedBytes: 3,
	liveCount: 4,
	owner: 5,
	/** Segments in the run that a large object takes; 1 otherwise. */
	run: 6,
} as const;
export const SegmentState = { free: 0, open: 1, sealed: 2, tail: 3 } as const;
export const Queue = { small: 0, main: 1, large: 2 } as const;

const roundUp = (value: number, step: number) => Math.ceil(value / step) * step;

/** Average object that the index is made for. A store full of smaller ones evicts for want of slots. */
const OBJECT_BYTES = 1024;
export const STORE_MINIMUM_BYTES = 256 * 1024;

/** Cuts `budgetBytes` up. The result never needs more than the budget. */
export function planLayout(budgetBytes: number): Layout {
	const total = Math.floor(Math.max(budgetBytes, STORE_MINIMUM_BYTES) / PAGE_BYTES) * PAGE_BYTES;
	let segmentBytes = 16384;
	while (segmentBytes < 1 << 20 && total / segmentBytes > 96) segmentBytes *= 2;
	const slotCount = Math.max(64, Math.floor(total / OBJECT_BYTES));
	let bucketCount = 64;
	while (bucketCount < slotCount) bucketCount *= 2;
	const ghostCount = Math.max(64, bucketCount / 4);
	const maxSegments = Math.floor(total / segmentBytes);
	const shardsAt = CONTROL_BYTES;
	const bucketsAt = shardsAt + SHARD_COUNT * 4;
	const slotsAt = bucketsAt + bucketCount * 4;
	const tagsAt = slotsAt + slotCount * SLOT_WORDS * 4;
	const wheelAt = tagsAt + slotCount * TAG_WORDS * 4;
	const segmentsAt = wheelAt + WHEEL_STEPS * 4;
	const pinsAt = segmentsAt + maxSegments * SEGMENT_WORDS * 4;
	const ghostsAt = pinsAt + maxSegments * WORKER_LIMIT * 4;
	const dataAt = roundUp(ghostsAt + ghostCount * 4, PAGE_BYTES);
	const segmentCount = Math.max(4, Math.floor((total - dataAt) / segmentBytes));
	return {
		totalBytes: dataAt + segmentCount * segmentBytes,
		segmentBytes,
		segmentCount,
		slotCount,
		bucketCount,
		ghostCount,
		shardsAt,
		bucketsAt,
		slotsAt,
		tagsAt,
		wheelAt,
		segmentsAt,
		pinsAt,
		ghostsAt,
		dataAt,
		segmentsPerMap: Math.floor(MAP_BYTES / segmentBytes),
	};
}

/** The record at the start of each object's bytes. Offsets in bytes; the key, the variant and the head follow. */
export const RECORD_BYTES = 112;
export const RECORD_MAGIC = 0x4f424a31;
export const Record = {
	magic: 0,
	totalBytes: 4,
	slot: 8,
	headChecksum: 12,
	tOrigin: 16,
	ttl: 24,
	grace: 32,
	keep: 40,
	insertedAt: 48,
	keyBytes: 56,
	varyBytes: 60,
	headBytes: 64,
	bodyBytes: 68,
	flags: 72,
	vxid: 76,
	bodyChecksum: 80,
	ban: 84,
	storage: 88,
	hashLow: 92,
	hashHigh: 96,
	tagsLow: 100,
	tagsHigh: 104,
} as const;
