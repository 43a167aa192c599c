/** RFC 9112 §9.6: a connection ends so that its client has the last answer, whatever it is sending meanwhile. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Frame, frame, PREFACE } from "../../../firmware/cache/http2/frame.ts";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";
import { settings } from "../http2/client.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-end-"));
const socketPath = join(directory, "front.sock");
const PIPED_BYTES = 8 * 1024 * 1024;
const piped = Buffer.alloc(PIPED_BYTES, "0123456789abcdefghi");
let origin: Server;
let cache: RunningCache;

beforeAll(async () => {
	const port = await freePort();
	origin = createServer({ allowHalfOpen: true }, (socket) => {
		socket.on("error", () => {});
		let text = "";
		socket.on("data", (bytes) => {
			text += bytes.toString("latin1");
			if (text.startsWith("GET /large")) {
				text = "";
				socket.end(Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n\r\n"), piped]));
			} else if (text.includes("\r\n\r\n")) socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
		});
	});
	await new Promise<void>((resolve) => origin.listen(port, "127.0.0.1", resolve));
	const vcl = join(directory, "ends.vcl");
	writeFileSync(
		vcl,
		`vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${port}"; }
sub vcl_recv {
	if (req.url == "/refused") { return (synth(403)); }
	if (req.url == "/last") { return (synth(200)); }
	return (pipe);
}
sub vcl_synth { if (req.url == "/last") { set resp.http.Connection = "close"; } }
`,
	);
	cache = await startCache(drover, 0, ["-f", vcl, "-a", socketPath, "-p", "feature=+http2"], [socketPath]);
}, 60_000);
afterAll(async () => {
	await cache?.stop();
	origin?.close();
	rmSync(directory, { recursive: true, force: true });
});

interface Ended {
	readonly text: string;
	readonly error: string | undefined;
}

/** Sends `wire`; when the server has said all, `afterwards` decides what else is sent. Resolves when the connection is closed. */
function talk(place: number | string, wire: string, afterwards: (socket: Socket) => void): Promise<Ended> {
	return new Promise((resolve) => {
		let text = "";
		let error: string | undefined;
		const options = { allowHalfOpen: true };
		const socket =
			typeof place === "number"
				? connect({ port: place, host: "127.0.0.1", ...options })
				: connect({ path: place, ...options });
		socket.on("connect", () => socket.write(wire, "latin1"));
		socket.on("data", (bytes) => {
			text += bytes.toString("latin1");
		});
		socket.on("end", () => afterwards(socket));
		socket.on("error", ({ code }: NodeJS.ErrnoException) => {
			error = code;
		});
		socket.on("close", () => resolve({ text, error }));
	});
}

const post = (path: string, framing: string) => `POST ${path} HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`;
const MEGABYTES_2 = "x".repeat(2 * 1024 * 1024);
const cases: readonly (readonly [title: string, wire: string, answer: RegExp])[] = [
	["what is no request", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", /^HTTP\/1\.1 400 .*\r\n\r\n$/s],
	["an expectation that is not met", post("/", "Content-Length: 9\r\nExpect: tea"), /^HTTP\/1\.1 417 /],
	["a long body that nobody wants", post("/refused", "Content-Length: 4000000"), /^HTTP\/1\.1 403 /],
	[
		"an endless body that nobody wants",
		`${post("/refused", "Transfer-Encoding: chunked")}200000\r\n${MEGABYTES_2}`,
		/^HTTP\/1\.1 403 .*<\/html>\n$/s,
	],
	["an answer that says so", "GET /last HTTP/1.1\r\nHost: a\r\n\r\n", /^HTTP\/1\.1 200 /],
	["a pipe whose backend ends", post("/pipe", "Content-Length: 900000"), /^HTTP\/1\.1 200 .*ok$/s],
	[
		"HTTP/2 with a mistake in it",
		PREFACE + settings() + frame(Frame.data, 0, 0, "x"),
		/\x00\x00.\x07\x00\x00\x00\x00\x00/s,
	],
];

describe("who goes on sending behind it is not reset", () => {
	const sendOn = (socket: Socket) => {
		let pieces = 8;
		const timer = setInterval(() => {
			if (socket.destroyed || --pieces === 0) clearInterval(timer);
			if (pieces === 0) socket.end();
			else socket.write("y".repeat(4096));
		}, 20);
	};
	for (const [title, wire, answer] of cases) {
		test(title, async () => {
			for (const place of [cache.port, socketPath]) {
				const { text, error } = await talk(place, wire, sendOn);
				expect(error).toBeUndefined();
				expect(text).toMatch(answer);
			}
		});
	}
});

describe("it is not waited for for ever", () => {
	const bad = "GET / HTTP/1.1\r\nHost : a\r\n\r\n";

	test("who never stops is closed after two seconds", async () => {
		const started = performance.now();
		const { error } = await talk(cache.port, bad, (socket) => {
			const timer = setInterval(() => {
				if (socket.destroyed) clearInterval(timer);
				else socket.write("y");
			}, 50);
		});
		const seconds = (performance.now() - started) / 1000;
		expect(error).toBeDefined();
		expect(seconds).toBeGreaterThan(1.9);
		expect(seconds).toBeLessThan(5);
	});

	test("who sends much is closed before", async () => {
		const piece = Buffer.alloc(1 << 20);
		let sent = 0;
		const { error } = await talk(cache.port, bad, (socket) => {
			const more = () => {
				if (socket.destroyed) return;
				sent += piece.length;
				socket.write(piece, more);
			};
			more();
		});
		expect(error).toBeDefined();
		expect(sent).toBeGreaterThan(16 * piece.length);
		expect(sent).toBeLessThan(64 * piece.length);
	});
});

test("a pipe's last bytes reach a client that is slower than its backend", async () => {
	for (const half of [false, true]) {
		const pieces: Buffer[] = [];
		await new Promise<void>((resolve, reject) => {
			const socket = connect({ path: socketPath, allowHalfOpen: true }, () => {
				socket.write("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
				if (half) socket.end();
			});
			let burst = 0;
			socket.on("data", (bytes: Buffer) => {
				pieces.push(bytes);
				burst += bytes.length;
				if (burst < 60_000) return;
				burst = 0;
				socket.pause();
				setTimeout(() => socket.resume(), 3);
			});
			socket.on("end", () => {
				socket.end();
				resolve();
			});
			socket.on("error", reject);
		});
		const received = Buffer.concat(pieces);
		expect(received.length - received.indexOf("\r\n\r\n") - 4).toBe(PIPED_BYTES);
		expect(received.subarray(-PIPED_BYTES).equals(piped)).toBe(true);
	}
});
