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
import { drover, type RunningCache, startCache, stock } from "./caches.ts";
import { type Exchange, play } from "./http-storm-client.ts";
import { whyOtherwise } from "./http-storm-known.ts";
import { type SeenRequest, StormOrigin } from "./http-storm-origin.ts";
import { makeScenario, type Scenario, smaller } from "./http-storm-plan.ts";

const TOGETHER = 12;
/** Smaller scenarios that are tried in place of one. */
const SHRINK_LIMIT = 120;

interface Side {
	readonly name: string;
	readonly origin: StormOrigin;
	readonly cache: RunningCache;
}

interface Played {
	readonly exchanges: readonly Exchange[];
	readonly asked: readonly SeenRequest[];
}

export interface Difference {
	readonly what: string;
	/** Which request of the scenario, or of the origin's. */
	readonly at: number;
}

/** A field without what may differ: numbers of transactions, times, blanks; undefined: it says nothing. */
function plain(field: string): string {
	const [, name = "", value = ""] = /^([^:]*): *(.*?) *$/.exec(field) ?? [];
	const key = name.toLowerCase();
	if (key === "x-varnish") return `X-Varnish: ${value.includes(" ") ? "of a hit" : "of a fetch"}`;
	// A second may begin between the two.
	if (key === "age") return `Age: ${Math.round(Number(value) / 10) * 10}`;
	if (key === "x-ttl") return `X-TTL: ${Math.round(Number(value) / 10) * 10}`;
	if (/^(date|last-modified|expires)$/.test(key)) return `${name}: a time`;
	if (/boundary=/.test(value)) return `${name}: ${value.replace(/boundary=.*/, "boundary=some")}`;
	return `${key === "connection" ? "Connection" : name}: ${value}`;
}

/** Via in one field: as good as one in several (RFC 9110 §5.3). */
function joined(fields: readonly string[]): string[] {
	const via = fields.filter((field) => /^via:/i.test(field));
	if (via.length < 2) return [...fields];
	const values = via.map((field) => field.slice("via:".length).trim());
	return [...fields.filter((field) => !via.includes(field)), `Via: ${values.join(", ")}`];
}

function compareFields(
	where: string,
	theirs: readonly string[],
	ours: readonly string[],
	skip: RegExp | undefined,
): string[] {
	const list = (fields: readonly string[]) =>
		joined(fields.filter((field) => skip?.test(field) !== true)).map(plain);
	const rest = list(ours);
	const found: string[] = [];
	for (const field of list(theirs)) {
		const at = rest.indexOf(field);
		if (at < 0) found.push(`${where}: varnishd alone has "${field}"`);
		else rest.splice(at, 1);
	}
	return [...found, ...rest.map((field) => `${where}: Drover alone has "${field}"`)];
}

function unpacked(body: string): string {
	try {
		return Buffer.from(Bun.gunzipSync(Buffer.from(body, "latin1"))).toString("latin1");
	} catch {
		return body;
	}
}

/** The page of an error has the transaction's number, and with it a length of its own. */
const errorPage = /XID: \d+/;
const sameBody = (one: string, other: string) =>
	one.replace(errorPage, "") === other.replace(errorPage, "") || unpacked(one) === unpacked(other);

function compareExchanges(theirs: Exchange, ours: Exchange): string[] {
	const found: string[] = [];
	const statuses = ({ answers }: Exchange) => answers.map(({ status }) => status.slice(9, 12)).join(" ");
	if (theirs.answers.length !== ours.answers.length)
		found.push(`answers: varnishd ${statuses(theirs)}, Drover ${statuses(ours)}`);
	for (const [index, one] of theirs.answers.entries()) {
		const other = ours.answers[index];
		if (other === undefined) break;
		if (one.status !== other.status) {
			found.push(`status: varnishd "${one.status}", Drover "${other.status}"`);
			break;
		}
		const same = sameBody(one.body, other.body);
		if (!same) found.push(`body: varnishd ${one.body.length} bytes, Drover ${other.body.length}`);
		if (one.whole !== other.whole) found.push(`body: whole from ${one.whole ? "varnishd" : "Drover"} alone`);
		// The same body may be framed in two ways.
		const skip = same ? /^(content-length|transfer-encoding):/i : undefined;
		found.push(...compareFields("answer", one.fields, other.fields, skip));
	}
	if (theirs.end !== ours.end) found.push(`connection: varnishd ${theirs.end}, Drover ${ours.end}`);
	return found;
}

function compare(theirs: Played, ours: Played): Difference[] {
	const found: Difference[] = [];
	for (const [at, exchange] of theirs.exchanges.entries())
		for (const what of compareExchanges(exchange, ours.exchanges[at]!)) found.push({ what, at });
	if (theirs.asked.length !== ours.asked.length)
		found.push({
			what: `origin: asked ${theirs.asked.length} times by varnishd, ${ours.asked.length} by Drover`,
			at: 0,
		});
	for (const [at, one] of theirs.asked.entries()) {
		const other = ours.asked[at];
		if (other === undefined) break;
		if (one.line.replace(/\/\w+/, "") !== other.line.replace(/\/\w+/, "")) {
			found.push({ what: `origin: "${one.line}" by varnishd, "${other.line}" by Drover`, at });
			break;
		}
		if (one.body !== other.body) found.push({ what: "origin: another body", at });
		for (const what of compareFields("origin", one.fields, other.fields, /^(transfer-encoding):/i))
			found.push({ what, at });
	}
	return found;
}

class Storm {
	readonly #sides: readonly [Side, Side];
	readonly #nowSeconds: number;
	#next = 0;

	constructor(sides: readonly [Side, Side], nowSeconds: number) {
		this.#sides = sides;
		this.#nowSeconds = nowSeconds;
	}

	async play(scenario: Scenario): Promise<readonly [Played, Played]> {
		const id = `s${this.#next++}`;
		const one = async ({ origin, cache }: Side): Promise<Played> => {
			origin.begin(id, scenario);
			const exchanges = await play(cache.port, id, scenario, this.#nowSeconds);
			return { exchanges, asked: origin.end(id) };
		};
		const [theirs, ours] = this.#sides;
		return Promise.all([one(theirs), one(ours)]);
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

/** What differences of other numbers have in common. */
const kindOf = ({ what }: Difference) => what.replace(/\/s\d+/g, "").replace(/\d{2,}/g, "N");

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
