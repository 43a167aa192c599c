/**
 * A storm of HTTP, run by hand: seeded requests and answers through a policy that does what the requests say, with two
 * caches, varnishd and Drover, that should do the same. Prints where they differ: what the client got, what became of
 * its connection, and what the origin was asked.
 *
 *   bun test/conformance/http-storm.ts [SEED] [--seconds N] [--all] [--only SCENARIO]
 *
 * --all: also what is otherwise on purpose (http-storm-known.ts). --only: one scenario of the seed, in full.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { randomFrom } from "../sim/random.ts";
import { drover, startCache, stock } from "./caches.ts";
import { compare, type Difference, kindOf, type Played, playBoth, type Side } from "./http-storm-compare.ts";
import { whyOtherwise } from "./http-storm-known.ts";
import { StormOrigin } from "./http-storm-origin.ts";
import { makeScenario, type Scenario, smaller } from "./http-storm-plan.ts";

const TOGETHER = 12;
/** Smaller scenarios that are tried in place of one. */
const SHRINK_LIMIT = 120;

class Storm {
	readonly #sides: readonly [Side, Side];
	readonly #nowSeconds: number;
	#next = 0;

	constructor(sides: readonly [Side, Side], nowSeconds: number) {
		this.#sides = sides;
		this.#nowSeconds = nowSeconds;
	}

	play(scenario: Scenario): Promise<readonly [Played, Played]> {
		return playBoth(this.#sides, `s${this.#next++}`, scenario, this.#nowSeconds);
	}

	async differences(scenario: Scenario): Promise<readonly Difference[]> {
		return compare(...(await this.play(scenario)));
	}

	/** As little as still shows that difference. */
	async shrink(scenario: Scenario, kind: string): Promise<Scenario> {
		let left = SHRINK_LIMIT;
		let best = scenario;
		for (let progress = true; progress && left > 0; ) {
			progress = false;
			for (const each of smaller(best)) {
				if (left-- <= 0) break;
				if (!(await this.differences(each)).some((difference) => kindOf(difference) === kind)) continue;
				best = each;
				progress = true;
				break;
			}
		}
		return best;
	}
}

/** A scenario in few words: what is as usual is left out. */
function shown({ resources, requests }: Scenario): string {
	const answers = resources.map((list) =>
		list
			.map(({ status, fields, body, framing, gzip, validates }) =>
				[
					status,
					...fields,
					`${body.length} bytes by ${framing}`,
					...(gzip ? ["gzip"] : []),
					...(validates ? ["validates"] : []),
				].join(" | "),
			)
			.join("\n          then "),
	);
	const asked = requests.map(({ method, resource, protocol, fields, body, chunked, pipelined, fresh }) =>
		[
			`${method} ${resource} ${protocol}`,
			...fields.slice(1),
			...(body === undefined ? [] : [`${body.length} bytes${chunked ? " in chunks" : ""}`]),
			...(pipelined ? ["pipelined"] : []),
			...(fresh ? ["fresh"] : []),
		].join(" | "),
	);
	const used = answers.map((answer, index) => `        ${index}: ${answer}`);
	return [
		...used.filter((_, index) => requests.some(({ resource }) => resource === index)),
		...asked.map((each) => `        ${each}`),
	].join("\n");
}

interface Found {
	count: number;
	readonly first: number;
	readonly scenario: Scenario;
	readonly difference: Difference;
}

async function blow(storm: Storm, seed: number, seconds: number, all: boolean): Promise<number> {
	const found = new Map<string, Found>();
	const end = performance.now() + seconds * 1000;
	let next = 0;
	const loop = async () => {
		while (performance.now() < end) {
			const number = next++;
			const scenario = makeScenario(randomFrom(seed * 1_000_003 + number));
			const kinds = new Set<string>();
			for (const difference of await storm.differences(scenario)) {
				const kind = kindOf(difference);
				if (kinds.has(kind) || (!all && whyOtherwise(difference, scenario) !== undefined)) continue;
				kinds.add(kind);
				const known = found.get(kind);
				if (known === undefined) found.set(kind, { count: 1, first: number, scenario, difference });
				else known.count++;
			}
		}
	};
	await Promise.all(Array.from({ length: TOGETHER }, loop));
	console.log(`${next} scenarios, ${found.size} kinds of differences`);
	for (const [kind, { count, first, scenario }] of [...found].sort((a, b) => b[1].count - a[1].count)) {
		// What a moment made, as a connection that was being closed, does not come again.
		const again = (await storm.differences(scenario)).some((each) => kindOf(each) === kind);
		console.log(`${String(count).padStart(5)} x ${kind}   (scenario ${first}${again ? "" : ", not again"})`);
		if (!again) continue;
		console.log(shown(await storm.shrink(scenario, kind)));
	}
	return found.size;
}

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		seconds: { type: "string", default: "20" },
		all: { type: "boolean", default: false },
		only: { type: "string" },
	},
});
const seed = Number(positionals[0] ?? 1);
const nowSeconds = Math.floor(Date.now() / 1000);
const directory = mkdtempSync(join(tmpdir(), "drover-http-storm-"));
// varnishd compiles as another user.
chmodSync(directory, 0o755);
const policy = readFileSync(join(import.meta.dir, "http-storm.vcl"), "utf8");
const start = async (name: string, command: readonly string[], ...more: string[]): Promise<Side> => {
	const origin = await StormOrigin.start(nowSeconds);
	const file = join(directory, `${name}.vcl`);
	writeFileSync(file, policy.replace("@PORT@", String(origin.port)));
	return { name, origin, cache: await startCache(command, origin.port, ["-f", file, ...more]) };
};
const sides: Side[] = [];
let differences = 0;
try {
	sides.push(await start("varnishd", stock), await start("drover", drover, "-p", "rfc9111=off"));
	const storm = new Storm([sides[0]!, sides[1]!], nowSeconds);
	if (values.only === undefined) differences = await blow(storm, seed, Number(values.seconds), values.all);
	else {
		const scenario = makeScenario(randomFrom(seed * 1_000_003 + Number(values.only)));
		const [theirs, ours] = await storm.play(scenario);
		console.log(
			JSON.stringify({ scenario, theirs, ours, differences: compare(theirs, ours) }, undefined, "  "),
		);
	}
} finally {
	for (const { cache, origin } of sides) {
		await cache.stop();
		origin.stop();
	}
	rmSync(directory, { recursive: true, force: true });
}
process.exit(differences === 0 ? 0 : 1);
