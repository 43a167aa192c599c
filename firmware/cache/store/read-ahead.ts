/**
 * What look-ups of many keys will need, read for all of them together: index, slot and record, a step for all at a time.
 * In a large store each step is memory that is far away, and one look-up after the other would wait for each step of
 * each. Nothing of what is read here is believed.
 */
import type { Book } from "./book.ts";
import { Record, SHARD_COUNT, SLOT_WORDS, Slot } from "./layout.ts";

/** A longer chain than this is no case for Arena.glance(). */
export const GLANCE_STEPS = 64;
/** Keys that are looked up together, at most. */
const KEY_LIMIT = 64;
/** So much of a record is read: what follows comes by itself, since it is read in its order. */
const RECORD_WORDS = 2048 >> 2;
/** Words in a line of the processor's cache. */
const LINE_WORDS = 64 >> 2;

export class ReadAhead {
	/** The keys' hashes, by number. */
	readonly low = new Int32Array(KEY_LIMIT);
	readonly high = new Int32Array(KEY_LIMIT);
	#count = 0;
	readonly #book: Book;
	readonly #slots = new Int32Array(KEY_LIMIT);
	/** Mappings of the records, negative: there is none; where they begin in there, and their lengths, in words. */
	readonly #maps = new Int32Array(KEY_LIMIT);
	readonly #starts = new Int32Array(KEY_LIMIT);
	readonly #lengths = new Int32Array(KEY_LIMIT);
	/** Of all that was read: a read that nobody uses would be left out. */
	sum = 0;

	constructor(book: Book) {
		this.#book = book;
	}

	forget(): void {
		this.#count = 0;
	}

	/** The number of a key that has this hash; negative: there are too many. */
	foresee(low: number, high: number): number {
		if (this.#count === KEY_LIMIT) return -1;
		this.low[this.#count] = low;
		this.high[this.#count] = high;
		return this.#count++;
	}

	read(): void {
		this.#readSlots();
		for (let index = 0; index < this.#count; index++) this.#place(index);
		this.#readRecords();
	}

	#readSlots(): void {
		const { buckets, shards, slots, layout } = this.#book;
		const found = this.#slots;
		const mask = layout.bucketCount - 1;
		for (let index = 0; index < this.#count; index++) found[index] = buckets[this.low[index]! & mask]! - 1;
		let sum = 0;
		// Another process may have changed something in the same line since.
		for (let index = 0; index < this.#count; index++) sum ^= shards[this.low[index]! & (SHARD_COUNT - 1)]!;
		for (let index = 0; index < this.#count; index++) {
			const word = Math.max(0, found[index]!) * SLOT_WORDS;
			sum ^= slots[word + Slot.next]! ^ slots[word + Slot.ban]!;
		}
		this.sum = sum;
	}

	/** Finds where the record of a key is, by slots that are mostly there by now. */
	#place(index: number): void {
		const { slots, layout } = this.#book;
		const { slotCount, segmentCount, segmentsPerMap, segmentBytes } = layout;
		let slot = this.#slots[index]!;
		for (let steps = 0; slot >= 0 && slot < slotCount && steps < GLANCE_STEPS; steps++) {
			const word = slot * SLOT_WORDS;
			if (slots[word + Slot.hashLow] === this.low[index] && slots[word + Slot.hashHigh] === this.high[index])
				break;
			slot = slots[word + Slot.next]! - 1;
		}
		this.#maps[index] = -1;
		if (slot < 0 || slot >= slotCount) return;
		const segment = slots[slot * SLOT_WORDS + Slot.segment]!;
		if (segment < 0 || segment >= segmentCount) return;
		const map = Math.floor(segment / segmentsPerMap);
		this.#maps[index] = map;
		this.#starts[index] =
			((segment - map * segmentsPerMap) * segmentBytes + slots[slot * SLOT_WORDS + Slot.offset]!) >> 2;
	}

	#readRecords(): void {
		const { maps } = this.#book;
		const places = this.#maps;
		for (let index = 0; index < this.#count; index++)
			this.#lengths[index] =
				places[index]! < 0
					? 0
					: maps[places[index]!]!.words[this.#starts[index]! + (Record.totalBytes >> 2)]! >> 2;
		let { sum } = this;
		for (let index = 0; index < this.#count; index++) {
			if (places[index]! < 0) continue;
			const { words } = maps[places[index]!]!;
			const start = this.#starts[index]!;
			const end = start + Math.min(this.#lengths[index]!, RECORD_WORDS);
			for (let word = start + LINE_WORDS; word < end; word += LINE_WORDS) sum ^= words[word]!;
		}
		this.sum = sum;
	}
}
