/** What storms beside a peer have in common: scenarios from a seed, differences by kind, and each kind shown as small as it gets. */
import { chmodSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Random, randomFrom } from "../sim/random.ts";
import { type Difference, kindOf } from "./http-storm-compare.ts";

/** [SEED] [--seconds N] [--all] [--only SCENARIO], and of a storm of HTTP [--http2 [--own]] [--times] */
export function stormOptions(usualSeconds: number) {
	const { values, positionals } = parseArgs({
		allowPositionals: true,
		options: {
			seconds: { type: "string", default: String(usualSeconds) },
			all: { type: "boolean", default: false },
			only: { type: "string" },
			http2: { type: "boolean", default: false },
			own: { type: "boolean", default: false },
			times: { type: "boolean", default: false },
		},
	});
	const { seconds, only, ...rest } = values;
	return {
		...rest,
		seed: Number(positionals[0] ?? 1),
		seconds: Number(seconds),
		only: only === undefined ? undefined : Number(only),
	};
}

/** For the files of both daemons. */
export function stormDirectory(name: string): string {
	const directory = mkdtempSync(join(tmpdir(), `drover-${name}-`));
	// varnishd compiles as another user.
	chmodSync(directory, 0o755);
	return directory;
}

export interface Storm<Scenario> {
	/** Scenarios that are played at the same time. */
	readonly together: number;
	/** Each begins so long after the one before: what begins at once comes late, where times are looked at. */
	readonly apartMs?: number;
	/** Smaller scenarios that are tried in place of one. */
	readonly shrinkLimit: number;
	make(random: Random): Scenario;
	differences(scenario: Scenario): Promise<readonly Difference[]>;
	/** Undefined: nobody means it. */
	whyOtherwise(difference: Difference, scenario: Scenario): string | undefined;
	/** Every scenario that is smaller by one thing. */
	smaller(scenario: Scenario): Iterable<Scenario>;
	shown(scenario: Scenario): string;
}

export const scenarioOf = <Scenario>(storm: Storm<Scenario>, seed: number, number: number): Scenario =>
	storm.make(randomFrom(seed * 1_000_003 + number));

/** As little as still shows that difference. */
async function shrink<Scenario>(
	storm: Storm<Scenario>,
	scenario: Scenario,
	kind: string,
	all: boolean,
): Promise<Scenario> {
	let left = storm.shrinkLimit;
	let best = scenario;
	const shownBy = (each: Scenario, difference: Difference) =>
		kindOf(difference) === kind && (all || storm.whyOtherwise(difference, each) === undefined);
	for (let progress = true; progress && left > 0; ) {
		progress = false;
		for (const each of storm.smaller(best)) {
			if (left-- <= 0) break;
			if (!(await storm.differences(each)).some((difference) => shownBy(each, difference))) continue;
			best = each;
			progress = true;
			break;
		}
	}
	return best;
}

/** Kinds that are told of in full: when there are more, the first have to be mended first. */
const SHOWN_LIMIT = 16;

interface Found<Scenario> {
	count: number;
	readonly first: number;
	readonly scenario: Scenario;
}

/** Plays the seed's scenarios for so long and prints what differs; how many kinds. `all`: also what is meant. */
export async function blow<Scenario>(
	storm: Storm<Scenario>,
	seed: number,
	seconds: number,
	all: boolean,
): Promise<number> {
	const found = new Map<string, Found<Scenario>>();
	const end = performance.now() + seconds * 1000;
	let next = 0;
	const loop = async (index: number) => {
		await Bun.sleep(index * (storm.apartMs ?? 0));
		while (performance.now() < end) {
			const number = next++;
			const scenario = scenarioOf(storm, seed, number);
			const kinds = new Set<string>();
			for (const difference of await storm.differences(scenario)) {
				const kind = kindOf(difference);
				if (kinds.has(kind) || (!all && storm.whyOtherwise(difference, scenario) !== undefined)) continue;
				kinds.add(kind);
				const known = found.get(kind);
				if (known === undefined) found.set(kind, { count: 1, first: number, scenario });
				else known.count++;
			}
		}
	};
	await Promise.all(Array.from({ length: storm.together }, (_, index) => loop(index)));
	console.log(`${next} scenarios, ${found.size} kinds of differences`);
	const often = [...found].sort((a, b) => b[1].count - a[1].count);
	const tell = async ([kind, { count, first, scenario }]: (typeof often)[number]) => {
		// What a moment made, as a connection that was being closed, does not come again.
		const again = (await storm.differences(scenario)).some((each) => kindOf(each) === kind);
		const told = `${String(count).padStart(5)} x ${kind}   (scenario ${first}${again ? "" : ", not again"})`;
		return again ? `${told}\n${storm.shown(await shrink(storm, scenario, kind, all))}` : told;
	};
	for (let at = 0; at < Math.min(often.length, SHOWN_LIMIT); at += storm.together)
		for (const told of await Promise.all(
			often.slice(at, Math.min(at + storm.together, SHOWN_LIMIT)).map(tell),
		))
			console.log(told);
	return found.size;
}
