/**
 * What takes long and is not part of `make test`, in BIOS and in UEFI. Three parts:
 *
 *   life      the life of a box (lab/vm/update.test.ts), recorded
 *   recovery  factory reset, a forgotten password, flashing (lab/vm/recovery.soak.ts)
 *   cuts      200 power cuts of the recorded life, every one of them started (lab/vm/power-cut-start.ts)
 *
 *   bun test/soak.ts                             everything
 *   bun test/soak.ts recovery --firmware UEFI    one part, one firmware
 *   bun test/soak.ts cuts --only 0-49            these cuts of the life that was recorded last
 *   bun test/soak.ts cuts --minutes 9            no further cut is started after so many minutes
 *   bun test/soak.ts --seed 7                    other moments
 *
 * A recorded life is kept in out/soak/FIRMWARE, with what each cut came to: starting them goes on where the last
 * run stopped. It is repeated only when "life" is named, or when there is none.
 */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { outDirectory } from "../image/make-file.ts";
import { moments, type Recording, readRecording } from "./lab/vm/power-cut.ts";
import { startCut } from "./lab/vm/power-cut-start.ts";

const POWER_CUTS = 200;
/** Of so many cuts one is started whole, up to the shell. */
const WHOLE_EVERY = 50;
/** The kernel of a guest unpacks itself on one processor; the host has two. */
const STARTS_AT_A_TIME = 2;

type Firmware = "BIOS" | "UEFI";

/** One line of the results' file. */
interface Result {
	readonly cut: number;
	readonly seconds: number;
	/** What booted; null with what was wrong. */
	readonly started: string | null;
	readonly fault: string | null;
}

const PARTS = ["life", "recovery", "cuts"] as const;
type Part = (typeof PARTS)[number];
const USAGE =
	"bun test/soak.ts [life] [recovery] [cuts] [--firmware BIOS|UEFI] [--seed N] [--only FIRST-LAST] [--minutes N]";

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		seed: { type: "string", default: "1" },
		firmware: { type: "string" },
		only: { type: "string", default: `0-${POWER_CUTS - 1}` },
		minutes: { type: "string", default: "Infinity" },
	},
});
const seed = Number(values.seed);
const endsAtMs = Date.now() + Number(values.minutes) * 60_000;
const range = /^(\d+)-(\d+)$/.exec(values.only);
const isPart = (word: string): word is Part => (PARTS as readonly string[]).includes(word);
if (
	range === null ||
	!["BIOS", "UEFI", undefined].includes(values.firmware) ||
	!Number.isInteger(seed) ||
	Number.isNaN(endsAtMs) ||
	!positionals.every(isPart)
) {
	console.error(USAGE);
	process.exit(2);
}
const wanted = Array.from({ length: POWER_CUTS }, (_, cut) => cut).filter(
	(cut) => cut >= Number(range[1]) && cut <= Number(range[2]),
);
const parts: ReadonlySet<Part> = new Set(positionals.length === 0 ? PARTS : positionals.filter(isPart));
const firmwares: readonly Firmware[] =
	values.firmware === undefined ? ["BIOS", "UEFI"] : [values.firmware as Firmware];

let failed = 0;
for (const firmware of firmwares) {
	const directory = join(outDirectory, "soak", firmware);
	if (parts.has("recovery")) {
		console.log(`── ${firmware}: reset, recovered, flashed`);
		if (!(await bunTest("recovery.soak.ts", { DROVER_FIRMWARE: firmware }))) failed++;
	}
	if (positionals.includes("life") || (parts.has("cuts") && readRecording(directory) === null)) {
		console.log(`── ${firmware}: the life of a box, recorded`);
		rmSync(directory, { recursive: true, force: true });
		const environment = {
			DROVER_FIRMWARE: firmware,
			DROVER_SEED: String(seed),
			DROVER_KEEP_RECORDING: directory,
		};
		if (!(await bunTest("update.test.ts", environment))) failed++;
	}
	if (parts.has("cuts")) failed += await startCuts(firmware, directory);
}
process.exitCode = failed === 0 ? 0 : 1;

async function bunTest(name: string, environment: Readonly<Record<string, string>>): Promise<boolean> {
	const child = Bun.spawn([process.execPath, "test", "--timeout=300000", `./test/lab/vm/${name}`], {
		cwd: `${import.meta.dir}/..`,
		stdin: "ignore",
		env: { ...process.env, ...environment },
	});
	return (await child.exited) === 0;
}

/** Starts what is wanted and was not started before. Returns how many failed to boot, ever. */
async function startCuts(firmware: Firmware, directory: string): Promise<number> {
	const recording = readRecording(directory);
	if (recording === null) {
		console.error(`There is no recorded life in ${directory}: bun test/soak.ts life --firmware ${firmware}`);
		return 1;
	}
	const chosen = moments(recording.entries, POWER_CUTS, seed);
	const resultsPath = join(directory, `cuts-${seed}.jsonl`);
	const known = readResults(resultsPath);
	const left = wanted.filter((cut) => !known.has(cut));
	console.log(`── ${firmware}: ${left.length} power cuts to start, ${known.size} were before; seed ${seed}`);
	const next = left.values();
	const startOneByOne = async () => {
		const scratch = mkdtempSync(join(tmpdir(), "drover-cut-"));
		try {
			for (const cut of next) {
				if (Date.now() > endsAtMs) return;
				const result = await tryCut(recording, cut, scratch, firmware);
				known.set(cut, result);
				appendFileSync(resultsPath, `${JSON.stringify(result)}\n`);
				console.log(
					`cut ${cut}: ${result.started ?? `FAILED: ${result.fault}`} (${result.seconds.toFixed(1)} s)`,
				);
			}
		} finally {
			rmSync(scratch, { recursive: true, force: true });
		}
	};
	await Promise.all(Array.from({ length: STARTS_AT_A_TIME }, startOneByOne));

	const counts = new Map<string, number>();
	for (const { started } of known.values())
		counts.set(started ?? "failed to boot", (counts.get(started ?? "failed to boot") ?? 0) + 1);
	console.log(`${firmware}: ${known.size} of ${POWER_CUTS} power cuts were started`);
	for (const [what, count] of [...counts].sort()) console.log(`  ${String(count).padStart(3)} ${what}`);
	return counts.get("failed to boot") ?? 0;

	async function tryCut(from: Recording, cut: number, scratch: string, how: Firmware): Promise<Result> {
		const began = performance.now();
		try {
			const { started, seconds } = await startCut(from, chosen[cut]!, {
				directory: scratch,
				firmware: how,
				whole: cut % WHOLE_EVERY === 0,
			});
			return { cut, seconds, started, fault: null };
		} catch (error) {
			const seconds = (performance.now() - began) / 1000;
			return { cut, seconds, started: null, fault: (error as Error).message };
		}
	}
}

function readResults(path: string): Map<number, Result> {
	mkdirSync(join(path, ".."), { recursive: true });
	const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
	return new Map(lines.map((line) => JSON.parse(line) as Result).map((result) => [result.cut, result]));
}
