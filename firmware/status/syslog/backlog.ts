/** What waits for a receiver: bounded, the oldest goes first, and what went is counted. Pure. */

/** Messages that wait for one receiver. */
export const BACKLOG_LIMIT = 10_000;
/** And their bytes together. */
export const BACKLOG_LIMIT_BYTES = 4 * 1024 * 1024;

export class Backlog {
	readonly #messages: Uint8Array[] = [];
	#head = 0;
	#bytes = 0;
	/** Dropped since the start. */
	lost = 0;

	get length(): number {
		return this.#messages.length - this.#head;
	}

	add(message: Uint8Array): void {
		this.#messages.push(message);
		this.#bytes += message.length;
		while (this.length > BACKLOG_LIMIT || this.#bytes > BACKLOG_LIMIT_BYTES) {
			this.shift();
			this.lost++;
		}
	}

	peek(): Uint8Array | null {
		return this.#messages[this.#head] ?? null;
	}

	shift(): void {
		const message = this.#messages[this.#head];
		if (message === undefined) return;
		this.#bytes -= message.length;
		this.#head++;
		// The array's front is cut off now and then, not each time.
		if (this.#head >= 1024) {
			this.#messages.splice(0, this.#head);
			this.#head = 0;
		}
	}
}
