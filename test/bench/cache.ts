/**
 * The cache beside its peers: Drover, Varnish, nginx and HAProxy, all up at once, measured in turns so that a
 * change of the machine's mood hits all of them. Servers are pinned to core 1, load and the origin to core 0.
 * Two figures each: requests/s, and CPU microseconds per request of all processes that serve, which a busy machine
 * spoils less. What a figure cannot depend on (memory, time to start) is measured alone.
 *
 *   bun test/bench/cache.ts [--seconds N] [--rounds N] [ROW …]
 *
 * Rows by name, so that one can be run again alone; without names, all of them.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { restart, startUp } from "./cache/beginning.ts";
import { idle, million } from "./cache/capacity.ts";
import { type Contestant, originProgram, start } from "./cache/contestants.ts";
import { crash } from "./cache/crash.ts";
import { eviction } from "./cache/eviction.ts";
import { Load } from "./cache/load.ts";
import { answering, CLIENT_CORE, compile, freePort, spawn, stop } from "./cache/machine.ts";
import { hits, hits1m, hits32k, latency, misses, passes, statements, type Table } from "./cache/serving.ts";
import type { BenchResult } from "./result.ts";

const rows: Readonly<Record<string, (table: Table) => Promise<BenchResult[]>>> = {
	hits,
	latency,
	hits32k,
	hits1m,
	misses,
	passes,
	statements,
	million,
	idle,
	crash,
	restart,
	start: startUp,
	eviction,
};

interface Measurement {
	readonly seconds: number;
	readonly rounds: number;
	/** Names of rows; none: all. */
	readonly names: readonly string[];
	/** Told of every row as soon as it is known. */
	readonly onRow: (row: BenchResult) => void;
}

/** `ratio` is the peer's requests/s over ours where more is better: 0.5 is twice as fast. */
async function measure(options: Measurement): Promise<readonly BenchResult[]> {
	const directory = mkdtempSync(join(tmpdir(), "drover-bench-cache-"));
	// Varnish compiles as another user, who must get in.
	chmodSync(directory, 0o755);
	const originPort = freePort();
	const program = join(directory, "origin.ts");
	writeFileSync(program, originProgram(originPort));
	const origin = spawn([process.execPath, program], CLIENT_CORE);
	const running = new Map<string, Contestant>();
	const results: BenchResult[] = [];
	try {
		await answering(`http://127.0.0.1:${originPort}/1k`);
		const rateProgram = compile("rate", directory);
		const table: Table = {
			load: new Load(directory, rateProgram),
			seconds: options.seconds,
			rounds: options.rounds,
			directory,
			originPort,
			rateProgram,
			get: async (name, nth = 0) => {
				const key = `${name} ${nth}`;
				const own = join(directory, String(nth));
				mkdirSync(own, { recursive: true });
				const known = running.get(key) ?? (await start(name, own, originPort));
				running.set(key, known);
				return known;
			},
		};
		for (const name of options.names.length > 0 ? options.names : Object.keys(rows))
			for (const row of await rows[name]!(table)) {
				results.push(row);
				options.onRow(row);
			}
	} finally {
		for (const each of running.values()) await each.stop();
		await stop(origin);
		rmSync(directory, { recursive: true, force: true });
	}
	return results;
}

/** All rows, or the one named. */
export function bench(name?: string): Promise<readonly BenchResult[]> {
	if (name !== undefined && rows[name] === undefined)
		throw new Error(`there is no part "${name}" (there are ${Object.keys(rows).join(", ")})`);
	return measure({
		seconds: 1,
		rounds: 5,
		names: name === undefined ? [] : [name],
		onRow: (row) => console.error(`  ${row.name}: ${row.ours}, peer ${row.peer}`),
	});
}

if (import.meta.main) {
	const { values, positionals } = parseArgs({
		options: {
			seconds: { type: "string", default: "1" },
			rounds: { type: "string", default: "5" },
		},
		allowPositionals: true,
	});
	const unknown = positionals.filter((name) => rows[name] === undefined);
	if (unknown.length > 0) {
		console.error(`no such row: ${unknown.join(", ")} (there are ${Object.keys(rows).join(", ")})`);
		process.exit(2);
	}
	await measure({
		seconds: Number(values.seconds),
		rounds: Number(values.rounds),
		names: positionals,
		onRow: ({ name, ours, peer, ratio, bar }) =>
			console.log(
				`${ratio <= bar ? "met  " : "SHORT"} ${name.padEnd(60)} ${ours.padEnd(28)} ${peer.padEnd(28)} ${ratio.toFixed(3)} (bar ≤ ${bar.toFixed(3)})`,
			),
	});
}
