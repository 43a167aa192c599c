/**
 * Bytes of clients and origins that a parser of whole messages never sees: cut, half-closed, malformed. What the client
 * gets, what becomes of its connection, and what the origin was asked; varnishd and Drover agree on every row.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drover, stock } from "../../conformance/caches.ts";
import { playRaw, type RawSide, startLanes, stopLanes } from "../../conformance/raw-storm-play.ts";

interface Row {
	readonly title: string;
	readonly listener?: "http" | "proxy" | "unix";
	readonly client: string;
	readonly halfClosed?: true;
	/** Of the origin, each time. */
	readonly answer?: string;
	/** What the answers say that is told of, too. */
	readonly says?: RegExp;
	/** Statuses, what became of the connection, and the start lines that the origin saw. */
	readonly outcome: string;
}

const get = (path: string, ...fields: readonly string[]) =>
	`GET ${path} HTTP/1.1\r\n${["Host: a", ...fields].join("\r\n")}\r\n\r\n`;
const post = (path: string, length: number, body: string, ...fields: readonly string[]) =>
	`POST ${path} HTTP/1.1\r\n${["Host: a", `Content-Length: ${length}`, ...fields].join("\r\n")}\r\n\r\n${body}`;

/** A PROXY header of version 2 for 1.2.3.4 port 3000; `family`: that and the transport, in hexadecimal. */
const proxy2 = (family: string) =>
	Buffer.from(`0d0a0d0a000d0a515549540a21${family}000c01020304050607080bb80050`, "hex").toString("latin1");

const rows: readonly Row[] = [
	...[
		["a client behind PROXY", "11", "1.2.3.4"],
		["a PROXY header of datagrams says nothing of a client", "12", "127.0.0.1"],
	].map(([title = "", family = "", address]) => ({
		title,
		listener: "proxy" as const,
		client: proxy2(family) + get("/a"),
		says: /x-client: [\d.]+/,
		outcome: `200 x-client: ${address} 299, open; GET /a`,
	})),
	...(["http", "unix"] as const).map((listener) => ({
		title: `a client that half-closes (RFC 9112 §9.6) is answered all that it asked: ${listener}`,
		listener,
		client: get("/a") + post("/b", 5, "hello") + get("/c", "X-Way: pass"),
		halfClosed: true as const,
		outcome: "200 200 200, closed; GET /a, POST /b, GET /c",
	})),
	{
		title: "a request that it did not finish is none",
		client: `${get("/a", "X-Way: pass")}GET /b HTTP/1.1\r\nHost`,
		halfClosed: true,
		outcome: "200, closed; GET /a",
	},
	{
		title: "a body that nobody wants does not matter",
		client: post("/a", 5, "hel", "X-Way: synth"),
		halfClosed: true,
		outcome: "298, closed; ",
	},
	{
		title: "a pipe passes the half-close on, behind what the client had sent before",
		client: get("/a") + get("/b", "X-Way: pipe") + post("/c", 2, "hi"),
		halfClosed: true,
		outcome: "200 200 200, closed; GET /a, GET /b, POST /c",
	},
	{
		title: "a pipe passes the half-close on",
		client: get("/a", "X-Way: pipe"),
		halfClosed: true,
		outcome: "200, closed; GET /a",
	},
	...[
		["a part that nobody asked for (RFC 9110 §14.4)", get("/a"), "206 Part", "bytes 0-1/9", "503"],
		[
			"a part that was asked for",
			get("/a", "X-Way: pass", "Range: bytes=0-1"),
			"206 Part",
			"bytes 0-1/9",
			"206",
		],
		[
			"a part of another length",
			get("/a", "X-Way: pass", "Range: bytes=0-1"),
			"206 Part",
			"bytes 0-7/9",
			"503",
		],
		["a part of nowhere", get("/a", "X-Way: pass", "Range: bytes=0-1"), "206 Part", "bytes 1", "503"],
	].map(([title = "", client = "", status, part, outcome]) => ({
		title,
		client,
		answer: `HTTP/1.1 ${status}\r\nContent-Range: ${part}\r\nContent-Length: 2\r\n\r\nok`,
		outcome: `${outcome} 299, open; GET /a`,
	})),
	{
		title: "an origin that gives no reason has the usual one",
		client: get("/a"),
		answer: "HTTP/1.1 404 \r\nContent-Length: 2\r\n\r\nok",
		says: /Not Found/,
		outcome: "404 Not Found 299, open; GET /a",
	},
	{
		title: "what an origin says of ranges is said once (RFC 9110 §14.3)",
		client: get("/a"),
		answer: "HTTP/1.1 200 OK\r\nVary: *\r\nAccept-Ranges: none\r\nContent-Length: 2\r\n\r\nok",
		says: /Accept-Ranges: .*/,
		outcome: "200 Accept-Ranges: bytes 299, open; GET /a",
	},
	...["Content-Length: 5", "Transfer-Encoding: chunked"].map((field) => ({
		title: `a 204 that announces a body (RFC 9110 §8.6, RFC 9112 §6.1): ${field}`,
		client: get("/a"),
		answer: `HTTP/1.1 204 No Content\r\n${field}\r\n\r\n`,
		outcome: "503 299, open; GET /a",
	})),
	{
		title: "an origin of a later minor version (RFC 9110 §6.2)",
		client: get("/a"),
		answer: "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
		outcome: "200 299, open; GET /a",
	},
];

const QUIET_MS = 300;
/** A worker that has just started is slow, and on a busy machine all the more. */
const FIRST_MS = 10_000;
const directory = mkdtempSync(join(tmpdir(), "drover-raw-bytes-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
// varnishd compiles as another user.
chmodSync(directory, 0o755);

async function outcomeOf(
	side: RawSide,
	lane: number,
	{ listener = "http", client, halfClosed, answer, says }: Row,
): Promise<string> {
	const { origin, ports, path } = side.lanes[lane]!;
	const lines = [answer ?? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"];
	const { exchanges, asked } = await playRaw(
		listener === "unix" ? path : ports[listener],
		origin,
		{
			listener: listener === "proxy" ? "proxy" : "http",
			client: { lines: [client], cuts: [] },
			halfClosed: halfClosed === true,
			answers: [{ lines, cuts: [], closes: false }],
		},
		QUIET_MS,
		FIRST_MS,
	);
	const { answers, end } = exchanges[0]!;
	const told = answers.flatMap(({ status, fields, whole }) => [
		status.slice(9, 12),
		...[status, ...fields].flatMap((line) => says?.exec(line)?.[0] ?? []),
		...(whole ? [] : ["torn"]),
	]);
	return `${told.join(" ")}, ${end}; ${asked.map(({ line }) => line.replace(" HTTP/1.1", "")).join(", ")}`;
}

for (const [name, command] of [
	["varnishd", stock],
	["drover", drover],
] as const)
	describe(name, () => {
		let side: RawSide;
		beforeAll(async () => {
			side = await startLanes(directory, name, command, rows.length);
		}, 60_000);
		afterAll(() => stopLanes(side));
		for (const [lane, row] of rows.entries())
			test.concurrent(row.title, async () => expect(await outcomeOf(side, lane, row)).toBe(row.outcome));
	});

describe("Drover alone", () => {
	let side: RawSide;
	beforeAll(async () => {
		side = await startLanes(directory, "drover-alone", drover, 1);
	}, 60_000);
	afterAll(() => stopLanes(side));
	test("a body that ends before its length is a 400 at once, where varnishd says 503 (RFC 9112 §8)", async () => {
		const row = { title: "", client: post("/a", 5, "hel"), halfClosed: true, outcome: "" } as const;
		expect(await outcomeOf(side, 0, row)).toStartWith("400, closed; ");
	});
	test("Content-Range has no meaning in a 200, where varnishd says 503 (RFC 9110 §14.4)", async () => {
		const answer = "HTTP/1.1 200 OK\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok";
		const row = { title: "", client: get("/c"), answer, outcome: "" };
		expect(await outcomeOf(side, 0, row)).toBe("200 299, open; GET /c");
	});
});
