/** Bodies that are too large to be held are passed on whole, whatever is done to them on the way; nobody else waits. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-large-"));
/** A quarter of it may be held. */
const STORE = "malloc,16m";
/** Text that packs to about a third. */
const text = Buffer.from(
	Array.from({ length: 1_000_000 }, (_, index) => `${Math.imul(index, 0x9e3779b1) >>> 0}\n`).join(""),
);
const zeros = Buffer.alloc(96 * 1024 * 1024);
const bodies: Readonly<Record<string, Buffer>> = {
	"/text": text,
	"/text.gz": gzipSync(text),
	"/zeros.gz": gzipSync(zeros),
};
let origin: Bun.Server<undefined>;
let plain: Server;
let cache: RunningCache;
let sizeBytes = 0;
const connections = new Set<Socket>();

beforeAll(async () => {
	origin = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch(request) {
			const { pathname } = new URL(request.url);
			const name = pathname.replace(/^\/\w+(?=\/)/, "");
			return new Response(bodies[name] ?? "small", {
				headers: {
					"cache-control": "max-age=100",
					...(name.endsWith(".gz") ? { "content-encoding": "gzip" } : {}),
				},
			});
		},
	});
	// One that keeps its connections, and of which it is known how many there have been.
	plain = createServer((socket) => {
		connections.add(socket);
		socket.on("error", () => {});
		socket.on("data", (bytes) => {
			if (bytes.includes("POST ")) {
				// It answers what it does not read.
				socket.pause();
				socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
				setTimeout(() => socket.destroy(), 50);
				return;
			}
			const large = bytes.includes("GET /plain/large");
			const body = Buffer.alloc(large ? sizeBytes : 5, "x");
			socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
			socket.write(body);
		});
	});
	const plainPort = await freePort();
	await new Promise<void>((resolve) => plain.listen(plainPort, "127.0.0.1", resolve));
	const vcl = join(directory, "large.vcl");
	await Bun.write(
		vcl,
		`vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${origin.port}"; }
backend plain { .host = "127.0.0.1"; .port = "${plainPort}"; .first_byte_timeout = 3s; }
sub vcl_recv {
	if (req.url ~ "^/plain/") { set req.backend_hint = plain; return (pass); }
	if (req.url ~ "^/pass/") { return (pass); }
}
sub vcl_backend_response {
	if (bereq.url ~ "^/(pack|pass)/.*text$") { set beresp.do_gzip = true; }
	if (bereq.url ~ "^/unpack/") { set beresp.do_gunzip = true; }
}
`,
	);
	cache = await startCache(drover, 0, ["-f", vcl, "-s", STORE, "-p", "thread_pools=1"]);
}, 60_000);

afterAll(async () => {
	await cache?.stop();
	origin?.stop(true);
	plain?.close();
	for (const each of connections) each.destroy();
	rmSync(directory, { recursive: true, force: true });
});

const ask = async (path: string, encoding: string) => {
	const answer = await fetch(`http://127.0.0.1:${cache.port}${path}`, {
		headers: { "accept-encoding": encoding },
		decompress: false,
	});
	return { answer, body: Buffer.from(await answer.arrayBuffer()) };
};

test.each([
	["/pack/text", text],
	["/pass/text", text],
	["/unpack/text.gz", text],
	["/unpack/zeros.gz", zeros],
	["/stored/zeros.gz", zeros],
	["/pass/zeros.gz", zeros],
])(
	"%s: all of it, to who takes gzip and to who does not, first and again",
	async (path, expected) => {
		for (let count = 0; count < 2; count++) {
			const identity = await ask(path, "identity");
			expect(identity.answer.status).toBe(200);
			expect(identity.answer.headers.get("content-encoding")).toBeNull();
			expect(identity.body.equals(expected)).toBe(true);
			const { answer, body } = await ask(path, "gzip");
			expect(answer.status).toBe(200);
			const packed = answer.headers.get("content-encoding") === "gzip";
			expect(packed).toBe(!path.startsWith("/unpack"));
			expect((packed ? gunzipSync(body) : body).equals(expected)).toBe(true);
		}
	},
	60_000,
);

test("who is packed or unpacked for does not hold others up", async () => {
	await ask("/small", "identity");
	let over = false;
	const large = Promise.all(
		["/pack/text", "/unpack/zeros.gz", "/stored/zeros.gz"].map((path) => ask(`${path}?again`, "identity")),
	).then(() => {
		over = true;
	});
	const waitsMs: number[] = [];
	while (!over) {
		const before = performance.now();
		await ask("/small", "identity");
		waitsMs.push(performance.now() - before);
	}
	await large;
	expect(waitsMs.length).toBeGreaterThan(3);
	// Packing, unpacking or checking one of these on the spot takes hundreds of milliseconds.
	const sorted = waitsMs.sort((a, b) => a - b);
	expect(sorted[Math.floor(sorted.length / 2)]!).toBeLessThan(100);
}, 60_000);

/** Asks, reads nothing for a while, then everything. */
const slowly = (path: string) =>
	new Promise<number>((resolve, reject) => {
		let bytes = 0;
		void Bun.connect({
			hostname: "127.0.0.1",
			port: cache.port,
			socket: {
				async open(socket) {
					socket.pause();
					socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
					await Bun.sleep(150);
					socket.resume();
				},
				data(_socket, piece) {
					bytes += piece.length;
				},
				close: () => resolve(bytes),
				error: (_socket, error) => reject(error),
			},
		});
	});

test("a backend that had to wait for a slow client up to its last byte is read again for the next request", async () => {
	for (sizeBytes = 512 * 1024; sizeBytes <= 10 * 1024 * 1024; sizeBytes += 256 * 1024) {
		expect(await slowly("/plain/large")).toBeGreaterThan(sizeBytes);
		expect([sizeBytes, (await ask("/plain/small", "identity")).answer.status]).toEqual([sizeBytes, 200]);
	}
}, 60_000);

/** Sends a body that the backend does not read, and asks again on the same connection. "closed": it was told to go. */
const afterUpload = (bytes: number) =>
	new Promise<string>((resolve, reject) => {
		let got = "";
		let asked = false;
		const socket = connect(cache.port, "127.0.0.1", () => {
			socket.write(`POST /plain/deaf HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`);
			socket.write(Buffer.alloc(bytes, "y"));
		});
		const late = setTimeout(() => end("no answer"), 3000);
		const end = (outcome: string) => {
			clearTimeout(late);
			socket.destroy();
			resolve(outcome);
		};
		socket.on("data", (piece) => {
			got += piece.toString("latin1");
			if (/\r\nConnection: close\r\n/.test(got)) end("closed");
			else if (!asked && got.endsWith("ok")) {
				asked = true;
				socket.write("GET /plain/small HTTP/1.1\r\nHost: a\r\n\r\n");
			} else if (got.endsWith("xxxxx")) end("answered");
		});
		socket.on("close", () => end("closed"));
		socket.on("error", reject);
	});

test("a client that had to wait for a slow backend up to its last byte is heard again", async () => {
	const outcomes = new Map<string, number>();
	for (let bytes = 256 * 1024; bytes <= 8 * 1024 * 1024; bytes += 128 * 1024) {
		const outcome = await afterUpload(bytes);
		outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
	}
	expect(outcomes.get("no answer")).toBeUndefined();
	expect(outcomes.get("answered")).toBeGreaterThan(3);
}, 150_000);
