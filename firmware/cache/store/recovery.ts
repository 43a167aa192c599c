/**
 * What the files of a store are worth to the next process that opens them.
 *
 * A store that was laid down in order says so, and its index is used as it is. `Control.clean` is set after everything
 * else has reached the disk, and taken back, on the disk too, before the first change: a crash, a kill or a power
 * cut leaves it unset. Then, and where the bookkeeping does not match its checksum, the index is built anew from the
 * records: those whose head does not match its checksum are left out. Of each record head and body are checked when it
 * is first asked for, in either case.
 */
import { closeSync, fsyncSync, openSync } from "node:fs";
import type { Book } from "./book.ts";
import {
	type Area,
	areaAt,
	Control,
	Flag,
	Queue,
	RECORD_BYTES,
	RECORD_MAGIC,
	Record,
	SEGMENT_WORDS,
	Segment,
	SegmentState,
	SHARD_COUNT,
	SLOT_WORDS,
	Slot,
	STORAGE_WORDS,
	STORE_VERSION,
	Storage,
	TAG_WORDS,
	WORKER_LIMIT,
} from "./layout.ts";
import type { Segments } from "./segments.ts";
import type { Wheel } from "./wheel.ts";

/** The parts of one mapped store. */
export interface Store {
	readonly book: Book;
	readonly wheel: Wheel;
	readonly segments: Segments;
}

function toDisk(path: string): void {
	const file = openSync(path, "r+");
	try {
		fsyncSync(file);
	} finally {
		closeSync(file);
	}
}

/**
 * Lays the store down: all of it is on the disk, and it says so. Nobody changes it any more. A lock that is still
 * held was its holder's last: then the index is not to be believed.
 */
export function layDown(path: string, { book }: Store): void {
	toDisk(path);
	if (book.control[Control.lock] !== 0) return;
	book.control[Control.bookSum] = book.sum();
	book.control[Control.clean] = 1;
	toDisk(path);
}

/**
 * Takes a store up that nobody else has mapped. Under the lock. Returns the number of objects that are in it.
 */
export function takeUp(path: string, store: Store, nowSeconds: number): number {
	const { control } = store.book;
	const clean =
		control[Control.version] === STORE_VERSION &&
		control[Control.clean] === 1 &&
		control[Control.bookSum] === store.book.sum();
	control[Control.clean] = 0;
	store.segments.releaseRuns();
	toDisk(path);
	if (clean) return resume(store);
	const found = rebuild(store, nowSeconds);
	control[Control.version] = STORE_VERSION;
	return found;
}

/** The index is as it was left; only what belonged to processes that are no more is let go. */
function resume({ book, segments }: Store): number {
	const { control, slots, layout, storages } = book;
	for (let storage = 0; storage < storages.length; storage += STORAGE_WORDS)
		for (let each = storage + Storage.open; each < storage + Storage.open + WORKER_LIMIT * 2; each++) {
			const open = storages[each]! - 1;
			storages[each] = 0;
			if (open >= 0) segments.seal(open);
		}
	for (let slot = 0; slot < layout.slotCount; slot++)
		slots[slot * SLOT_WORDS + Slot.flags]! &= ~Flag.verified;
	return control[Control.liveObjects]!;
}

/** Builds the index anew from the records in the data area. Under the lock. Returns the number of objects found. */
export function rebuild(store: Store, nowSeconds: number): number {
	const { book, segments } = store;
	const { layout, control, slots } = book;
	for (let shard = 0; shard < SHARD_COUNT; shard++) book.touch(shard);
	book.buckets.fill(0);
	slots.fill(0);
	book.wheel.fill(0);
	book.storages.fill(0);
	for (const word of [Control.liveObjects, Control.freeSlot]) control[word] = 0;
	control[Control.wheelSecond] = Math.floor(nowSeconds);
	let nextSlot = 0;
	for (let segment = 0; segment < layout.segmentCount; ) {
		const at = segment * SEGMENT_WORDS;
		const area = areaAt(layout, segment);
		if (area === undefined) break;
		// Somebody who lives writes into it.
		if (book.segments[at + Segment.state] === SegmentState.filling) {
			segment += Math.max(1, book.segments[at + Segment.run]!) * area.step;
			continue;
		}
		book.segments[at + Segment.liveCount] = 0;
		book.segments[at + Segment.liveBytes] = 0;
		const found = rebuildSegment(store, segment, area, nowSeconds, nextSlot);
		if (found.nextSlot === nextSlot) {
			book.segments[at + Segment.run] = 1;
			book.segments[at + Segment.queue] = -1;
			segments.release(segment);
			segment += area.step;
		} else {
			book.segments[at + Segment.state] = SegmentState.sealed;
			book.segments[at + Segment.queue] = found.run > 1 ? Queue.large : Queue.main;
			book.segments[at + Segment.run] = found.run;
			for (let tail = 1; tail < found.run; tail++)
				book.segments[(segment + tail * area.step) * SEGMENT_WORDS + Segment.state] = SegmentState.tail;
			segment += found.run * area.step;
		}
		nextSlot = found.nextSlot;
	}
	for (let slot = layout.slotCount - 1; slot >= nextSlot; slot--) {
		slots[slot * SLOT_WORDS + Slot.next] = control[Control.freeSlot]!;
		control[Control.freeSlot] = slot + 1;
	}
	for (let shard = 0; shard < SHARD_COUNT; shard++) book.touch(shard);
	return nextSlot;
}

/** Takes the records of one segment (or run) into slots from `firstSlot` on. */
function rebuildSegment(
	{ book, wheel }: Store,
	segment: number,
	area: Area,
	now: number,
	firstSlot: number,
): { readonly run: number; readonly nextSlot: number } {
	const { layout, slots } = book;
	const segmentBytes = area.step * layout.segmentBytes;
	const map = book.maps[Math.floor(segment / layout.segmentsPerMap)]!;
	const start = (segment % layout.segmentsPerMap) * layout.segmentBytes;
	const { words, floats, bytes } = map;
	let nextSlot = firstSlot;
	let offset = 0;
	let run = 1;
	while (offset + RECORD_BYTES <= segmentBytes) {
		const base = start + offset;
		const word = base >> 2;
		if (words[word] !== RECORD_MAGIC) break;
		const total = words[word + (Record.totalBytes >> 2)]!;
		const headBytes =
			words[word + (Record.keyBytes >> 2)]! +
			words[word + (Record.varyBytes >> 2)]! +
			words[word + (Record.headBytes >> 2)]!;
		const bodyBytes = words[word + (Record.bodyBytes >> 2)]!;
		// Only the first of a segment reaches over its end.
		const room = offset === 0 ? (area.end - segment) * layout.segmentBytes : segmentBytes - offset;
		if (total < RECORD_BYTES || headBytes < 0 || bodyBytes < 0 || total > room) break;
		if (start + offset + total > bytes.length) break;
		if (RECORD_BYTES + headBytes + bodyBytes > total) break;
		const deadline =
			floats[(base + Record.tOrigin) >> 3]! +
			floats[(base + Record.ttl) >> 3]! +
			floats[(base + Record.grace) >> 3]! +
			floats[(base + Record.keep) >> 3]!;
		words[word + (Record.slot >> 2)] = -1;
		if (deadline > now) {
			const checksum = book.headSum(bytes.subarray(base + Record.tOrigin, base + RECORD_BYTES + headBytes));
			if (checksum === words[word + (Record.headChecksum >> 2)]!) {
				if (nextSlot >= layout.slotCount) break;
				const slot = nextSlot++;
				words[word + (Record.slot >> 2)] = slot;
				const at = slot * SLOT_WORDS;
				const low = words[word + (Record.hashLow >> 2)]!;
				const flags = words[word + (Record.flags >> 2)]!;
				slots[at + Slot.hashLow] = low;
				slots[at + Slot.hashHigh] = words[word + (Record.hashHigh >> 2)]!;
				slots[at + Slot.segment] = segment;
				slots[at + Slot.offset] = offset;
				slots[at + Slot.ban] = words[word + (Record.ban >> 2)]!;
				book.tags[slot * TAG_WORDS] = words[word + (Record.tagsLow >> 2)]!;
				book.tags[slot * TAG_WORDS + 1] = words[word + (Record.tagsHigh >> 2)]!;
				slots[at + Slot.flags] = flags | Flag.live;
				book.account(words[word + (Record.storage >> 2)]!, total, 1);
				book.occupy(segment, total, 1);
				wheel.add(slot, Math.ceil(deadline));
				book.link(slot, low);
			}
		}
		offset += total;
		if (total > segmentBytes) {
			run = Math.ceil(total / segmentBytes);
			break;
		}
	}
	book.segments[segment * SEGMENT_WORDS + Segment.usedBytes] = offset;
	return { run, nextSlot };
}
