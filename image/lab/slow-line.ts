/** A serial line's pace: QEMU and a pseudo-terminal hand over at once what a line would carry bit by bit. */

/** A start bit, eight of data, a stop bit. */
const BITS_PER_CHARACTER = 10;

export class SlowLine {
	readonly #characterMs: number;
	/** On performance.now()'s scale. */
	#carriedAtMs = 0;

	/** `baud`: bits a second; Infinity for a line that costs no time. */
	constructor(baud: number) {
		this.#characterMs = (1_000 * BITS_PER_CHARACTER) / baud;
	}

	/** So many characters have come now: they go on the line behind those that are on it. */
	take(characters: number): void {
		this.#carriedAtMs = Math.max(performance.now(), this.#carriedAtMs) + characters * this.#characterMs;
	}

	/** Until the last of them has arrived. */
	async carried(): Promise<void> {
		const leftMs = this.#carriedAtMs - performance.now();
		if (leftMs > 0) await Bun.sleep(leftMs);
	}
}
