/**
 * `make fuzz`: every target for as long as asked, with seeds that differ from run to run.
 *
 *   bun test/fuzz/run.ts [SECONDS] [TARGET]     60 s each, all of them
 */
import { fuzz } from "./fuzz.ts";
import { fuzzTargets } from "./targets.ts";

const [secondsText = "60", name] = process.argv.slice(2);
const seed = Date.now() >>> 0;
for (const target of fuzzTargets) {
	if (name !== undefined && target.name !== name) continue;
	const { inputs, growthBytes } = fuzz(target, seed, Number(secondsText) * 1000);
	console.log(
		`${target.name}: ${inputs} inputs, seed ${seed}, ${(growthBytes / 1024).toFixed(0)} KB more held`,
	);
}
