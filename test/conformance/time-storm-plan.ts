/** What a storm of time asks: objects whose lifetimes end while they are asked for, purged and banned. All from a seed. */
import type { Random } from "../sim/random.ts";
import type { PlannedAnswer, PlannedRequest, Scenario } from "./http-storm-plan.ts";

/** The program adds half a second to each lifetime: nothing ends while somebody asks. */
const lifetimes = ["1", "2", "3", "4"];
/** More than a second, so that no age ends while somebody asks. */
const TICK_MS = 1050;
/** A second request of the same tick comes so much later: a fetch in the background is through by then. */
const WITHIN_TICK_MS = 500;
const LAST_TICK = 9;

/** Fields of an answer by which time-storm.vcl sets its lifetime. */
function lifetimeFields(random: Random): string[] {
	const fields: string[] = [];
	const one = (name: string, probability: number, ...values: readonly string[]) => {
		if (random.chance(probability)) fields.push(`${name}: ${random.pick(values)}`);
	};
	const seconds = () => random.pick(lifetimes);
	const controls = [
		`max-age=${seconds()}`,
		`max-age=${seconds()}, stale-while-revalidate=${seconds()}`,
		`max-age=${seconds()}, must-revalidate`,
		`s-maxage=${seconds()}, max-age=0`,
		"max-age=0",
		"no-cache",
		"no-store",
		"private",
	];
	one("Cache-Control", 0.6, ...controls);
	one("Age", 0.2, "1", "2", "100");
	one("Expires", 0.1, "@2", "@-2", "@0");
	one("Date", 0.1, "@0");
	one("x-set-ttl", 0.3, "0s", "1s", "2s", "-1s");
	one("x-set-grace", 0.5, "0s", "1s", "2s", "4s");
	one("x-set-keep", 0.5, "0s", "2s", "5s");
	one("x-mark", 0.15, "miss", "miss", "pass");
	one("Vary", 0.3, "X-A", "X-A, X-B", "X-B");
	one("Set-Cookie", 0.04, "a=b");
	return fields;
}

const statuses = ["404 Not Found", "500 Error", "503 Unavailable", "302 Found"];

function makeAnswer(random: Random, version: number): PlannedAnswer {
	const fails = random.chance(0.12);
	const fields = ["Connection: close", `x-version: ${version}`, ...lifetimeFields(random)];
	if (random.chance(0.6)) fields.push(`ETag: "${random.integer(1, 2)}"`);
	if (random.chance(0.2)) fields.push("Last-Modified: @-1000");
	return {
		status: fails ? random.pick(statuses) : "200 OK",
		fields,
		body: random.chance(0.05) ? "" : `version ${version}`,
		framing: random.pick(["length", "chunked"]),
		gzip: random.chance(0.15),
		validates: random.chance(0.35),
	};
}

function makeRequest(random: Random, atMs: number): PlannedRequest {
	const fields: string[] = [];
	const some = (name: string, probability: number, ...values: readonly string[]) => {
		if (random.chance(probability)) fields.push(`${name}: ${random.pick(values)}`);
	};
	some("X-A", 0.3, "1", "2");
	some("X-B", 0.15, "1", "2");
	some("x-req-grace", 0.15, "0s", "1.5s", "10s");
	some("x-req-ttl", 0.1, "0s", "1.5s", "10s");
	some(
		"x-recv",
		0.25,
		"pass",
		"always-miss",
		"ban",
		"ban-age",
		"purge",
		"soft-0",
		"soft-1",
		"soft-2",
		"ignore-busy",
	);
	some("If-None-Match", 0.1, '"1"', '"2"');
	some("Range", 0.05, "bytes=0-3");
	return {
		method: random.chance(0.08) ? "HEAD" : "GET",
		resource: 0,
		protocol: "HTTP/1.1",
		fields: ["Host: a.example", ...fields],
		body: undefined,
		chunked: false,
		pipelined: false,
		fresh: false,
		atMs,
	};
}

export function makeTimes(random: Random): Scenario {
	const requests: PlannedRequest[] = [];
	for (let tick = 0; tick <= LAST_TICK; tick++) {
		if (tick > 0 && random.chance(0.35)) continue;
		requests.push(makeRequest(random, tick * TICK_MS));
		if (random.chance(0.3)) requests.push(makeRequest(random, tick * TICK_MS + WITHIN_TICK_MS));
	}
	const answers = Array.from({ length: random.integer(1, 6) }, (_, index) => makeAnswer(random, index + 1));
	return { resources: [answers], requests };
}
