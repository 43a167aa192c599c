/**
 * The numbers behind `${_RANDOM}`: by chance, and from `random_seed` on the same ones at every reading. keepalived's
 * own differ from ours, and from each other from run to run in spite of the seed (2.2.7, observed). Pure but for chance.
 */
export class RandomNumbers {
	#state: number | null = null;

	/** From here on the numbers follow from `seed`. */
	seed(seed: number): void {
		this.#state = seed >>> 0;
	}

	/** A whole number from `min` to `max`; `min` where they are the wrong way round. */
	between(min: number, max: number): number {
		return min + Math.floor(this.#next() * (Math.max(min, max) - min + 1));
	}

	/** 0 ≤ x < 1. Seeded: a Weyl sequence whose values are mixed as in MurmurHash3's finalizer. */
	#next(): number {
		if (this.#state === null) return Math.random();
		this.#state = (this.#state + 0x9e37_79b9) >>> 0;
		let mixed = this.#state;
		mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
		mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
		return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
	}
}
