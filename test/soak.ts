/**
 * What takes hours and is not part of `make test`: the life of a box (test/lab/vm/update.test.ts) in
 * BIOS and in UEFI, with 200 power cuts each, every one of them started.
 *
 *   bun test/soak.ts                 everything
 *   bun test/soak.ts --seed 7        other moments
 *   bun test/soak.ts --firmware UEFI one of the two
 */
import { parseArgs } from "node:util";

const POWER_CUTS = 200;

const { values } = parseArgs({
	options: { seed: { type: "string", default: "1" }, firmware: { type: "string" } },
});
let failed = 0;
for (const firmware of values.firmware === undefined ? ["BIOS", "UEFI"] : [values.firmware]) {
	console.log(`── ${firmware}: the life of a box, ${POWER_CUTS} power cuts, seed ${values.seed}`);
	const child = Bun.spawn([process.execPath, "test", "--timeout=300000", "./test/lab/vm/update.test.ts"], {
		cwd: `${import.meta.dir}/..`,
		stdin: "ignore",
		env: {
			...process.env,
			DROVER_FIRMWARE: firmware,
			DROVER_WHOLE_LIFE: "1",
			DROVER_POWER_CUTS: String(POWER_CUTS),
			DROVER_POWER_CUT_STARTS: String(POWER_CUTS),
			DROVER_SEED: values.seed,
		},
	});
	if ((await child.exited) !== 0) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;
