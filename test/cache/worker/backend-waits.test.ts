/** Requests that wait for backends have a bound, over HTTP/1 and HTTP/2 alike; hits are beside it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { Frame } from "../../../firmware/cache/http2/frame.ts";
import { BodyBudget } from "../../../firmware/cache/worker/body-budget.ts";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";
import { headers, rst } from "../http2/client.ts";
import { ask, Client } from "../http2/live-client.ts";

/** The least that thread_pool_max may be. */
const BOUND = 100;
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
	cache = await startCache(drover, port, [
		"-s",
		"malloc,20m",
		...Object.entries(settings).flatMap(([name, value]) => ["-p", `${name}=${value}`]),
	]);
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

/** Shown now and then. */
async function counted(name: string, expected: number): Promise<number> {
	for (let tries = 0; tries < 100 && figure(name) < expected; tries++) await Bun.sleep(50);
	return figure(name);
}

test("one fetch more is answered 503, what is stored is served, and who goes makes room", async () => {
	expect(await status("/stored")).toBe(200);
	const client = new Client(dial(cache.port, "127.0.0.1"));
	const streams = Array.from({ length: BOUND - 2 }, (_, index) => 2 * index + 1);
	client.send(...streams.map((stream) => headers(stream, true, ask(`/silent/${stream}`))));
	const [passed, sleeper] = ["passed", "1"].map((name) => {
		const socket = dial(cache.port, "127.0.0.1").on("error", () => {});
		const cookie = name === "passed" ? "Cookie: a\r\n" : "";
		socket.write(`GET /silent/${name} HTTP/1.1\r\nHost: a\r\n${cookie}\r\n`);
		return socket;
	}) as [Socket, Socket];
	client.send(headers(2 * BOUND + 1, true, ask("/silent/last")));
	while (silent < BOUND) await Bun.sleep(5);

	expect(await status("/another")).toBe(503);
	const other = new Client(dial(cache.port, "127.0.0.1"));
	other.send(headers(1, true, ask("/another")), headers(3, true, ask("/stored")));
	expect(await other.answer(1)).toStartWith("503 ");
	expect(await other.answer(3)).toBe("200 ok");
	expect(await status("/stored")).toBe(200);
	expect(await counted("fetch_no_thread", 2)).toBe(2);

	passed.resetAndDestroy();
	await Bun.sleep(100);
	expect(await status("/another")).toBe(200);
	for (const { socket } of [client, other]) socket.destroy();
	sleeper.resetAndDestroy();
}, 30_000);

test("so are requests that wait for the fetch of another one, and who goes makes room", async () => {
	const STREAMS = 100;
	const numbers = Array.from({ length: STREAMS }, (_, index) => 2 * index + 1);
	const bound = new BodyBudget(0).waitingRequests;
	const clients: Client[] = [];
	const answered = () =>
		clients.reduce((sum, { heard }) => sum + heard.filter(({ type }) => type === Frame.headers).length, 0);
	const before = silent;
	const first = new Client(dial(cache.port, "127.0.0.1"));
	first.send(headers(1, true, ask("/silent/same")));
	while (silent === before) await Bun.sleep(5);
	// One more client than there is room for.
	while (clients.length * STREAMS < bound + STREAMS) {
		const client = new Client(dial(cache.port, "127.0.0.1"));
		clients.push(client);
		client.send(...numbers.map((stream) => headers(stream, true, ask("/silent/same"))));
	}
	const last = clients.at(-1)!;
	await last.until(() => answered() >= clients.length * STREAMS - bound);
	const refused = clients.length * STREAMS - bound;
	expect(await counted("busy_killed", refused)).toBe(refused);
	expect(await status("/stored")).toBe(200);
	expect(await status("/silent/same")).toBe(503);
	const waiting = clients[0]!;
	waiting.send(...numbers.slice(0, 2).map((stream) => rst(stream)));
	await Bun.sleep(100);
	const late = new Client(dial(cache.port, "127.0.0.1"));
	late.send(...[1, 3, 5].map((stream) => headers(stream, true, ask("/silent/same"))));
	expect(await late.answer(5)).toStartWith("503 ");
	expect([late.ended(1), late.ended(3)]).toEqual([false, false]);
	for (const { socket } of [...clients, first, late]) socket.destroy();
}, 30_000);
