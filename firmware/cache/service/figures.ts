/** Counters as an operator asks for them: since the start, and over the last seconds. Pure. */
import type { CacheFigures } from "../../status/cache.ts";

/** Samples kept, one a second. */
const SAMPLES = 10;

type Counts = Omit<CacheFigures, "hitRatio">;

const withRatio = (counts: Counts): CacheFigures => {
	const lookups = counts.hits + counts.misses;
	return { ...counts, hitRatio: lookups === 0 ? null : counts.hits / lookups };
};

/** MAIN counters → the ones that are shown. */
export function countsOf(figures: ReadonlyMap<string, number>): Counts {
	const get = (name: string) => figures.get(name) ?? 0;
	return {
		requests: get("client_req"),
		hits: get("cache_hit"),
		misses: get("cache_miss"),
		passes: get("s_pass"),
		synthetic: get("s_synth"),
		failedFetches: get("fetch_failed"),
	};
}

export class RecentFigures {
	readonly #samples: { readonly atMs: number; readonly counts: Counts }[] = [];

	add(atMs: number, counts: Counts): void {
		this.#samples.push({ atMs, counts });
		if (this.#samples.length > SAMPLES + 1) this.#samples.shift();
	}

	total(): CacheFigures {
		return withRatio(this.#samples.at(-1)?.counts ?? countsOf(new Map()));
	}

	/** What came between the oldest and the newest sample. */
	recent(): CacheFigures & { readonly seconds: number } {
		const [first] = this.#samples;
		const last = this.#samples.at(-1);
		if (first === undefined || last === undefined) return { ...withRatio(countsOf(new Map())), seconds: 0 };
		const since = (name: keyof Counts) => Math.max(0, last.counts[name] - first.counts[name]);
		return {
			...withRatio({
				requests: since("requests"),
				hits: since("hits"),
				misses: since("misses"),
				passes: since("passes"),
				synthetic: since("synthetic"),
				failedFetches: since("failedFetches"),
			}),
			seconds: (last.atMs - first.atMs) / 1000,
		};
	}
}
