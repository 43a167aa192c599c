/** What a storm of raw bytes sends: requests and answers with slips of every kind in them, in pieces. All from a seed. */
import { desyncVectors } from "../cache/http/desync-vectors.ts";
import type { Random } from "../sim/random.ts";

/** Bytes, one character each, and the places where they are sent in two pieces with a moment between. */
export interface RawBytes {
	readonly lines: readonly string[];
	readonly cuts: readonly number[];
}

export interface RawAnswer extends RawBytes {
	/** The origin closes the connection behind it. */
	readonly closes: boolean;
}

/** What a client that is not half-closed asks last. Between requests it is answered; inside of one it becomes a part of that. */
export const PROBE = "GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n";

export interface RawScenario {
	readonly listener: "http" | "proxy";
	readonly client: RawBytes;
	/** The client says that it will send no more. */
	readonly halfClosed: boolean;
	/** To the first request, the second …; the last one for ever. */
	readonly answers: readonly RawAnswer[];
}

/** The pieces that are sent. */
export function piecesOf({ lines, cuts }: RawBytes): string[] {
	const text = lines.join("");
	const places = [...new Set(cuts.map((cut) => cut % Math.max(1, text.length)))].sort((a, b) => a - b);
	return [0, ...places]
		.map((at, index) => text.slice(at, places[index] ?? text.length))
		.filter((each) => each !== "");
}

interface Chance extends Random {
	/** How often something is not as it should be: 0 never, 1 as the chance says. */
	readonly slips: number;
}

const usual = <Item>(random: Chance, chance: number, item: Item, others: readonly Item[]): Item =>
	random.chance(chance * random.slips) ? random.pick(others) : item;

const lineEnds = ["\n", "\r", "\r\r\n", "\n\r", "", "\r\n ", "\r\n\t", "\r\n\r\n", " \r\n", "\0\r\n"];
const lineEnd = (random: Chance) => usual(random, 0.015, "\r\n", lineEnds);

const methods = ["POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
const oddMethods = ["get", "G ET", "GET:", "", "XYZZY", "GET\t", " GET", "PRI", "G\0T", "M-SEARCH", "GET/"];
const oddTargets = [
	...["*", "", "/a b", "/\t", "/\x7f", "/\xe4", "/a#b", "//a", "/?", "a", "/a\rb", "/\0", "/%00"],
	...["http://b.example/a", "http://b.example", "HTTP://b.example/x", "http:///a", "https://b.example/a"],
	...["http://u@b.example/", "http://b.example:80/a?b", "b.example:80", "/..//../a", `/${"a".repeat(9000)}`],
];
const oddVersions = [
	...["HTTP/1.0", "HTTP/1.0", "HTTP/1.2", "HTTP/0.9", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/1.10", ""],
	...["HTTP/11", "HTTP /1.1", "HTTP/1.1x", "HTTP/1,1", " HTTP/1.1", "HTTP/01.1"],
];
const fields = [
	...[
		"X:",
		"X:y",
		"X: y ",
		"X:\ty\t",
		"X: \xff\xfe",
		"X-Hop: hop",
		"TE: trailers",
		"Trailer: X-T",
		"Keep-Alive: 5",
	],
	...["Connection: close", "Connection: keep-alive", "Connection: X-Hop", "Connection: close, X-Hop"],
	...["Connection:", "Connection: ,", "Connection: upgrade", "Connection: \tclose\t", "Connection: CLOSE"],
	...["Connection: close;a=b", 'Connection: "close"', "Upgrade: websocket"],
	...["Expect: 100-continue", "Expect: 100-Continue", "Expect: 200-ok", "Expect:", "Expect: 100-continue, x"],
	...["Cookie: a=b", "Authorization: x", "Range: bytes=0-1", "Range: bytes=a", "If-None-Match: *"],
	...["Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0", "Cache-Control: no-cache", "Content-Type: a/b"],
	...["Proxy-Connection: close", "Via: 1.1 x", "X-Forwarded-For: 1.2.3.4", "Age: 5", "Date: yesterday"],
	`X: ${"v".repeat(8000)}`,
];
const oddFields = [
	...[
		"Host: b.example",
		"Host:",
		"Host: a/b",
		"Host: a b",
		"Host: u@a",
		"Host: [::1]:80",
		"Host: a,b",
		"Host",
	],
	...["X", ": y", "X : y", "X\t: y", "X[1]: y", "X\0: y", "X: \0", "X: \x7f"],
	...["X: a\rb", " X: y", "\tX: y", "X-\xe4: y", 'X": y', "X: \x01", "(X): y", "X/Y: z"],
	...["Connection: Host", "Connection: Content-Length"],
	`X: ${"v".repeat(8300)}`,
];
const oddLengths = [
	...["0", "5", "4", "6", "+5", "-5", " 5", "5 ", "05", "0x5", "5,5", "5, 5", "", "5a", "5.0", "1e1", "5\t"],
	...["9223372036854775807", "18446744073709551616", "999999999999999", "99999999999999999999", "5;", '"5"'],
];
const oddCodings = [
	...["Chunked", "CHUNKED", "identity", "gzip, chunked", "chunked, gzip", "chunked, chunked", "xchunked"],
	...["", "chunked ", "\tchunked", " chunked;a=b", '"chunked"', ",chunked", "chunked,", "\x0bchunked"],
];
const oddSizes = [
	...[
		"5;a=b",
		"5 ",
		" 5",
		"05",
		"0x5",
		"+5",
		"-5",
		"5\t",
		"",
		"g",
		"ffffffffffffffff",
		"fffffffff",
		"4",
		"6",
		"5;",
	],
	...['5;a="b"', "5 ;a", "000000000000005", "0000000000000000000005", "5,", "5\0", `5;${"x".repeat(300)}`],
];

const ways = ["pass", "pipe", "synth", "hash", "cache-body", "hit", "nothing"];
/** What raw-storm.vcl does with the answer. */
const responses = ["whole", "gzip", "gunzip", "ttl", "pass"];

function chunks(random: Chance, body: string): string[] {
	const lines: string[] = [];
	const size = body.length > 100 ? 500 : 5;
	for (let at = 0; at < body.length; at += size) {
		const piece = body.slice(at, at + size);
		const line = usual(random, 0.08, piece.length.toString(16), oddSizes);
		const end = () => usual(random, 0.03, "\r\n", lineEnds);
		lines.push(line + end(), piece + end());
	}
	lines.push(
		usual(random, 0.08, "0\r\n", ["00\r\n", "0\n", "0;a\r\n", "", "0 \r\n", "000000000000000000\r\n"]),
	);
	if (random.chance(0.12))
		lines.push(
			random.pick(["X-T: 1\r\n", "Content-Length: 5\r\n", "X-T: 1\n", "X\r\n", " X: 1\r\n", "X-T: a\rb\r\n"]),
		);
	lines.push(usual(random, 0.06, "\r\n", ["\n", "", "\r", "\r\n\r\n"]));
	return lines;
}

/** A field line or more that says how long the body is, and the body. */
function framed(random: Chance, body: string, lies: number): { fields: string[]; body: string[] } {
	const length = () => `Content-Length: ${usual(random, lies, String(body.length), oddLengths)}`;
	const coding = () => `Transfer-Encoding: ${usual(random, lies, "chunked", oddCodings)}`;
	const none: readonly string[] = [];
	const way = random.next();
	if (way < 0.42) return { fields: [length()], body: [body] };
	if (way < 0.84) return { fields: [coding()], body: chunks(random, body) };
	if (!random.chance(random.slips)) return { fields: [length()], body: [body] };
	const fields = random.pick([
		[length(), coding()],
		[coding(), length()],
		[length(), length()],
		[coding(), coding()],
		none,
	]);
	return { fields: [...fields], body: random.chance(0.5) ? [body] : chunks(random, body) };
}

const bodies = ["hello", "hello world", "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2000), ""];

function request(random: Chance): string[] {
	if (random.chance(0.06 * random.slips)) return random.pick(desyncVectors).wire.split(/(?<=\n)/);
	const method = random.chance(0.45) ? random.pick(methods) : "GET";
	const start = [
		usual(random, 0.02, method, oddMethods),
		usual(random, 0.06, random.pick(["/a", "/a", "/b"]), oddTargets),
		usual(random, 0.06, "HTTP/1.1", oddVersions),
	].join(usual(random, 0.01, " ", ["  ", "\t", "\x0b", ""]));
	const host = usual(
		random,
		0.04,
		["Host: a.example"],
		[[], ["host:a.example"], ["Host: a.example", "Host: b"]],
	);
	const lines = [...host];
	for (let count = random.pick([0, 0, 1, 1, 2, 3]); count > 0; count--)
		lines.push(usual(random, 0.15, random.pick(fields), oddFields));
	if (random.chance(0.3)) lines.push(`X-Way: ${random.pick(ways)}`);
	if (random.chance(0.25)) lines.push(`X-Response: ${random.pick(responses)}`);
	let body: readonly string[] = [];
	if (random.chance(/GET|HEAD|TRACE/.test(method) ? 0.08 * random.slips : 0.85)) {
		const frame = framed(random, random.pick(bodies), 0.12);
		lines.push(...frame.fields);
		body = frame.body;
	}
	if (random.chance(0.01 * random.slips)) lines.push(...Array.from({ length: 70 }, (_, at) => `X-${at}: y`));
	if (random.chance(0.01))
		lines.push(...Array.from({ length: 9 }, (_, at) => `X-${at}: ${"y".repeat(4000)}`));
	const head = [start, ...lines].map((line) => line + lineEnd(random));
	const before = random.chance(0.02 * random.slips)
		? [random.pick(["\r\n", "\n", "\r\n\r\n", " ", "\0", "\r"])]
		: [];
	return [...before, ...head, usual(random, 0.02, "\r\n", ["\n", "", "\r", " \r\n", "\r\n\r\n"]), ...body];
}

const oddStatusLines = [
	...[
		"HTTP/1.0 200 OK",
		"HTTP/1.1 200",
		"HTTP/1.1 200 ",
		"HTTP/1.1  200 OK",
		"HTTP/1.1 20 OK",
		"HTTP/1.1 2000 OK",
	],
	...[
		"HTTP/1.2 200 OK",
		"HTTP/2.0 200 OK",
		"http/1.1 200 OK",
		"200 OK",
		"",
		"HTTP/1.1 099 Low",
		"HTTP/1.1 600 High",
	],
	...["HTTP/1.1 200 O\tK", "HTTP/1.1 200 \xe4", "HTTP/1.1 200 O\x01K", "HTTP/1.1\t200 OK", "HTTP/1.1 abc OK"],
	...["HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 205 Reset", "HTTP/1.1 404 Not Found"],
	...["HTTP/1.1 999 Nines", "HTTP/1.1 500 Oh", "HTTP/1.1 301 Moved", " HTTP/1.1 200 OK", "ICY 200 OK"],
];
const informational = [
	"HTTP/1.1 100 Continue",
	"HTTP/1.1 103 Early Hints",
	"HTTP/1.1 101 Switching Protocols",
	"HTTP/1.1 199 x",
];
const answerFields = [
	...[
		"Cache-Control: max-age=100",
		"Cache-Control: no-store",
		"Vary: X-A",
		"Vary: *",
		'ETag: "a"',
		"ETag: a",
	],
	...[
		"Connection: close",
		"Connection: keep-alive",
		"Connection: X-Hop",
		"Connection: ,",
		"Connection: CLOSE",
	],
	...["X:y", "X: \xff", "X:", "X-Hop: 1", "Content-Encoding: br", "Content-Range: bytes 0-4/5"],
	...[
		"Trailer: X-T",
		"Set-Cookie: a=b",
		"Age: 5",
		"Age: -5",
		"Age: x",
		"Date: x",
		"Expires: 0",
		"Location: /b",
	],
	...["Keep-Alive: 5", "Upgrade: h2c", "Accept-Ranges: none", "Warning: 1", `X: ${"v".repeat(8000)}`],
];
const oddAnswerFields = [
	...["Connection: Content-Length", "Connection: Transfer-Encoding", "Connection: Content-Encoding"],
	...[
		"X",
		": y",
		"X : y",
		"X: \0",
		"X: a\rb",
		" X: y",
		"X[1]: y",
		"X-\xe4: y",
		"X: \x7f",
		"Content-Encoding: GZIP",
	],
	...["Content-Encoding: gzip", "Content-Encoding: gzip, gzip", `X: ${"v".repeat(8300)}`],
];
const gzipped = Buffer.from(Bun.gzipSync(Buffer.from("hello gzip ".repeat(20)))).toString("latin1");
const oddGzip = [
	gzipped.slice(0, -3),
	gzipped.slice(0, 20),
	`${gzipped}x`,
	gzipped + gzipped,
	`${gzipped.slice(0, -8)}\0\0\0\0\0\0\0\0`,
	gzipped.slice(0, 10),
	"not gzip",
	"",
];

function answer(random: Chance): RawAnswer {
	const lines: string[] = [];
	const put = (start: string, fields: readonly string[]) => {
		for (const line of [start, ...fields]) lines.push(line + usual(random, 0.01, "\r\n", lineEnds));
		lines.push(usual(random, 0.01, "\r\n", ["\n", "", "\r", " \r\n"]));
	};
	while (random.chance(0.05))
		put(
			random.pick(informational),
			random.chance(0.3) ? [usual(random, 0.1, random.pick(answerFields), oddAnswerFields)] : [],
		);
	const fields: string[] = [];
	for (let count = random.pick([0, 0, 1, 1, 2, 3]); count > 0; count--)
		fields.push(usual(random, 0.15, random.pick(answerFields), oddAnswerFields));
	const asGzip = random.chance(0.15);
	if (asGzip) fields.push("Content-Encoding: gzip");
	const body = asGzip ? usual(random, 0.5, gzipped, oddGzip) : random.pick(bodies);
	const frame = random.chance(0.12) ? { fields: [], body: [body] } : framed(random, body, 0.08);
	put(usual(random, 0.1, "HTTP/1.1 200 OK", oddStatusLines), [...fields, ...frame.fields]);
	const sent = frame.body.filter(() => !random.chance(0.02 * random.slips));
	if (random.chance(0.03))
		sent.push(random.pick(["\r\n", "x", "\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"]));
	lines.push(...sent);
	if (random.chance(0.01 * random.slips)) lines.length = 0;
	return { lines, cuts: cuts(random), closes: frame.fields.length === 0 || random.chance(0.15) };
}

const cuts = (random: Chance) =>
	random.chance(0.3) ? Array.from({ length: random.integer(1, 3) }, () => random.integer(1, 400)) : [];

const v2 = (hex: string) => Buffer.from(`0d0a0d0a000d0a515549540a${hex}`, "hex").toString("latin1");
const greetings = [
	"PROXY TCP4 1.2.3.4 5.6.7.8 1234 80\r\n",
	"PROXY TCP6 ::1 2001:db8::1 1234 80\r\n",
	"PROXY UNKNOWN\r\n",
	v2("2111000c01020304050607080bb80050"),
	v2("21210024" + "20010db8000000000000000000000001".repeat(2) + "0bb80050"),
	v2("20000000"),
	v2("2111001201020304050607080bb80050020003612e62"),
];
const oddGreetings = [
	...[
		"PROXY UNKNOWN 1 2 3 4\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1234\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1234 80\n",
		"",
	],
	...[
		"PROXY  TCP4 1.2.3.4 5.6.7.8 1234 80\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 99999 80\r\n",
		"PROXY\r\n",
		"proxy UNKNOWN\r\n",
	],
	...[
		"PROXY TCP4 01.2.3.4 5.6.7.8 1 80\r\n",
		"PROXY TCP4 ::1 ::1 1 80\r\n",
		"PROXY TCP6 1.2.3.4 5.6.7.8 1 80\r\n",
	],
	...[
		"PROXY TCP4 1.2.3.4 5.6.7.8 01 80\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 80 x\r\n",
		"PROXY TCP4 a b 1 80\r\n",
	],
	...[
		"PROXY UDP4 1.2.3.4 5.6.7.8 1 80\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 -1 80\r\n",
	],
	...["PROXY TCP6 ::1%lo ::1 1 80\r\n", "PROXY UNKNOWNX\r\n", `PROXY UNKNOWN ${"x".repeat(120)}\r\n`],
	...[v2("2111000801020304"), v2("1111000c01020304050607080bb80050"), v2("2211000c01020304050607080bb80050")],
	...[v2("2131000400000000"), v2("2112000c01020304050607080bb80050"), v2("2100000c01020304050607080bb80050")],
	...[v2("2111000e01020304050607080bb800500200"), v2("2111ffff"), v2("211110000102"), v2("20110000")],
	v2("2111000f01020304050607080bb80050200000"),
	v2("2111001401020304050607080bb800502000050000000000"),
];

export function makeRawScenario(chance: Random): RawScenario {
	const random: Chance = { ...chance, slips: chance.pick([0, 0.3, 1]) };
	const listener = random.chance(0.15) ? "proxy" : "http";
	const lines: string[] = [];
	if (listener === "proxy") lines.push(usual(random, 0.5, random.pick(greetings), oddGreetings));
	for (let count = random.pick([1, 1, 2, 2, 3]); count > 0; count--) lines.push(...request(random));
	if (random.chance(0.15 * random.slips))
		lines.splice(0, lines.length, ...struck(random, lines.join("")).split(/(?<=\n)/));
	return {
		listener,
		client: { lines, cuts: cuts(random) },
		halfClosed: random.chance(0.1),
		answers: Array.from({ length: random.integer(1, 2) }, () => answer(random)),
	};
}

const interesting = [
	"\r",
	"\n",
	"\r\n",
	"\0",
	" ",
	"\t",
	":",
	",",
	";",
	"0",
	"5",
	"f",
	"\x7f",
	"\xff",
	"\x0b",
	"/",
	"-",
	'"',
];

/** A byte or a few of them otherwise. */
function struck(random: Chance, text: string): string {
	const at = random.integer(0, text.length);
	const kept = text.slice(at + random.pick([0, 0, 1, 1, 2, 5]));
	return text.slice(0, at) + random.pick([...interesting, "", text.slice(at, at + 20)]) + kept;
}

/** Every scenario that is smaller by one thing. */
export function* smallerRaw(scenario: RawScenario): Generator<RawScenario> {
	const { client, answers } = scenario;
	if (answers.length > 1) for (const each of answers) yield { ...scenario, answers: [each] };
	if (scenario.halfClosed) yield { ...scenario, halfClosed: false };
	if (scenario.listener === "proxy")
		yield { ...scenario, listener: "http", client: { ...client, lines: client.lines.slice(1) } };
	for (const smaller of smallerBytes(client)) yield { ...scenario, client: smaller };
	for (const [at, each] of answers.entries()) {
		const put = (other: RawAnswer): RawScenario => ({ ...scenario, answers: answers.with(at, other) });
		if (each.lines.length > 3)
			yield put({ ...each, lines: ["HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n", "\r\n", "ok"], cuts: [] });
		for (const smaller of smallerBytes(each)) yield put({ ...each, ...smaller });
		if (each.closes) yield put({ ...each, closes: false });
	}
}

function* smallerBytes({ lines, cuts }: RawBytes): Generator<RawBytes> {
	if (cuts.length > 0) yield { lines, cuts: [] };
	for (let count = lines.length >> 1; count > 0; count >>= 1)
		for (let at = 0; at + count <= lines.length; at += count)
			yield { lines: lines.toSpliced(at, count), cuts };
	for (const at of cuts.keys()) yield { lines, cuts: cuts.toSpliced(at, 1) };
}
