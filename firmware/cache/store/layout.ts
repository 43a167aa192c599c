/**
 * Where things are in a store file. One file holds everything that the budget pays for: the index, the
 * bookkeeping and the objects. Every process maps it; positions are fixed when the file is made.
 *
 *   control | storages | shard versions | buckets | slots | tags | expiry wheel | segments | pins | ghosts | departures |
 *   data
 *
 * The data area is cut into storages (`-s`), and each of them into segments of equal size. Objects are written one
 * after another into an open segment of their storage; room is made by a segment at a time (see segments.ts).
 */

export const STORE_MAGIC = 0x44525653;
export const STORE_VERSION = 7;
/** Differs in the bookkeeping alone: its index is built anew. */
export const STORE_VERSION_BEFORE = 6;

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
	banSequence: 15,
	clean: 16,
	/** Of the bookkeeping, when it was laid down. */
	bookSum: 18,
	/** Of the sizes of the storages. */
	sizesSum: 19,
} as const;

/** The storage of what is not kept, or not for long. There always is one, the last. */
export const TRANSIENT = "Transient";
/** Most storages of one store, Transient among them. */
export const STORAGE_LIMIT = 32;
/** Bytes that are kept of each storage. */
export const STORAGE_BYTES = 384;
export const STORAGE_WORDS = STORAGE_BYTES / 4;
export const STORAGE_FLOATS = STORAGE_BYTES / 8;
/** Int32 words of one storage. */
export const Storage = {
	smallSegments: 0,
	/** Slots of the index that its objects have. */
	slots: 1,
	/** Open segment + 1 of each worker, two queues each. */
	open: 16,
} as const;
/** Float64 indices of one storage. */
export const StorageFloat = {
	requests: 40,
	failures: 41,
	bytesTaken: 42,
	bytesFreed: 43,
	objects: 44,
	bytes: 45,
} as const;

/**
 * Where the objects of a storage are: neighbouring segments, and nobody else's but Transient's if that has no size of
 * its own. Segments are counted in units of `segmentBytes`: those of a large storage are `step` units long.
 */
export interface Area {
	/** The storage whose area it is. */
	readonly storage: number;
	/** Its first unit. */
	readonly first: number;
	/** The unit behind its last. */
	readonly end: number;
	/** Units that one segment of it takes; a power of two. */
	readonly step: number;
	/** Most objects that its storage has. */
	readonly slotLimit: number;
}

export interface Layout {
	readonly totalBytes: number;
	/** Of the smallest segments. */
	readonly segmentBytes: number;
	readonly segmentCount: number;
	/** By storage. */
	readonly areas: readonly Area[];
	/** Of the sizes that it was planned for. */
	readonly sizesSum: number;
	readonly slotCount: number;
	/** Power of two. */
	readonly bucketCount: number;
	/** Power of two. */
	readonly ghostCount: number;
	/** Power of two. */
	readonly departureCount: number;
	readonly storagesAt: number;
	readonly shardsAt: number;
	readonly bucketsAt: number;
	readonly slotsAt: number;
	readonly tagsAt: number;
	readonly wheelAt: number;
	readonly segmentsAt: number;
	readonly pinsAt: number;
	readonly ghostsAt: number;
	readonly departuresAt: number;
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

/** Objects that are no more, of which it is known what became of them (departures.ts). */
const DEPARTURE_LIMIT = 65_536;
export const DEPARTURE_WORDS = 4;

/** Int32 words of the tags of one slot (tags.ts): a column of their own, since they are looked through one after another. */
export const TAG_WORDS = 2;

/** Slot flags. */
export const Flag = {
	live: 1,
	hitForMiss: 2,
	hitForPass: 4,
	gzip: 16,
	/** Checked against its checksum since the file was opened. */
	verified: 32,
	large: 64,
	/** A hit-for-miss that has the answer with it, to ask the origin whether it still holds. */
	remembered: 128,
	/** Its grace is only for revalidation (RFC 9111 §4.2.4). */
	strict: 256,
	/** A page with ESI tags: its program follows on the body, and is counted in Record.esiBytes. */
	esi: 512,
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
	/** Of the objects in it that are live. */
	liveBytes: 7,
} as const;
/** `filling`: the first of a run that its owner writes into, without the lock (reservation.ts). */
export const SegmentState = { free: 0, open: 1, sealed: 2, tail: 3, filling: 4 } as const;
export const Queue = { small: 0, main: 1, large: 2 } as const;

const roundUp = (value: number, step: number) => Math.ceil(value / step) * step;

/** Average object that the index is made for. A store full of smaller ones evicts for want of slots. */
const OBJECT_BYTES = 1024;
/** Of one storage. */
export const STORE_MINIMUM_BYTES = 256 * 1024;
/** Segments that a storage is cut into, until they are as large as they get. */
const SEGMENT_GOAL = 96;
const SEGMENT_MAXIMUM_BYTES = 1 << 20;

/**
 * What the storages may take, in bytes, in the order of their numbers, Transient last: 0 there is one without a size
 * of its own, which takes room in the largest of the others. A number by itself is one storage and such a Transient.
 */
export type StoreSizes = number | readonly number[];

function segmentBytesFor(storageBytes: number): number {
	let bytes = 16384;
	while (bytes < SEGMENT_MAXIMUM_BYTES && storageBytes / bytes > SEGMENT_GOAL) bytes *= 2;
	return bytes;
}

/** Cuts the sizes up. The result never needs more than their sum (or than the least that a storage takes). */
export function planLayout(sizes: StoreSizes): Layout {
	const wanted = typeof sizes === "number" ? [sizes, 0] : sizes;
	const own = wanted.map((bytes) => (bytes > 0 ? Math.max(bytes, STORE_MINIMUM_BYTES) : 0));
	const sum = own.reduce((all, bytes) => all + bytes, 0);
	const total = Math.floor(sum / PAGE_BYTES) * PAGE_BYTES;
	const segmentBytes = Math.min(...own.filter((bytes) => bytes > 0).map(segmentBytesFor));
	const slotCount = Math.max(64, Math.floor(total / OBJECT_BYTES));
	let bucketCount = 64;
	while (bucketCount < slotCount) bucketCount *= 2;
	const ghostCount = Math.max(64, bucketCount / 4);
	const departureCount = Math.min(bucketCount, Math.max(ghostCount, 1024), DEPARTURE_LIMIT);
	const maxSegments = Math.floor(total / segmentBytes);
	const storagesAt = CONTROL_BYTES;
	const shardsAt = storagesAt + own.length * STORAGE_BYTES;
	const bucketsAt = shardsAt + SHARD_COUNT * 4;
	const slotsAt = bucketsAt + bucketCount * 4;
	const tagsAt = slotsAt + slotCount * SLOT_WORDS * 4;
	const wheelAt = tagsAt + slotCount * TAG_WORDS * 4;
	const segmentsAt = wheelAt + WHEEL_STEPS * 4;
	const pinsAt = segmentsAt + maxSegments * SEGMENT_WORDS * 4;
	const ghostsAt = pinsAt + maxSegments * WORKER_LIMIT * 4;
	const departuresAt = ghostsAt + ghostCount * 4;
	const dataAt = roundUp(departuresAt + departureCount * DEPARTURE_WORDS * 4, PAGE_BYTES);
	const segmentCount = Math.max(4, Math.floor((total - dataAt) / segmentBytes));
	return {
		totalBytes: dataAt + segmentCount * segmentBytes,
		segmentBytes,
		segmentCount,
		areas: areasOf(own, sum, segmentBytes, segmentCount, slotCount),
		sizesSum: Bun.hash.crc32(JSON.stringify(own)) | 0,
		slotCount,
		bucketCount,
		ghostCount,
		departureCount,
		storagesAt,
		shardsAt,
		bucketsAt,
		slotsAt,
		tagsAt,
		wheelAt,
		segmentsAt,
		pinsAt,
		ghostsAt,
		departuresAt,
		dataAt,
		segmentsPerMap: Math.floor(MAP_BYTES / segmentBytes),
	};
}

/** Each storage has its share of the data: those with the largest segments come first, so that all lie on their steps. */
function areasOf(
	own: readonly number[],
	sum: number,
	segmentBytes: number,
	segmentCount: number,
	slotCount: number,
): Area[] {
	const largest = own.indexOf(Math.max(...own));
	const areas: Area[] = [];
	let first = 0;
	const order = own.map((_, storage) => storage).filter((storage) => own[storage]! > 0);
	for (const storage of order.sort((a, b) => own[b]! - own[a]!)) {
		const share = own[storage]! / sum;
		const step = segmentBytesFor(own[storage]!) / segmentBytes;
		const end = first + Math.floor((segmentCount * share) / step) * step;
		areas[storage] = { storage, first, end, step, slotLimit: Math.floor(slotCount * share) };
		first = end;
	}
	return own.map((_, storage) => areas[storage] ?? areas[largest]!);
}

/** The area that a segment belongs to; undefined for units that are left over. */
export const areaAt = ({ areas }: Layout, segment: number): Area | undefined =>
	areas.find(({ first, end }) => segment >= first && segment < end);

/** Longest ESI program of an object. */
export const PROGRAM_BYTES = 4 << 20;
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
	/** Only with Flag.esi. */
	esiBytes: 108,
} as const;
