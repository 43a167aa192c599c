/**
 * The director beside keepalived and ipvsadm, in one boot of user-mode Linux, turn by turn:
 * 1,000 services with 20 real servers each into the kernel, a reload that changes 1 % of them, and memory.
 * Its parts: speed, ipvsadm, memory.
 */
import { readFileSync } from "node:fs";
import { bundleFirmware } from "../../image/firmware-bundle.ts";
import { runInUml } from "../lab/vm/uml.ts";
import type { BenchResult } from "./result.ts";

const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
/** What keepalived took for this reload on an otherwise idle machine, and what was asked of Drover there. */
const RELOAD_BAR = 0.2 / 0.55;
const MEMORY_BAR_BYTES = 120e6;

export async function bench(part = "all"): Promise<readonly BenchResult[]> {
	const { files, shimPath } = await bundleFirmware();
	const bundle = files.filter(({ path }) => !path.includes("/"));
	const script = [
		"mkdir /tmp/firmware",
		`cd /uml && cp ${bundle.map(({ path }) => path).join(" ")} drover.node /tmp/firmware`,
		`cd - && exec ${process.execPath} test/lab/vm/guest/director-bench.ts ${ROUNDS} /tmp/firmware/services.js ${part}`,
	];
	const run = await runInUml(["sh", "-ec", script.join("\n")], {
		memoryMb: 1536,
		limitSeconds: 600,
		files: {
			...Object.fromEntries(bundle.map(({ path, content }) => [path, content])),
			"drover.node": readFileSync(shimPath),
		},
	});
	const line = /^samples (.*)$/m.exec(run.output)?.[1];
	if (line === undefined)
		throw new Error(`the guest did not finish: ${run.output.slice(-2000)}${run.console}`);
	const samples = JSON.parse(line) as Record<string, number[]>;
	const seconds = (name: string) => median(samples[name]!) / 1000;
	const memory = (name: string) => median(samples[name]!);
	const timed = (name: string, what: string, peer: string, bar: number): readonly BenchResult[] =>
		samples[`${peer} ${what}`] === undefined
			? []
			: [
					{
						name,
						ours: `${seconds(`drover ${what}`).toFixed(2)} s`,
						peer: `${seconds(`${peer} ${what}`).toFixed(2)} s`,
						ratio: seconds(`drover ${what}`) / seconds(`${peer} ${what}`),
						bar,
					},
				];
	return [
		...timed("1,000 services × 20 servers from nothing, to keepalived", "program", "keepalived", 0.4),
		...timed("the same, to ipvsadm --restore", "program", "ipvsadm", 0.4),
		...timed("reload that changes 1 % of them", "reload", "keepalived", RELOAD_BAR),
		...(samples["drover memory"] === undefined
			? []
			: [
					{
						name: "memory with 20,000 checked real servers, to 120 MB",
						ours: `${(memory("drover memory") / 1e6).toFixed(0)} MB`,
						peer: `${(memory("keepalived memory") / 1e6).toFixed(0)} MB`,
						ratio: memory("drover memory") / MEMORY_BAR_BYTES,
						bar: 1,
					},
				]),
	];
}

function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[sorted.length >> 1]!;
}
