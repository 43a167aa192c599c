/**
 * `drover config check` beside `keepalived -t`, turn by turn, over one file of 1,000 virtual servers
 * with 20 real servers each. Drover runs as on the appliance: the bundle.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleFirmware } from "../../image/firmware-bundle.ts";
import type { BenchResult } from "./result.ts";

const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 15);

/** A file as a generator would write it: `services` virtual servers with `servers` real servers each. */
export function largeConfig(services: number, servers: number): string {
	const lines = ["global_defs {", "\trouter_id BIG", "}"];
	for (let service = 0; service < services; service++) {
		const [high, low] = [Math.floor(service / 250), service % 250];
		lines.push(
			"",
			`virtual_server 10.${high}.${low}.1 80 {`,
			"\tdelay_loop 6",
			"\tlb_algo wrr",
			"\tlb_kind NAT",
			"\tprotocol TCP",
		);
		for (let server = 0; server < servers; server++)
			lines.push(
				`\treal_server 172.${16 + high}.${low}.${server + 1} 80 {`,
				"\t\tweight 3",
				"\t\tTCP_CHECK {",
				"\t\t\tconnect_timeout 10",
				"\t\t\tretry 3",
				"\t\t\tdelay_before_retry 3",
				"\t\t\tconnect_port 80",
				"\t\t}",
				"\t}",
			);
		lines.push("}");
	}
	return `${lines.join("\n")}\n`;
}

interface Sample {
	readonly wallMs: number;
	readonly cpuMs: number;
}

function run(words: readonly string[]): Sample {
	const started = performance.now();
	const child = Bun.spawnSync([...words], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
	const wallMs = performance.now() - started;
	if (child.exitCode !== 0) throw new Error(`${words.join(" ")} exits with ${child.exitCode}`);
	return { wallMs, cpuMs: Number(child.resourceUsage.cpuTime.total) / 1000 };
}

export async function bench(): Promise<readonly BenchResult[]> {
	const directory = mkdtempSync(join(tmpdir(), "drover-bench-config-"));
	try {
		const { files } = await bundleFirmware();
		for (const { path, content } of files)
			if (!path.includes("/")) writeFileSync(join(directory, path), content);
		const file = join(directory, "large.conf");
		writeFileSync(file, largeConfig(1000, 20));
		const ours: Sample[] = [];
		const theirs: Sample[] = [];
		for (let round = 0; round < ROUNDS; round++) {
			theirs.push(run(["keepalived", "-t", "-f", file]));
			ours.push(run([process.execPath, join(directory, "drover.js"), "config", "check", file]));
		}
		const row = (name: string, measure: (sample: Sample) => number): BenchResult => {
			const [mine, peer] = [median(ours.map(measure)), median(theirs.map(measure))];
			return {
				name,
				ours: `${mine.toFixed(0)} ms`,
				peer: `${peer.toFixed(0)} ms`,
				ratio: mine / peer,
				bar: 1,
			};
		};
		return [
			row("config check, 20,000 real servers: time", (sample) => sample.wallMs),
			row("config check, 20,000 real servers: CPU", (sample) => sample.cpuMs),
		];
	} finally {
		rmSync(directory, { recursive: true });
	}
}

function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)]!;
}
