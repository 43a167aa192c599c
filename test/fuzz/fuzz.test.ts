/** Bytes of strangers: no parser of the cache crashes, hangs or grows. A few seconds each; `make fuzz` goes on longer. */
import { expect, test } from "bun:test";
import { fuzz } from "./fuzz.ts";
import { fuzzTargets } from "./targets.ts";

const LIMIT_MS = 3_000;
/** A leak of one small object per input would be far more. */
const GROWTH_BYTES = 8 * 1024 * 1024;

for (const target of fuzzTargets)
	test(target.name, () => {
		const { inputs, growthBytes } = fuzz(target, 20_26, LIMIT_MS);
		expect(inputs).toBeGreaterThanOrEqual(target.seeds.length);
		expect(growthBytes).toBeLessThan(GROWTH_BYTES);
	}, 120_000);
