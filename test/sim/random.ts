/** Chance from a seed: the same seed gives the same run, on every machine. */
export interface Random {
	/** In [0, 1). */
	next(): number;
	/** In [from, to], whole. */
	integer(from: number, to: number): number;
	chance(probability: number): boolean;
	pick<Item>(items: readonly Item[]): Item;
}

/** splitmix32. */
export function randomFrom(seed: number): Random {
	let state = seed >>> 0;
	const next = () => {
		state = (state + 0x9e3779b9) >>> 0;
		let word = state;
		word = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
		word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
		return ((word ^ (word >>> 15)) >>> 0) / 0x1_0000_0000;
	};
	const integer = (from: number, to: number) => from + Math.floor(next() * (to - from + 1));
	return {
		next,
		integer,
		chance: (probability) => next() < probability,
		pick: (items) => items[integer(0, items.length - 1)]!,
	};
}
