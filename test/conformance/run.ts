/**
 * `make conformance`: the public HTTP cache suite against Drover as it comes and against Debian's varnishd, in
 * the same run, and both again without default lifetimes. Prints the scores and every required and optimal test
 * that Drover missed, with the reason.
 *
 *   bun test/conformance/run.ts [--verbose]     also what the peer missed, and the suite's questions ("check")
 */
import { drover, freePort, type RunningCache, startCache, stock } from "./caches.ts";
import { knownMisses, knownMissesWithoutDefaults } from "./known-misses.ts";
import { misses, score, scoreWithDependencies } from "./score.ts";
import { ensureSuite, runSuite, type SuiteRun, startOrigin } from "./suite.ts";

/** As the suite's own driver has it. */
const TOGETHER = 100;

/** How the suite's author runs Varnish: what says nothing about its lifetime is not reused. */
const noDefaults = ["-p", "default_ttl=0", "-p", "default_grace=0", "-p", "default_keep=3600"];

const verbose = process.argv.includes("--verbose");
await ensureSuite();
const originPort = await freePort();
const origin = await startOrigin(originPort);
const peers: readonly (readonly [name: string, command: readonly string[], options: readonly string[]])[] = [
	["drover", drover, []],
	["varnish", stock, []],
	["drover, default_ttl 0", drover, noDefaults],
	["varnish, default_ttl 0", stock, noDefaults],
];
const runs = new Map<string, SuiteRun>();
try {
	for (const [name, command, options] of peers) {
		let cache: RunningCache | undefined;
		try {
			cache = await startCache(command, originPort, options);
			runs.set(name, await runSuite(`http://127.0.0.1:${cache.port}`, TOGETHER));
		} finally {
			await cache?.stop();
		}
	}
} finally {
	await origin.stop();
}

console.log(
	`${"".padEnd(26)}required    optimal     check       the same, less passes whose premises failed`,
);
for (const [name, run] of runs) {
	const kinds = ["required", "optimal", "check"] as const;
	const cells = [score, scoreWithDependencies].flatMap((count) =>
		kinds.map((kind) => {
			const { passed, of } = count(run, kind);
			return `${passed}/${of}`.padEnd(12);
		}),
	);
	console.log(`${name.padEnd(26)}${cells.join("")}`);
}
const reasons: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([
	["drover", knownMisses],
	["drover, default_ttl 0", new Map([...knownMisses, ...knownMissesWithoutDefaults])],
]);
for (const [name, run] of runs) {
	if (!reasons.has(name) && !verbose) continue;
	for (const kind of verbose
		? (["required", "optimal", "check"] as const)
		: (["required", "optimal"] as const)) {
		const missed = misses(run, kind);
		if (missed.length === 0) continue;
		console.log(`\n${name}, ${kind}, missed:`);
		for (const { test, reason } of missed) {
			const known = reasons.get(name)?.get(test.id);
			console.log(`  ${test.id}: ${reason}${known === undefined ? "" : `\n      ${known}`}`);
		}
	}
}
const unexpected = [...reasons].flatMap(([name, known]) =>
	[...misses(runs.get(name)!, "required"), ...misses(runs.get(name)!, "optimal")].filter(
		({ test }) => !known.has(test.id),
	),
);
process.exitCode = unexpected.length === 0 ? 0 : 1;
