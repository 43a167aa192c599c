/**
 * What became of objects that are no more, for those who ask why there is nothing for a URL. A table of the store that
 * all workers share: each object has one place in it by its key, and the last that went keeps it. Pure.
 */
import { DEPARTURE_WORDS } from "./layout.ts";

/** How objects go, but for those that a newer one has replaced. */
const causes = ["evicted", "expired", "purged", "banned", "invalidated", "damaged"] as const;
export type Cause = (typeof causes)[number];

export interface Departure {
	readonly cause: Cause;
	/** Unix second. */
	readonly at: number;
	/** Number of the ban; 0 if it was none. */
	readonly ban: number;
}

const CAUSE_BITS = 3;
const Word = { low: 0, high: 1, second: 2, cause: 3 } as const;

export class Departures {
	readonly #words: Int32Array;

	/** `words`: the table's places, a power of two of them. */
	constructor(words: Int32Array) {
		this.#words = words;
	}

	#at(low: number): number {
		return (low & (this.#words.length / DEPARTURE_WORDS - 1)) * DEPARTURE_WORDS;
	}

	/** Under the store's lock. `low` and `high` are the key's. */
	note(low: number, high: number, { cause, at: second, ban }: Departure): void {
		const words = this.#words;
		const at = this.#at(low);
		words[at + Word.low] = low;
		words[at + Word.high] = high;
		words[at + Word.second] = second;
		words[at + Word.cause] = (ban << CAUSE_BITS) | causes.indexOf(cause);
	}

	/** Of the key; undefined when nothing is known. Without the lock: in the middle of a note it may be wrong. */
	find(low: number, high: number): Departure | undefined {
		const words = this.#words;
		const at = this.#at(low);
		const second = words[at + Word.second]! >>> 0;
		if (second === 0 || words[at + Word.low] !== low || words[at + Word.high] !== high) return undefined;
		const word = words[at + Word.cause]!;
		const cause = causes[word & ((1 << CAUSE_BITS) - 1)];
		return cause && { cause, at: second, ban: word >>> CAUSE_BITS };
	}
}
