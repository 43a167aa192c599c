/** How fast answers come: hits of three sizes, misses, passes, the price of a policy, and latency at a set rate. */
import type { BenchResult } from "../result.ts";
import type { Contestant, ContestantName } from "./contestants.ts";
import { atRate, type Kind, type Load, type Measure, show } from "./load.ts";
import { median } from "./machine.ts";

export interface Table {
	readonly load: Load;
	readonly seconds: number;
	readonly rounds: number;
	/** Starts a contestant, or finds it running; `nth`: another process of it. */
	get(name: ContestantName, nth?: number): Promise<Contestant>;
	/** A directory for files. */
	readonly directory: string;
	/** rate.c, compiled. */
	readonly rateProgram: string;
	readonly originPort: number;
}

type Bars = readonly (readonly [peer: ContestantName, bar: number])[];

const WARM_UP_SLICE_SECONDS = 2;
/** Nobody warms up for longer. */
const WARM_UP_LIMIT_SECONDS = 24;
/** Slices in a row, each no cheaper by so much than the cheapest before, that show a server warm. */
const SETTLED_SLICES = 2;
const SETTLED = 0.97;

/**
 * What is measured is a server as it runs for days, not the compiler that shares its core in the first seconds: load
 * until the CPU per request falls no more. A fetch runs through much more code than a hit.
 */
async function warmUp(table: Table, target: Contestant, path: string, kind: Kind): Promise<void> {
	let cheapest = Number.POSITIVE_INFINITY;
	let settled = 0;
	for (let seconds = 0; seconds < WARM_UP_LIMIT_SECONDS; seconds += WARM_UP_SLICE_SECONDS) {
		const { cpuMicros } = await table.load.measure(target, path, kind, WARM_UP_SLICE_SECONDS);
		settled = cpuMicros < cheapest * SETTLED ? 0 : settled + 1;
		cheapest = Math.min(cheapest, cpuMicros);
		if (settled >= SETTLED_SLICES) return;
	}
}

/** Two processes of one program differ by a tenth for as long as they live, where much of it runs for each request. */
const PROCESSES = 3;

/** The medians of each, over as many `processes` of it. */
async function compare(
	table: Table,
	names: readonly ContestantName[],
	path: string,
	kind: Kind,
	processes = 1,
): Promise<(name: ContestantName) => Measure> {
	const contestants: Contestant[] = [];
	for (const name of names)
		for (let nth = 0; nth < processes; nth++) contestants.push(await table.get(name, nth));
	for (const each of contestants) await warmUp(table, each, path, kind);
	const found = await table.load.compare(contestants, path, kind, table.seconds, table.rounds);
	// Who answers with errors is not fast.
	for (const [name, { errors }] of found)
		if (errors > 0) throw new Error(`${path}: ${errors} of ${name}'s answers were errors`);
	return (name) => found.get(name)!;
}

/** Rows of requests/s against each peer: `ratio` is the peer's over ours. */
async function throughput(
	table: Table,
	name: string,
	path: string,
	kind: Kind,
	bars: Bars,
	processes = 1,
): Promise<BenchResult[]> {
	const of = await compare(table, ["drover", ...bars.map(([peer]) => peer)], path, kind, processes);
	const ours = of("drover");
	return bars.map(([peer, bar]) => ({
		name: `${name} / ${peer}`,
		ours: show(ours),
		peer: show(of(peer)),
		ratio: of(peer).perSecond / ours.perSecond,
		bar,
	}));
}

export async function hits(table: Table): Promise<BenchResult[]> {
	const bars: Bars = [
		["varnish", 1 / 2.0],
		["haproxy", 1 / 1.05],
		["nginx", 1 / 1.5],
	];
	const of = await compare(table, ["drover", "floor", ...bars.map(([peer]) => peer)], "/1k", "browser");
	const ours = of("drover");
	const floor = of("floor");
	return [
		...bars.map(([peer, bar]) => ({
			name: `hits, 1 KB, 12 headers, X-Cache / ${peer}`,
			ours: show(ours),
			peer: show(of(peer)),
			ratio: of(peer).perSecond / ours.perSecond,
			bar,
		})),
		{
			name: "CPU per hit / C server that parses nothing",
			ours: `${ours.cpuMicros.toFixed(2)} µs`,
			peer: `${floor.cpuMicros.toFixed(2)} µs`,
			ratio: ours.cpuMicros / floor.cpuMicros,
			bar: 1.3,
		},
		// What load and mood of the machine cannot bend: work per request, theirs and ours.
		...bars.map(([peer, bar]) => ({
			name: `the same as CPU per hit / ${peer}`,
			ours: `${ours.cpuMicros.toFixed(2)} µs`,
			peer: `${of(peer).cpuMicros.toFixed(2)} µs`,
			ratio: ours.cpuMicros / of(peer).cpuMicros,
			bar,
		})),
	];
}

/** Latency at 70 % of what Varnish can do, requests due at a constant rate. */
export async function latency(table: Table): Promise<BenchResult[]> {
	const drover = await table.get("drover");
	const varnish = await table.get("varnish");
	for (const each of [drover, varnish]) await warmUp(table, each, "/1k", "browser");
	const peak = (await table.load.measure(varnish, "/1k", "browser", 2)).perSecond;
	const file = table.load.requestFile("latency", "/1k", "bench");
	const p99s = new Map<Contestant, number[]>([
		[drover, []],
		[varnish, []],
	]);
	let lost = 0;
	for (let round = 0; round < table.rounds; round++)
		for (const [each, all] of p99s) {
			const { p99, lost: unanswered } = await atRate(
				table.rateProgram,
				each.port,
				peak * 0.7,
				table.seconds,
				file,
			);
			all.push(p99);
			lost += unanswered;
		}
	if (lost > 0) throw new Error(`${lost} requests were not answered`);
	const ours = median(p99s.get(drover)!);
	const theirs = median(p99s.get(varnish)!);
	return [
		{
			name: `p99 at ${Math.round(peak * 0.7)}/s, 70 % of Varnish's peak / varnish`,
			ours: `${ours} µs`,
			peer: `${theirs} µs`,
			ratio: ours / theirs,
			bar: 1,
		},
	];
}

const noSlower: Bars = [
	["varnish", 1],
	["nginx", 1],
];
const faster: Bars = [["varnish", 1 / 1.2]];

export const hits32k = (table: Table) => throughput(table, "hits, 32 KB", "/32k", "browser", noSlower);
export const hits1m = (table: Table) => throughput(table, "hits, 1 MB", "/1m", "large", noSlower);
export const misses = (table: Table) => throughput(table, "misses, 1 KB", "/", "miss", faster, PROCESSES);
export const passes = (table: Table) => throughput(table, "pass, 1 KB", "/pass", "browser", faster);

/** What 88 statements of VCL add to a hit, in the whole server. */
export async function statements(table: Table): Promise<BenchResult[]> {
	const of = await compare(table, ["drover", "drover with 88 statements"], "/1k", "browser", PROCESSES);
	const bare = of("drover").cpuMicros;
	const full = of("drover with 88 statements").cpuMicros;
	return [
		{
			name: "88 statements of VCL, added to a hit",
			ours: `${(full - bare).toFixed(2)} µs (${full.toFixed(2)} − ${bare.toFixed(2)})`,
			peer: "0.5 µs (bar)",
			ratio: Math.max(0, full - bare) / 0.5,
			bar: 1,
		},
	];
}
