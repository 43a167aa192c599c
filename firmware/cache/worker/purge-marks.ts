/**
 * When something was purged last, for all workers to see: a table of words in shared memory. What is on its way while it
 * is purged is not in the store yet, and another worker may be fetching it; so a fetch asks here before others may have
 * its answer. Keys and tags that share a place are purged together as far as fetches go: those are made once more.
 */

/** Places. */
export const PURGE_PLACES = 8192;

export class PurgeMarks {
	/** The number of the last purge, and that of each place's. */
	readonly #words: Int32Array;

	/** `words`: PURGE_PLACES + 1 of them, zero at first. */
	constructor(words: Int32Array) {
		this.#words = words;
	}

	/** The number of the last purge: what since() is given by those who begin now. */
	get last(): number {
		return Atomics.load(this.#words, 0);
	}

	#placeOf(name: string): number {
		return 1 + (Bun.hash.xxHash32(name) % PURGE_PLACES);
	}

	/** Notes that what has this key or tag is purged; before it is taken out of the store. */
	note(name: string): void {
		const number = (Atomics.add(this.#words, 0, 1) + 1) | 0;
		const place = this.#placeOf(name);
		let found = Atomics.load(this.#words, place);
		// Another worker's later purge may be here first.
		while (((number - found) | 0) > 0) {
			const met = Atomics.compareExchange(this.#words, place, found, number);
			if (met === found) return;
			found = met;
		}
	}

	/** Whether one of these keys and tags may have been purged since `last` was that number. */
	since(number: number, names: readonly string[]): boolean {
		return names.some((name) => ((Atomics.load(this.#words, this.#placeOf(name)) - number) | 0) > 0);
	}
}
