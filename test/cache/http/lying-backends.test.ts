/**
 * Backends whose answers are not what they say (RFC 9112 §6.3, §8): 503 with the reason in the log while nothing has
 * been passed on, a connection that breaks visibly afterwards; never a cut 200 that looks whole, and nothing stored.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";
import { exchange } from "./raw-client.ts";

interface Lie {
	readonly title: string;
	/** Sent at once, together with the head. */
	readonly first: string;
	/** Sent when the client has seen the beginning. */
	readonly later?: string;
	/** The client has a cookie: the answer is passed. */
	readonly passed?: true;
	/** The backend closes afterwards; otherwise it stays silent. */
	readonly closes?: true;
	readonly outcome: "503" | "broken";
	/** Words of the log's FetchError, or of another record. */
	readonly reason: string;
	readonly record?: "Error";
}

const ok = "HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\n";
const half = "x".repeat(500);

/** gzip that shows what is in it, up to its checksum and its length. */
const unpackedGzip = gzipSync(half + half, { level: 0 })
	.toString("latin1")
	.slice(0, -8);
const gzipHead = `${ok}Content-Encoding: gzip\r\nContent-Length: ${unpackedGzip.length + 8}\r\n\r\n`;
const badChecksum = {
	first: gzipHead + unpackedGzip.slice(0, 700),
	later: `${unpackedGzip.slice(700)}\0\0\0\0\xe8\x03\0\0`,
	outcome: "broken",
	reason: "incorrect data check",
} as const;

const lies: readonly Lie[] = [
	{ title: "no answer", first: "", closes: true, outcome: "503", reason: "HTC eof" },
	{ title: "half a head", first: `${ok}Content-Le`, closes: true, outcome: "503", reason: "HTC eof" },
	{ title: "no HTTP", first: "hello\r\n\r\n", outcome: "503", reason: "http format error: status line" },
	{
		title: "a body longer than its length",
		first: `${ok}Content-Length: 5\r\n\r\nhello world`,
		outcome: "503",
		reason: "more than the announced body",
	},
	{
		title: "another answer behind the last chunk",
		first: `${ok}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n${ok}Content-Length: 3\r\n\r\nbad`,
		outcome: "503",
		reason: "more than the announced body",
	},
	{
		title: "a chunk that is none",
		first: `${ok}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
		outcome: "503",
		reason: "chunked header non-hex: chunk size is missing",
	},
	{
		title: "a chunk longer than its size",
		first: `${ok}Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n`,
		outcome: "503",
		reason: "chunk data is longer than its size",
	},
	{
		title: "two lengths",
		first: `${ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
		outcome: "503",
		reason: "Content-Length conflicts",
	},
	{
		title: "a length and chunks",
		first: `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
		outcome: "503",
		reason: "both Content-Length and Transfer-Encoding",
	},
	{
		title: "header after header",
		first: ok + Array.from({ length: 100 }, (_, index) => `X-${index}: a\r\n`).join(""),
		outcome: "503",
		reason: "Too many headers: X-",
	},
	{
		title: "a head without end",
		first: ok + Array.from({ length: 20 }, () => `X: ${"a".repeat(4000)}\r\n`).join(""),
		outcome: "503",
		reason: "head is over its limit",
	},
	{
		title: "a header line without end",
		first: `${ok}X: ${"a".repeat(40_000)}`,
		outcome: "503",
		reason: "over its limit",
	},
	{
		title: "a flood of 1xx",
		first: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n`.repeat(100),
		outcome: "503",
		reason: "too many 1xx",
	},
	{
		title: "101 unasked",
		first: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		outcome: "503",
		reason: "protocol switch",
	},
	{
		title: "304 unasked",
		first: "HTTP/1.1 304 Not Modified\r\n\r\n",
		outcome: "503",
		reason: "304 response but not conditional",
		record: "Error",
	},
	{ title: "silence", first: "", outcome: "503", reason: "first byte timeout" },
	{
		title: "a head that trickles",
		first: "HTTP/1.1 200 OK\r\nX:",
		outcome: "503",
		reason: "first byte timeout",
	},
	{
		title: "a short body",
		first: `${ok}Content-Length: 1000\r\n\r\n${half}`,
		later: "x",
		closes: true,
		outcome: "broken",
		reason: "insufficient bytes",
	},
	{
		title: "a last chunk that never comes",
		first: `${ok}Transfer-Encoding: chunked\r\n\r\n1f4\r\n${half}\r\n`,
		later: "1\r\nx\r\n",
		closes: true,
		outcome: "broken",
		reason: "insufficient bytes",
	},
	{
		title: "a bad chunk behind a good one",
		first: `${ok}Transfer-Encoding: chunked\r\n\r\n1f4\r\n${half}\r\n`,
		later: "-1\r\nx\r\n",
		outcome: "broken",
		reason: "chunked header non-hex",
	},
	{ title: "gzip with a wrong checksum", ...badChecksum },
	{ title: "gzip with a wrong checksum, passed", passed: true, ...badChecksum },
	{
		title: "gzip that is none, passed",
		passed: true,
		first: `${ok}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello`,
		outcome: "503",
		reason: "incorrect header check",
	},
	{
		title: "silence in the middle of a body",
		first: `${ok}Content-Length: 1000\r\n\r\n${half}`,
		outcome: "broken",
		reason: "between bytes timeout",
	},
];

let backend: Server;
let cache: RunningCache;
/** Sends the rest of a lie. */
const goOn = new Map<string, () => void>();
const asked = new Map<string, number>();

beforeAll(async () => {
	const port = await freePort();
	backend = createServer((socket: Socket) => {
		socket.on("error", () => {});
		socket.setEncoding("latin1");
		socket.on("data", (text: string) => {
			const target = /^GET (\/\d+)/.exec(text)?.[1] ?? "";
			asked.set(target, (asked.get(target) ?? 0) + 1);
			const lie = lies[Number(target.slice(1))]!;
			const finish = () => {
				if (lie.closes) socket.end(lie.later ?? "", "latin1");
				else if (lie.later !== undefined) socket.write(lie.later, "latin1");
			};
			goOn.set(target, finish);
			socket.write(lie.first, "latin1");
			if (lie.later === undefined) finish();
		});
	});
	await new Promise<void>((resolve) => backend.listen(port, "127.0.0.1", resolve));
	cache = await startCache(drover, port, [
		"-p",
		"first_byte_timeout=2",
		"-p",
		"between_bytes_timeout=2",
		"-p",
		"vsl_reclen=4000",
	]);
}, 60_000);

afterAll(async () => {
	await cache?.stop();
	backend?.close();
});

describe("backends that lie", () => {
	for (const [index, { title, outcome, later, passed }] of lies.entries())
		test.concurrent(title, async () => {
			const target = `/${index}`;
			for (const round of [1, 2]) {
				const { text, closed } = await exchange(
					cache.port,
					`GET ${target} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n${passed ? "Cookie: a=b\r\n" : ""}Connection: close\r\n\r\n`,
					(so) => {
						if (later !== undefined && so.includes(half)) {
							goOn.get(target)?.();
							goOn.delete(target);
						}
						return false;
					},
				);
				expect(closed).toBe(true);
				if (outcome === "503") {
					expect(text).toStartWith("HTTP/1.1 503 ");
					expect(text).toContain("</html>");
				} else {
					expect(text).toStartWith("HTTP/1.1 200 ");
					const [head = "", body = ""] = text.split("\r\n\r\n", 2);
					const length = /content-length: (\d+)/i.exec(head)?.[1];
					if (length === undefined) expect(text).not.toContain("\r\n0\r\n\r\n");
					else expect(body.length).toBeLessThan(Number(length));
				}
				// Nothing of it was stored: the second asks again.
				expect(asked.get(target)).toBeGreaterThanOrEqual(round);
			}
		}, 30_000);

	test("the log says why, each time", async () => {
		const text = await cache.log();
		for (const { title, reason, record = "FetchError" } of lies) {
			const found = text.split("\n").some((line) => line.includes(` ${record} `) && line.includes(reason));
			expect(found ? title : `${title}: no ${record} with "${reason}"`).toBe(title);
		}
	});
});
