/** Streams that take nothing read short bodies from the store; a small store goes on taking what is new. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer, connect as dial, type Server } from "node:net";
import { PREFACE } from "../../../firmware/cache/http2/frame.ts";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";
import { headers, settings, windowUpdate } from "./client.ts";
import { ask, Client } from "./live-client.ts";

const BODY_BYTES = 10_000;
const STREAMS = 100;
let backend: Server;
let cache: RunningCache;

beforeAll(async () => {
	const port = await freePort();
	backend = createServer((socket) => {
		socket.on("error", () => {});
		socket.on("data", (head) => {
			const body = String(/GET (\S+)/.exec(head.toString())?.[1]).padEnd(BODY_BYTES, ".");
			socket.write(
				`HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\nContent-Length: ${BODY_BYTES}\r\n\r\n${body}`,
			);
		});
	});
	await new Promise<void>((resolve) => backend.listen(port, "127.0.0.1", resolve));
	const parameters = ["-p", "thread_pools=1", "-p", "feature=+http2"];
	cache = await startCache(drover, port, [...parameters, "-s", "malloc,1m"]);
}, 60_000);
afterAll(async () => {
	await cache?.stop();
	backend?.close();
});

const get = async (path: string) => {
	const answer = await fetch(`http://127.0.0.1:${cache.port}${path}`, { headers: { host: "a" } });
	await answer.arrayBuffer();
	return answer.headers.get("x-varnish")?.includes(" ") ? "hit" : "miss";
};

test("what streams wait with does not keep new objects out, and reaches them whole", async () => {
	const shut = new Client(dial(cache.port, "127.0.0.1"), PREFACE + settings([4, 0]));
	let hits = 0;
	for (let index = 0; index < STREAMS; index++) {
		await get(`/old/${index}`);
		const stream = 2 * index + 1;
		shut.send(headers(stream, true, ask(`/old/${index}`)));
		await shut.until(() => shut.field(stream, "x-varnish") !== undefined);
		if (shut.field(stream, "x-varnish")!.includes(" ")) hits++;
	}
	expect(hits).toBe(STREAMS);
	const again: string[] = [];
	for (let index = 0; index < 20; index++) {
		await get(`/new/${index}`);
		again.push(await get(`/new/${index}`));
	}
	expect(again).toEqual(Array.from({ length: 20 }, () => "hit"));
	shut.send(settings([4, BODY_BYTES]), windowUpdate(0, STREAMS * BODY_BYTES));
	for (let index = 0; index < STREAMS; index++)
		expect(await shut.answer(2 * index + 1)).toBe(`200 ${`/old/${index}`.padEnd(BODY_BYTES, ".")}`);
	shut.socket.destroy();
}, 30_000);
