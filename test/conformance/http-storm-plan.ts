/** What a storm of HTTP asks: answers that an origin has in store, and clients that ask for them. All from a seed. */
import type { Random } from "../sim/random.ts";

/** How an answer says where its body ends. Answers that lie about it are for test/cache/http. */
export type Framing = "length" | "chunked" | "end";

export interface PlannedAnswer {
	/** Status and reason. */
	readonly status: string;
	/** Times are "@seconds" from now. */
	readonly fields: readonly string[];
	readonly body: string;
	readonly framing: Framing;
	/** Sent as gzip. */
	readonly gzip: boolean;
	/** Says 304 when it is asked under a condition. */
	readonly validates: boolean;
}

export interface PlannedRequest {
	readonly method: string;
	/** Which of the scenario's resources. */
	readonly resource: number;
	readonly protocol: "HTTP/1.1" | "HTTP/1.0";
	readonly fields: readonly string[];
	/** Absent: none. */
	readonly body: string | undefined;
	readonly chunked: boolean;
	/** Sent together with the request before. */
	readonly pipelined: boolean;
	/** On a connection of its own. */
	readonly fresh: boolean;
	/** Not before so many milliseconds after the scenario's beginning. */
	readonly atMs?: number;
}

export interface Scenario {
	/** By resource: what it answers first, second …; the last one for ever. */
	readonly resources: readonly (readonly PlannedAnswer[])[];
	readonly requests: readonly PlannedRequest[];
}

/** What http-storm.vcl does when a field of that name has that value. */
const hooks: readonly (readonly [field: string, values: readonly string[]])[] = [
	["x-recv", ["pass", "synth", "synth-status", "restart", "purge", "fail", "hash"]],
	["x-hit", ["pass", "synth", "restart", "fail"]],
	["x-miss", ["pass", "synth", "restart", "fail"]],
	["x-pass", ["synth", "restart", "fail"]],
	["x-deliver", ["synth", "restart", "fail", "header", "status", "reason", "etag", "close"]],
	["x-synth", ["restart", "fail", "body", "header", "deliver"]],
	["x-fetch", ["fail", "abandon", "error", "url", "unset", "body", "nobody"]],
	["x-response", ["fail", "abandon", "error", "retry", "pass", "ttl", "uncacheable", "whole", "gzip"]],
	["x-response", ["gunzip", "header", "status", "vary", "etag"]],
	["x-response", ["ttl0", "grace"]],
	["x-error", ["fail", "abandon", "retry", "ttl", "body", "status"]],
];

const cacheControls = [
	...["max-age=100", "max-age=0", "s-maxage=100", "s-maxage=0", "no-cache", "no-store", "private", "public"],
	...["must-revalidate", "MAX-AGE=50", "max-age=1000", "immutable", "foo=bar"],
];
const statuses = [
	...["201 Created", "203 Non", "300 Multi", "301 Moved", "302 Found", "307 Temporary", "308 Permanent"],
	...["400 Bad", "403 Forbidden", "404 Not Found", "410 Gone", "418 Tea", "500 Error", "503 Unavailable"],
];
const bodies = ["hello world", "abcdefghij".repeat(20), "x".repeat(3000), "<html>hi</html>"];

/** Each of `fields` with its chance; a list of values: one of them. */
function some(
	random: Random,
	fields: readonly (readonly [chance: number, name: string, ...string[]])[],
): string[] {
	const lines: string[] = [];
	for (const [chance, name, ...values] of fields)
		if (random.chance(chance)) lines.push(`${name}: ${random.pick(values)}`);
	return lines;
}

function makeAnswer(random: Random): PlannedAnswer {
	const controls = Array.from({ length: random.integer(1, 2) }, () => random.pick(cacheControls));
	return {
		status: random.chance(0.65) ? "200 OK" : random.pick(statuses),
		fields: some(random, [
			[0.5, "Cache-Control", controls.join(random.pick([", ", ","]))],
			[0.2, "Expires", "@100", "@-100", "@0", "@1000"],
			[0.15, "Age", "0", "10", "50", "200"],
			[0.15, "Date", "@0", "@-60", "@60"],
			[0.05, "Pragma", "no-cache"],
			[0.3, "Vary", "X-A", "x-a, X-B", "Accept-Encoding", "X-A,Accept-Encoding"],
			[0.12, "Set-Cookie", "a=b"],
			[0.4, "ETag", '"abc"', 'W/"abc"', '"x,y"'],
			[0.35, "Last-Modified", "@-1000", "@-100000"],
			[0.3, "Content-Type", "text/plain"],
			[0.08, "Connection", "close", "X-Hop", "X-Hop, close"],
			[0.1, "X-Hop", "hop"],
			[0.05, "Keep-Alive", "timeout=5"],
			[0.06, "Via", "1.0 fred"],
			[0.06, "Server", "origin"],
			[0.05, "Warning", "110 - stale"],
			[0.06, "X-Multi", "a"],
			[0.06, "X-Multi", "b"],
			[0.05, "X-Empty", ""],
			[0.04, "Location", "/other"],
			[0.03, "Retry-After", "3"],
			[0.03, "Content-Encoding", "br"],
		]),
		body: random.chance(0.1) ? "" : `${random.pick(bodies)}${random.integer(0, 999)}`,
		framing: random.pick(["length", "length", "chunked", "end"]),
		gzip: random.chance(0.2),
		validates: random.chance(0.4),
	};
}

/** What a scenario is about. */
type Theme =
	/** Ranges and conditions, which varnishd applies to what it passes and makes, too. */
	| "conditions"
	/** Everything else. */
	| "ways";

const safeMethods = ["HEAD", "HEAD", "OPTIONS"];
const unsafeMethods = ["POST", "PUT", "DELETE", "PATCH", "PURGE"];

function makeRequest(random: Random, theme: Theme, resources: number): PlannedRequest {
	const ways = theme === "ways";
	const method = !ways || random.chance(0.75) ? "GET" : random.pick([...safeMethods, ...unsafeMethods]);
	const unsafe = unsafeMethods.includes(method);
	const fields = some(random, [
		[0.2, "X-A", "1", "2"],
		[0.15, "X-B", "1", "2"],
		[0.3, "Accept-Encoding", "gzip", "gzip;q=0", "deflate", "gzip, deflate, br", "identity", "gzip;q=0.5"],
		[0.1, "Cache-Control", "no-cache", "max-age=0", "no-store"],
		[0.05, "Pragma", "no-cache"],
		[0.12, "Connection", "close", "keep-alive", "X-A", "X-A, close"],
		[0.06, "X-Forwarded-For", "1.2.3.4", "1.2.3.4, 5.6.7.8"],
		[0.04, "User-Agent", "x"],
		[0.04, "Accept", "*/*"],
		[0.03, "Content-Type", "text/plain"],
	]);
	fields.push(
		...some(
			random,
			ways
				? [
						// varnishd dies of some restarts of a request whose body is gone.
						...(unsafe ? [] : hooks.map(([name, values]) => [0.06, name, ...values] as const)),
						[0.06, "Cookie", "a=b"],
						[0.06, "Authorization", "Basic x"],
					]
				: [
						[
							0.3,
							"Range",
							"bytes=0-4",
							"bytes=5-",
							"bytes=-5",
							"bytes=0-0",
							"bytes=100000-",
							"bytes=0-100000",
						],
						[0.3, "If-None-Match", '"abc"', 'W/"abc"', '"zzz"'],
						[0.2, "If-Modified-Since", "@-1000", "@-100000"],
					],
		),
	);
	if (random.chance(0.2)) fields.reverse();
	const protocol = unsafe || random.chance(0.95) ? "HTTP/1.1" : "HTTP/1.0";
	// A body of unknown length ends with such a connection, or is waited for.
	const kept = protocol === "HTTP/1.1" ? fields : fields.filter((field) => !field.startsWith("Connection:"));
	return {
		method,
		resource: unsafe ? resources : random.integer(0, resources - 1),
		protocol,
		fields: ["Host: a.example", ...kept],
		body: unsafe && random.chance(0.7) ? random.pick(["", "payload", "p".repeat(5000)]) : undefined,
		chunked: random.chance(0.4),
		pipelined: random.chance(0.15),
		fresh: random.chance(0.25),
	};
}

/** The last resource is that of unsafe requests: they make what is stored under their target useless, here alone. */
export function makeScenario(random: Random): Scenario {
	const count = random.integer(1, 2);
	const theme = random.chance(0.25) ? "conditions" : "ways";
	return {
		resources: Array.from({ length: count + 1 }, () =>
			Array.from({ length: random.integer(1, 2) }, () => makeAnswer(random)),
		),
		requests: makeRequests(random, theme, count),
	};
}

/** Some of them ask again what was asked before, which is answered from memory the third time (worker/replay.ts). */
function makeRequests(random: Random, theme: Theme, resources: number): PlannedRequest[] {
	const requests = [makeRequest(random, theme, resources)];
	const length = random.integer(1, 10);
	while (requests.length < length)
		requests.push(random.chance(0.5) ? random.pick(requests) : makeRequest(random, theme, resources));
	return requests;
}

/** Every scenario that is smaller by one thing. */
export function* smaller(scenario: Scenario): Generator<Scenario> {
	const { requests, resources } = scenario;
	const without = <Item>(list: readonly Item[], index: number) => list.filter((_, each) => each !== index);
	for (const [index, request] of requests.entries()) {
		if (requests.length > 1) yield { ...scenario, requests: without(requests, index) };
		const changed = (change: Partial<PlannedRequest>): Scenario => ({
			...scenario,
			requests: requests.with(index, { ...request, ...change }),
		});
		for (const field of request.fields.keys())
			if (field > 0) yield changed({ fields: without(request.fields, field) });
		if (request.body !== undefined) yield changed({ body: undefined });
		if (request.pipelined) yield changed({ pipelined: false });
		if (request.fresh) yield changed({ fresh: false });
		if (request.method !== "GET") yield changed({ method: "GET" });
		if (request.protocol !== "HTTP/1.1") yield changed({ protocol: "HTTP/1.1" });
	}
	for (const [index, answers] of resources.entries())
		for (const [nth, answer] of answers.entries()) {
			const put = (list: readonly PlannedAnswer[]): Scenario => ({
				...scenario,
				resources: resources.with(index, list),
			});
			if (answers.length > 1) yield put(without(answers, nth));
			const changed = (change: Partial<PlannedAnswer>) => put(answers.with(nth, { ...answer, ...change }));
			for (const field of answer.fields.keys()) yield changed({ fields: without(answer.fields, field) });
			if (answer.gzip) yield changed({ gzip: false });
			if (answer.validates) yield changed({ validates: false });
			if (answer.framing !== "length") yield changed({ framing: "length" });
			if (answer.status !== "200 OK") yield changed({ status: "200 OK" });
			if (answer.body !== "hello") yield changed({ body: "hello" });
		}
}
