/**
 * A storm of HTTP, run by hand: seeded requests and answers through a policy that does what the requests say, with two
 * caches, varnishd and Drover, that should do the same. Prints where they differ: what the client got, what became of
 * its connection, and what the origin was asked.
 *
 *   bun test/conformance/http-storm.ts [SEED] [--seconds N] [--all] [--only SCENARIO] [--http2 [--own]] [--times]
 *
 * --times: lifetimes that end while objects are asked for, revalidated, purged and banned (time-storm-plan.ts).
 * --http2: its clients speak HTTP/2. --own: Drover over HTTP/1 is in varnishd's place.
 * --all: also what is otherwise on purpose (http-storm-known.ts).
 * --only: one scenario of the seed, in full.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drover, startCache, stock } from "./caches.ts";
import { compare, firstOnly, type Played, playBoth, type Side } from "./http-storm-compare.ts";
import { whyOtherwise } from "./http-storm-known.ts";
import { StormOrigin } from "./http-storm-origin.ts";
import { makeScenario, type Scenario, smaller } from "./http-storm-plan.ts";
import { inHttp2Terms, oneByOne, playHttp2 } from "./http2-storm-client.ts";
import { blow, type Storm, scenarioOf, stormDirectory, stormOptions } from "./storm.ts";
import { makeTimes } from "./time-storm-plan.ts";

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
	const asked = requests.map(
		({ method, resource, protocol, fields, body, chunked, pipelined, fresh, atMs }) =>
			[
				...(atMs === undefined ? [] : [`${atMs} ms`]),
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

const { seed, seconds, all, only, http2, own, times } = stormOptions(20);
const nowSeconds = Math.floor(Date.now() / 1000);
const directory = stormDirectory("http-storm");
const policy = readFileSync(join(import.meta.dir, times ? "time-storm.vcl" : "http-storm.vcl"), "utf8");
const start = async (name: string, command: readonly string[], ...more: string[]): Promise<Side> => {
	const origin = await StormOrigin.start(nowSeconds);
	const file = join(directory, `${name}.vcl`);
	writeFileSync(file, policy.replace("@PORT@", String(origin.port)));
	const options = ["-f", file, ...(http2 ? ["-p", "feature=+http2"] : []), ...more];
	const play = http2 && name !== "drover-http1" ? { play: playHttp2 } : {};
	return { name, origin, ...play, cache: await startCache(command, origin.port, options) };
};
const sides: Side[] = [];
let differences = 0;
try {
	const startOurs = (name: string) => start(name, drover, "-p", "rfc9111=off");
	sides.push(await (own ? startOurs("drover-http1") : start("varnishd", stock)), await startOurs("drover"));
	let next = 0;
	const play = async (scenario: Scenario) => {
		const id = `s${next++}`;
		const both: [Side, Side] = [sides[0]!, sides[1]!];
		if (!http2) return playBoth(both, id, scenario, nowSeconds);
		return (await playBoth(both, id, oneByOne(scenario), nowSeconds)).map(inHttp2Terms) as [Played, Played];
	};
	const storm: Storm<Scenario> = {
		together: times ? 150 : 12,
		apartMs: times ? 60 : 0,
		// One takes ten seconds.
		shrinkLimit: times ? 0 : 120,
		make: times ? makeTimes : makeScenario,
		differences: async (scenario) => {
			const found = compare(...(await play(scenario)));
			return times ? firstOnly(found) : found;
		},
		whyOtherwise,
		smaller,
		shown,
	};
	if (only === undefined) differences = await blow(storm, seed, seconds, all);
	else {
		const scenario = scenarioOf(storm, seed, only);
		const [theirs, ours] = await play(scenario);
		console.log(
			JSON.stringify(
				{ scenario, theirs, ours, differences: firstOnly(compare(theirs, ours)) },
				undefined,
				"  ",
			),
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
