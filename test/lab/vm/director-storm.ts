/**
 * A storm of reloads, run by hand: the director and keepalived, each over an IPVS of its own in a guest of user-mode
 * Linux, are told the same seeded story of virtual servers that change from reload to reload, of checked ports that
 * open and close and of virtual addresses that come and go. After each step their tables and what their FIFOs said
 * should be the same. Prints where they differ.
 *
 *   bun test/lab/vm/director-storm.ts [SEED] [--rounds N] [--phases N]
 */
import { parseArgs } from "node:util";
import { runInUml } from "./uml.ts";

const SECONDS_A_PHASE = 30;
const { values, positionals } = parseArgs({
	options: {
		rounds: { type: "string", default: "1" },
		phases: { type: "string", default: "8" },
	},
	allowPositionals: true,
});
const { rounds, phases } = values;
const seed = positionals[0] ?? String(Date.now() % 1_000_000);
const run = await runInUml([process.execPath, "test/lab/vm/guest/director-storm.ts", seed, rounds, phases], {
	limitSeconds: 60 + Number(rounds) * Number(phases) * SECONDS_A_PHASE,
});
console.log(run.output);
if (run.status === null) console.log(run.console);
process.exit(run.status ?? 1);
