/**
 * The object store: an index of typed arrays over a mapped file that all workers share.
 *
 * Look-ups take no lock. A reader notes its shard's version, reads, and looks at the version again before it
 * believes what it read; whoever moves or removes an object raises the version first. Changes are made under
 * one lock, a word in the file that names its holder, so that the manager can free it when a holder dies.
 *
 * Beside this: book.ts (the mapped arrays), segments.ts (room, eviction), wheel.ts (expiry), departures.ts (what became
 * of those that are gone), read-ahead.ts (look-ups of many keys), recovery.ts (restarts).
 */
import { Book, createStore, type DataMap, type Placed, storeFits } from "./book.ts";
import { type Cause, type Departure, Departures } from "./departures.ts";
import {
	type Area,
	Control,
	Flag,
	type Layout,
	PROGRAM_BYTES,
	planLayout,
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
	STORAGE_FLOATS,
	STORAGE_WORDS,
	Storage,
	StorageFloat,
	type StoreSizes,
	TAG_WORDS,
	WORKER_LIMIT,
} from "./layout.ts";
import { lockWord, lockWordOrInherit, tryLockWord, unlockWord } from "./lock.ts";
import { GLANCE_STEPS, ReadAhead } from "./read-ahead.ts";
import { programBytes, round8, soundBytes } from "./record-length.ts";
import { layDown, rebuild, type Store, takeUp } from "./recovery.ts";
import { Reservation } from "./reservation.ts";
import { DEAD, RECLAIM_LIMIT, Segments } from "./segments.ts";
import { marksIn, marksOf, type TagMarks, tagsIn } from "./tags.ts";
import { Wheel } from "./wheel.ts";

/** What is stored beside the body. */
export interface ObjectMeta {
	/** What vcl_hash fed. A byte string. */
	readonly key: string;
	/** varySpecification() of the request that fetched it; "" when nothing varies. */
	readonly vary: string;
	/** Status line and header fields, each with its CRLF. */
	readonly head: string;
	readonly tOrigin: number;
	readonly ttl: number;
	readonly grace: number;
	readonly keep: number;
	readonly insertedAt: number;
	readonly flags: number;
	readonly vxid: number;
	/** Number of the newest ban when it was fetched. */
	readonly ban: number;
	/** Number of its storage. */
	readonly storage: number;
	/** Of a page with ESI tags (Flag.esi): its program, as it is stored. */
	readonly esi?: Uint8Array | undefined;
	/** The marks of the tags in `head`, by whoever knows that there are none; looked for otherwise. */
	readonly marks?: TagMarks | undefined;
	/** Asked under the lock: what has been purged since it was fetched, or banned and forgotten, is not stored. */
	readonly isOutdated?: () => boolean;
}

/** A stored object as one process sees it: a copy of its meta, and where its bytes are. */
export interface StoredObject extends ObjectMeta {
	readonly slot: number;
	readonly segment: number;
	readonly bodyBytes: number;
	/** A view of the mapped file. Good only while the shard's version has not changed, or while pinned. */
	readonly body: Uint8Array;
	readonly shard: number;
	readonly version: number;
}

interface Selected {
	readonly objects: StoredObject[];
	/** False: of those that were not selected there is one at most. */
	readonly whole: boolean;
}

/** A stored object as glance() found it: numbers, and where its bytes are in `map`. Nothing of it is copied. */
export interface Glance {
	readonly slot: number;
	readonly shard: number;
	readonly version: number;
	readonly map: DataMap;
	readonly varyAt: number;
	readonly headAt: number;
	readonly bodyAt: number;
	readonly bodyBytes: number;
	readonly tOrigin: number;
	readonly ttl: number;
	readonly grace: number;
	readonly keep: number;
	readonly flags: number;
	readonly vxid: number;
	readonly ban: number;
	/** Uses so far. */
	readonly hits: number;
}

/** Of one storage. Counters are since the store was made, or its index was built anew. */
export interface StorageFigures {
	readonly requests: number;
	readonly failures: number;
	readonly bytesTaken: number;
	readonly bytesFreed: number;
	readonly objects: number;
	readonly bytes: number;
	/** What is left of its size; 0 when it has none of its own. */
	readonly spaceBytes: number;
}

export interface StoreFigures {
	readonly objects: number;
	readonly bytes: number;
	readonly spaceBytes: number;
	readonly nuked: number;
	readonly expired: number;
	/** By number. */
	readonly storages: readonly StorageFigures[];
}

/** The lock's holder when it is the manager. */
const MANAGER = WORKER_LIMIT + 1;
/** Hits are counted up to here. */
const HITS_LIMIT = 0x7fffff00;
/** Slots that are looked into at one go, most of them empty: less than a millisecond. */
const WALK_SLOTS = 1 << 17;
/** A change in the middle of a look-up is rare; so many tries that all met one count as "nothing there". */
const LOOKUP_TRIES = 3;
/** Where that would leave in the store what has to go, there are so many tries; then it is an error. */
const SURE_TRIES = 1000;
const mix = (sum: number, word: number) => Math.imul(sum ^ word, 0x9e3779b1) ^ (sum >>> 15);
/** Variants of one key that are all read when it is looked up. */
const MANY_VARIANTS = 64;
/** More variants of one key push out those that were stored first: a Vary on what a client makes up would fill the store. */
export const VARIANT_LIMIT = 1024;
/** A worker that keeps more than this part of all segments in place, for those whom it sends from them, pins much. */
const PINNED_SHARE = 8;
const MARKS = Flag.hitForMiss | Flag.hitForPass;
/** From the start of a record to its body. */
const bodyOffset = ({ key, vary, head }: ObjectMeta) => RECORD_BYTES + key.length + vary.length + head.length;
const recordBytes = (meta: ObjectMeta, bodyBytes: number) => round8(bodyOffset(meta) + bodyBytes);

export class Arena {
	readonly layout: Layout;
	readonly #path: string;
	readonly #worker: number;
	readonly #book: Book;
	readonly #wheel: Wheel;
	readonly #segments: Segments;
	readonly #departures: Departures;
	readonly #seed: number;
	/** What #low and #high are of. */
	#hashed: string | undefined;
	#low = 0;
	#high = 0;
	readonly #glance: { -readonly [Name in keyof Glance]: Glance[Name] };
	readonly #ahead: ReadAhead;

	private constructor(path: string, layout: Layout, worker: number) {
		this.layout = layout;
		this.#path = path;
		this.#worker = worker;
		this.#book = new Book(path, layout);
		this.#seed = this.#book.control[Control.seed]!;
		this.#glance = {
			...{ slot: 0, shard: 0, version: 0, varyAt: 0, headAt: 0, bodyAt: 0, bodyBytes: 0 },
			...{ tOrigin: 0, ttl: 0, grace: 0, keep: 0, flags: 0, vxid: 0, ban: 0, hits: 0 },
			map: this.#book.maps[0]!,
		};
		this.#ahead = new ReadAhead(this.#book);
		this.#wheel = new Wheel(this.#book);
		this.#segments = new Segments(this.#book, worker, (slot) => this.#unlink(slot, "evicted"));
		this.#departures = new Departures(this.#book.departures);
	}

	/** Makes an empty store file of at most these sizes (what was there is lost). `nowSeconds` starts the expiry wheel. */
	static create(path: string, sizes: StoreSizes, nowSeconds: number): Layout {
		return createStore(path, sizes, nowSeconds);
	}

	/** True when the file is a store of these sizes and this version, so that `reopen` can read it. */
	static fits(path: string, sizes: StoreSizes): boolean {
		return storeFits(path, sizes);
	}

	/** Maps a store. `worker` is 0 … WORKER_LIMIT − 1, unique among the processes that have it mapped. */
	static open(path: string, sizes: StoreSizes, worker: number): Arena {
		return new Arena(path, planLayout(sizes), worker);
	}

	// ── look-up ─────────────────────────────────────────────────────────────────────────────

	/**
	 * Two 32-bit lanes over the key; the seed is the store's own, so that collisions cannot be prepared. One request
	 * asks for the same key several times.
	 */
	#hash(key: string): void {
		if (key === this.#hashed) return;
		this.#hashed = key;
		let low = this.#seed | 0;
		let high = (this.#seed ^ 0x5bd1e995) | 0;
		for (let index = 0; index < key.length; index++) {
			const code = key.charCodeAt(index);
			low = Math.imul(low ^ code, 0x85ebca6b);
			low = (low << 13) | (low >>> 19);
			high = Math.imul(high ^ code, 0xc2b2ae35);
			high = (high << 15) | (high >>> 17);
		}
		low = Math.imul(low ^ (low >>> 16), 0x7feb352d);
		high = Math.imul(high ^ (high >>> 15), 0x846ca68b);
		this.#low = (low ^ (low >>> 15)) | 0;
		this.#high = (high ^ (high >>> 16)) | 0;
	}

	/** The shard that answers for a key: while its version stays, what lookup() found stays true. */
	shardOf(key: string): number {
		this.#hash(key);
		return this.#low & (SHARD_COUNT - 1);
	}

	/** 32 bits of what the index goes by. */
	fingerprintOf(key: string): number {
		this.#hash(key);
		return this.#low;
	}

	version(shard: number): number {
		return Atomics.load(this.#book.shards, shard);
	}

	/** Every object stored under `key`, newest first, whatever its age. */
	lookup(key: string): StoredObject[] {
		return this.select(key, () => true).objects;
	}

	/** The same for those who take objects out: what there is, however often others change the shard. */
	surely(key: string): StoredObject[] {
		const found = this.#selected(key, () => true, SURE_TRIES);
		if (found === undefined) throw new Error("the store could not be read for changes");
		return found.objects;
	}

	/**
	 * The same; but where there are more than MANY_VARIANTS, only those whose variant `selects`, and one of the others if
	 * there is one (`whole` is false then).
	 */
	select(key: string, selects: (vary: string) => boolean): Selected {
		return this.#selected(key, selects, LOOKUP_TRIES) ?? { objects: [], whole: true };
	}

	/** Undefined when each of so many tries met a change. */
	#selected(key: string, selects: (vary: string) => boolean, tries: number): Selected | undefined {
		const shard = this.shardOf(key);
		const low = this.#low;
		const high = this.#high;
		for (let attempt = 0; attempt < tries; attempt++) {
			const version = this.version(shard);
			const slots = this.#slotsUnder(low, high);
			const whole = slots.length <= MANY_VARIANTS;
			const found: StoredObject[] = [];
			let hasOther = false;
			for (const slot of slots) {
				const isSelected = whole || selects(this.#varyOf(slot));
				if (!isSelected && hasOther) continue;
				const object = this.#read(slot, shard, version);
				if (object === undefined || object.key !== key) continue;
				found.push(object);
				hasOther ||= !isSelected;
			}
			if (this.version(shard) !== version) continue;
			if (found.length > 1) found.sort((a, b) => b.insertedAt - a.insertedAt || b.vxid - a.vxid);
			return { objects: found, whole };
		}
		return undefined;
	}

	/** Those whose key has this hash. */
	#slotsUnder(low: number, high: number): number[] {
		const { buckets, slots } = this.#book;
		const { bucketCount, slotCount } = this.layout;
		const found: number[] = [];
		let slot = buckets[low & (bucketCount - 1)]! - 1;
		let steps = 0;
		while (slot >= 0 && slot < slotCount && steps++ < slotCount) {
			const at = slot * SLOT_WORDS;
			if (
				slots[at + Slot.hashLow] === low &&
				slots[at + Slot.hashHigh] === high &&
				(slots[at + Slot.flags]! & Flag.live) !== 0
			)
				found.push(slot);
			slot = slots[at + Slot.next]! - 1;
		}
		return found;
	}

	#varyOf(slot: number): string {
		const record = this.#book.recordOf(slot);
		if (record === undefined) return "";
		const { words, buffer, base } = record;
		const at = base + RECORD_BYTES + words[(base + Record.keyBytes) >> 2]!;
		const bytes = words[(base + Record.varyBytes) >> 2]!;
		return bytes > 0 && at > 0 && at + bytes <= buffer.length ? buffer.latin1Slice(at, at + bytes) : "";
	}

	#read(slot: number, shard: number, version: number): StoredObject | undefined {
		const at = slot * SLOT_WORDS;
		const segment = this.#book.slots[at + Slot.segment]!;
		const offset = this.#book.slots[at + Slot.offset]!;
		if (segment < 0 || segment >= this.layout.segmentCount) return undefined;
		const map = this.#book.maps[Math.floor(segment / this.layout.segmentsPerMap)]!;
		const base = (segment % this.layout.segmentsPerMap) * this.layout.segmentBytes + offset;
		const word = base >> 2;
		const float = base >> 3;
		const { words, floats } = map;
		if (words[word] !== RECORD_MAGIC || words[word + (Record.slot >> 2)] !== slot) return undefined;
		const keyAt = base + RECORD_BYTES;
		const varyAt = keyAt + words[word + (Record.keyBytes >> 2)]!;
		const headAt = varyAt + words[word + (Record.varyBytes >> 2)]!;
		const bodyAt = headAt + words[word + (Record.headBytes >> 2)]!;
		const bodyBytes = words[word + (Record.bodyBytes >> 2)]!;
		const flags = this.#book.slots[at + Slot.flags]!;
		const verified = (flags & Flag.verified) !== 0;
		if (bodyAt < 0 || bodyAt + bodyBytes > map.bytes.length || (!verified && !this.#isWhole(map, base))) {
			if (!verified) this.#drop(slot);
			return undefined;
		}
		const body = map.bytes.subarray(bodyAt, bodyAt + bodyBytes);
		const programAt = bodyAt + bodyBytes;
		// What is half changed by another process may say anything: no more than there can be is copied.
		const esiBytes = Math.min(programBytes(words, base), PROGRAM_BYTES);
		const esi = map.bytes.slice(programAt, programAt + esiBytes);
		// The slot may be another's by now.
		if (!verified && this.version(shard) === version)
			Atomics.compareExchange(this.#book.slots, at + Slot.flags, flags, flags | Flag.verified);
		return {
			slot,
			segment,
			shard,
			version,
			key: map.buffer.latin1Slice(keyAt, varyAt),
			vary: varyAt === headAt ? "" : map.buffer.latin1Slice(varyAt, headAt),
			head: map.buffer.latin1Slice(headAt, bodyAt),
			bodyBytes,
			body,
			esi: esi.length === 0 ? undefined : esi,
			tOrigin: floats[float + (Record.tOrigin >> 3)]!,
			ttl: floats[float + (Record.ttl >> 3)]!,
			grace: floats[float + (Record.grace >> 3)]!,
			keep: floats[float + (Record.keep >> 3)]!,
			insertedAt: floats[float + (Record.insertedAt >> 3)]!,
			flags,
			vxid: words[word + (Record.vxid >> 2)]!,
			ban: this.#book.slots[at + Slot.ban]!,
			storage: words[word + (Record.storage >> 2)]!,
		};
	}

	/** The record at `base`, whose lengths lie within the map, is what was written. */
	#isWhole({ words, bytes }: DataMap, base: number): boolean {
		if (soundBytes(words, base) < 0) return false;
		const word = base >> 2;
		const parts = [Record.keyBytes, Record.varyBytes, Record.headBytes];
		const at = parts.reduce((sum, part) => sum + words[word + (part >> 2)]!, base + RECORD_BYTES);
		const end = at + words[word + (Record.bodyBytes >> 2)]! + programBytes(words, base);
		return (
			this.#book.headSum(bytes.subarray(base + Record.tOrigin, at)) ===
				words[word + (Record.headChecksum >> 2)]! &&
			Bun.hash.crc32(bytes.subarray(at, end)) >>> 0 === words[word + (Record.bodyChecksum >> 2)]! >>> 0
		);
	}

	/** Announces a glance at `key`; returns its number until forgetForeseen(), negative: there are too many. */
	foresee(key: string): number {
		this.#hash(key);
		return this.#ahead.foresee(this.#low, this.#high);
	}

	forgetForeseen(): void {
		this.#ahead.forget();
	}

	/** Reads what the glances at the foreseen keys will need. */
	readAhead(): void {
		this.#ahead.read();
	}

	/**
	 * The one object stored under `key`, for who needs a few numbers and bytes of it and no more: good until the next
	 * glance, and true only if holds() says so after they have been read. Undefined when there is none, or more than one,
	 * or its bytes have not been checked yet: lookup() is for those. `foreseen`: the key's number, if it has one.
	 */
	glance(key: string, foreseen = -1): Glance | undefined {
		const glance = this.#glance;
		if (foreseen < 0) this.#hash(key);
		const low = foreseen < 0 ? this.#low : this.#ahead.low[foreseen]!;
		const high = foreseen < 0 ? this.#high : this.#ahead.high[foreseen]!;
		const shard = low & (SHARD_COUNT - 1);
		const { buckets, slots, maps } = this.#book;
		const { slotCount, segmentCount, segmentsPerMap, segmentBytes, bucketCount } = this.layout;
		glance.shard = shard;
		glance.version = this.version(shard);
		let found = -1;
		let steps = 0;
		for (let slot = buckets[low & (bucketCount - 1)]! - 1; slot >= 0 && slot < slotCount; ) {
			const at = slot * SLOT_WORDS;
			if (
				slots[at + Slot.hashLow] === low &&
				slots[at + Slot.hashHigh] === high &&
				(slots[at + Slot.flags]! & Flag.live) !== 0
			) {
				if (found >= 0) return undefined;
				found = slot;
			}
			if (++steps > GLANCE_STEPS) return undefined;
			slot = slots[at + Slot.next]! - 1;
		}
		if (found < 0) return undefined;
		const at = found * SLOT_WORDS;
		const flags = slots[at + Slot.flags]!;
		const segment = slots[at + Slot.segment]!;
		if ((flags & Flag.verified) === 0 || segment < 0 || segment >= segmentCount) return undefined;
		const map = maps[Math.floor(segment / segmentsPerMap)]!;
		const { words, floats, bytes } = map;
		const base = (segment % segmentsPerMap) * segmentBytes + slots[at + Slot.offset]!;
		const word = base >> 2;
		const float = base >> 3;
		if (words[word] !== RECORD_MAGIC || words[word + (Record.slot >> 2)] !== found) return undefined;
		const keyAt = base + RECORD_BYTES;
		const keyBytes = words[word + (Record.keyBytes >> 2)]!;
		const varyBytes = words[word + (Record.varyBytes >> 2)]!;
		const headBytes = words[word + (Record.headBytes >> 2)]!;
		const bodyBytes = words[word + (Record.bodyBytes >> 2)]!;
		if (keyBytes !== key.length || varyBytes < 0 || headBytes < 0 || bodyBytes < 0) return undefined;
		glance.varyAt = keyAt + keyBytes;
		glance.headAt = glance.varyAt + varyBytes;
		glance.bodyAt = glance.headAt + headBytes;
		if (glance.bodyAt + bodyBytes > bytes.length) return undefined;
		for (let index = 0; index < keyBytes; index++)
			if (bytes[keyAt + index] !== key.charCodeAt(index)) return undefined;
		glance.slot = found;
		glance.map = map;
		glance.bodyBytes = bodyBytes;
		glance.tOrigin = floats[float + (Record.tOrigin >> 3)]!;
		glance.ttl = floats[float + (Record.ttl >> 3)]!;
		glance.grace = floats[float + (Record.grace >> 3)]!;
		glance.keep = floats[float + (Record.keep >> 3)]!;
		glance.flags = flags;
		glance.vxid = words[word + (Record.vxid >> 2)]!;
		glance.ban = slots[at + Slot.ban]!;
		glance.hits = slots[at + Slot.hits]!;
		return glance;
	}

	/** How the last object that was stored under `key` has gone, if that is known. */
	departure(key: string): Departure | undefined {
		this.#hash(key);
		return this.#departures.find(this.#low, this.#high);
	}

	/** True while `object` is where it was read. */
	holds(object: Pick<StoredObject, "shard" | "version">): boolean {
		return Atomics.load(this.#book.shards, object.shard) === object.version;
	}

	/**
	 * A number that stands for everything stored under `key`: which objects, where they are and how long they are
	 * good for. While it stays, lookup() finds what it found before.
	 */
	kin(key: string): number {
		const shard = this.shardOf(key);
		const low = this.#low;
		const high = this.#high;
		let kin = shard;
		let slot = this.#book.buckets[low & (this.layout.bucketCount - 1)]! - 1;
		let steps = 0;
		while (slot >= 0 && slot < this.layout.slotCount && steps++ < this.layout.slotCount) {
			const at = slot * SLOT_WORDS;
			if (
				this.#book.slots[at + Slot.hashLow] === low &&
				this.#book.slots[at + Slot.hashHigh] === high &&
				(this.#book.slots[at + Slot.flags]! & Flag.live) !== 0
			) {
				const record = this.#book.recordOf(slot);
				if (record !== undefined) {
					const { words, base } = record;
					kin = mix(kin, slot);
					kin = mix(kin, base);
					kin = mix(kin, this.#book.slots[at + Slot.segment]!);
					kin = mix(kin, words[(base + Record.vxid) >> 2]!);
					for (let each = Record.tOrigin; each < Record.insertedAt; each += 4)
						kin = mix(kin, words[(base + each) >> 2]!);
				}
			}
			slot = this.#book.slots[at + Slot.next]! - 1;
		}
		return kin;
	}

	/** `object` as it is now, when everything under its key is as it was when kin() gave `kin`; else undefined. */
	again(object: StoredObject, key: string, kin: number): StoredObject | undefined {
		const version = this.version(object.shard);
		if (this.kin(key) !== kin || this.version(object.shard) !== version) return undefined;
		return { ...object, version };
	}

	/** Counts a use, for obj.hits and for eviction; returns how many there were before. */
	use(object: Pick<StoredObject, "slot">): number {
		const at = object.slot * SLOT_WORDS;
		if (this.#book.slots[at + Slot.frequency]! < 3) this.#book.slots[at + Slot.frequency]!++;
		// It stays at its largest: a negative number of hits would look like a miss.
		if (this.#book.slots[at + Slot.hits]! >= HITS_LIMIT) return HITS_LIMIT;
		return Atomics.add(this.#book.slots, at + Slot.hits, 1);
	}

	/** Keeps the object's bytes in place until unpin(); false when it was already gone. */
	pin(object: StoredObject): boolean {
		this.#pin(object.segment);
		if (this.holds(object)) return true;
		this.#unpin(object.segment);
		return false;
	}

	unpin(object: StoredObject): void {
		this.#unpin(object.segment);
	}

	#pinnedSegments = 0;

	/** This worker keeps so many segments in place that the store may not be renewed: what is short is better copied. */
	get pinsMuch(): boolean {
		return this.#pinnedSegments > this.layout.segmentCount / PINNED_SHARE;
	}

	/** Others read a worker's pins, and only it changes them. */
	#pin(segment: number): void {
		const before = Atomics.add(this.#book.pins, this.#worker * this.layout.segmentCount + segment, 1);
		if (before === 0) this.#pinnedSegments++;
	}

	#unpin(segment: number): void {
		const before = Atomics.sub(this.#book.pins, this.#worker * this.layout.segmentCount + segment, 1);
		if (before === 1) this.#pinnedSegments--;
	}

	// ── change ──────────────────────────────────────────────────────────────────────────────

	#locked<Result>(change: () => Result): Result {
		lockWord(this.#book.control, Control.lock, this.#worker + 1);
		try {
			return change();
		} finally {
			unlockWord(this.#book.control, Control.lock, this.#worker + 1);
		}
	}

	/**
	 * Stores an object whose body is the concatenation of `parts`. Undefined when it cannot fit: nothing was
	 * stored then, and nothing but what had to make room was lost.
	 */
	insert(meta: ObjectMeta, parts: readonly Uint8Array[]): StoredObject | undefined {
		const slot = this.#put(meta, parts, false);
		if (slot < 0) return undefined;
		const shard = this.shardOf(meta.key);
		return this.#read(slot, shard, this.version(shard));
	}

	/** The same in place of older objects of that key and variant, which nobody would look at again; false: no room. */
	replace(meta: ObjectMeta, parts: readonly Uint8Array[]): boolean {
		return this.#put(meta, parts, true) >= 0;
	}

	/** The slot of the new object; negative without room. */
	#put(meta: ObjectMeta, parts: readonly Uint8Array[], replaces: boolean): number {
		let bodyBytes = 0;
		for (const part of parts) bodyBytes += part.length;
		const esiBytes = meta.esi?.length ?? 0;
		const total = recordBytes(meta, bodyBytes + esiBytes);
		const area = this.layout.areas[meta.storage]!;
		if (total > this.capacity(meta.storage) || esiBytes > PROGRAM_BYTES) return -1;
		this.#hash(meta.key);
		const low = this.#low;
		const high = this.#high;
		const marks = meta.marks ?? marksIn(meta.head);
		const { control, storageFloats } = this.#book;
		lockWord(control, Control.lock, this.#worker + 1);
		try {
			if (meta.isOutdated?.()) return -1;
			storageFloats[meta.storage * STORAGE_FLOATS + StorageFloat.requests]!++;
			const queue = this.#segments.takeGhost(low) ? Queue.main : Queue.small;
			const slot = this.#takeSlot(area);
			const place = slot < 0 ? undefined : this.#segments.allocate(total, queue, area);
			if (place === undefined) {
				storageFloats[meta.storage * STORAGE_FLOATS + StorageFloat.failures]!++;
				if (slot >= 0) this.#giveSlot(slot);
				return -1;
			}
			const placed = this.#at(place.segment, place.offset);
			const { bytes, words, base } = placed;
			words[base >> 2] = 0;
			const bodyAt = base + bodyOffset(meta);
			let at = bodyAt;
			for (const part of parts) {
				bytes.set(part, at);
				at += part.length;
			}
			if (meta.esi !== undefined) {
				bytes.set(meta.esi, at);
				at += meta.esi.length;
			}
			const sum = Bun.hash.crc32(bytes.subarray(bodyAt, at));
			this.#enter(place, placed, slot, total, meta, marks, bodyBytes, sum, low, high, replaces);
			return slot;
		} finally {
			unlockWord(control, Control.lock, this.#worker + 1);
		}
	}

	/** The mapping of a place in the data, and where it is in there. */
	#at(segment: number, offset: number): Placed {
		const { segmentsPerMap, segmentBytes } = this.layout;
		const { bytes, buffer, words, floats } = this.#book.maps[Math.floor(segment / segmentsPerMap)]!;
		return { bytes, buffer, words, floats, base: (segment % segmentsPerMap) * segmentBytes + offset };
	}

	/** Writes the record around a body that is in its place, and puts it into the index. Under the lock. */
	#enter(
		{ segment, offset }: { readonly segment: number; readonly offset: number },
		placed: Placed,
		slot: number,
		total: number,
		meta: ObjectMeta,
		marks: TagMarks,
		bodyBytes: number,
		bodySum: number,
		low: number,
		high: number,
		replaces: boolean,
	): void {
		const { slots, tags } = this.#book;
		this.#write(placed, slot, total, meta, marks, bodyBytes, bodySum, low, high);
		const at = slot * SLOT_WORDS;
		slots[at + Slot.hashLow] = low;
		slots[at + Slot.hashHigh] = high;
		slots[at + Slot.segment] = segment;
		slots[at + Slot.offset] = offset;
		slots[at + Slot.hits] = 0;
		slots[at + Slot.frequency] = 0;
		slots[at + Slot.ban] = meta.ban;
		tags[slot * TAG_WORDS] = marks.low;
		tags[slot * TAG_WORDS + 1] = marks.high;
		slots[at + Slot.flags] = meta.flags | Flag.live | Flag.verified | (meta.esi === undefined ? 0 : Flag.esi);
		this.#book.account(meta.storage, total, 1);
		this.#book.occupy(segment, total, 1);
		this.#wheel.add(slot, Math.ceil(meta.tOrigin + meta.ttl + meta.grace + meta.keep));
		this.#book.link(slot, low);
		this.#book.touch(low & (SHARD_COUNT - 1));
		this.#tidyVariants(slot, low, high, meta, replaces);
	}

	/**
	 * Room for an object whose body will be so long, to be written as it comes; undefined when it cannot be had: its
	 * storage is not as large, or what is in there is being sent or written. Whoever has it calls commit() or release().
	 */
	reserve(meta: ObjectMeta, bodyBytes: number): Reservation | undefined {
		const total = recordBytes(meta, bodyBytes + (meta.esi?.length ?? 0));
		const area = this.layout.areas[meta.storage]!;
		if (total > this.capacity(meta.storage)) return undefined;
		const { storageFloats } = this.#book;
		const segment = this.#locked(() => {
			storageFloats[meta.storage * STORAGE_FLOATS + StorageFloat.requests]!++;
			const found = this.#segments.reserveRun(total, area);
			if (found < 0) storageFloats[meta.storage * STORAGE_FLOATS + StorageFloat.failures]!++;
			return found;
		});
		if (segment < 0) return undefined;
		const { bytes, base } = this.#at(segment, 0);
		const bodyAt = base + bodyOffset(meta);
		return new Reservation(segment, bytes.subarray(bodyAt, bodyAt + bodyBytes), false);
	}

	/** The same for a body whose length is not known: room for so much of it at first. */
	reserveRoom(meta: ObjectMeta, bodyBytes: number): Reservation | undefined {
		const total = recordBytes(meta, bodyBytes);
		const area = this.layout.areas[meta.storage]!;
		if (total > this.capacity(meta.storage)) return undefined;
		const segment = this.#locked(() => this.#segments.reserveRoom(total, area));
		if (segment < 0) return undefined;
		const { bytes, base } = this.#at(segment, 0);
		const bodyAt = base + bodyOffset(meta);
		return new Reservation(segment, bytes.subarray(bodyAt, bodyAt + bodyBytes), true);
	}

	/** More room behind what there is; false when there is none to be had. */
	extend(reservation: Reservation, meta: ObjectMeta): boolean {
		const { segment, roomBytes } = reservation;
		const added = this.#locked(() => this.#segments.extendRun(segment, this.layout.areas[meta.storage]!));
		if (added === 0) return false;
		const { bytes, base } = this.#at(segment, 0);
		const bodyAt = base + bodyOffset(meta);
		reservation.enlarge(bytes.subarray(bodyAt, bodyAt + roomBytes + added));
		return true;
	}

	/**
	 * What has been written becomes the object that there was room made for, in place of older ones of that key and variant if it `replaces`. Its bytes
	 * stay in place until release(), as they do without having been committed. False when the index has no room.
	 */
	commit(reservation: Reservation, meta: ObjectMeta, replaces: boolean): boolean {
		const { segment, isWhole, grows } = reservation;
		const bodyBytes = reservation.writtenBytes;
		const totalBytes = recordBytes(meta, bodyBytes + (meta.esi?.length ?? 0));
		if (!isWhole) return false;
		this.#hash(meta.key);
		const low = this.#low;
		const high = this.#high;
		const marks = meta.marks ?? marksIn(meta.head);
		const { segments } = this.#book;
		return this.#locked(() => {
			if (meta.isOutdated?.()) return false;
			this.#segments.takeGhost(low);
			const area = this.layout.areas[meta.storage]!;
			const slot = this.#takeSlot(area);
			if (slot < 0) return false;
			if (grows) this.#segments.trimRun(segment, totalBytes, area);
			this.#pin(segment);
			segments[segment * SEGMENT_WORDS + Segment.state] = SegmentState.sealed;
			const place = { segment, offset: 0 };
			const placed = this.#at(segment, 0);
			let { sum } = reservation;
			if (meta.esi !== undefined) {
				placed.bytes.set(meta.esi, placed.base + bodyOffset(meta) + bodyBytes);
				sum = Bun.hash.crc32(meta.esi, sum);
			}
			this.#enter(place, placed, slot, totalBytes, meta, marks, bodyBytes, sum, low, high, replaces);
			reservation.committed = true;
			return true;
		});
	}

	/** Nobody reads the bytes of `reservation` any more; without commit() its room is free. */
	release({ segment, committed }: Reservation): void {
		if (committed) this.#unpin(segment);
		else this.#locked(() => this.#segments.release(segment));
	}

	/**
	 * Takes out what the object in `slot` replaces, and the oldest of too many variants: one that has been used goes in
	 * front once more instead, unless there are twice too many. Under the lock.
	 */
	#tidyVariants(slot: number, low: number, high: number, meta: ObjectMeta, replaces: boolean): void {
		const { slots } = this.#book;
		let variants = 1;
		let previous = slot;
		let next = slots[slot * SLOT_WORDS + Slot.next]! - 1;
		while (next >= 0) {
			const each = next;
			const at = each * SLOT_WORDS;
			next = slots[at + Slot.next]! - 1;
			const isVariant = slots[at + Slot.hashLow] === low && slots[at + Slot.hashHigh] === high;
			if (isVariant && replaces && this.#isReplaced(each, meta)) this.#unlink(each);
			else if (!isVariant || ++variants <= VARIANT_LIMIT) previous = each;
			else if (slots[at + Slot.frequency] === 0 || variants > VARIANT_LIMIT * 2)
				this.#unlink(each, "evicted");
			else {
				slots[at + Slot.frequency]!--;
				slots[previous * SLOT_WORDS + Slot.next] = next + 1;
				this.#book.link(each, low);
				this.#book.touch(low & (SHARD_COUNT - 1));
			}
		}
	}

	#isReplaced(slot: number, { key, vary, insertedAt }: ObjectMeta): boolean {
		const record = this.#book.recordOf(slot);
		if (record === undefined) return false;
		const { words, floats, buffer, base } = record;
		const keyBytes = words[(base + Record.keyBytes) >> 2]!;
		const varyBytes = words[(base + Record.varyBytes) >> 2]!;
		if (keyBytes !== key.length || varyBytes !== vary.length) return false;
		const varyAt = base + RECORD_BYTES + keyBytes;
		return (
			floats[(base + Record.insertedAt) >> 3]! <= insertedAt &&
			buffer.latin1Slice(base + RECORD_BYTES, varyAt) === key &&
			buffer.latin1Slice(varyAt, varyAt + varyBytes) === vary
		);
	}

	#write(
		{ words, floats, buffer, bytes, base }: Placed,
		slot: number,
		total: number,
		meta: ObjectMeta,
		marks: TagMarks,
		bodyBytes: number,
		bodySum: number,
		low: number,
		high: number,
	): void {
		const word = base >> 2;
		const float = base >> 3;
		const keyAt = base + RECORD_BYTES;
		const varyAt = keyAt + buffer.latin1Write(meta.key, keyAt);
		const headAt = varyAt + (meta.vary === "" ? 0 : buffer.latin1Write(meta.vary, varyAt));
		const bodyAt = headAt + buffer.latin1Write(meta.head, headAt);
		const { esi } = meta;
		if (esi !== undefined) words[word + (Record.esiBytes >> 2)] = esi.length;
		words[word + (Record.totalBytes >> 2)] = total;
		words[word + (Record.slot >> 2)] = slot;
		floats[float + (Record.tOrigin >> 3)] = meta.tOrigin;
		floats[float + (Record.ttl >> 3)] = meta.ttl;
		floats[float + (Record.grace >> 3)] = meta.grace;
		floats[float + (Record.keep >> 3)] = meta.keep;
		floats[float + (Record.insertedAt >> 3)] = meta.insertedAt;
		words[word + (Record.keyBytes >> 2)] = meta.key.length;
		words[word + (Record.varyBytes >> 2)] = meta.vary.length;
		words[word + (Record.headBytes >> 2)] = meta.head.length;
		words[word + (Record.bodyBytes >> 2)] = bodyBytes;
		words[word + (Record.flags >> 2)] = esi === undefined ? meta.flags : meta.flags | Flag.esi;
		words[word + (Record.vxid >> 2)] = meta.vxid;
		words[word + (Record.ban >> 2)] = meta.ban;
		words[word + (Record.storage >> 2)] = meta.storage;
		words[word + (Record.hashLow >> 2)] = low;
		words[word + (Record.hashHigh >> 2)] = high;
		words[word + (Record.tagsLow >> 2)] = marks.low;
		words[word + (Record.tagsHigh >> 2)] = marks.high;
		words[word + (Record.bodyChecksum >> 2)] = bodySum;
		words[word + (Record.headChecksum >> 2)] = this.#book.headSum(
			bytes.subarray(base + Record.tOrigin, bodyAt),
		);
		words[word] = RECORD_MAGIC;
	}

	/** Removes the object if it is still the one in its slot. `ban`: the number of the one that holds for it. */
	remove(object: StoredObject, cause?: Cause, ban = 0): boolean {
		return this.#locked(() => {
			if (!this.#isIn(object)) return false;
			this.#unlink(object.slot, cause, ban);
			return true;
		});
	}

	/** What is not whole, unless its slot has become another's since. */
	#drop(slot: number): void {
		this.#locked(() => {
			const flags = this.#book.slots[slot * SLOT_WORDS + Slot.flags]!;
			if ((flags & (Flag.live | Flag.verified)) === Flag.live) this.#unlink(slot, "damaged");
		});
	}

	/** Gives an object other lifetimes (purge.soft). Undefined leaves a value as it is. */
	relive(
		object: StoredObject,
		lifetime: { tOrigin?: number; ttl?: number; grace?: number; keep?: number },
	): void {
		this.#locked(() => {
			const record = this.#book.recordOf(object.slot);
			if (record === undefined || record.words[(record.base + Record.vxid) >> 2] !== object.vxid) return;
			const { floats, base } = record;
			if (lifetime.tOrigin !== undefined) floats[(base + Record.tOrigin) >> 3] = lifetime.tOrigin;
			if (lifetime.ttl !== undefined) floats[(base + Record.ttl) >> 3] = lifetime.ttl;
			if (lifetime.grace !== undefined) floats[(base + Record.grace) >> 3] = lifetime.grace;
			if (lifetime.keep !== undefined) floats[(base + Record.keep) >> 3] = lifetime.keep;
			// Whoever sets these by hand wants stale answers served as they say.
			record.words[(base + Record.flags) >> 2]! &= ~Flag.strict;
			this.#book.slots[object.slot * SLOT_WORDS + Slot.flags]! &= ~Flag.strict;
			this.#book.sealHead(record);
			this.#wheel.remove(object.slot);
			const deadline =
				floats[(base + Record.tOrigin) >> 3]! +
				floats[(base + Record.ttl) >> 3]! +
				floats[(base + Record.grace) >> 3]! +
				floats[(base + Record.keep) >> 3]!;
			this.#wheel.add(object.slot, Math.ceil(deadline));
			this.#book.touch(object.shard);
		});
	}

	/** Returns when what others are about to store can be found. */
	awaitStores(): void {
		this.#locked(() => {});
	}

	/** Notes that the object was tested against bans up to `ban`, unless its slot has become another's since. */
	noteBan(object: StoredObject, ban: number): void {
		this.#locked(() => {
			if (this.#isIn(object)) this.#book.slots[object.slot * SLOT_WORDS + Slot.ban] = ban;
		});
	}

	/** Whether the object is still the one in its slot. Under the lock. */
	#isIn({ slot, vxid }: StoredObject): boolean {
		if ((this.#book.slots[slot * SLOT_WORDS + Slot.flags]! & Flag.live) === 0) return false;
		const record = this.#book.recordOf(slot);
		return record !== undefined && record.words[(record.base + Record.vxid) >> 2] === vxid;
	}

	/**
	 * Takes a live slot out of everything. Under the lock. Whoever reads meanwhile finds the object or does not; the
	 * version moves once it cannot be found any more and before its place may be taken, so that one who has found it
	 * has either pinned it by then, or sees that it is gone.
	 */
	#unlink(slot: number, cause?: Cause, ban = 0): void {
		const at = slot * SLOT_WORDS;
		const low = this.#book.slots[at + Slot.hashLow]!;
		// Nobody misses a mark.
		if (cause !== undefined && (this.#book.slots[at + Slot.flags]! & MARKS) === 0)
			this.#departures.note(low, this.#book.slots[at + Slot.hashHigh]!, {
				cause,
				at: cause === "expired" ? this.#book.slots[at + Slot.deadline]! : Date.now() / 1000,
				ban,
			});
		const bucket = low & (this.layout.bucketCount - 1);
		let previous = -1;
		let each = this.#book.buckets[bucket]! - 1;
		while (each >= 0 && each !== slot) {
			previous = each;
			each = this.#book.slots[each * SLOT_WORDS + Slot.next]! - 1;
		}
		if (each === slot) {
			if (previous < 0) this.#book.buckets[bucket] = this.#book.slots[at + Slot.next]!;
			else this.#book.slots[previous * SLOT_WORDS + Slot.next] = this.#book.slots[at + Slot.next]!;
		}
		this.#wheel.remove(slot);
		const record = this.#book.recordOf(slot);
		const segment = this.#book.slots[at + Slot.segment]!;
		let bytes = 0;
		if (record !== undefined) {
			// What is damaged says anything of itself.
			bytes = Math.max(0, soundBytes(record.words, record.base));
			this.#book.account(record.words[(record.base + Record.storage) >> 2]!, bytes, -1);
			record.words[(record.base + Record.slot) >> 2] = -1;
			// The checksum goes too: a dead object must not come back when the file is read again.
			record.words[(record.base + Record.headChecksum) >> 2]! ^= DEAD;
		}
		this.#book.slots[at + Slot.flags] = 0;
		this.#book.touch(low & (SHARD_COUNT - 1));
		this.#giveSlot(slot);
		const live = this.#book.occupy(segment, bytes, -1);
		if (live <= 0 && this.#book.segments[segment * SEGMENT_WORDS + Segment.state] === SegmentState.sealed)
			if (!this.#book.pinned(segment)) this.#segments.release(segment);
	}

	/** One of the area's share of the index. */
	#takeSlot(area: Area): number {
		const { control, slots, storages } = this.#book;
		const taken = area.storage * STORAGE_WORDS + Storage.slots;
		for (let attempt = 0; attempt < RECLAIM_LIMIT; attempt++) {
			const slot = control[Control.freeSlot]! - 1;
			if (slot >= 0 && storages[taken]! < area.slotLimit) {
				control[Control.freeSlot] = slots[slot * SLOT_WORDS + Slot.next]!;
				return slot;
			}
			if (!this.#segments.reclaim(area)) return -1;
		}
		return -1;
	}

	#giveSlot(slot: number): void {
		const { control, slots } = this.#book;
		slots[slot * SLOT_WORDS + Slot.next] = control[Control.freeSlot]!;
		control[Control.freeSlot] = slot + 1;
	}

	// ── expiry ──────────────────────────────────────────────────────────────────────────────

	/**
	 * Removes what is past its deadline, at most `limit` objects; returns how many. Any worker may call it. It can wait:
	 * while another process has the lock, perhaps asleep with it, nothing is done.
	 */
	expire(nowSeconds: number, limit = 2000): number {
		const { control } = this.#book;
		if (control[Control.wheelSecond]! >= Math.floor(nowSeconds)) return 0;
		if (!tryLockWord(control, Control.lock, this.#worker + 1)) return 0;
		try {
			const removed = this.#wheel.turn(nowSeconds, limit, (slot) => this.#unlink(slot, "expired"));
			control[Control.expired]! += removed;
			return removed;
		} finally {
			unlockWord(control, Control.lock, this.#worker + 1);
		}
	}

	/**
	 * Every live object from slot `from` on, at most `limit` of them and of WALK_SLOTS slots, for the ban lurker; `next` is
	 * -1 at the end.
	 */
	walk(from: number, limit: number): { objects: StoredObject[]; next: number } {
		const objects: StoredObject[] = [];
		let slot = from;
		const last = Math.min(this.layout.slotCount, from + WALK_SLOTS);
		for (; slot < last && objects.length < limit; slot++) {
			const object = this.#steady(slot);
			if (object !== undefined) objects.push(object);
		}
		return { objects, next: slot >= this.layout.slotCount ? -1 : slot };
	}

	/**
	 * Live objects from slot `from` on that were stored with one of `wanted`, each once: at most `limit` of them, and of
	 * WALK_SLOTS slots; `next` is -1 at the end.
	 */
	tagged(wanted: readonly string[], from: number, limit: number): { objects: StoredObject[]; next: number } {
		const { tags, slots } = this.#book;
		const names = new Set(wanted);
		const marked = [...names].map((tag) => ({ ...marksOf([tag]), bytes: Buffer.from(tag, "latin1") }));
		const found: StoredObject[] = [];
		const last = Math.min(this.layout.slotCount, from + WALK_SLOTS);
		let slot = from;
		for (; slot < last && found.length < limit; slot++) {
			const low = tags[slot * TAG_WORDS]!;
			const high = tags[slot * TAG_WORDS + 1]!;
			if ((low | high) === 0 || (slots[slot * SLOT_WORDS + Slot.flags]! & Flag.live) === 0) continue;
			// Most that the marks let through in vain do not have these bytes anywhere.
			const mayHave = marked.some(
				(mark) =>
					(low & mark.low) === mark.low &&
					(high & mark.high) === mark.high &&
					this.#headHas(slot, mark.bytes),
			);
			if (!mayHave) continue;
			const object = this.#steady(slot);
			if (object !== undefined && tagsIn(object.head).some((tag) => names.has(tag))) found.push(object);
		}
		return { objects: found, next: slot >= this.layout.slotCount ? -1 : slot };
	}

	/** The live object in a slot, read anew while others change its shard: who passes it by may never come again. */
	#steady(slot: number): StoredObject | undefined {
		const { slots } = this.#book;
		const at = slot * SLOT_WORDS;
		for (let attempt = 0; attempt < SURE_TRIES; attempt++) {
			const low = slots[at + Slot.hashLow]!;
			const shard = low & (SHARD_COUNT - 1);
			const version = this.version(shard);
			if ((slots[at + Slot.flags]! & Flag.live) === 0) return undefined;
			const object = this.#read(slot, shard, version);
			if (this.version(shard) === version && slots[at + Slot.hashLow] === low) return object;
		}
		throw new Error("the store could not be read for changes");
	}

	/** True when `wanted` is somewhere in the key, the variant or the head of a slot's record. */
	#headHas(slot: number, wanted: Buffer): boolean {
		const record = this.#book.recordOf(slot);
		if (record === undefined) return false;
		const { words, bytes, base } = record;
		const length =
			words[(base + Record.keyBytes) >> 2]! +
			words[(base + Record.varyBytes) >> 2]! +
			words[(base + Record.headBytes) >> 2]!;
		const start = bytes.byteOffset + base + RECORD_BYTES;
		if (length < 0 || start + length > bytes.byteOffset + bytes.length) return false;
		return Buffer.from(bytes.buffer as ArrayBuffer, start, length).includes(wanted);
	}

	/**
	 * Ends the bans up to `number`, as far as it can: from here on nothing is stored that was fetched before one of them
	 * came (`over`, shared by all processes: its word 1), and what was until now still holds back those that it has not been
	 * tested against. Returns the newest that is over.
	 */
	endBans(over: Int32Array, number: number): number {
		if (number > Atomics.load(over, 1)) Atomics.store(over, 1, number);
		this.awaitStores();
		let oldest = number;
		for (const reached of this.banReferences().keys()) oldest = Math.min(oldest, reached);
		return oldest;
	}

	/** How many live objects have been tested up to each ban, by its number. */
	banReferences(): Map<number, number> {
		const { slots } = this.#book;
		const references = new Map<number, number>();
		for (let at = 0; at < slots.length; at += SLOT_WORDS) {
			if ((slots[at + Slot.flags]! & Flag.live) === 0) continue;
			const ban = slots[at + Slot.ban]!;
			references.set(ban, (references.get(ban) ?? 0) + 1);
		}
		return references;
	}

	/** Bytes that the objects of a storage can take. */
	capacity(storage: number): number {
		const { first, end } = this.layout.areas[storage]!;
		return (end - first) * this.layout.segmentBytes;
	}

	figures(): StoreFigures {
		const { control } = this.#book;
		const storages = this.layout.areas.map((area, storage) => this.#figuresOf(area, storage));
		return {
			objects: control[Control.liveObjects]!,
			bytes: storages.reduce((sum, { bytes }) => sum + bytes, 0),
			spaceBytes: storages.reduce((sum, { spaceBytes }) => sum + spaceBytes, 0),
			nuked: control[Control.nuked]!,
			expired: control[Control.expired]!,
			storages,
		};
	}

	#figuresOf(area: Area, storage: number): StorageFigures {
		const floats = this.#book.storageFloats;
		const { areas } = this.layout;
		const of = (each: number, figure: number) => floats[each * STORAGE_FLOATS + figure]!;
		let used = 0;
		for (let each = 0; each < areas.length; each++)
			if (areas[each] === area) used += of(each, StorageFloat.bytes);
		return {
			requests: of(storage, StorageFloat.requests),
			failures: of(storage, StorageFloat.failures),
			bytesTaken: of(storage, StorageFloat.bytesTaken),
			bytesFreed: of(storage, StorageFloat.bytesFreed),
			objects: of(storage, StorageFloat.objects),
			bytes: of(storage, StorageFloat.bytes),
			spaceBytes: area.storage === storage ? Math.max(0, this.capacity(storage) - used) : 0,
		};
	}

	/**
	 * What a dead worker left: its lock, its pins, its open segments. When it died in the middle of a change the
	 * index is built anew. Called by the manager, whose id here is WORKER_LIMIT. `isGone` tells of others that have
	 * died too, and have not been buried yet.
	 */
	bury(worker: number, nowSeconds: number, isGone: (worker: number) => boolean = () => false): void {
		const { control } = this.#book;
		const died =
			Atomics.compareExchange(control, Control.lock, worker + 1, MANAGER) === worker + 1 ||
			lockWordOrInherit(control, Control.lock, MANAGER, (holder) => isGone(holder - 1));
		this.#book.pins.fill(0, worker * this.layout.segmentCount, (worker + 1) * this.layout.segmentCount);
		try {
			this.#segments.releaseRuns(worker);
			if (died) rebuild(this.#store, nowSeconds);
			else {
				const { storages } = this.#book;
				for (let storage = 0; storage < storages.length; storage += STORAGE_WORDS)
					for (const queue of [Queue.small, Queue.main]) {
						const openAt = storage + Storage.open + worker * 2 + queue;
						const open = storages[openAt]! - 1;
						storages[openAt] = 0;
						if (open >= 0) this.#segments.seal(open);
					}
			}
		} finally {
			unlockWord(this.#book.control, Control.lock, MANAGER);
		}
	}

	/**
	 * After a restart: nobody else has the file mapped, whatever the lock and the pins say. What is in a storage that is
	 * not to outlive its processes (`lasts` says no) goes. Returns the number of objects that are left.
	 */
	reopen(nowSeconds: number, lasts: (storage: number) => boolean = () => true): number {
		this.#book.pins.fill(0);
		this.#book.control[Control.lock] = MANAGER;
		try {
			const found = takeUp(this.#path, this.#store, nowSeconds);
			const ended = this.layout.areas.map((area) => !lasts(area.storage));
			return ended.includes(true) ? found - this.#clear(ended) : found;
		} finally {
			this.#book.control[Control.lock] = 0;
		}
	}

	/** Takes out what is in these storages; returns how many objects that were. Under the lock. */
	#clear(storages: readonly boolean[]): number {
		const { slots } = this.#book;
		let count = 0;
		for (let slot = 0; slot < this.layout.slotCount; slot++) {
			if ((slots[slot * SLOT_WORDS + Slot.flags]! & Flag.live) === 0) continue;
			const record = this.#book.recordOf(slot);
			if (record !== undefined && !storages[record.words[(record.base + Record.storage) >> 2]!]) continue;
			this.#unlink(slot);
			count++;
		}
		return count;
	}

	/** The last one leaves: what is stored is on the disk, in order for reopen(). */
	layDown(): void {
		layDown(this.#path, this.#store);
	}

	get #store(): Store {
		return { book: this.#book, wheel: this.#wheel, segments: this.#segments };
	}
}
