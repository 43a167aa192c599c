/**
 * Room in the data area. Objects are written one after another into an open segment of their worker's; large ones
 * get a run of neighbouring segments of their own. Under the store's lock. A storage has its own segments, and what it
 * needs is taken from what is in them.
 *
 * Room is made by the segment, in the manner of S3-FIFO (Yang et al., SOSP 2023): new objects go to the small
 * queue; when one of its segments is due, objects used since are moved to the main queue and the rest is
 * dropped, with a fingerprint left in the ghost table; a key found there goes to the main queue at once.
 * A due segment of the main queue keeps what was used, once per use. A segment that a worker is sending from
 * is pinned and passed over.
 *
 * None is due while there are sparse ones: what lives in those is moved together first.
 */
import type { Book, Placed } from "./book.ts";
import {
	type Area,
	areaAt,
	Control,
	Flag,
	Queue,
	RECORD_BYTES,
	Record,
	SEGMENT_WORDS,
	Segment,
	SegmentState,
	SHARD_COUNT,
	SLOT_WORDS,
	Slot,
	STORAGE_WORDS,
	Storage,
	WORKER_LIMIT,
} from "./layout.ts";
import { soundBytes } from "./record-length.ts";

/** Segments that may be looked at to make room for one object (Varnish's nuke_limit is of the same kind). */
export const RECLAIM_LIMIT = 64;
/**
 * A segment of which so much is dead (replaced, expired, purged) is emptied by moving what is live, before anything that
 * is live is dropped: for each byte that is won, three are copied at most.
 */
const SPARSE = 1 / 4;
/** Segments that are emptied so for one object: what they win may be room that it does not fit into. */
const COMPACTION_LIMIT = 8;
/** What taking an open segment costs: more than any that is sealed. */
const OPEN_COST = 2;
/** Turned into the checksum of a record that is no more, so that nobody takes it for a live one. */
export const DEAD = 0x55aa55aa;

export class Segments {
	readonly book: Book;
	readonly #worker: number;
	/** Takes an object out of the index. */
	readonly #unlink: (slot: number) => void;

	constructor(book: Book, worker: number, unlink: (slot: number) => void) {
		this.book = book;
		this.#worker = worker;
		this.#unlink = unlink;
	}

	allocate(total: number, queue: number, area: Area): { segment: number; offset: number } | undefined {
		const segmentBytes = this.#segmentBytes(area);
		if (total > segmentBytes / 2) return this.#allocateRun(Math.ceil(total / segmentBytes), total, area);
		const openAt = this.#openAt(area, queue);
		let compactions = 0;
		for (let attempt = 0; attempt < RECLAIM_LIMIT; attempt++) {
			const open = this.book.storages[openAt]! - 1;
			if (open >= 0) {
				const at = open * SEGMENT_WORDS;
				const offset = this.book.segments[at + Segment.usedBytes]!;
				if (offset + total <= segmentBytes) {
					this.book.segments[at + Segment.usedBytes] = offset + total;
					return { segment: open, offset };
				}
				this.seal(open);
				this.book.storages[openAt] = 0;
			}
			const fresh = this.free(area);
			if (fresh < 0) {
				if (!this.reclaim(area)) return undefined;
				continue;
			}
			const isLast = this.free(area, fresh + area.step) < 0;
			if (isLast && compactions++ < COMPACTION_LIMIT && this.#compact(area)) continue;
			this.open(fresh, queue, area);
		}
		return undefined;
	}

	#segmentBytes({ step }: Area): number {
		return step * this.book.layout.segmentBytes;
	}

	/** Where the number of this worker's open segment is. */
	#openAt({ storage }: Area, queue: number): number {
		return storage * STORAGE_WORDS + Storage.open + this.#worker * 2 + queue;
	}

	open(segment: number, queue: number, area: Area): void {
		const at = segment * SEGMENT_WORDS;
		this.book.segments[at + Segment.state] = SegmentState.open;
		this.book.segments[at + Segment.queue] = queue;
		this.book.segments[at + Segment.sequence] = ++this.book.control[Control.sequence]!;
		this.book.segments[at + Segment.owner] = this.#worker;
		this.book.segments[at + Segment.run] = 1;
		this.book.storages[this.#openAt(area, queue)] = segment + 1;
		if (queue === Queue.small) this.book.storages[area.storage * STORAGE_WORDS + Storage.smallSegments]!++;
	}

	seal(segment: number): void {
		const at = segment * SEGMENT_WORDS;
		this.book.segments[at + Segment.state] = SegmentState.sealed;
		if (this.book.segments[at + Segment.liveCount]! <= 0 && !this.book.pinned(segment)) this.release(segment);
	}

	/** Back to the free ones. Its first word is cleared, so that a reader of the file finds it empty. */
	release(segment: number): void {
		const at = segment * SEGMENT_WORDS;
		const run = Math.max(1, this.book.segments[at + Segment.run]!);
		const area = areaAt(this.book.layout, segment);
		if (area === undefined) return;
		if (this.book.segments[at + Segment.queue] === Queue.small)
			this.book.storages[area.storage * STORAGE_WORDS + Storage.smallSegments]!--;
		for (let index = 0; index < run; index++) this.#free(segment + index * area.step);
	}

	#free(unit: number): void {
		const { segmentsPerMap, segmentBytes } = this.book.layout;
		const each = unit * SEGMENT_WORDS;
		this.book.segments[each + Segment.state] = SegmentState.free;
		this.book.segments[each + Segment.usedBytes] = 0;
		this.book.segments[each + Segment.liveCount] = 0;
		this.book.segments[each + Segment.liveBytes] = 0;
		this.book.segments[each + Segment.run] = 0;
		this.book.segments[each + Segment.queue] = -1;
		const map = this.book.maps[Math.floor(unit / segmentsPerMap)]!;
		map.words[((unit % segmentsPerMap) * segmentBytes) >> 2] = 0;
	}

	/** The first free one, from `first` on; negative when there is none. */
	free({ first: start, end, step }: Area, first = start): number {
		for (let segment = first; segment < end; segment += step)
			if (
				this.book.segments[segment * SEGMENT_WORDS + Segment.state] === SegmentState.free &&
				!this.book.pinned(segment)
			)
				return segment;
		return -1;
	}

	/** A run of segments of their own for an object that is written as it comes: nobody takes them before settleRun(). */
	reserveRun(total: number, area: Area): number {
		const place = this.#allocateRun(Math.ceil(total / this.#segmentBytes(area)), total, area);
		if (place === undefined) return -1;
		this.book.segments[place.segment * SEGMENT_WORDS + Segment.state] = SegmentState.filling;
		return place.segment;
	}

	/** The same where all that is known is that it may become longer: at the start of the longest stretch that can be had. */
	reserveRoom(total: number, area: Area): number {
		const run = Math.ceil(total / this.#segmentBytes(area));
		const { segmentsPerMap } = this.book.layout;
		const newest = this.book.control[Control.sequence]! + 1;
		let best = -1;
		let longest = run - 1;
		let stretch = 0;
		for (let segment = area.first; segment < area.end; segment += area.step) {
			if (segment % segmentsPerMap === 0) stretch = 0;
			stretch = this.#runCost(segment, newest, area) < 0 ? 0 : stretch + 1;
			if (stretch <= longest) continue;
			longest = stretch;
			best = segment - (stretch - 1) * area.step;
		}
		if (best < 0 || !this.#takeRun(best, run, total, area)) return -1;
		this.book.segments[best * SEGMENT_WORDS + Segment.state] = SegmentState.filling;
		return best;
	}

	/** Makes a run that is being filled longer, by a quarter or as far as it goes; returns the bytes that came to it. */
	extendRun(segment: number, area: Area): number {
		const { segments, layout } = this.book;
		const { step, end } = area;
		const at = segment * SEGMENT_WORDS;
		const run = segments[at + Segment.run]!;
		const newest = this.book.control[Control.sequence]! + 1;
		const wanted = Math.max(1, run >> 2);
		let added = 0;
		for (let next = segment + run * step; added < wanted && next < end; next += step, added++) {
			if (next % layout.segmentsPerMap === 0 || this.#runCost(next, newest, area) < 0) break;
			this.#close(next, area);
			this.#empty(next);
			if (segments[next * SEGMENT_WORDS + Segment.state] !== SegmentState.free) break;
			segments[next * SEGMENT_WORDS + Segment.state] = SegmentState.tail;
			segments[next * SEGMENT_WORDS + Segment.queue] = Queue.large;
		}
		segments[at + Segment.run] = run + added;
		return added * this.#segmentBytes(area);
	}

	/** Gives back what of a run is not used. */
	trimRun(segment: number, total: number, area: Area): void {
		const at = segment * SEGMENT_WORDS;
		const needed = Math.ceil(total / this.#segmentBytes(area));
		const run = this.book.segments[at + Segment.run]!;
		for (let index = needed; index < run; index++) this.#free(segment + index * area.step);
		this.book.segments[at + Segment.run] = needed;
		this.book.segments[at + Segment.usedBytes] = total;
	}

	/** Gives the runs back that a process which is no more was writing into; of all processes if `worker` is undefined. */
	releaseRuns(worker?: number): void {
		const { segments, layout } = this.book;
		for (let segment = 0; segment < layout.segmentCount; segment++) {
			const at = segment * SEGMENT_WORDS;
			if (segments[at + Segment.state] !== SegmentState.filling) continue;
			if (worker === undefined || segments[at + Segment.owner] === worker) this.release(segment);
		}
	}

	/**
	 * A run of neighbouring segments for one large object: free ones, else the oldest stretch gives way. Those that
	 * somebody writes small objects into go last.
	 */
	#allocateRun(run: number, total: number, area: Area): { segment: number; offset: number } | undefined {
		const { segmentsPerMap } = this.book.layout;
		const { first, end, step } = area;
		if (run * step > segmentsPerMap || run * step > end - first) return undefined;
		let best = -1;
		let bestCost = Number.POSITIVE_INFINITY;
		let stretch = 0;
		const newest = this.book.control[Control.sequence]! + 1;
		for (let segment = first; segment < end; segment += step) {
			if (segment % segmentsPerMap === 0) stretch = 0;
			stretch = this.#runCost(segment, newest, area) < 0 ? 0 : stretch + 1;
			if (stretch < run) continue;
			const start = segment - (run - 1) * step;
			let cost = 0;
			for (let each = start; each <= segment; each += step) cost += this.#runCost(each, newest, area);
			if (cost < bestCost) {
				best = start;
				bestCost = cost;
			}
			if (cost === 0) break;
		}
		return best >= 0 && this.#takeRun(best, run, total, area) ? { segment: best, offset: 0 } : undefined;
	}

	/** Empties so many segments and makes them one run; false when one of them could not be had after all. */
	#takeRun(best: number, run: number, total: number, area: Area): boolean {
		const { step } = area;
		const behind = best + run * step;
		for (let each = best; each < behind; each += step) {
			this.#close(each, area);
			this.#empty(this.#runStart(each, area));
		}
		for (let each = best; each < behind; each += step) {
			const at = each * SEGMENT_WORDS;
			if (this.book.segments[at + Segment.state] !== SegmentState.free) return false;
			this.book.segments[at + Segment.state] = each === best ? SegmentState.sealed : SegmentState.tail;
			this.book.segments[at + Segment.queue] = Queue.large;
		}
		const at = best * SEGMENT_WORDS;
		this.book.segments[at + Segment.run] = run;
		this.book.segments[at + Segment.sequence] = ++this.book.control[Control.sequence]!;
		this.book.segments[at + Segment.usedBytes] = total;
		this.book.segments[at + Segment.owner] = this.#worker;
		return true;
	}

	#runStart(segment: number, { first, step }: Area): number {
		let start = segment;
		while (start > first && this.book.segments[start * SEGMENT_WORDS + Segment.state] === SegmentState.tail)
			start -= step;
		return start;
	}

	/** What it costs to take a segment: 0 for a free one, more the younger it is, negative when it cannot be had. */
	#runCost(segment: number, newest: number, area: Area): number {
		const start = this.#runStart(segment, area);
		const state = this.book.segments[start * SEGMENT_WORDS + Segment.state];
		if (state === SegmentState.filling || this.book.pinned(start)) return -1;
		if (state === SegmentState.free) return 0;
		if (state === SegmentState.open) return OPEN_COST;
		return 1 / (1 + newest - this.book.segments[start * SEGMENT_WORDS + Segment.sequence]!);
	}

	/** Whoever has it open goes on in another one. */
	#close(segment: number, { storage }: Area): void {
		if (this.book.segments[segment * SEGMENT_WORDS + Segment.state] !== SegmentState.open) return;
		const from = storage * STORAGE_WORDS + Storage.open;
		const at = this.book.storages.subarray(from, from + WORKER_LIMIT * 2).indexOf(segment + 1);
		if (at >= 0) this.book.storages[from + at] = 0;
		this.seal(segment);
	}

	/** Drops everything in a segment (or run) and frees it. */
	#empty(segment: number): void {
		if (this.book.segments[segment * SEGMENT_WORDS + Segment.state] !== SegmentState.sealed) return;
		for (const slot of this.#slotsIn(segment)) {
			this.#unlink(slot);
			this.book.control[Control.nuked]!++;
		}
		this.#releaseUnpinned(segment);
	}

	/** It was not pinned when it was chosen; since then somebody may have begun to send from it, and has it until then. */
	#releaseUnpinned(segment: number): void {
		if (
			this.book.segments[segment * SEGMENT_WORDS + Segment.state] === SegmentState.sealed &&
			!this.book.pinned(segment)
		)
			this.release(segment);
	}

	/** The live ones in a segment (or run). */
	#slotsIn(segment: number): number[] {
		const slots = this.#slotsOfRecords(segment);
		if (slots.length === this.book.segments[segment * SEGMENT_WORDS + Segment.liveCount]) return slots;
		// A record in there is damaged, and says where the next one is: whoever is missed would be written over.
		const all: number[] = [];
		for (let slot = 0; slot < this.book.layout.slotCount; slot++) {
			const at = slot * SLOT_WORDS;
			const isLive = (this.book.slots[at + Slot.flags]! & Flag.live) !== 0;
			if (isLive && this.book.slots[at + Slot.segment] === segment) all.push(slot);
		}
		return all;
	}

	#slotsOfRecords(segment: number): number[] {
		const map = this.book.maps[Math.floor(segment / this.book.layout.segmentsPerMap)]!;
		const start = (segment % this.book.layout.segmentsPerMap) * this.book.layout.segmentBytes;
		const used = this.book.segments[segment * SEGMENT_WORDS + Segment.usedBytes]!;
		const slots: number[] = [];
		let offset = 0;
		while (offset + RECORD_BYTES <= used) {
			const word = (start + offset) >> 2;
			const total = map.words[word + (Record.totalBytes >> 2)]!;
			if (total < RECORD_BYTES) break;
			const slot = map.words[word + (Record.slot >> 2)]!;
			if (slot >= 0 && slot < this.book.layout.slotCount) {
				const at = slot * SLOT_WORDS;
				if (
					(this.book.slots[at + Slot.flags]! & Flag.live) !== 0 &&
					this.book.slots[at + Slot.segment] === segment &&
					this.book.slots[at + Slot.offset] === offset
				)
					slots.push(slot);
			}
			offset += total;
		}
		return slots;
	}

	/**
	 * Moves what is live in the sparsest segment to where its like is written, and frees it, unless somebody has begun to
	 * send from it: there is a free one for what does not fit there. False when none is sparse: nothing has changed then.
	 */
	#compact(area: Area): boolean {
		const victim = this.#sparsest(area);
		if (victim < 0) return false;
		const queue = this.book.segments[victim * SEGMENT_WORDS + Segment.queue]!;
		for (const slot of this.#slotsIn(victim)) {
			const record = this.book.recordOf(slot);
			const total = record === undefined ? -1 : soundBytes(record.words, record.base);
			if (record === undefined || total < 0) this.#unlink(slot);
			else if (!this.#move(slot, record, total, area, queue)) return true;
		}
		this.#releaseUnpinned(victim);
		return true;
	}

	/** The segment of small objects of which the most is dead, if it is sparse; negative otherwise. */
	#sparsest(area: Area): number {
		const { segments } = this.book;
		let best = -1;
		let most = this.#segmentBytes(area) * SPARSE;
		for (let segment = area.first; segment < area.end; segment += area.step) {
			const at = segment * SEGMENT_WORDS;
			if (
				segments[at + Segment.state] !== SegmentState.sealed ||
				segments[at + Segment.queue] === Queue.large
			)
				continue;
			const dead = segments[at + Segment.usedBytes]! - segments[at + Segment.liveBytes]!;
			// Looking for pins costs most.
			if (dead < most || this.book.pinned(segment)) continue;
			best = segment;
			most = dead + 1;
		}
		return best;
	}

	/** Frees at least part of one segment of the area; false when every one is open or pinned. */
	reclaim(area: Area): boolean {
		const { storage, first, end, step } = area;
		const small = this.book.storages[storage * STORAGE_WORDS + Storage.smallSegments]!;
		const preferred = small * 10 > (end - first) / step ? Queue.small : Queue.main;
		const victim = this.#oldest(preferred, area);
		if (victim < 0) return false;
		const queue = this.book.segments[victim * SEGMENT_WORDS + Segment.queue]!;
		let survivorsLeft = this.#segmentBytes(area) / 2;
		for (const slot of this.#slotsIn(victim)) {
			const at = slot * SLOT_WORDS;
			const frequency = this.book.slots[at + Slot.frequency]!;
			const record = this.book.recordOf(slot);
			const total = record === undefined ? -1 : soundBytes(record.words, record.base);
			const keep = frequency > 0 && queue !== Queue.large && total >= 0 && total <= survivorsLeft;
			if (keep && record !== undefined && this.#move(slot, record, total, area, Queue.main)) {
				survivorsLeft -= total;
				this.book.slots[at + Slot.frequency] = queue === Queue.small ? 0 : frequency - 1;
				continue;
			}
			if (queue === Queue.small) this.#addGhost(this.book.slots[at + Slot.hashLow]!);
			this.#unlink(slot);
			this.book.control[Control.nuked]!++;
		}
		this.#releaseUnpinned(victim);
		return true;
	}

	/** The segment of that queue that has been there longest; of any queue when there is none. */
	#oldest(queue: number, { first, end, step }: Area): number {
		let best = -1;
		let bestSequence = Number.POSITIVE_INFINITY;
		let any = -1;
		let anySequence = Number.POSITIVE_INFINITY;
		for (let segment = first; segment < end; segment += step) {
			const at = segment * SEGMENT_WORDS;
			if (this.book.segments[at + Segment.state] !== SegmentState.sealed) continue;
			const sequence = this.book.segments[at + Segment.sequence]!;
			// Large objects age with the main queue.
			const wanted = (this.book.segments[at + Segment.queue] === Queue.small) === (queue === Queue.small);
			if (sequence >= anySequence && !(wanted && sequence < bestSequence)) continue;
			// Looking for pins costs most: only when the segment would be taken.
			if (this.book.pinned(segment)) continue;
			if (wanted && sequence < bestSequence) {
				best = segment;
				bestSequence = sequence;
			}
			if (sequence < anySequence) {
				any = segment;
				anySequence = sequence;
			}
		}
		return best >= 0 ? best : any;
	}

	/** Copies a survivor into this worker's open segment of a queue; false when it has no room. */
	#move(slot: number, record: Placed, total: number, area: Area, queue: number): boolean {
		const openAt = this.#openAt(area, queue);
		let open = this.book.storages[openAt]! - 1;
		if (
			open >= 0 &&
			this.book.segments[open * SEGMENT_WORDS + Segment.usedBytes]! + total > this.#segmentBytes(area)
		) {
			this.seal(open);
			this.book.storages[openAt] = 0;
			open = -1;
		}
		if (open < 0) {
			open = this.free(area);
			if (open < 0) return false;
			this.open(open, queue, area);
		}
		const to = open * SEGMENT_WORDS;
		const offset = this.book.segments[to + Segment.usedBytes]!;
		this.book.segments[to + Segment.usedBytes] = offset + total;
		const at = slot * SLOT_WORDS;
		const map = this.book.maps[Math.floor(open / this.book.layout.segmentsPerMap)]!;
		const base = (open % this.book.layout.segmentsPerMap) * this.book.layout.segmentBytes + offset;
		map.bytes.set(record.bytes.subarray(record.base, record.base + total), base);
		record.words[(record.base + Record.slot) >> 2] = -1;
		record.words[(record.base + Record.headChecksum) >> 2]! ^= DEAD;
		this.book.occupy(this.book.slots[at + Slot.segment]!, total, -1);
		this.book.occupy(open, total, 1);
		this.book.slots[at + Slot.segment] = open;
		this.book.slots[at + Slot.offset] = offset;
		this.book.touch(this.book.slots[at + Slot.hashLow]! & (SHARD_COUNT - 1));
		return true;
	}

	#addGhost(low: number): void {
		this.book.ghosts[low & (this.book.layout.ghostCount - 1)] = low;
	}

	takeGhost(low: number): boolean {
		const at = low & (this.book.layout.ghostCount - 1);
		if (low === 0 || this.book.ghosts[at] !== low) return false;
		this.book.ghosts[at] = 0;
		return true;
	}
}
