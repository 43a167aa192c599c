/** Requests that wait for backends have a bound (thread_pool_max), over HTTP/1 and HTTP/2 alike; hits are beside it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer, connect as dial, type Server } from "node:net";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";
import { headers, rst } from "../http2/client.ts";
import { ask, Client } from "../http2/live-client.ts";

/** The least that thread_pool_max may be. */
const BOUND = 100;
const DISTINCT = 60;
let backend: Server;
let cache: RunningCache;
let silent = 0;

beforeAll(async () => {
	const port = await freePort();
	backend = createServer((socket) => {
		socket.on("error", () => {});
		socket.on("data", (head) => {
			if (head.includes("GET /silent")) silent++;
			else socket.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\nContent-Length: 2\r\n\r\nok");
		});
	});
	await new Promise<void>((resolve) => backend.listen(port, "127.0.0.1", resolve));
	const settings = { thread_pools: 1, thread_pool_max: BOUND, feature: "+http2" };
	cache = await startCache(
		drover,
		port,
		Object.entries(settings).flatMap(([name, value]) => ["-p", `${name}=${value}`]),
	);
}, 60_000);
afterAll(async () => {
	await cache?.stop();
	backend?.close();
});

const figure = (name: string) => {
	const said = Bun.spawnSync(["varnishstat", "-n", cache.directory, "-1", "-f", `MAIN.${name}`]);
	return Number(/ +(\d+)/.exec(said.stdout.toString())?.[1]);
};
const status = async (path: string) =>
	(await fetch(`http://127.0.0.1:${cache.port}${path}`, { headers: { host: "a" } })).status;

test("one more is answered 503, what is stored is served, and who goes makes room", async () => {
	expect(await status("/stored")).toBe(200);
	const client = new Client(dial(cache.port, "127.0.0.1"));
	const streams = Array.from({ length: BOUND - 1 }, (_, index) => 2 * index + 1);
	// The first is fetched, too, and the others like it wait for that fetch.
	client.send(
		...streams.map((stream, index) =>
			headers(stream, true, ask(`/silent/${index < DISTINCT ? index : "same"}`)),
		),
	);
	const passed = dial(cache.port, "127.0.0.1");
	passed.on("error", () => {});
	passed.write("GET /silent/passed HTTP/1.1\r\nHost: a\r\nCookie: a\r\n\r\n");
	while (silent < DISTINCT + 2) await Bun.sleep(5);

	expect(await status("/another")).toBe(503);
	expect(await status("/silent/same")).toBe(503);
	const other = new Client(dial(cache.port, "127.0.0.1"));
	other.send(headers(1, true, ask("/another")), headers(3, true, ask("/stored")));
	expect(await other.answer(1)).toStartWith("503 ");
	expect(await other.answer(3)).toBe("200 ok");
	expect(await status("/stored")).toBe(200);
	// Shown now and then.
	for (let tries = 0; tries < 100 && figure("fetch_no_thread") === 0; tries++) await Bun.sleep(50);
	expect(figure("fetch_no_thread")).toBe(3);

	// Who waits for another one's fetch, and who has a fetch of its own: both make room.
	passed.resetAndDestroy();
	client.send(rst(streams.at(-1)!), rst(streams.at(-2)!));
	await Bun.sleep(100);
	expect(await status("/another")).toBe(200);
	const again = [1, 3, 5].map((stream) => headers(stream, true, ask(`/silent/again/${stream}`)));
	const late = new Client(dial(cache.port, "127.0.0.1"));
	late.send(...again, headers(7, true, ask("/late")));
	expect(await late.answer(7)).toStartWith("503 ");
	expect([1, 3, 5].map((stream) => late.ended(stream))).toEqual([false, false, false]);
	for (const { socket } of [client, other, late]) socket.destroy();
}, 30_000);
