/** Inputs for fuzzing: seeds torn, joined and patched by a generator that one number repeats. Pure. */

/** Mulberry32: 32 bits of state, good enough to pick places in a text. */
export class Random {
	#state: number;

	constructor(seed: number) {
		this.#state = seed >>> 0;
	}
	/** An integer from 0 to below `bound`. */
	below(bound: number): number {
		this.#state = (this.#state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
	}
	pick<Item>(items: readonly Item[]): Item {
		return items[this.below(items.length)]!;
	}
}

/** Longest input made. */
export const INPUT_BYTES = 256 * 1024;
const REPEATS = [2, 10, 100, 3000];

/** One more input from `seeds` (one character per byte), with `words` of the language strewn in. */
export function mutate(random: Random, seeds: readonly string[], words: readonly string[]): string {
	let text = random.pick(seeds);
	for (let count = 1 + random.below(6); count > 0; count--) {
		const at = random.below(text.length + 1);
		const length = random.below(random.below(4) === 0 ? 400 : 12);
		const rest = text.slice(at + length);
		switch (random.below(8)) {
			case 0:
				text = text.slice(0, at) + rest;
				break;
			case 1:
				text = text.slice(0, at) + random.pick(words) + text.slice(at);
				break;
			case 2:
				text = text.slice(0, at) + random.pick(words) + rest;
				break;
			case 3:
				text = text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
				break;
			case 4:
				text = text.slice(0, at) + text.slice(at, at + length).repeat(random.pick(REPEATS)) + rest;
				break;
			case 5:
				text = text.slice(0, at) + random.pick(seeds).slice(0, 300) + text.slice(at);
				break;
			case 6:
				text = text.slice(0, at);
				break;
			default:
				text += random.pick(seeds);
		}
		if (text.length > INPUT_BYTES) text = text.slice(0, INPUT_BYTES);
	}
	return text;
}
