/**
 * A store file as one process has it mapped: typed arrays over its index and its data, and what can be said of
 * one slot, record or segment by itself.
 */
import { closeSync, existsSync, ftruncateSync, openSync, statSync } from "node:fs";
import { type ByteBuffer, byteBuffer } from "../http/bytes.ts";
import {
	CONTROL_BYTES,
	Control,
	DEPARTURE_WORDS,
	type Layout,
	planLayout,
	RECORD_BYTES,
	RECORD_MAGIC,
	Record,
	SEGMENT_WORDS,
	Segment,
	SHARD_COUNT,
	SLOT_WORDS,
	Slot,
	STORAGE_FLOATS,
	STORAGE_WORDS,
	STORE_MAGIC,
	STORE_VERSION,
	STORE_VERSION_BEFORE,
	Storage,
	StorageFloat,
	type StoreSizes,
	TAG_WORDS,
	WHEEL_STEPS,
	WORKER_LIMIT,
} from "./layout.ts";

/** One mapping of the data area. */
export interface DataMap {
	readonly bytes: Uint8Array;
	readonly buffer: ByteBuffer;
	readonly words: Int32Array;
	readonly floats: Float64Array;
}

/** A record in its mapping. */
export interface Placed extends DataMap {
	/** Byte offset of its start. */
	readonly base: number;
}

export class Book {
	readonly layout: Layout;
	readonly control: Int32Array;
	/** Words and floats of the same bytes. */
	readonly storages: Int32Array;
	readonly storageFloats: Float64Array;
	readonly shards: Int32Array;
	readonly buckets: Int32Array;
	readonly slots: Int32Array;
	readonly tags: Int32Array;
	readonly wheel: Int32Array;
	readonly segments: Int32Array;
	readonly pins: Int32Array;
	readonly ghosts: Int32Array;
	readonly departures: Int32Array;
	readonly maps: DataMap[] = [];

	constructor(path: string, layout: Layout) {
		this.layout = layout;
		const book = Bun.mmap(path, { shared: true, size: layout.dataAt });
		const words = (at: number, count: number) => new Int32Array(book.buffer, book.byteOffset + at, count);
		this.control = words(0, 1024);
		const { storagesAt, areas } = layout;
		this.storages = words(storagesAt, areas.length * STORAGE_WORDS);
		this.storageFloats = new Float64Array(
			book.buffer,
			book.byteOffset + storagesAt,
			areas.length * STORAGE_FLOATS,
		);
		this.shards = words(layout.shardsAt, SHARD_COUNT);
		this.buckets = words(layout.bucketsAt, layout.bucketCount);
		this.slots = words(layout.slotsAt, layout.slotCount * SLOT_WORDS);
		this.tags = words(layout.tagsAt, layout.slotCount * TAG_WORDS);
		this.wheel = words(layout.wheelAt, WHEEL_STEPS);
		this.segments = words(layout.segmentsAt, layout.segmentCount * SEGMENT_WORDS);
		this.pins = words(layout.pinsAt, layout.segmentCount * WORKER_LIMIT);
		this.ghosts = words(layout.ghostsAt, layout.ghostCount);
		this.departures = words(layout.departuresAt, layout.departureCount * DEPARTURE_WORDS);
		for (let first = 0; first < layout.segmentCount; first += layout.segmentsPerMap) {
			const count = Math.min(layout.segmentsPerMap, layout.segmentCount - first);
			const bytes = Bun.mmap(path, {
				shared: true,
				offset: layout.dataAt + first * layout.segmentBytes,
				size: count * layout.segmentBytes,
			});
			this.maps.push({
				bytes,
				buffer: byteBuffer(bytes),
				words: new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2),
				floats: new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3),
			});
		}
	}

	pinned(segment: number): boolean {
		for (let worker = 0; worker < WORKER_LIMIT; worker++)
			if (Atomics.load(this.pins, worker * this.layout.segmentCount + segment) > 0) return true;
		return false;
	}

	touch(shard: number): void {
		Atomics.add(this.shards, shard, 1);
	}

	/** An object of a storage comes or goes. */
	account(storage: number, bytes: number, sign: 1 | -1): void {
		const area = this.layout.areas[storage];
		// What a damaged record says of itself.
		if (area === undefined) return;
		this.control[Control.liveObjects]! += sign;
		this.storages[area.storage * STORAGE_WORDS + Storage.slots]! += sign;
		const at = storage * STORAGE_FLOATS;
		this.storageFloats[at + StorageFloat.objects]! += sign;
		this.storageFloats[at + StorageFloat.bytes]! += sign * bytes;
		this.storageFloats[at + (sign > 0 ? StorageFloat.bytesTaken : StorageFloat.bytesFreed)]! += bytes;
	}

	/** An object comes into a segment, or leaves it. Returns how many live ones are in it then. */
	occupy(segment: number, bytes: number, sign: 1 | -1): number {
		const at = segment * SEGMENT_WORDS;
		this.segments[at + Segment.liveBytes]! += sign * bytes;
		this.segments[at + Segment.liveCount]! += sign;
		return this.segments[at + Segment.liveCount]!;
	}

	recordOf(slot: number): (DataMap & { base: number }) | undefined {
		const at = slot * SLOT_WORDS;
		const segment = this.slots[at + Slot.segment]!;
		if (segment < 0 || segment >= this.layout.segmentCount) return undefined;
		const map = this.maps[Math.floor(segment / this.layout.segmentsPerMap)]!;
		const base =
			(segment % this.layout.segmentsPerMap) * this.layout.segmentBytes + this.slots[at + Slot.offset]!;
		if (map.words[base >> 2] !== RECORD_MAGIC || map.words[(base + Record.slot) >> 2] !== slot)
			return undefined;
		// Spelt out: a spread takes several times as long, and this is asked for every object that goes.
		return { bytes: map.bytes, buffer: map.buffer, words: map.words, floats: map.floats, base };
	}

	link(slot: number, low: number): void {
		const bucket = low & (this.layout.bucketCount - 1);
		this.slots[slot * SLOT_WORDS + Slot.next] = this.buckets[bucket]!;
		this.buckets[bucket] = slot + 1;
	}

	sealHead(record: { words: Int32Array; bytes: Uint8Array; base: number }): void {
		const { words, bytes, base } = record;
		const bodyAt =
			base +
			RECORD_BYTES +
			words[(base + Record.keyBytes) >> 2]! +
			words[(base + Record.varyBytes) >> 2]! +
			words[(base + Record.headBytes) >> 2]!;
		words[(base + Record.headChecksum) >> 2] = this.headSum(bytes.subarray(base + Record.tOrigin, bodyAt));
	}

	/**
	 * Over all that a process believes which takes the index up as it is: everything before the data but the pins, and
	 * the words that say how it was left.
	 */
	sum(): number {
		const { shards, layout } = this;
		const control = this.control.slice(0, CONTROL_BYTES / 4);
		for (const word of [Control.lock, Control.clean, Control.bookSum]) control[word] = 0;
		const from = shards.byteOffset - layout.shardsAt;
		const part = (at: number, end: number) => new Uint8Array(shards.buffer, from + at, end - at);
		let sum = Bun.hash.xxHash32(new Uint8Array(control.buffer));
		sum = Bun.hash.xxHash32(part(layout.storagesAt, layout.pinsAt), sum);
		return Bun.hash.xxHash32(part(layout.ghostsAt, layout.dataAt), sum) | 0;
	}

	/**
	 * Over a record's head. With the store's own secret: what lies behind the last record of a segment may be a body
	 * of somebody's making, and must not pass for records when the index is built anew.
	 */
	headSum(bytes: Uint8Array): number {
		return Bun.hash.xxHash32(bytes, this.control[Control.seed]! >>> 0) | 0;
	}
}

/** Makes an empty store file of at most these sizes (what was there is lost). `nowSeconds` starts the expiry wheel. */
export function createStore(path: string, sizes: StoreSizes, nowSeconds: number): Layout {
	const layout = planLayout(sizes);
	const file = openSync(path, existsSync(path) ? "r+" : "w+", 0o600);
	try {
		ftruncateSync(file, 0);
		ftruncateSync(file, layout.totalBytes);
	} finally {
		closeSync(file);
	}
	formatBook(path, layout, nowSeconds);
	return layout;
}

/** True when the file is a store of these sizes and of a version that takeUp() reads. */
export function storeFits(path: string, sizes: StoreSizes): boolean {
	if (!existsSync(path)) return false;
	const layout = planLayout(sizes);
	if (statSync(path).size !== layout.totalBytes) return false;
	const control = new Int32Array(Bun.mmap(path, { shared: true, size: 4096 }).buffer, 0, 64);
	return (
		control[Control.magic] === STORE_MAGIC &&
		[STORE_VERSION, STORE_VERSION_BEFORE].includes(control[Control.version]!) &&
		control[Control.segmentCount] === layout.segmentCount &&
		control[Control.segmentBytes] === layout.segmentBytes &&
		control[Control.slotCount] === layout.slotCount &&
		control[Control.sizesSum] === layout.sizesSum
	);
}

function formatBook(path: string, layout: Layout, nowSeconds: number): void {
	const book = Bun.mmap(path, { shared: true, size: layout.dataAt });
	const control = new Int32Array(book.buffer, book.byteOffset, 1024);
	control[Control.version] = STORE_VERSION;
	control[Control.slotCount] = layout.slotCount;
	control[Control.segmentCount] = layout.segmentCount;
	control[Control.segmentBytes] = layout.segmentBytes;
	control[Control.sizesSum] = layout.sizesSum;
	control[Control.wheelSecond] = Math.floor(nowSeconds);
	control[Control.seed] = crypto.getRandomValues(new Int32Array(1))[0]! | 1;
	const slots = new Int32Array(book.buffer, book.byteOffset + layout.slotsAt, layout.slotCount * SLOT_WORDS);
	for (let slot = 0; slot < layout.slotCount; slot++)
		slots[slot * SLOT_WORDS + Slot.next] = slot + 1 < layout.slotCount ? slot + 2 : 0;
	control[Control.freeSlot] = 1;
	control[Control.magic] = STORE_MAGIC;
}
