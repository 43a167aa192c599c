/**
 * Which objects are being fetched, for all workers to see: a table of words in shared memory. A worker that is about
 * to fetch for the cache marks the object's place with its own number; the others wait until the mark goes, and look
 * again. A mark is a hint: two keys that share a place are fetched without one, and nobody waits for ever.
 */

/** Places. Fetches at once that share one go without a mark. */
export const BUSY_PLACES = 8192;
/** The longest that a request waits for another worker; then it fetches by itself. */
export const BUSY_WAIT_MS = 10_000;
/** An answer longer than this, or of unknown length, is not waited for once it has begun. */
export const BUSY_BODY_BYTES = 8 * 1024 * 1024;
const FIRST_LOOK_MS = 1;
const LOOK_LIMIT_MS = 16;

/** What to give back to `release`; 0 for a fetch without a mark. */
export type BusyMark = { readonly place: number; readonly word: number };

interface Sleeper {
	readonly place: number;
	readonly word: number;
	readonly untilMs: number;
	wake(): void;
}

/** Takes away the marks of a worker that has died. */
export function clearBusyMarks(words: Int32Array, worker: number): void {
	for (let place = 0; place < words.length; place++) {
		const word = Atomics.load(words, place);
		if ((word & 0xff) === worker + 1) Atomics.compareExchange(words, place, word, 0);
	}
}

export class BusyMarks {
	readonly #words: Int32Array;
	readonly #owner: number;
	readonly #sleepers = new Set<Sleeper>();
	#lookMs = FIRST_LOOK_MS;
	#timer: ReturnType<typeof setTimeout> | undefined;

	/** `worker` is below 255. */
	constructor(words: Int32Array, worker: number) {
		this.#words = words;
		this.#owner = worker + 1;
	}

	/** Marks `key` as being fetched here; "theirs" when another worker does; "unmarked" when its place is taken. */
	claim(key: string): BusyMark | "theirs" | "unmarked" {
		const place = Bun.hash.xxHash32(key) % this.#words.length;
		const word = this.#wordOf(key);
		const found = Atomics.compareExchange(this.#words, place, 0, word);
		if (found === 0) return { place, word };
		return (found ^ word) >>> 8 === 0 && found !== word ? "theirs" : "unmarked";
	}

	#wordOf(key: string): number {
		return (Bun.hash.crc32(key) << 8) | this.#owner;
	}

	release(mark: BusyMark): void {
		Atomics.compareExchange(this.#words, mark.place, mark.word, 0);
	}

	/**
	 * Calls `wake` when the mark that stands for `key` now has gone, or after BUSY_WAIT_MS. Returns what makes it wait no
	 * more.
	 */
	wait(key: string, wake: () => void): () => void {
		const place = Bun.hash.xxHash32(key) % this.#words.length;
		const word = Atomics.load(this.#words, place);
		const sleeper = { place, word, untilMs: performance.now() + BUSY_WAIT_MS, wake };
		this.#sleepers.add(sleeper);
		this.#lookMs = FIRST_LOOK_MS;
		this.#timer ??= setTimeout(() => this.#look(), this.#lookMs);
		return () => void this.#sleepers.delete(sleeper);
	}

	#look(): void {
		this.#timer = undefined;
		const now = performance.now();
		const awake: Sleeper[] = [];
		for (const each of this.#sleepers) {
			if (Atomics.load(this.#words, each.place) === each.word && now < each.untilMs) continue;
			this.#sleepers.delete(each);
			awake.push(each);
		}
		for (const each of awake) each.wake();
		if (this.#sleepers.size === 0) return;
		this.#lookMs = awake.length > 0 ? FIRST_LOOK_MS : Math.min(LOOK_LIMIT_MS, this.#lookMs * 2);
		this.#timer ??= setTimeout(() => this.#look(), this.#lookMs);
	}
}
