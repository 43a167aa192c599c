/**
 * Measures Drover beside its peers and prints one table: our figure, the peer's from the
 * same interleaved run, their ratio and the bar. Absolute times depend on the machine; the
 * ratio is what counts.
 *
 *   bun test/bench/run.ts             everything
 *   bun test/bench/run.ts vrrp vcl    the named files
 *   bun test/bench/run.ts director:speed    a part of one
 */
import { readdirSync } from "node:fs";
import type { BenchResult } from "./result.ts";

const available = readdirSync(import.meta.dir)
	.filter((name) => name.endsWith(".ts") && !["run.ts", "result.ts", "parts.ts"].includes(name))
	.map((name) => name.slice(0, -3))
	.sort();

interface Bench {
	/** All of it, or the part that has this name. */
	readonly bench?: (part?: string) => Promise<readonly BenchResult[]>;
}

export function table(results: readonly BenchResult[]): string {
	const rows = [
		["", "Drover", "peer", "ratio", "bar", ""],
		...results.map((result) => [
			result.name,
			result.ours,
			result.peer,
			result.ratio.toFixed(3),
			`≤ ${Number(result.bar.toFixed(3))}`,
			result.ratio <= result.bar ? "met" : "SHORT",
		]),
	];
	const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
	return rows
		.map((row) =>
			row
				.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
				.join("  "),
		)
		.join("\n");
}

if (import.meta.main) {
	const wanted = process.argv.slice(2);
	const unknown = wanted.filter((name) => !available.includes(name.split(":")[0]!));
	if (unknown.length > 0) {
		console.error(`no such bench: ${unknown.join(", ")} (there are ${available.join(", ")})`);
		process.exit(2);
	}
	const results: BenchResult[] = [];
	let broken = 0;
	for (const name of wanted.length > 0 ? wanted : available) {
		const [file, part] = name.split(":");
		const { bench } = (await import(`./${file}.ts`)) as Bench;
		if (bench === undefined) continue;
		console.error(`measuring ${name} …`);
		try {
			results.push(...(await bench(part)));
		} catch (error) {
			broken++;
			console.error(`${name} could not be measured: ${error instanceof Error ? error.message : error}`);
		}
	}
	console.log(table(results));
	process.exit(broken === 0 ? 0 : 1);
}
