/** A body of unknown length to clients that take it by fits and starts: what waits for them keeps its order. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, createServer, type Server } from "node:net";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";

const CHUNKS = 400;
const CHUNK_BYTES = 60_000;
let origin: Server;
let cache: RunningCache;

/** No two chunks begin alike. */
const chunk = (index: number) => Buffer.alloc(CHUNK_BYTES, `${index} `);

beforeAll(async () => {
	const port = await freePort();
	origin = createServer((socket) => {
		socket.on("error", () => {});
		socket.on("data", async () => {
			socket.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\nTransfer-Encoding: chunked\r\n\r\n");
			for (let index = 0; index < CHUNKS; index++) {
				const bytes = Buffer.concat([
					Buffer.from(`${CHUNK_BYTES.toString(16)}\r\n`),
					chunk(index),
					Buffer.from("\r\n"),
				]);
				if (!socket.write(bytes)) await new Promise((resolve) => socket.once("drain", resolve));
			}
			socket.write("0\r\n\r\n");
		});
	});
	await new Promise<void>((resolve) => origin.listen(port, "127.0.0.1", resolve));
	cache = await startCache(drover, port, ["-s", "malloc,400m", "-p", "thread_pools=1"]);
}, 60_000);
afterAll(async () => {
	await cache?.stop();
	origin?.close();
});

/** The first place at which what came is no chunk, or no such body; "whole" when there is none. */
function verdict(received: Buffer): string {
	let at = received.indexOf("\r\n\r\n") + 4;
	const parts: Buffer[] = [];
	for (;;) {
		const end = received.indexOf("\r\n", at);
		const size = received.toString("latin1", at, end);
		if (!/^[0-9a-f]{1,8}$/.test(size)) return `at ${at}: ${JSON.stringify(size.slice(0, 20))} is no size`;
		const bytes = Number.parseInt(size, 16);
		if (bytes === 0) break;
		parts.push(received.subarray(end + 2, end + 2 + bytes));
		at = end + 2 + bytes;
		if (received.toString("latin1", at, at + 2) !== "\r\n") return `at ${at}: a chunk does not end`;
		at += 2;
	}
	const expected = Buffer.concat(Array.from({ length: CHUNKS }, (_, index) => chunk(index)));
	return Buffer.concat(parts).equals(expected) ? "whole" : "another body";
}

function take(path: string, burstBytes: number): Promise<string> {
	return new Promise((resolve, reject) => {
		const pieces: Buffer[] = [];
		let burst = 0;
		const socket = connect(cache.port, "127.0.0.1", () =>
			socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`),
		);
		socket.on("data", (piece: Buffer) => {
			pieces.push(piece);
			burst += piece.length;
			if (burst < burstBytes) return;
			burst = 0;
			socket.pause();
			setTimeout(() => socket.resume(), 4);
		});
		socket.on("end", () => resolve(verdict(Buffer.concat(pieces))));
		socket.on("error", reject);
	});
}

test("every chunk is where it belongs", async () => {
	for (let round = 0; round < 4; round++) {
		const bursts = [200_000, 400_000, 700_000, 1_100_000];
		const verdicts = await Promise.all(bursts.map((bytes) => take(`/${round}`, bytes)));
		expect(verdicts).toEqual(bursts.map(() => "whole"));
	}
}, 60_000);
