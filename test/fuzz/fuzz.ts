/** Runs one target for a time: no crash, no hang, no growth. */
import { mutate, Random } from "./mutate.ts";
import type { FuzzTarget } from "./targets.ts";

export interface FuzzRun {
	readonly inputs: number;
	/** Bytes that are still held after the run, beyond those before it; after a collection. */
	readonly growthBytes: number;
}

const heldBytes = () => {
	Bun.gc(true);
	return process.memoryUsage().heapUsed;
};

/** Inputs after which everything that fills once (memos, tables of known names) is full. */
const WARM_INPUTS = 2000;

/**
 * Throws with the input, as JSON, when one fails; the same `seed` makes the same inputs. `limitMs` of wall time, at
 * least the seeds themselves.
 */
export function fuzz(target: FuzzTarget, seed: number, limitMs: number): FuzzRun {
	const random = new Random(seed);
	const until = performance.now() + limitMs;
	let inputs = 0;
	let before = heldBytes();
	const one = (text: string) => {
		const begin = performance.now();
		try {
			target.run(text);
		} catch (error) {
			throw new Error(`${target.name}, seed ${seed}: ${error}; input ${JSON.stringify(text.slice(0, 4000))}`);
		}
		const took = performance.now() - begin;
		if (took > target.limitMs)
			throw new Error(
				`${target.name}, seed ${seed}: ${took.toFixed(0)} ms for ${JSON.stringify(text.slice(0, 4000))}`,
			);
		if (++inputs === WARM_INPUTS) before = heldBytes();
	};
	for (const text of target.seeds) one(text);
	while (performance.now() < until) one(mutate(random, target.seeds, target.words));
	return { inputs, growthBytes: heldBytes() - before };
}
