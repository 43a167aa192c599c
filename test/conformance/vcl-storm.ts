/**
 * A storm of VCL, run by hand: seeded programs of all types and functions, compiled and run by varnishd and Drover on the
 * same requests. Prints where they differ: whether it compiles, what the compiler says, what clients and origin see.
 *
 *   bun test/conformance/vcl-storm.ts [SEED] [--seconds N] [--all] [--only PROGRAM]
 *
 * --all: also what is otherwise on purpose (vcl-storm-known.ts). --only: one program of the seed, in full.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { normalise } from "../cache/vcl/stock.ts";
import { randomFrom } from "../sim/random.ts";
import { drover, stock } from "./caches.ts";
import { type CliClient, startManaged } from "./cli-client.ts";
import { compare, kindOf, type Played, playBoth, type Side } from "./http-storm-compare.ts";
import { StormOrigin } from "./http-storm-origin.ts";
import type { PlannedRequest, Scenario } from "./http-storm-plan.ts";
import { stormDirectory, stormOptions } from "./storm.ts";
import { whyOtherwise } from "./vcl-storm-known.ts";
import { makeProgram, type Program, programText } from "./vcl-storm-program.ts";

const CELLS = 24;
/** Programs that are tried to make one difference smaller. */
const SHRINK_LIMIT = 60;

interface VclSide extends Side {
	readonly cli: CliClient;
}

interface VclDifference {
	readonly what: string;
	/** Which cell's request shows it; undefined: the program does not compile alike. */
	readonly cell: number | undefined;
}

/** What every cell is asked: the same twice, and then something else. */
function scenarioOf(cell: number, number: number): Scenario {
	const request = (more: readonly string[]): PlannedRequest => ({
		method: "GET",
		resource: 0,
		protocol: "HTTP/1.1",
		fields: ["Host: www.Example.com", `Cell: ${cell}`, ...more],
		body: undefined,
		chunked: false,
		pipelined: false,
		fresh: false,
	});
	const random = randomFrom(number * 7919 + cell);
	const values = [
		"42",
		"-7",
		"3.25",
		"10s",
		"a,b",
		"/p?b&a",
		"",
		"x",
		"10.1.2.3",
		"a=b; c=d",
		"1KB",
		"Zm9v",
		"AbC",
	];
	const first = request([
		`A: ${random.pick(values)}`,
		`B: ${random.pick(values)}`,
		"Cookie: a=b; c=d; e=",
		"empty:",
	]);
	const other = request([`A: ${random.pick(values)}`, `A: ${random.pick(values)}`, "Cookie: q"]);
	return {
		resources: [
			[
				{
					status: "200 OK",
					fields: [
						'ETag: "abc"',
						"Content-Type: text/plain",
						"X-Multi: a",
						"X-Multi: b",
						"Cache-Control: max-age=300",
					],
					body: `hello ${cell}`,
					framing: "length",
					gzip: false,
					validates: false,
				},
			],
		],
		requests: [first, first, other],
	};
}

class Storm {
	readonly #sides: readonly [VclSide, VclSide];
	readonly #nowSeconds: number;
	readonly #directory: string;
	#next = 0;

	constructor(sides: readonly [VclSide, VclSide], nowSeconds: number, directory: string) {
		this.#sides = sides;
		this.#nowSeconds = nowSeconds;
		this.#directory = directory;
	}

	/** Loads and runs it; `number` decides the requests. */
	async play(
		program: Program,
		number: number,
	): Promise<{ differences: VclDifference[]; played: [Played, Played][] }> {
		const name = `v${this.#next++}`;
		const load = async ({ cli, origin, name: side }: VclSide) => {
			const file = join(this.#directory, `${side}.vcl`);
			writeFileSync(file, programText(program, origin.port), "latin1");
			const { status, text } = await cli.ask(`vcl.load ${name} ${file}`);
			return { status, text: normalise(text.replaceAll(file, "F")) };
		};
		const [theirs, ours] = await Promise.all([load(this.#sides[0]), load(this.#sides[1])]);
		const differences: VclDifference[] = [];
		const played: [Played, Played][] = [];
		if (theirs.status !== ours.status)
			differences.push({
				what: `load: varnishd ${theirs.status} ${theirs.text}, Drover ${ours.status} ${ours.text}`,
				cell: undefined,
			});
		else if (stripped(theirs.text) !== stripped(ours.text))
			differences.push({ what: `message: varnishd ${theirs.text}\nDrover ${ours.text}`, cell: undefined });
		if (theirs.status === 200 && ours.status === 200) {
			await this.#both(`vcl.use ${name}`);
			for (const cell of program.cells.keys()) {
				const both = await playBoth(
					this.#sides,
					name + "c" + cell,
					scenarioOf(cell, number),
					this.#nowSeconds,
				);
				played.push(both);
				for (const { what } of compare(...both)) differences.push({ what, cell });
			}
			await this.#both("vcl.use boot");
		}
		await this.#both(`vcl.discard ${name}`);
		return { differences, played };
	}

	#both(command: string) {
		return Promise.all(this.#sides.map(({ cli }) => cli.ask(command)));
	}

	/** As little as still shows that difference. */
	async shrink(program: Program, number: number, kind: string, cell: number | undefined): Promise<Program> {
		let left = SHRINK_LIMIT;
		const shows = async (each: Program) =>
			left-- > 0 &&
			(await this.play(each, number)).differences.some(
				(difference) => kindOf({ what: difference.what, at: 0 }) === kind,
			);
		let best: Program = {
			...program,
			cells: program.cells.map((each, index) => (index === cell ? each : {})),
		};
		if (cell === undefined) return best;
		for (const method of Object.keys(best.cells[cell]!))
			for (let at = best.cells[cell]![method]!.length - 1; at >= 0; at--) {
				const now = best.cells[cell]!;
				const fewer = { ...now, [method]: now[method]!.filter((_, nth) => nth !== at) };
				const smaller = { ...best, cells: best.cells.with(cell, fewer) };
				if (await shows(smaller)) best = smaller;
			}
		return best;
	}
}

/** The part of a refusal that is the compiler's alone. */
const stripped = (text: string) => text.replace(/\n+Hint: [^\n]*\n/g, "\n");

const shown = (program: Program) =>
	program.cells
		.flatMap((cell) =>
			Object.entries(cell).flatMap(([method, statements]) =>
				statements.map((each) => `        ${method}: ${each}`),
			),
		)
		.join("\n");

const { seed, seconds, all, only } = stormOptions(60);
const nowSeconds = Math.floor(Date.now() / 1000);
const directory = stormDirectory("vcl-storm");

async function start(name: string, command: readonly string[], ...more: string[]): Promise<VclSide> {
	const origin = await StormOrigin.start(nowSeconds);
	const wide = [
		"workspace_client=1m",
		"workspace_backend=1m",
		"http_max_hdr=256",
		"vcc_err_unref=off",
	].flatMap((each) => ["-p", each]);
	return { name, origin, ...(await startManaged(command, directory, [...wide, ...more])) };
}

interface Found {
	count: number;
	readonly program: Program;
	readonly number: number;
	readonly difference: VclDifference;
}

async function blow(storm: Storm, seconds: number): Promise<number> {
	const found = new Map<string, Found>();
	const end = performance.now() + seconds * 1000;
	let number = 0;
	let refused = 0;
	for (; performance.now() < end; number++) {
		const program = makeProgram(randomFrom(seed * 1_000_003 + number), CELLS);
		const { differences, played } = await storm.play(program, number);
		if (played.length === 0) refused++;
		for (const difference of differences) {
			const kind = kindOf({ what: difference.what, at: 0 });
			const why = whyOtherwise(
				difference.what,
				difference.cell === undefined ? "" : JSON.stringify(program.cells[difference.cell]),
			);
			if (!all && why !== undefined) continue;
			const known = found.get(kind);
			if (known === undefined) found.set(kind, { count: 1, program, number, difference });
			else known.count++;
		}
	}
	console.log(`${number} programs, ${refused} of them refused, ${found.size} kinds of differences`);
	for (const [kind, { count, program, number: at, difference }] of [...found].slice(0, 25)) {
		console.log(`${String(count).padStart(5)} x ${difference.what}   (program ${at})`);
		console.log(shown(await storm.shrink(program, at, kind, difference.cell)));
	}
	return found.size;
}

const sides: VclSide[] = [];
let differences = 0;
try {
	sides.push(
		await start("varnishd", stock, "-p", "cc_command=%D -O0"),
		await start("drover", drover, "-p", "rfc9111=off"),
	);
	const storm = new Storm([sides[0]!, sides[1]!], nowSeconds, directory);
	if (only === undefined) differences = await blow(storm, seconds);
	else {
		const number = only;
		const program = makeProgram(randomFrom(seed * 1_000_003 + number), CELLS);
		console.log(programText(program, 0));
		console.log(JSON.stringify(await storm.play(program, number), undefined, "  "));
	}
} finally {
	for (const { cache, origin, cli } of sides) {
		cli.close();
		await cache.stop();
		origin.stop();
	}
	rmSync(directory, { recursive: true, force: true });
}
process.exit(differences === 0 ? 0 : 1);
