/** Clients that take their time (timeout_idle, idle_send_timeout, send_timeout of varnishd(1)): each costs a bounded while. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";

const BODY_BYTES = 32 * 1024 * 1024;
let origin: ReturnType<typeof Bun.serve>;
let cache: RunningCache;

beforeAll(async () => {
	origin = Bun.serve({
		port: await freePort(),
		hostname: "127.0.0.1",
		fetch: () => new Response(new Uint8Array(BODY_BYTES), { headers: { "Cache-Control": "max-age=100" } }),
	});
	cache = await startCache(drover, origin.port ?? 0, [
		"-p",
		"timeout_idle=1",
		"-p",
		"idle_send_timeout=2",
		"-p",
		"send_timeout=4",
	]);
}, 60_000);
afterAll(async () => {
	await cache?.stop();
	await origin?.stop(true);
});

/** Resolves when the cache ends the connection: a test whose cache never does runs into its own limit. */
const ended = (act: (socket: Socket) => void) =>
	new Promise<void>((resolve) => {
		const socket = connect(cache.port, "127.0.0.1", () => act(socket));
		socket.on("error", () => {});
		socket.on("close", () => resolve());
	});

/** A socket that does not read does not see its end, but it can be told when it writes. */
function lookForTheEnd(socket: Socket): void {
	const timer = setInterval(() => socket.write("\r\n"), 200);
	socket.on("close", () => clearInterval(timer));
}

describe("slow clients", () => {
	test.concurrent("one that says nothing", () => ended((socket) => socket.resume()), 20_000);

	test.concurrent(
		"one whose head trickles in, byte by byte, without end",
		() =>
			ended((socket) => {
				socket.resume();
				socket.write("GET / HTTP/1.1\r\nHost: a\r\nX: ");
				const timer = setInterval(() => socket.write("a"), 100);
				socket.on("close", () => clearInterval(timer));
			}),
		20_000,
	);

	test.concurrent(
		"one that asks for much and reads nothing",
		() =>
			ended((socket) => {
				socket.pause();
				socket.write("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
				// Until idle_send_timeout it is silent, too.
				setTimeout(() => lookForTheEnd(socket), 2_500);
			}),
		20_000,
	);

	test.concurrent(
		"one that reads nothing, and keeps sending to look alive",
		() =>
			ended((socket) => {
				socket.pause();
				socket.write("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
				lookForTheEnd(socket);
			}),
		20_000,
	);

	test("others are served meanwhile and afterwards", async () => {
		const answer = await fetch(`http://127.0.0.1:${cache.port}/big`);
		expect((await answer.arrayBuffer()).byteLength).toBe(BODY_BYTES);
	}, 20_000);
});
