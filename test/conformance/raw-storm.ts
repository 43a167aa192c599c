/**
 * A storm of raw bytes, run by hand: seeded requests and answers with slips in every part of them, cut anywhere, through
 * varnishd and Drover. Prints where they differ: what the client got, what became of its connection (a last request
 * tells where the reading of the bytes stood), and what the origin was asked; and what either has not given back.
 *
 *   bun test/conformance/raw-storm.ts [SEED] [--seconds N] [--all] [--only SCENARIO]
 *
 * --all: also what is otherwise on purpose (raw-storm-known.ts). --only: one scenario of the seed, in full.
 */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { drover, stock } from "./caches.ts";
import { compare, type Difference, type Played } from "./http-storm-compare.ts";
import { whyRawOtherwise } from "./raw-storm-known.ts";
import { makeRawScenario, piecesOf, type RawBytes, type RawScenario, smallerRaw } from "./raw-storm-plan.ts";
import { playRaw, type RawSide, startLanes, stopLanes } from "./raw-storm-play.ts";
import { blow, type Storm, scenarioOf, stormDirectory, stormOptions } from "./storm.ts";

const LANES = 16;
/** What seems to differ is asked again with more patience. */
const QUIET_MS = [40, 150, 150];

/** What died, what is still open, and how much memory the processes have. */
async function accounts({ cache }: RawSide): Promise<string> {
	const child = Bun.spawn(["varnishstat", "-1", "-n", cache.directory], { stdout: "pipe", stderr: "ignore" });
	const counters = new Map(
		(await new Response(child.stdout).text()).split("\n").map((line) => {
			const [name = "", value = ""] = line.split(/ +/);
			return [name, Number(value)] as const;
		}),
	);
	const of = (name: string) => counters.get(name) ?? 0;
	const busy = [...counters].filter(([name, value]) => /^VBE\..*\.conn$/.test(name) && value !== 0).length;
	return `${of("MGT.child_died")} workers died, ${of("MAIN.sess_conn") - of("MAIN.sess_closed")} sessions open, ${busy} backends busy, ${of("MAIN.n_pipe")} pipes, ${residentMegabytes(cache.directory)} MB`;
}

/** Of all processes that work in that directory. */
function residentMegabytes(directory: string): number {
	const pages = readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.flatMap((pid) => {
			try {
				const ours = readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(directory);
				return ours ? [Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1])] : [];
			} catch {
				// It has just ended.
				return [];
			}
		});
	return Math.round((pages.reduce((sum, each) => sum + each, 0) * 4096) / 2 ** 20);
}

/** RFC 9110 §10.1.1: who sends no body needs no 100, and whose body is there already may get one or not. */
const withoutContinue = ({ exchanges, asked }: Played): Played => ({
	exchanges: exchanges.map((each) => ({
		...each,
		answers: each.answers.filter(({ status }) => !status.startsWith("HTTP/1.1 100 ")),
	})),
	asked,
});

/** The pieces of what is sent, long runs of one thing shortened. */
const said = (bytes: RawBytes) =>
	piecesOf(bytes)
		.map((piece) => piece.replace(/(.)\1{20,}/g, "$1…").replace(/(5\r\nx{5}\r\n){3,}/g, "CHUNKS"))
		.map((piece) => JSON.stringify(piece.slice(0, 600)))
		.join(" … ");

const shown = ({ listener, client, halfClosed, answers }: RawScenario): string =>
	[
		`${listener === "proxy" ? "PROXY: " : ""}${said(client)}${halfClosed ? " half-closed" : ""}`,
		...answers.map((answer) => `   ${said(answer)}${answer.closes ? " closed" : ""}`),
	]
		.map((line) => `        ${line}`)
		.join("\n");

const { seed, seconds, all, only } = stormOptions(60);
const directory = stormDirectory("raw-storm");
const sides: RawSide[] = [];
let differences = 0;
try {
	sides.push(
		await startLanes(directory, "varnishd", stock, LANES),
		await startLanes(directory, "drover", drover, LANES, "-p", "rfc9111=off"),
	);
	const free = Array.from({ length: LANES }, (_, at) => at);
	const play = async (scenario: RawScenario, quietMs: number) => {
		const at = free.shift()!;
		const [theirs, ours] = await Promise.all(
			sides.map(({ lanes }) =>
				playRaw(lanes[at]!.ports[scenario.listener], lanes[at]!.origin, scenario, quietMs),
			),
		);
		free.push(at);
		return [theirs!, ours!] as [Played, Played];
	};
	const storm: Storm<RawScenario> = {
		together: LANES,
		shrinkLimit: 40,
		make: makeRawScenario,
		async differences(scenario) {
			let found: Difference[] = [];
			for (const quietMs of QUIET_MS) {
				const [theirs, ours] = await play(scenario, quietMs);
				found = compare(withoutContinue(theirs), withoutContinue(ours));
				if (found.length === 0) break;
			}
			return found;
		},
		whyOtherwise: whyRawOtherwise,
		smaller: smallerRaw,
		shown,
	};
	if (only === undefined) {
		differences = await blow(storm, seed, seconds, all);
		// Whoever waits for somebody who is gone gives up by then (timeout_idle).
		await Bun.sleep(8000);
		for (const [at, name] of ["varnishd", "Drover"].entries())
			console.log(`${name}: ${await accounts(sides[at]!)}`);
	} else {
		const scenario = scenarioOf(storm, seed, only);
		const [theirs, ours] = await play(scenario, QUIET_MS.at(-1)!);
		console.log(
			JSON.stringify({ scenario, theirs, ours, differences: compare(theirs, ours) }, undefined, "  "),
		);
	}
} finally {
	for (const side of sides) await stopLanes(side);
	rmSync(directory, { recursive: true, force: true });
}
process.exit(differences === 0 ? 0 : 1);
