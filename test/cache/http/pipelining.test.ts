/** RFC 9112 §9.3.2: answers to pipelined requests come in order, all of them, and to nobody else. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";
import { exchange } from "./raw-client.ts";

/** Three of them are more than leaves in one write. */
const BODY_BYTES = 90_000;
let origin: ReturnType<typeof Bun.serve>;
let cache: RunningCache;

beforeAll(async () => {
	origin = Bun.serve({
		port: await freePort(),
		hostname: "127.0.0.1",
		fetch: (request) =>
			new Response((new URL(request.url).pathname === "/other" ? "o" : "x").repeat(BODY_BYTES), {
				headers: { "Cache-Control": "max-age=1000" },
			}),
	});
	cache = await startCache(drover, origin.port ?? 0);
}, 60_000);
afterAll(async () => {
	await cache?.stop();
	await origin?.stop(true);
});

const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const bodies = (text: string, letter: string) => text.split(letter.repeat(BODY_BYTES)).length - 1;

test("hits that are together longer than what is gathered for one write", async () => {
	const first = (path: string, letter: string) =>
		exchange(cache.port, ask(path), (text) => bodies(text, letter) === 1);
	await first("/pipelined", "x");
	await first("/other", "o");
	for (let count = 1; count <= 12; count++) {
		const { text } = await exchange(
			cache.port,
			ask("/pipelined").repeat(count),
			(got) => bodies(got, "x") === count,
		);
		expect(text.match(/HTTP\/1\.1 200/g)?.length).toBe(count);
		const other = await first("/other", "o");
		expect(other.text.match(/HTTP\/1\.1 200/g)?.length).toBe(1);
		expect(bodies(other.text, "x")).toBe(0);
	}
}, 60_000);
