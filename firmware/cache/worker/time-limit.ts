/**
 * A time limit that is set and lifted for every request on a connection and is hardly ever passed. Setting it is one
 * look at the clock: the timer that is waiting already is left alone when it comes early enough, and looks again.
 */
/** setTimeout counts in 32 bits; more than this would be due at once. */
const TIMER_LIMIT_MS = 2 ** 31 - 1;

export class TimeLimit {
	readonly #onPast: () => void;
	#pastMs = Number.POSITIVE_INFINITY;
	#timer: ReturnType<typeof setTimeout> | undefined;
	/** When the timer comes; infinity without one. */
	#looksMs = Number.POSITIVE_INFINITY;

	constructor(onPast: () => void) {
		this.#onPast = onPast;
	}

	/** In place of the limit before. `seconds` of 0 or less: none. */
	set(seconds: number): void {
		this.#pastMs = seconds > 0 ? performance.now() + seconds * 1000 : Number.POSITIVE_INFINITY;
		if (this.#pastMs < this.#looksMs) this.#lookAt(this.#pastMs, seconds * 1000);
	}

	lift(): void {
		this.#pastMs = Number.POSITIVE_INFINITY;
	}

	/** There will be no other limit: nothing waits any more. */
	end(): void {
		this.lift();
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#looksMs = Number.POSITIVE_INFINITY;
	}

	#lookAt(atMs: number, afterMs: number): void {
		clearTimeout(this.#timer);
		this.#looksMs = atMs;
		this.#timer = setTimeout(this.#look, Math.min(TIMER_LIMIT_MS, afterMs));
	}

	readonly #look = () => {
		this.#timer = undefined;
		this.#looksMs = Number.POSITIVE_INFINITY;
		if (this.#pastMs === Number.POSITIVE_INFINITY) return;
		const leftMs = this.#pastMs - performance.now();
		if (leftMs > 0) this.#lookAt(this.#pastMs, leftMs);
		else {
			this.lift();
			this.#onPast();
		}
	};
}
