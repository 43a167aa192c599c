/**
 * The object store: an index of typed arrays over a mapped file that all workers share.
 *
 * Look-ups take no lock. A reader notes its shard's version, reads, and looks at the version again before it
 * believes what it read; whoever moves or removes an object raises the version first. Changes are made under
 * one lock, a word in the file that names its holder, so that the manager can free it when a holder dies.
 *
 * Room is made by the segment, in the manner of S3-FIFO (Yang et al., SOSP 2023): new objects go to the small
 * queue; when one of its segments is due, objects used since are moved to the main queue and the rest is
 * dropped, with a fingerprint left in the ghost table; a key found there goes to the main queue at once.
 * A due segment of the main queue keeps what was used, once per use. A segment that a worker is sending from
 * is pinned and passed over.
 */
import { closeSync, existsSync, ftruncateSync, openSync, statSync } from "node:fs";
import { type ByteBuffer, byteBuffer } from "../http/bytes.ts";
import {
	Control,
	ControlFloat,
	Flag,
	type Layout,
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
	STORE_MAGIC,
	STORE_VERSION,
	WHEEL_STEPS,
	WORKER_LIMIT,
} from "./layout.ts";
import { lockWord, unlockWord } from "./lock.ts";

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
	/** Index of its storage among the -s arguments. */
	readonly storage: number;
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

interface DataMap {
	readonly bytes: Uint8Array;
	readonly buffer: ByteBuffer;
	readonly words: Int32Array;
	readonly floats: Float64Array;
}

export interface StoreFigures {
	readonly objects: number;
	readonly bytes: number;
	readonly transientObjects: number;
	readonly transientBytes: number;
	readonly spaceBytes: number;
	readonly nuked: number;
	readonly expired: number;
}

/** Segments that may be looked at to make room for one object (Varnish's nuke_limit is of the same kind). */
const RECLAIM_LIMIT = 64;
/** The lock's holder when it is the manager. */
const MANAGER = WORKER_LIMIT + 1;
/** Turned into the checksum of a record that is no more, so that nobody takes it for a live one. */
const DEAD = 0x55aa55aa;
/** Hits are counted up to here. */
const HITS_LIMIT = 0x7fffff00;
const mix = (sum: number, word: number) => Math.imul(sum ^ word, 0x9e3779b1) ^ (sum >>> 15);
const ALIGN = 8;
const round8 = (bytes: number) => Math.ceil(bytes / ALIGN) * ALIGN;

export class Arena {
	readonly layout: Layout;
	readonly #worker: number;
	readonly #control: Int32Array;
	readonly #controlFloats: Float64Array;
	readonly #shards: Int32Array;
	readonly #buckets: Int32Array;
	readonly #slots: Int32Array;
	readonly #wheel: Int32Array;
	readonly #segments: Int32Array;
	readonly #pins: Int32Array;
	readonly #ghosts: Int32Array;
	readonly #maps: DataMap[] = [];
	readonly #seed: number;
	#low = 0;
	#high = 0;

	private constructor(path: string, layout: Layout, worker: number) {
		this.layout = layout;
		this.#worker = worker;
		const book = Bun.mmap(path, { shared: true, size: layout.dataAt });
		const words = (at: number, count: number) => new Int32Array(book.buffer, book.byteOffset + at, count);
		this.#control = words(0, 1024);
		this.#controlFloats = new Float64Array(book.buffer, book.byteOffset, 512);
		this.#shards = words(layout.shardsAt, SHARD_COUNT);
		this.#buckets = words(layout.bucketsAt, layout.bucketCount);
		this.#slots = words(layout.slotsAt, layout.slotCount * SLOT_WORDS);
		this.#wheel = words(layout.wheelAt, WHEEL_STEPS);
		this.#segments = words(layout.segmentsAt, layout.segmentCount * SEGMENT_WORDS);
		this.#pins = words(layout.pinsAt, layout.segmentCount * WORKER_LIMIT);
		this.#ghosts = words(layout.ghostsAt, layout.ghostCount);
		for (let first = 0; first < layout.segmentCount; first += layout.segmentsPerMap) {
			const count = Math.min(layout.segmentsPerMap, layout.segmentCount - first);
			const bytes = Bun.mmap(path, {
				shared: true,
				offset: layout.dataAt + first * layout.segmentBytes,
				size: count * layout.segmentBytes,
			});
			this.#maps.push({
				bytes,
				buffer: byteBuffer(bytes),
				words: new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2),
				floats: new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3),
			});
		}
		this.#seed = this.#control[Control.seed]!;
	}

	/** Makes an empty store file of at most `budgetBytes` (what was there is lost). `nowSeconds` starts the expiry wheel. */
	static create(path: string, budgetBytes: number, nowSeconds: number): Layout {
		const layout = planLayout(budgetBytes);
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

	/** True when the file is a store of this size and version, so that `recover` can read it. */
	static fits(path: string, budgetBytes: number): boolean {
		if (!existsSync(path)) return false;
		const layout = planLayout(budgetBytes);
		if (statSync(path).size !== layout.totalBytes) return false;
		const control = new Int32Array(Bun.mmap(path, { shared: true, size: 4096 }).buffer, 0, 64);
		return (
			control[Control.magic] === STORE_MAGIC &&
			control[Control.version] === STORE_VERSION &&
			control[Control.segmentCount] === layout.segmentCount &&
			control[Control.segmentBytes] === layout.segmentBytes &&
			control[Control.slotCount] === layout.slotCount
		);
	}

	/** Maps a store. `worker` is 0 … WORKER_LIMIT − 1, unique among the processes that have it mapped. */
	static open(path: string, budgetBytes: number, worker: number): Arena {
		return new Arena(path, planLayout(budgetBytes), worker);
	}

	// ── look-up ─────────────────────────────────────────────────────────────────────────────

	/** Two 32-bit lanes over the key; the seed is the store's own, so that collisions cannot be prepared. */
	#hash(key: string): void {
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

	version(shard: number): number {
		return Atomics.load(this.#shards, shard);
	}

	/** Every object stored under `key`, newest first, whatever its age. */
	lookup(key: string): StoredObject[] {
		const shard = this.shardOf(key);
		const low = this.#low;
		const high = this.#high;
		// A change in the middle of the walk is rare; three tries that all met one count as "nothing there".
		for (let attempt = 0; attempt < 3; attempt++) {
			const version = this.version(shard);
			const found: StoredObject[] = [];
			let slot = this.#buckets[low & (this.layout.bucketCount - 1)]! - 1;
			let steps = 0;
			while (slot >= 0 && slot < this.layout.slotCount && steps++ < this.layout.slotCount) {
				const at = slot * SLOT_WORDS;
				if (
					this.#slots[at + Slot.hashLow] === low &&
					this.#slots[at + Slot.hashHigh] === high &&
					(this.#slots[at + Slot.flags]! & Flag.live) !== 0
				) {
					const object = this.#read(slot, shard, version);
					if (object !== undefined && object.key === key) found.push(object);
				}
				slot = this.#slots[at + Slot.next]! - 1;
			}
			if (this.version(shard) === version)
				return found.sort((a, b) => b.insertedAt - a.insertedAt || b.vxid - a.vxid);
		}
		return [];
	}

	#read(slot: number, shard: number, version: number): StoredObject | undefined {
		const at = slot * SLOT_WORDS;
		const segment = this.#slots[at + Slot.segment]!;
		const offset = this.#slots[at + Slot.offset]!;
		if (segment < 0 || segment >= this.layout.segmentCount) return undefined;
		const map = this.#maps[Math.floor(segment / this.layout.segmentsPerMap)]!;
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
		if (bodyAt < 0 || bodyAt + bodyBytes > map.bytes.length) return undefined;
		const body = map.bytes.subarray(bodyAt, bodyAt + bodyBytes);
		const flags = this.#slots[at + Slot.flags]!;
		if ((flags & Flag.verified) === 0) {
			if (Bun.hash.crc32(body) >>> 0 !== words[word + (Record.bodyChecksum >> 2)]! >>> 0) {
				this.#drop(slot);
				return undefined;
			}
			this.#slots[at + Slot.flags] = flags | Flag.verified;
		}
		return {
			slot,
			segment,
			shard,
			version,
			key: map.buffer.latin1Slice(keyAt, varyAt),
			vary: map.buffer.latin1Slice(varyAt, headAt),
			head: map.buffer.latin1Slice(headAt, bodyAt),
			bodyBytes,
			body,
			tOrigin: floats[float + (Record.tOrigin >> 3)]!,
			ttl: floats[float + (Record.ttl >> 3)]!,
			grace: floats[float + (Record.grace >> 3)]!,
			keep: floats[float + (Record.keep >> 3)]!,
			insertedAt: floats[float + (Record.insertedAt >> 3)]!,
			flags,
			vxid: words[word + (Record.vxid >> 2)]!,
			ban: this.#slots[at + Slot.ban]!,
			storage: words[word + (Record.storage >> 2)]!,
		};
	}

	/** True while `object` is where it was read. */
	holds(object: StoredObject): boolean {
		return Atomics.load(this.#shards, object.shard) === object.version;
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
		let slot = this.#buckets[low & (this.layout.bucketCount - 1)]! - 1;
		let steps = 0;
		while (slot >= 0 && slot < this.layout.slotCount && steps++ < this.layout.slotCount) {
			const at = slot * SLOT_WORDS;
			if (
				this.#slots[at + Slot.hashLow] === low &&
				this.#slots[at + Slot.hashHigh] === high &&
				(this.#slots[at + Slot.flags]! & Flag.live) !== 0
			) {
				const record = this.#recordOf(slot);
				if (record !== undefined) {
					const { words, base } = record;
					kin = mix(kin, slot);
					kin = mix(kin, base);
					kin = mix(kin, this.#slots[at + Slot.segment]!);
					kin = mix(kin, words[(base + Record.vxid) >> 2]!);
					for (let each = Record.tOrigin; each < Record.insertedAt; each += 4)
						kin = mix(kin, words[(base + each) >> 2]!);
				}
			}
			slot = this.#slots[at + Slot.next]! - 1;
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
	use(object: StoredObject): number {
		const at = object.slot * SLOT_WORDS;
		if (this.#slots[at + Slot.frequency]! < 3) this.#slots[at + Slot.frequency]!++;
		// It stays at its largest: a negative number of hits would look like a miss.
		if (this.#slots[at + Slot.hits]! >= HITS_LIMIT) return HITS_LIMIT;
		return Atomics.add(this.#slots, at + Slot.hits, 1);
	}

	/** Keeps the object's bytes in place until unpin(); false when it was already gone. */
	pin(object: StoredObject): boolean {
		const at = this.#worker * this.layout.segmentCount + object.segment;
		Atomics.add(this.#pins, at, 1);
		if (this.holds(object)) return true;
		Atomics.sub(this.#pins, at, 1);
		return false;
	}

	unpin(object: StoredObject): void {
		Atomics.sub(this.#pins, this.#worker * this.layout.segmentCount + object.segment, 1);
	}

	#pinned(segment: number): boolean {
		for (let worker = 0; worker < WORKER_LIMIT; worker++)
			if (Atomics.load(this.#pins, worker * this.layout.segmentCount + segment) > 0) return true;
		return false;
	}

	// ── change ──────────────────────────────────────────────────────────────────────────────

	#locked<Result>(change: () => Result): Result {
		lockWord(this.#control, Control.lock, this.#worker + 1);
		try {
			return change();
		} finally {
			unlockWord(this.#control, Control.lock, this.#worker + 1);
		}
	}

	#touch(shard: number): void {
		Atomics.add(this.#shards, shard, 1);
	}

	/**
	 * Stores an object whose body is the concatenation of `parts`. Undefined when it cannot fit: nothing was
	 * stored then, and nothing but what had to make room was lost.
	 */
	insert(meta: ObjectMeta, parts: readonly Uint8Array[]): StoredObject | undefined {
		let bodyBytes = 0;
		for (const part of parts) bodyBytes += part.length;
		const total = round8(RECORD_BYTES + meta.key.length + meta.vary.length + meta.head.length + bodyBytes);
		if (total > this.layout.segmentBytes * this.layout.segmentCount || total > 0x7fffffff) return undefined;
		const shard = this.shardOf(meta.key);
		const low = this.#low;
		const high = this.#high;
		const slot = this.#locked(() => {
			const queue = this.#takeGhost(low) ? Queue.main : Queue.small;
			const place = this.#allocate(total, queue);
			if (place === undefined) return -1;
			const slot = this.#takeSlot();
			if (slot < 0) return -1;
			this.#write(place.segment, place.offset, slot, total, meta, parts, bodyBytes, low, high);
			const at = slot * SLOT_WORDS;
			this.#slots[at + Slot.hashLow] = low;
			this.#slots[at + Slot.hashHigh] = high;
			this.#slots[at + Slot.segment] = place.segment;
			this.#slots[at + Slot.offset] = place.offset;
			this.#slots[at + Slot.hits] = 0;
			this.#slots[at + Slot.frequency] = 0;
			this.#slots[at + Slot.ban] = meta.ban;
			this.#slots[at + Slot.flags] = meta.flags | Flag.live | Flag.verified;
			this.#account(meta.flags, total, 1);
			this.#segments[place.segment * SEGMENT_WORDS + Segment.liveCount]!++;
			this.#wheelAdd(slot, Math.ceil(meta.tOrigin + meta.ttl + meta.grace + meta.keep));
			this.#link(slot, low);
			this.#touch(shard);
			return slot;
		});
		return slot < 0 ? undefined : this.#read(slot, shard, this.version(shard));
	}

	#link(slot: number, low: number): void {
		const bucket = low & (this.layout.bucketCount - 1);
		this.#slots[slot * SLOT_WORDS + Slot.next] = this.#buckets[bucket]!;
		this.#buckets[bucket] = slot + 1;
	}

	#account(flags: number, bytes: number, sign: 1 | -1): void {
		this.#control[Control.liveObjects]! += sign;
		const transient = (flags & Flag.transient) !== 0;
		this.#controlFloats[transient ? ControlFloat.transientBytes : ControlFloat.liveBytes]! += sign * bytes;
		if (transient) this.#controlFloats[ControlFloat.transientObjects]! += sign;
	}

	#write(
		segment: number,
		offset: number,
		slot: number,
		total: number,
		meta: ObjectMeta,
		parts: readonly Uint8Array[],
		bodyBytes: number,
		low: number,
		high: number,
	): void {
		const map = this.#maps[Math.floor(segment / this.layout.segmentsPerMap)]!;
		const base = (segment % this.layout.segmentsPerMap) * this.layout.segmentBytes + offset;
		const word = base >> 2;
		const float = base >> 3;
		const { words, floats, buffer, bytes } = map;
		words[word] = 0;
		const keyAt = base + RECORD_BYTES;
		const varyAt = keyAt + buffer.latin1Write(meta.key, keyAt);
		const headAt = varyAt + (meta.vary === "" ? 0 : buffer.latin1Write(meta.vary, varyAt));
		const bodyAt = headAt + buffer.latin1Write(meta.head, headAt);
		let at = bodyAt;
		for (const part of parts) {
			bytes.set(part, at);
			at += part.length;
		}
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
		words[word + (Record.flags >> 2)] = meta.flags;
		words[word + (Record.vxid >> 2)] = meta.vxid;
		words[word + (Record.ban >> 2)] = meta.ban;
		words[word + (Record.storage >> 2)] = meta.storage;
		words[word + (Record.hashLow >> 2)] = low;
		words[word + (Record.hashHigh >> 2)] = high;
		words[word + (Record.bodyChecksum >> 2)] = Bun.hash.crc32(bytes.subarray(bodyAt, at));
		words[word + (Record.headChecksum >> 2)] = Bun.hash.crc32(bytes.subarray(base + Record.tOrigin, bodyAt));
		words[word] = RECORD_MAGIC;
	}

	/** Removes the object if it is still the one in its slot. */
	remove(object: StoredObject): boolean {
		return this.#locked(() => {
			const at = object.slot * SLOT_WORDS;
			if ((this.#slots[at + Slot.flags]! & Flag.live) === 0) return false;
			const record = this.#recordOf(object.slot);
			if (record === undefined || record.words[(record.base + Record.vxid) >> 2] !== object.vxid)
				return false;
			this.#unlink(object.slot);
			return true;
		});
	}

	#drop(slot: number): void {
		this.#locked(() => {
			if ((this.#slots[slot * SLOT_WORDS + Slot.flags]! & Flag.live) !== 0) this.#unlink(slot);
		});
	}

	/** Gives an object other lifetimes (purge.soft). Undefined leaves a value as it is. */
	relive(
		object: StoredObject,
		lifetime: { tOrigin?: number; ttl?: number; grace?: number; keep?: number },
	): void {
		this.#locked(() => {
			const record = this.#recordOf(object.slot);
			if (record === undefined || record.words[(record.base + Record.vxid) >> 2] !== object.vxid) return;
			const { floats, base } = record;
			if (lifetime.tOrigin !== undefined) floats[(base + Record.tOrigin) >> 3] = lifetime.tOrigin;
			if (lifetime.ttl !== undefined) floats[(base + Record.ttl) >> 3] = lifetime.ttl;
			if (lifetime.grace !== undefined) floats[(base + Record.grace) >> 3] = lifetime.grace;
			if (lifetime.keep !== undefined) floats[(base + Record.keep) >> 3] = lifetime.keep;
			// Whoever sets these by hand wants stale answers served as they say.
			record.words[(base + Record.flags) >> 2]! &= ~Flag.strict;
			this.#slots[object.slot * SLOT_WORDS + Slot.flags]! &= ~Flag.strict;
			this.#sealHead(record);
			this.#wheelRemove(object.slot);
			const deadline =
				floats[(base + Record.tOrigin) >> 3]! +
				floats[(base + Record.ttl) >> 3]! +
				floats[(base + Record.grace) >> 3]! +
				floats[(base + Record.keep) >> 3]!;
			this.#wheelAdd(object.slot, Math.ceil(deadline));
			this.#touch(object.shard);
		});
	}

	#sealHead(record: { words: Int32Array; bytes: Uint8Array; base: number }): void {
		const { words, bytes, base } = record;
		const bodyAt =
			base +
			RECORD_BYTES +
			words[(base + Record.keyBytes) >> 2]! +
			words[(base + Record.varyBytes) >> 2]! +
			words[(base + Record.headBytes) >> 2]!;
		words[(base + Record.headChecksum) >> 2] = Bun.hash.crc32(bytes.subarray(base + Record.tOrigin, bodyAt));
	}

	/** Notes that the object was tested against bans up to `ban`. */
	noteBan(object: StoredObject, ban: number): void {
		this.#slots[object.slot * SLOT_WORDS + Slot.ban] = ban;
	}

	#recordOf(slot: number): (DataMap & { base: number }) | undefined {
		const at = slot * SLOT_WORDS;
		const segment = this.#slots[at + Slot.segment]!;
		if (segment < 0 || segment >= this.layout.segmentCount) return undefined;
		const map = this.#maps[Math.floor(segment / this.layout.segmentsPerMap)]!;
		const base =
			(segment % this.layout.segmentsPerMap) * this.layout.segmentBytes + this.#slots[at + Slot.offset]!;
		if (map.words[base >> 2] !== RECORD_MAGIC || map.words[(base + Record.slot) >> 2] !== slot)
			return undefined;
		return { ...map, base };
	}

	/** Takes a live slot out of everything. Under the lock. */
	#unlink(slot: number): void {
		const at = slot * SLOT_WORDS;
		const low = this.#slots[at + Slot.hashLow]!;
		this.#touch(low & (SHARD_COUNT - 1));
		const bucket = low & (this.layout.bucketCount - 1);
		let previous = -1;
		let each = this.#buckets[bucket]! - 1;
		while (each >= 0 && each !== slot) {
			previous = each;
			each = this.#slots[each * SLOT_WORDS + Slot.next]! - 1;
		}
		if (each === slot) {
			if (previous < 0) this.#buckets[bucket] = this.#slots[at + Slot.next]!;
			else this.#slots[previous * SLOT_WORDS + Slot.next] = this.#slots[at + Slot.next]!;
		}
		this.#wheelRemove(slot);
		const record = this.#recordOf(slot);
		const segment = this.#slots[at + Slot.segment]!;
		if (record !== undefined) {
			this.#account(this.#slots[at + Slot.flags]!, record.words[(record.base + Record.totalBytes) >> 2]!, -1);
			record.words[(record.base + Record.slot) >> 2] = -1;
			// The checksum goes too: a dead object must not come back when the file is read again.
			record.words[(record.base + Record.headChecksum) >> 2]! ^= DEAD;
		}
		this.#slots[at + Slot.flags] = 0;
		this.#slots[at + Slot.next] = this.#control[Control.freeSlot]!;
		this.#control[Control.freeSlot] = slot + 1;
		const live = --this.#segments[segment * SEGMENT_WORDS + Segment.liveCount]!;
		if (live <= 0 && this.#segments[segment * SEGMENT_WORDS + Segment.state] === SegmentState.sealed)
			if (!this.#pinned(segment)) this.#release(segment);
	}

	#takeSlot(): number {
		for (let attempt = 0; attempt < RECLAIM_LIMIT; attempt++) {
			const slot = this.#control[Control.freeSlot]! - 1;
			if (slot >= 0) {
				this.#control[Control.freeSlot] = this.#slots[slot * SLOT_WORDS + Slot.next]!;
				return slot;
			}
			if (!this.#reclaim()) return -1;
		}
		return -1;
	}

	// ── segments ────────────────────────────────────────────────────────────────────────────

	#allocate(total: number, queue: number): { segment: number; offset: number } | undefined {
		const { segmentBytes } = this.layout;
		if (total > segmentBytes / 2) return this.#allocateRun(Math.ceil(total / segmentBytes), total);
		const openAt = Control.open + this.#worker * 2 + queue;
		for (let attempt = 0; attempt < RECLAIM_LIMIT; attempt++) {
			const open = this.#control[openAt]! - 1;
			if (open >= 0) {
				const at = open * SEGMENT_WORDS;
				const offset = this.#segments[at + Segment.usedBytes]!;
				if (offset + total <= segmentBytes) {
					this.#segments[at + Segment.usedBytes] = offset + total;
					return { segment: open, offset };
				}
				this.#seal(open);
				this.#control[openAt] = 0;
			}
			const fresh = this.#freeSegment();
			if (fresh >= 0) this.#openSegment(fresh, queue);
			else if (!this.#reclaim()) return undefined;
		}
		return undefined;
	}

	#openSegment(segment: number, queue: number): void {
		const at = segment * SEGMENT_WORDS;
		this.#segments[at + Segment.state] = SegmentState.open;
		this.#segments[at + Segment.queue] = queue;
		this.#segments[at + Segment.sequence] = ++this.#control[Control.sequence]!;
		this.#segments[at + Segment.owner] = this.#worker;
		this.#segments[at + Segment.run] = 1;
		this.#control[Control.open + this.#worker * 2 + queue] = segment + 1;
		if (queue === Queue.small) this.#control[Control.smallSegments]!++;
	}

	#seal(segment: number): void {
		const at = segment * SEGMENT_WORDS;
		this.#segments[at + Segment.state] = SegmentState.sealed;
		if (this.#segments[at + Segment.liveCount]! <= 0 && !this.#pinned(segment)) this.#release(segment);
	}

	/** Back to the free ones. Its first word is cleared, so that a reader of the file finds it empty. */
	#release(segment: number): void {
		const at = segment * SEGMENT_WORDS;
		const run = Math.max(1, this.#segments[at + Segment.run]!);
		if (this.#segments[at + Segment.queue] === Queue.small) this.#control[Control.smallSegments]!--;
		for (let index = 0; index < run; index++) {
			const each = (segment + index) * SEGMENT_WORDS;
			this.#segments[each + Segment.state] = SegmentState.free;
			this.#segments[each + Segment.usedBytes] = 0;
			this.#segments[each + Segment.liveCount] = 0;
			this.#segments[each + Segment.run] = 0;
			this.#segments[each + Segment.queue] = -1;
			const map = this.#maps[Math.floor((segment + index) / this.layout.segmentsPerMap)]!;
			map.words[(((segment + index) % this.layout.segmentsPerMap) * this.layout.segmentBytes) >> 2] = 0;
		}
	}

	#freeSegment(): number {
		for (let segment = 0; segment < this.layout.segmentCount; segment++)
			if (
				this.#segments[segment * SEGMENT_WORDS + Segment.state] === SegmentState.free &&
				!this.#pinned(segment)
			)
				return segment;
		return -1;
	}

	/** A run of neighbouring segments for one large object: free ones, else the oldest stretch gives way. */
	#allocateRun(run: number, total: number): { segment: number; offset: number } | undefined {
		const { segmentCount, segmentsPerMap } = this.layout;
		if (run > segmentsPerMap || run > segmentCount) return undefined;
		let best = -1;
		let bestCost = Number.POSITIVE_INFINITY;
		let stretch = 0;
		const newest = this.#control[Control.sequence]! + 1;
		for (let segment = 0; segment < segmentCount; segment++) {
			if (segment % segmentsPerMap === 0) stretch = 0;
			stretch = this.#runCost(segment, newest) < 0 ? 0 : stretch + 1;
			if (stretch < run) continue;
			let cost = 0;
			for (let index = segment - run + 1; index <= segment; index++) cost += this.#runCost(index, newest);
			if (cost < bestCost) {
				best = segment - run + 1;
				bestCost = cost;
			}
			if (cost === 0) break;
		}
		if (best < 0) return undefined;
		for (let index = best; index < best + run; index++) this.#empty(this.#runStart(index));
		const at = best * SEGMENT_WORDS;
		for (let index = 0; index < run; index++) {
			const each = (best + index) * SEGMENT_WORDS;
			if (this.#segments[each + Segment.state] !== SegmentState.free) return undefined;
			this.#segments[each + Segment.state] = index === 0 ? SegmentState.sealed : SegmentState.tail;
			this.#segments[each + Segment.queue] = Queue.large;
		}
		this.#segments[at + Segment.run] = run;
		this.#segments[at + Segment.sequence] = ++this.#control[Control.sequence]!;
		this.#segments[at + Segment.usedBytes] = total;
		this.#segments[at + Segment.owner] = this.#worker;
		return { segment: best, offset: 0 };
	}

	#runStart(segment: number): number {
		let start = segment;
		while (start > 0 && this.#segments[start * SEGMENT_WORDS + Segment.state] === SegmentState.tail) start--;
		return start;
	}

	/** What it costs to take a segment: 0 for a free one, more the younger it is, negative when it cannot be had. */
	#runCost(segment: number, newest: number): number {
		const start = this.#runStart(segment);
		const state = this.#segments[start * SEGMENT_WORDS + Segment.state];
		if (state === SegmentState.open || this.#pinned(start)) return -1;
		if (state === SegmentState.free) return 0;
		return 1 / (1 + newest - this.#segments[start * SEGMENT_WORDS + Segment.sequence]!);
	}

	/** Drops everything in a segment (or run) and frees it. */
	#empty(segment: number): void {
		if (this.#segments[segment * SEGMENT_WORDS + Segment.state] !== SegmentState.sealed) return;
		for (const slot of this.#slotsIn(segment)) {
			this.#unlink(slot);
			this.#control[Control.nuked]!++;
		}
		if (this.#segments[segment * SEGMENT_WORDS + Segment.state] === SegmentState.sealed)
			this.#release(segment);
	}

	#slotsIn(segment: number): number[] {
		const map = this.#maps[Math.floor(segment / this.layout.segmentsPerMap)]!;
		const start = (segment % this.layout.segmentsPerMap) * this.layout.segmentBytes;
		const used = this.#segments[segment * SEGMENT_WORDS + Segment.usedBytes]!;
		const slots: number[] = [];
		let offset = 0;
		while (offset + RECORD_BYTES <= used) {
			const word = (start + offset) >> 2;
			const total = map.words[word + (Record.totalBytes >> 2)]!;
			if (total < RECORD_BYTES) break;
			const slot = map.words[word + (Record.slot >> 2)]!;
			if (slot >= 0 && slot < this.layout.slotCount) {
				const at = slot * SLOT_WORDS;
				if (
					(this.#slots[at + Slot.flags]! & Flag.live) !== 0 &&
					this.#slots[at + Slot.segment] === segment &&
					this.#slots[at + Slot.offset] === offset
				)
					slots.push(slot);
			}
			offset += total;
		}
		return slots;
	}

	/** Frees at least part of one segment; false when every segment is open or pinned. */
	#reclaim(): boolean {
		const small = this.#control[Control.smallSegments]!;
		const preferred = small * 10 > this.layout.segmentCount ? Queue.small : Queue.main;
		const victim = this.#oldest(preferred);
		if (victim < 0) return false;
		const queue = this.#segments[victim * SEGMENT_WORDS + Segment.queue]!;
		let survivorsLeft = this.layout.segmentBytes / 2;
		for (const slot of this.#slotsIn(victim)) {
			const at = slot * SLOT_WORDS;
			const frequency = this.#slots[at + Slot.frequency]!;
			const record = this.#recordOf(slot);
			const total = record?.words[(record.base + Record.totalBytes) >> 2] ?? 0;
			const keep = frequency > 0 && queue !== Queue.large && record !== undefined && total <= survivorsLeft;
			if (keep && this.#move(slot, record, total)) {
				survivorsLeft -= total;
				this.#slots[at + Slot.frequency] = queue === Queue.small ? 0 : frequency - 1;
				continue;
			}
			if (queue === Queue.small) this.#addGhost(this.#slots[at + Slot.hashLow]!);
			this.#unlink(slot);
			this.#control[Control.nuked]!++;
		}
		if (this.#segments[victim * SEGMENT_WORDS + Segment.state] === SegmentState.sealed) this.#release(victim);
		return true;
	}

	/** The segment of that queue that has been there longest; of any queue when there is none. */
	#oldest(queue: number): number {
		let best = -1;
		let bestSequence = Number.POSITIVE_INFINITY;
		let any = -1;
		let anySequence = Number.POSITIVE_INFINITY;
		for (let segment = 0; segment < this.layout.segmentCount; segment++) {
			const at = segment * SEGMENT_WORDS;
			if (this.#segments[at + Segment.state] !== SegmentState.sealed) continue;
			const sequence = this.#segments[at + Segment.sequence]!;
			// Large objects age with the main queue.
			const wanted = (this.#segments[at + Segment.queue] === Queue.small) === (queue === Queue.small);
			if (sequence >= anySequence && !(wanted && sequence < bestSequence)) continue;
			// Looking for pins costs most: only when the segment would be taken.
			if (this.#pinned(segment)) continue;
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

	/** Copies a survivor into this worker's open main segment; false when it has no room. */
	#move(slot: number, record: DataMap & { base: number }, total: number): boolean {
		const openAt = Control.open + this.#worker * 2 + Queue.main;
		let open = this.#control[openAt]! - 1;
		if (
			open >= 0 &&
			this.#segments[open * SEGMENT_WORDS + Segment.usedBytes]! + total > this.layout.segmentBytes
		) {
			this.#seal(open);
			this.#control[openAt] = 0;
			open = -1;
		}
		if (open < 0) {
			open = this.#freeSegment();
			if (open < 0) return false;
			this.#openSegment(open, Queue.main);
		}
		const to = open * SEGMENT_WORDS;
		const offset = this.#segments[to + Segment.usedBytes]!;
		this.#segments[to + Segment.usedBytes] = offset + total;
		const at = slot * SLOT_WORDS;
		this.#touch(this.#slots[at + Slot.hashLow]! & (SHARD_COUNT - 1));
		const map = this.#maps[Math.floor(open / this.layout.segmentsPerMap)]!;
		const base = (open % this.layout.segmentsPerMap) * this.layout.segmentBytes + offset;
		map.bytes.set(record.bytes.subarray(record.base, record.base + total), base);
		record.words[(record.base + Record.slot) >> 2] = -1;
		record.words[(record.base + Record.headChecksum) >> 2]! ^= DEAD;
		this.#segments[this.#slots[at + Slot.segment]! * SEGMENT_WORDS + Segment.liveCount]!--;
		this.#segments[to + Segment.liveCount]!++;
		this.#slots[at + Slot.segment] = open;
		this.#slots[at + Slot.offset] = offset;
		return true;
	}

	#addGhost(low: number): void {
		this.#ghosts[low & (this.layout.ghostCount - 1)] = low;
	}

	#takeGhost(low: number): boolean {
		const at = low & (this.layout.ghostCount - 1);
		if (low === 0 || this.#ghosts[at] !== low) return false;
		this.#ghosts[at] = 0;
		return true;
	}

	// ── expiry ──────────────────────────────────────────────────────────────────────────────

	#wheelAdd(slot: number, deadline: number): void {
		const second = Math.min(Math.max(deadline, 0), 0x7fffffff);
		const step = second & (WHEEL_STEPS - 1);
		const at = slot * SLOT_WORDS;
		this.#slots[at + Slot.deadline] = second;
		this.#slots[at + Slot.wheelPrevious] = 0;
		this.#slots[at + Slot.wheelNext] = this.#wheel[step]!;
		if (this.#wheel[step]! > 0)
			this.#slots[(this.#wheel[step]! - 1) * SLOT_WORDS + Slot.wheelPrevious] = slot + 1;
		this.#wheel[step] = slot + 1;
	}

	#wheelRemove(slot: number): void {
		const at = slot * SLOT_WORDS;
		const next = this.#slots[at + Slot.wheelNext]!;
		const previous = this.#slots[at + Slot.wheelPrevious]!;
		if (previous > 0) this.#slots[(previous - 1) * SLOT_WORDS + Slot.wheelNext] = next;
		else {
			const step = this.#slots[at + Slot.deadline]! & (WHEEL_STEPS - 1);
			if (this.#wheel[step] === slot + 1) this.#wheel[step] = next;
		}
		if (next > 0) this.#slots[(next - 1) * SLOT_WORDS + Slot.wheelPrevious] = previous;
		this.#slots[at + Slot.wheelNext] = 0;
		this.#slots[at + Slot.wheelPrevious] = 0;
	}

	/** Removes what is past its deadline, at most `limit` objects; returns how many. Any worker may call it. */
	expire(nowSeconds: number, limit = 2000): number {
		const now = Math.floor(nowSeconds);
		if (this.#control[Control.wheelSecond]! >= now) return 0;
		return this.#locked(() => {
			let removed = 0;
			let second = Math.max(this.#control[Control.wheelSecond]!, now - WHEEL_STEPS);
			while (second < now && removed < limit) {
				let slot = this.#wheel[second & (WHEEL_STEPS - 1)]! - 1;
				while (slot >= 0 && removed < limit) {
					const next = this.#slots[slot * SLOT_WORDS + Slot.wheelNext]! - 1;
					if (this.#slots[slot * SLOT_WORDS + Slot.deadline]! <= now) {
						this.#unlink(slot);
						removed++;
					}
					slot = next;
				}
				if (removed < limit) second++;
			}
			this.#control[Control.wheelSecond] = second;
			this.#control[Control.expired]! += removed;
			return removed;
		});
	}

	/** Every live object from slot `from` on, at most `limit` of them, for the ban lurker; `next` is -1 at the end. */
	walk(from: number, limit: number): { objects: StoredObject[]; next: number } {
		const objects: StoredObject[] = [];
		let slot = from;
		const last = Math.min(this.layout.slotCount, from + limit * 16);
		for (; slot < last && objects.length < limit; slot++) {
			if ((this.#slots[slot * SLOT_WORDS + Slot.flags]! & Flag.live) === 0) continue;
			const shard = this.#slots[slot * SLOT_WORDS + Slot.hashLow]! & (SHARD_COUNT - 1);
			const object = this.#read(slot, shard, this.version(shard));
			if (object !== undefined && this.holds(object)) objects.push(object);
		}
		return { objects, next: slot >= this.layout.slotCount ? -1 : slot };
	}

	figures(): StoreFigures {
		const bytes = this.#controlFloats[ControlFloat.liveBytes]!;
		const transientBytes = this.#controlFloats[ControlFloat.transientBytes]!;
		return {
			objects: this.#control[Control.liveObjects]!,
			bytes,
			transientObjects: this.#controlFloats[ControlFloat.transientObjects]!,
			transientBytes,
			spaceBytes: this.layout.segmentBytes * this.layout.segmentCount - bytes - transientBytes,
			nuked: this.#control[Control.nuked]!,
			expired: this.#control[Control.expired]!,
		};
	}

	/**
	 * What a dead worker left: its lock, its pins, its open segments. When it died in the middle of a change the
	 * index is built anew. Called by the manager, whose id here is WORKER_LIMIT.
	 */
	bury(worker: number, nowSeconds: number): void {
		const died = Atomics.compareExchange(this.#control, Control.lock, worker + 1, MANAGER) === worker + 1;
		this.#pins.fill(0, worker * this.layout.segmentCount, (worker + 1) * this.layout.segmentCount);
		if (!died) lockWord(this.#control, Control.lock, MANAGER);
		try {
			if (died) this.recover(nowSeconds);
			else
				for (const queue of [Queue.small, Queue.main]) {
					const openAt = Control.open + worker * 2 + queue;
					const open = this.#control[openAt]! - 1;
					this.#control[openAt] = 0;
					if (open >= 0) this.#seal(open);
				}
		} finally {
			unlockWord(this.#control, Control.lock, MANAGER);
		}
	}

	/** After a restart: nobody else has the file mapped, whatever the lock and the pins say. */
	reopen(nowSeconds: number): number {
		this.#pins.fill(0);
		this.#control[Control.lock] = MANAGER;
		try {
			return this.recover(nowSeconds);
		} finally {
			this.#control[Control.lock] = 0;
		}
	}

	/**
	 * Builds the index anew from the records in the data area, after a restart or when a worker died in the
	 * middle of a change. Under the lock. Records whose head does not match its checksum are left out; bodies are checked when
	 * they are first asked for. Returns the number of objects found.
	 */
	recover(nowSeconds: number): number {
		const { layout } = this;
		for (let shard = 0; shard < SHARD_COUNT; shard++) this.#touch(shard);
		this.#buckets.fill(0);
		this.#slots.fill(0);
		this.#wheel.fill(0);
		this.#control.fill(0, Control.open, Control.open + WORKER_LIMIT * 2);
		for (const word of [Control.liveObjects, Control.smallSegments, Control.freeSlot])
			this.#control[word] = 0;
		this.#controlFloats.fill(0, ControlFloat.liveBytes, ControlFloat.transientObjects + 1);
		this.#control[Control.wheelSecond] = Math.floor(nowSeconds);
		let nextSlot = 0;
		for (let segment = 0; segment < layout.segmentCount; ) {
			const before = nextSlot;
			const run = this.#recoverSegment(segment, nowSeconds, () =>
				nextSlot < layout.slotCount ? nextSlot++ : -1,
			);
			const at = segment * SEGMENT_WORDS;
			this.#segments[at + Segment.liveCount] = nextSlot - before;
			if (nextSlot === before) {
				this.#segments[at + Segment.run] = 1;
				this.#segments[at + Segment.queue] = -1;
				this.#release(segment);
				segment++;
			} else {
				this.#segments[at + Segment.state] = SegmentState.sealed;
				this.#segments[at + Segment.queue] = run > 1 ? Queue.large : Queue.main;
				this.#segments[at + Segment.run] = run;
				for (let tail = 1; tail < run; tail++)
					this.#segments[(segment + tail) * SEGMENT_WORDS + Segment.state] = SegmentState.tail;
				segment += run;
			}
		}
		for (let slot = layout.slotCount - 1; slot >= nextSlot; slot--) {
			this.#slots[slot * SLOT_WORDS + Slot.next] = this.#control[Control.freeSlot]!;
			this.#control[Control.freeSlot] = slot + 1;
		}
		for (let shard = 0; shard < SHARD_COUNT; shard++) this.#touch(shard);
		return nextSlot;
	}

	#recoverSegment(segment: number, now: number, takeSlot: () => number): number {
		const { layout } = this;
		const map = this.#maps[Math.floor(segment / layout.segmentsPerMap)]!;
		const start = (segment % layout.segmentsPerMap) * layout.segmentBytes;
		const { words, floats, bytes } = map;
		let offset = 0;
		let run = 1;
		while (offset + RECORD_BYTES <= layout.segmentBytes) {
			const base = start + offset;
			const word = base >> 2;
			if (words[word] !== RECORD_MAGIC) break;
			const total = words[word + (Record.totalBytes >> 2)]!;
			const headBytes =
				words[word + (Record.keyBytes >> 2)]! +
				words[word + (Record.varyBytes >> 2)]! +
				words[word + (Record.headBytes >> 2)]!;
			const bodyBytes = words[word + (Record.bodyBytes >> 2)]!;
			if (total < RECORD_BYTES || headBytes < 0 || bodyBytes < 0 || start + offset + total > bytes.length)
				break;
			if (RECORD_BYTES + headBytes + bodyBytes > total) break;
			const checksum = Bun.hash.crc32(bytes.subarray(base + Record.tOrigin, base + RECORD_BYTES + headBytes));
			const deadline =
				floats[(base + Record.tOrigin) >> 3]! +
				floats[(base + Record.ttl) >> 3]! +
				floats[(base + Record.grace) >> 3]! +
				floats[(base + Record.keep) >> 3]!;
			words[word + (Record.slot >> 2)] = -1;
			if (checksum >>> 0 === words[word + (Record.headChecksum >> 2)]! >>> 0 && deadline > now) {
				const slot = takeSlot();
				if (slot < 0) break;
				words[word + (Record.slot >> 2)] = slot;
				const at = slot * SLOT_WORDS;
				const low = words[word + (Record.hashLow >> 2)]!;
				this.#slots[at + Slot.hashLow] = low;
				this.#slots[at + Slot.hashHigh] = words[word + (Record.hashHigh >> 2)]!;
				this.#slots[at + Slot.segment] = segment;
				this.#slots[at + Slot.offset] = offset;
				this.#slots[at + Slot.ban] = words[word + (Record.ban >> 2)]!;
				this.#slots[at + Slot.flags] = words[word + (Record.flags >> 2)]! | Flag.live;
				this.#account(words[word + (Record.flags >> 2)]!, total, 1);
				this.#wheelAdd(slot, Math.ceil(deadline));
				this.#link(slot, low);
			}
			offset += total;
			if (total > layout.segmentBytes) {
				run = Math.ceil(total / layout.segmentBytes);
				break;
			}
		}
		this.#segments[segment * SEGMENT_WORDS + Segment.usedBytes] = offset;
		return run;
	}
}

function formatBook(path: string, layout: Layout, nowSeconds: number): void {
	const book = Bun.mmap(path, { shared: true, size: layout.dataAt });
	const control = new Int32Array(book.buffer, book.byteOffset, 1024);
	control[Control.version] = STORE_VERSION;
	control[Control.slotCount] = layout.slotCount;
	control[Control.segmentCount] = layout.segmentCount;
	control[Control.segmentBytes] = layout.segmentBytes;
	control[Control.wheelSecond] = Math.floor(nowSeconds);
	control[Control.seed] = crypto.getRandomValues(new Int32Array(1))[0]! | 1;
	const slots = new Int32Array(book.buffer, book.byteOffset + layout.slotsAt, layout.slotCount * SLOT_WORDS);
	for (let slot = 0; slot < layout.slotCount; slot++)
		slots[slot * SLOT_WORDS + Slot.next] = slot + 1 < layout.slotCount ? slot + 2 : 0;
	control[Control.freeSlot] = 1;
	control[Control.magic] = STORE_MAGIC;
}
