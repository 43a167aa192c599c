/** What is worth keeping: the store's own eviction against least-recently-used, on the same trace. */
import { rmSync } from "node:fs";
import { Arena } from "../../../firmware/cache/store/arena.ts";
import type { BenchResult } from "../result.ts";
import { objectMeta } from "./direct.ts";

const STORE_BYTES = 16 << 20;
const OBJECTS = 100_000;
const REQUESTS = 400_000;
/** Share of requests for something that is never asked for again. */
const ONE_HIT_WONDERS = 0.3;
const ZIPF_EXPONENT = 0.9;
const BODY_BYTES = 1024;

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
function numbers(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** Object numbers: Zipf among `OBJECTS`, and one-hit wonders beyond. */
export function trace(length: number, seed = 1): Int32Array {
	const random = numbers(seed);
	const cumulative = new Float64Array(OBJECTS);
	let sum = 0;
	for (let rank = 0; rank < OBJECTS; rank++) {
		sum += 1 / (rank + 1) ** ZIPF_EXPONENT;
		cumulative[rank] = sum;
	}
	let wonder = OBJECTS;
	return Int32Array.from({ length }, () => {
		if (random() < ONE_HIT_WONDERS) return wonder++;
		const wanted = random() * sum;
		let low = 0;
		let high = OBJECTS - 1;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (cumulative[middle]! < wanted) low = middle + 1;
			else high = middle;
		}
		return low;
	});
}

function hitsOfStore(requests: Int32Array): { readonly hits: number; readonly held: number } {
	const path = `/dev/shm/drover-bench-eviction-${process.pid}`;
	Arena.create(path, STORE_BYTES, 0);
	try {
		const arena = Arena.open(path, STORE_BYTES, 0);
		const body = [Buffer.alloc(BODY_BYTES, "x")];
		let hits = 0;
		for (const index of requests) {
			const meta = objectMeta(index, "bench", 1e9, BODY_BYTES);
			const [found] = arena.lookup(meta.key);
			if (found === undefined) arena.insert(meta, body);
			else {
				arena.use(found);
				hits++;
			}
		}
		return { hits, held: arena.figures().objects };
	} finally {
		rmSync(path, { force: true });
	}
}

/** As many objects as the store holds in the same memory, exactly. */
function hitsOfLru(requests: Int32Array, capacity: number): number {
	const kept = new Map<number, true>();
	let hits = 0;
	for (const index of requests) {
		if (kept.delete(index)) hits++;
		else if (kept.size >= capacity) kept.delete(kept.keys().next().value!);
		kept.set(index, true);
	}
	return hits;
}

export async function eviction(): Promise<BenchResult[]> {
	const requests = trace(REQUESTS);
	const { hits, held } = hitsOfStore(requests);
	const lru = hitsOfLru(requests, held);
	const percent = (count: number) => `${((100 * count) / REQUESTS).toFixed(1)} %`;
	return [
		{
			name: `hit ratio, Zipf ${ZIPF_EXPONENT} with ${100 * ONE_HIT_WONDERS} % one-hit wonders, ${held} objects held / LRU`,
			ours: percent(hits),
			peer: percent(lru),
			ratio: lru / hits,
			bar: 1,
		},
	];
}
