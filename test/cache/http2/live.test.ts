/** HTTP/2 to `drover varnishd`: what bytes do to it, to the backend behind it and to who else is there. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as dialTls } from "node:tls";
import { Frame, frame, PREFACE } from "../../../firmware/cache/http2/frame.ts";
import { drover, freePort, portAnswers, type RunningCache, startCache } from "../../conformance/caches.ts";
import { mutate, Random } from "../../fuzz/mutate.ts";
import { makeCertificate } from "../http/certificate.ts";
import { block, data, headers, ping, rst, settings, windowUpdate } from "./client.ts";
import { ask, Client } from "./live-client.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-http2-"));
const LARGE_BYTES = 4 * 1024 * 1024;
/** Everything that came on each connection to the backend. */
const seen: string[] = [];
let backend: Server;
let cache: RunningCache;
/** One that waits for its clients for a second. */
let slow: RunningCache;
const SLOW_IDLE_SECONDS = 1;
let tlsPort = 0;

/** Answers requests of whole heads; of a body only when it is whole. */
function serve(socket: Socket): void {
	const index = seen.push("") - 1;
	let at = 0;
	socket.on("error", () => {});
	socket.on("data", (bytes) => {
		seen[index] += bytes.toString("latin1");
		for (;;) {
			const text = seen[index]!.slice(at);
			const end = text.indexOf("\r\n\r\n");
			if (end < 0) return;
			const head = text.slice(0, end);
			let length = end + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
			if (/transfer-encoding/i.test(head)) {
				const last = text.indexOf("0\r\n\r\n", end);
				if (last < 0) return;
				length = last + 5;
			}
			if (text.length < length) return;
			at += length;
			const path = head.split(" ")[1]!;
			if (path.startsWith("/never")) return;
			const body = path.startsWith("/large") ? "x".repeat(LARGE_BYTES) : `answer to ${path}`;
			socket.write(
				`HTTP/1.1 200 OK\r\nCache-Control: max-age=1000\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
			);
		}
	});
}

beforeAll(async () => {
	const { bothPath } = makeCertificate(directory, "front", ["DNS:front.example"]);
	backend = createServer(serve);
	await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
	const { port } = backend.address() as { port: number };
	tlsPort = await freePort();
	cache = await startCache(drover, port, [
		"-p",
		"feature=+http2",
		"-p",
		"vsl_mask=+Debug",
		"-p",
		"first_byte_timeout=3",
		"-a",
		`tls=127.0.0.1:${tlsPort},tls=${bothPath}`,
	]);
	slow = await startCache(drover, port, ["-p", "feature=+http2", "-p", `timeout_idle=${SLOW_IDLE_SECONDS}`]);
	while (!(await portAnswers(tlsPort))) await Bun.sleep(20);
}, 60_000);
afterAll(async () => {
	await cache?.stop();
	await slow?.stop();
	backend?.close();
	rmSync(directory, { recursive: true, force: true });
});

const clients: Client[] = [];
const plain = () => {
	const client = new Client(dial(cache.port, "127.0.0.1"));
	clients.push(client);
	return client;
};
// One test that fails is not to leave another one connections to count.
afterEach(() => {
	for (const { socket } of clients.splice(0)) socket.destroy();
});
const at = (path: string) => seen.filter((text) => text.includes(` ${path} `));

describe("requests", () => {
	test("many at once are answered each by its own", async () => {
		const client = plain();
		const streams = Array.from({ length: 100 }, (_, index) => 2 * index + 1);
		client.send(...streams.map((stream) => headers(stream, true, ask(`/many/${stream}`))));
		for (const stream of streams) expect(await client.answer(stream)).toBe(`200 answer to /many/${stream}`);
		client.socket.destroy();
	});
	test("an answer takes all windows that there are, and the next stream does not wait for it", async () => {
		const client = plain();
		client.send(headers(1, true, ask("/large")));
		await client.until(() => client.body(1).length === 65_535);
		client.send(windowUpdate(0, 2 ** 30), headers(3, true, ask("/small")));
		expect(await client.answer(3)).toBe("200 answer to /small");
		client.send(windowUpdate(1, 2 ** 30));
		await client.answer(1);
		expect(client.body(1).length).toBe(LARGE_BYTES);
		expect(client.body(1).every((byte) => byte === 0x78)).toBe(true);
		client.socket.destroy();
	});
	test("a client that reads slowly gets everything, in order", async () => {
		const client = plain();
		client.send(settings([4, 2 ** 31 - 1]), windowUpdate(0, 2 ** 30));
		client.send(...[1, 3, 5, 7, 9, 11].map((stream) => headers(stream, true, ask(`/large/${stream}`))));
		for (let count = 0; count < 20; count++) {
			client.socket.pause();
			await Bun.sleep(10);
			client.socket.resume();
			await Bun.sleep(5);
		}
		for (const stream of [1, 3, 5, 7, 9, 11]) {
			await client.answer(stream);
			expect(client.body(stream).length).toBe(LARGE_BYTES);
		}
		client.socket.destroy();
	}, 30_000);
	test("what is read from the store and what is still being fetched have their turns alike", async () => {
		const first = plain();
		first.send(settings([4, 2 ** 30]), windowUpdate(0, 2 ** 30), headers(1, true, ask("/large/turns")));
		await first.answer(1);
		first.socket.destroy();
		const client = plain();
		const lengths = () => [1, 3, 5].map((stream) => client.body(stream).length);
		// Who has nothing yet has no turn: the backend must have begun to answer.
		client.send(headers(1, true, ask("/large/passed", "GET", ["cookie", "a"])));
		await client.until(() => client.body(1).length === 65_535);
		client.send(
			settings([4, 2 ** 30]),
			headers(3, true, ask("/large/turns")),
			headers(5, true, ask("/large/turns")),
		);
		// What a window has opened has come before it is opened further, however slow the worker is just now.
		for (let opened = 65_535; opened < 30 * 65_536; ) {
			client.send(windowUpdate(0, 65_536));
			opened += 65_536;
			await client.until(() => lengths().reduce((sum, each) => sum + each) === opened);
		}
		expect(Math.max(...lengths()) - Math.min(...lengths())).toBeLessThan(200_000);
		client.send(windowUpdate(0, 2 ** 30));
		for (const stream of [1, 3, 5]) await client.answer(stream);
		expect(lengths()).toEqual([LARGE_BYTES, LARGE_BYTES, LARGE_BYTES]);
		client.socket.destroy();
	});
	test("§8.3.1 a body goes to the backend as it came", async () => {
		const client = plain();
		client.send(
			headers(1, false, ask("/post", "POST", ["content-length", "10"])),
			data(1, "01234"),
			data(1, "56789", true),
		);
		expect(await client.answer(1)).toBe("200 answer to /post");
		expect(at("/post")[0]).toContain("\r\n\r\n0123456789");
		client.send(
			headers(3, false, ask("/trailers", "POST")),
			data(3, "body"),
			headers(3, true, block(["x-sum", "1"])),
		);
		expect(await client.answer(3)).toBe("200 answer to /trailers");
		expect(at("/trailers")[0]).toContain("4\r\nbody\r\n0\r\n\r\n");
		client.socket.destroy();
	});
});

test("RFC 9110 §10.1.1 what is expected may be said twice, as over HTTP/1", async () => {
	const client = plain();
	client.send(
		headers(1, true, ask("/expected", "GET", ["expect", "100-continue"], ["expect", "100-Continue"])),
	);
	expect(await client.answer(1)).toBe("200 answer to /expected");
	client.send(headers(3, true, ask("/expected", "GET", ["expect", "100-continue, something"])));
	expect(await client.answer(3)).toBe("417 ");
	client.socket.destroy();
});

describe("what was not said whole is not passed on as whole", () => {
	test.each<readonly [string, string, string]>([
		["RST_STREAM within a body", "/cut-1", data(1, "half") + rst(1)],
		["more than Content-Length", "/cut-2", data(1, "half") + data(1, "and too much")],
		["less than Content-Length", "/cut-3", data(1, "half", true)],
		["the end of the connection", "/cut-4", data(1, "half")],
	])("%s", async (title, path, wire) => {
		const client = plain();
		const length = path === "/cut-1" ? [] : [["content-length", "10"] as const];
		client.send(headers(1, false, ask(path, "POST", ...length)), wire);
		if (title.startsWith("the end")) {
			await client.until(() => at(path).length > 0);
			client.socket.destroy();
		} else if (!title.startsWith("RST")) await client.until(() => client.has("RST_STREAM 1 PROTOCOL_ERROR"));
		await Bun.sleep(300);
		for (const whole of at(path)) {
			const text = whole.slice(whole.indexOf(` ${path} `));
			// The last chunk; the head may end with a transaction number that ends so.
			expect(text).not.toContain("\r\n0\r\n\r\n");
			expect(text).not.toContain("too much");
		}
		client.socket.destroy();
	});
	test.each([
		["a line end in :path", ask("/in\r\nx: y")],
		["a second request in :path", ask("/in HTTP/1.1\r\nHost: a\r\n\r\nGET /in2")],
		["a line end in a value", ask("/in", "GET", ["x", "y\r\n\r\nGET /in2 HTTP/1.1"])],
		["a line end in a name", ask("/in", "GET", ["x\r\ny", "z"])],
		["Transfer-Encoding", ask("/in", "GET", ["transfer-encoding", "chunked"])],
		["two lengths", ask("/in", "POST", ["content-length", "0"], ["content-length", "5"])],
		["another host", ask("/in", "GET", ["host", "b"])],
	])("§10.3 nothing reaches the backend: %s", async (_title, fields) => {
		const client = plain();
		client.send(headers(1, true, fields));
		await client.until(() => client.has("RST_STREAM 1 PROTOCOL_ERROR"));
		client.send(headers(3, true, ask("/after")));
		expect(await client.answer(3)).toBe("200 answer to /after");
		expect(seen.some((text) => text.includes("/in"))).toBe(false);
		client.socket.destroy();
	});
});

describe("§10.5 clients that mean harm", () => {
	test.each([
		["PING without end", () => ping()],
		["SETTINGS without end", () => settings()],
		[
			"requests that are taken back at once",
			(count: number) => headers(2 * count + 1, true, ask("/never")) + rst(2 * count + 1),
		],
	])("%s", async (_title, wire) => {
		const client = plain();
		for (let count = 0; count < 3000 && !client.closed; count++) client.send(wire(count));
		await client.until(
			() => client.heard.some(({ words }) => words.endsWith("ENHANCE_YOUR_CALM")) || client.closed,
		);
		await client.until(() => client.closed);
		const other = plain();
		other.send(headers(1, true, ask("/calm")));
		expect(await other.answer(1)).toBe("200 answer to /calm");
		other.socket.destroy();
	});
	test("a CONTINUATION without end", async () => {
		const client = plain();
		client.send(frame(Frame.headers, 0, 1, ask("/")));
		for (let count = 0; count < 1000; count++) client.send(frame(Frame.continuation, 0, 1, "\x82"));
		await client.until(() => client.closed);
		expect(
			client.heard.some(({ words }) => words === "GOAWAY 0 last 1 ENHANCE_YOUR_CALM") || client.closed,
		).toBe(true);
	});
});

describe("frames with slips in them, cut anywhere, of clients that go at any time", () => {
	const CONNECTIONS = 2000;
	const AT_ONCE = 20;
	const talks = [
		headers(1, true, ask("/storm")) +
			headers(3, true, ask("/large")) +
			windowUpdate(3, 100_000) +
			windowUpdate(0, 100_000),
		headers(1, false, ask("/storm-post", "POST")) + data(1, "x".repeat(3000)) + data(1, "y", true),
		headers(1, false, ask("/storm-5", "POST", ["content-length", "5"])) + data(1, "12345", true),
		headers(1, true, ask("/storm-taken-back")) + rst(1) + headers(3, true, ask("/storm")) + ping(),
		settings([4, 10]) + headers(1, true, ask("/large")) + settings([4, 100_000]),
		headers(1, false, ask("/storm-100", "POST", ["expect", "100-continue"])) +
			headers(1, true, block(["x", "y"])),
	];
	const words = ["\0\0\0", "\x01", "\x05", "\x09", ...talks];
	const said = (...command: string[]) => Bun.spawnSync(command).stdout.toString();
	const figure = (name: string) =>
		Number(/ +(\d+)/.exec(said("varnishstat", "-n", cache.directory, "-1", "-f", `MAIN.${name}`))?.[1]);

	test("nothing dies, and everything is given back", async () => {
		const random = new Random(9113);
		let begun = 0;
		const one = () =>
			new Promise<void>((resolve) => {
				const wire = PREFACE + settings() + mutate(random, talks, words);
				const cut = random.below(wire.length);
				const socket = dial(cache.port, "127.0.0.1", () => socket.write(wire.slice(0, cut), "latin1"));
				socket.on("error", () => {});
				socket.on("close", () => resolve());
				if (random.below(4) > 0) socket.resume();
				setTimeout(() => {
					socket.write(wire.slice(cut), "latin1");
					if (random.below(3) === 0) socket.end();
				}, random.below(5));
				setTimeout(() => socket.destroy(), 5 + random.below(40));
			});
		await Promise.all(
			Array.from({ length: AT_ONCE }, async () => {
				while (begun++ < CONNECTIONS) await one();
			}),
		);
		const limit = performance.now() + 15_000;
		const open = () => figure("sess_conn") - figure("sess_closed");
		const programs = () => said("varnishadm", "-n", cache.directory, "vcl.list");
		const isIdle = () => open() === 0 && / 0 +boot/.test(programs());
		while (!isIdle() && performance.now() < limit) await Bun.sleep(200);
		expect(open()).toBe(0);
		expect(programs()).toMatch(/ 0 +boot/);
		expect(said("varnishadm", "-n", cache.directory, "panic.show")).not.toContain("anic at");
		expect(figure("sess_conn")).toBeGreaterThan(CONNECTIONS);
	}, 60_000);
});

describe("how a connection becomes one of HTTP/2", () => {
	test("a preface in pieces", async () => {
		const socket = dial(cache.port, "127.0.0.1");
		const client = new Client(socket, PREFACE.slice(0, 5));
		await Bun.sleep(50);
		client.send(PREFACE.slice(5, 17));
		await Bun.sleep(50);
		client.send(PREFACE.slice(17), settings(), headers(1, true, ask("/pieces")));
		expect(await client.answer(1)).toBe("200 answer to /pieces");
		socket.destroy();
	});
	test("not behind a request of HTTP/1", async () => {
		const socket = dial(cache.port, "127.0.0.1");
		let text = "";
		socket.on("data", (bytes) => {
			text += bytes.toString("latin1");
		});
		socket.write(`GET /first HTTP/1.1\r\nHost: a\r\n\r\n${PREFACE}`);
		while (!text.includes("400 Bad Request")) await Bun.sleep(10);
		expect(text).toContain("answer to /first");
		socket.destroy();
	});
	test.each([
		["without Connection", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"],
		["without settings", "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n"],
		[
			"with settings that are none",
			"Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
		],
		[
			"to something else",
			"Connection: upgrade, http2-settings\r\nUpgrade: h2\r\nHTTP2-Settings: AAMAAABk\r\n",
		],
	])("an upgrade %s is none", async (_title, fields) => {
		const socket = dial(cache.port, "127.0.0.1");
		let text = "";
		socket.on("data", (bytes) => {
			text += bytes.toString("latin1");
		});
		socket.write(`GET /no-upgrade HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
		while (!text.includes("answer to /no-upgrade")) await Bun.sleep(10);
		expect(text).toStartWith("HTTP/1.1 200 OK");
		socket.destroy();
	});
	test("behind TLS by ALPN (RFC 9113 §3.2)", async () => {
		const socket = dialTls({
			host: "127.0.0.1",
			port: tlsPort,
			rejectUnauthorized: false,
			ALPNProtocols: ["h2", "http/1.1"],
		});
		await new Promise((resolve) => socket.once("secureConnect", resolve));
		expect(socket.alpnProtocol).toBe("h2");
		const client = new Client(socket);
		client.send(headers(1, true, ask("/tls")));
		expect(await client.answer(1)).toBe("200 answer to /tls");
		socket.destroy();
	});
	test("a client that says no more, and has left no room for its answer, is not waited for", async () => {
		const client = plain();
		client.send(headers(1, true, ask("/large/stalled")));
		await client.until(() => client.body(1).length === 65_535);
		client.socket.end();
		await client.until(() => client.closed);
		const later = plain();
		later.send(headers(1, true, ask("/large/stalled/2")));
		later.socket.end();
		await later.until(() => later.closed);
	});
	test("a client that says no more is answered in full", async () => {
		const client = plain();
		client.send(windowUpdate(0, 2 ** 30), settings([4, 2 ** 30]), headers(1, true, ask("/large/end")));
		client.socket.end();
		await client.answer(1);
		expect(client.body(1).length).toBe(LARGE_BYTES);
		await client.until(() => client.closed);
	});
});

describe("§10.5 what trickles in is no more alive than silence: timeout_idle is for the whole of it", () => {
	const head = headers(1, true, ask("/trickle"));
	const body = headers(1, false, ask("/never-trickle", "POST"));
	test.each<readonly [string, string, string]>([
		["a frame", PREFACE + settings(), head],
		[
			"a header block",
			PREFACE + settings() + frame(Frame.headers, 0, 1, ""),
			frame(Frame.continuation, 0, 1, "").repeat(9),
		],
		["a frame of a stream that is over", PREFACE + settings() + body + rst(1), data(1, "x".repeat(100))],
		[
			"the preface behind an upgrade",
			"GET /upgraded HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
			PREFACE,
		],
	])("%s", async (_title, before, slowly) => {
		const began = performance.now();
		const socket = dial(slow.port, "127.0.0.1");
		let isOver = false;
		socket.on("error", () => {});
		socket.on("end", () => {
			isOver = true;
		});
		socket.resume();
		socket.write(before, "latin1");
		for (let sent = 0; !isOver && sent < slowly.length; sent++) {
			await Bun.sleep(300);
			socket.write(slowly[sent]!, "latin1");
		}
		expect(isOver).toBe(true);
		expect(performance.now() - began).toBeLessThan(SLOW_IDLE_SECONDS * 1000 + 2000);
		socket.destroy();
	});
});

test("§6.8 who is connected when the cache is stopped is told which request was the last", async () => {
	const idle = new Client(dial(slow.port, "127.0.0.1"));
	idle.send(headers(1, true, ask("/last")));
	await idle.answer(1);
	const busy = new Client(dial(slow.port, "127.0.0.1"));
	busy.send(headers(1, true, ask("/first")), headers(3, true, ask("/never-stopped")));
	await busy.answer(1);
	await slow.stop();
	await idle.until(() => idle.has("GOAWAY 0 last 1 NO_ERROR"));
	await busy.until(() => busy.has("GOAWAY 0 last 3 NO_ERROR"));
});
