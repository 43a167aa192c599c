/**
 * The director beside keepalived and ipvsadm, in one boot of user-mode Linux, turn by turn:
 * 1,000 services with 20 real servers each into the kernel, a reload that changes 1 % of them, and memory.
 * Its parts: speed, ipvsadm, memory.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleFirmware } from "../../image/firmware-bundle.ts";
import { compileServices } from "../../image/services-executable.ts";
import { compileStarter } from "../../image/starter/starter.ts";
import { runInUml } from "../lab/vm/uml.ts";
import type { BenchResult } from "./result.ts";

const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 7);
/** What keepalived took for this reload on an otherwise idle machine, and what was asked of Drover there. */
const RELOAD_BAR = 0.2 / 0.55;
/** The guest's processor time is known to a tenth of a second. */
const LEAST_CPU_SECONDS = 1;
const MEMORY_BAR_BYTES = 120e6;

export async function bench(part = "all"): Promise<readonly BenchResult[]> {
	const { files, shimPath } = await bundleFirmware();
	const bundle = files.filter(({ path }) => !path.includes("/"));
	const directory = mkdtempSync(join(tmpdir(), "drover-bench-"));
	const bun = readFileSync(await compileServices(directory));
	const starter = readFileSync(compileStarter(directory));
	rmSync(directory, { recursive: true });
	const script = [
		"mkdir -p /usr/lib/drover",
		"cp /uml/drover /usr/bin/drover && chmod +x /usr/bin/drover",
		"cp /uml/bun /usr/lib/drover && chmod +x /usr/lib/drover/bun",
		`cd /uml && cp ${bundle.map(({ path }) => path).join(" ")} drover.node /usr/lib/drover`,
		// A check may hold its connection, and both ends of it are in this guest.
		`cd - && ulimit -n 65536 && exec ${process.execPath} test/lab/vm/guest/director-bench.ts ${ROUNDS} ${part}`,
	];
	const run = await runInUml(["sh", "-ec", script.join("\n")], {
		memoryMb: 1536,
		limitSeconds: 600,
		measuresCpu: true,
		files: {
			...Object.fromEntries(bundle.map(({ path, content }) => [path, content])),
			"drover.node": readFileSync(shimPath),
			bun,
			drover: starter,
		},
	});
	const line = /^samples (.*)$/m.exec(run.output)?.[1];
	if (line === undefined)
		throw new Error(`the guest did not finish: ${run.output.slice(-2000)}${run.console}`);
	const { samples, spans } = JSON.parse(line) as {
		samples: Record<string, number[]>;
		spans: Record<string, [fromMs: number, toMs: number][]>;
	};
	const seconds = (name: string) => spans[name]!.map(([from, to]) => (to - from) / 1000);
	const cpuSeconds = (name: string) => spans[name]!.map(([from, to]) => run.cpuSecondsBetween(from, to));
	const memory = (name: string) => median(samples[name]!);
	/** Firmer than the time, which they make up here: each takes 80 µs in this guest. */
	const faults = (name: string) =>
		samples[`${name} faults`] === undefined ? "" : `, ${memory(`${name} faults`)} page faults`;
	const timed = (name: string, what: string, peer: string, bar: number): readonly BenchResult[] =>
		spans[`${peer} ${what}`] === undefined
			? []
			: [
					[name, seconds] as const,
					// A busy machine stretches the time, and the two are not measured at the same moment. What is over
					// within a few samples says nothing.
					...(median(cpuSeconds(`${peer} ${what}`)) < LEAST_CPU_SECONDS
						? []
						: [[`${name}, processor time of the guest`, cpuSeconds] as const]),
				].map(([title, of]) => {
					const ours = of(`drover ${what}`);
					const theirs = of(`${peer} ${what}`);
					const told = (who: string, values: readonly number[]) =>
						`${median(values).toFixed(2)} s${of === seconds ? faults(`${who} ${what}`) : ""}`;
					return {
						name: title,
						ours: told("drover", ours),
						peer: told(peer, theirs),
						// Of each turn by itself: what slows the machine down for a while slows both.
						ratio: median(ours.map((value, turn) => value / theirs[turn]!)),
						bar,
					};
				});
	return [
		...timed("1,000 services × 20 servers from nothing, to keepalived", "program", "keepalived", 0.4),
		...timed("the same, to ipvsadm --restore", "program", "ipvsadm", 0.4),
		...timed("reload that changes 1 % of them", "reload", "keepalived", RELOAD_BAR),
		...(
			[
				["memory of election and director, 20,000 checked real servers, to 120 MB", "memory"],
				["the same after a reload", "memory, reloaded"],
			] as const
		).flatMap(([name, what]) =>
			samples[`drover ${what}`] === undefined
				? []
				: [
						{
							name,
							ours: `${(memory(`drover ${what}`) / 1e6).toFixed(0)} MB`,
							peer: `${(memory(`keepalived ${what}`) / 1e6).toFixed(0)} MB`,
							ratio: memory(`drover ${what}`) / MEMORY_BAR_BYTES,
							bar: 1,
						},
					],
		),
	];
}

function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[sorted.length >> 1]!;
}
