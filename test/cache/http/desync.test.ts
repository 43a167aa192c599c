/**
 * Request smuggling (RFC 9112 §11.2) through real neighbours: nginx behind Drover, and nginx in front of it. The
 * hidden request of a vector must never reach anybody, and the next request on a shared connection gets its own answer.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";
import { desyncVectors, SMUGGLED } from "./desync-vectors.ts";
import { type Nginx, startNginx } from "./nginx.ts";
import { exchange } from "./raw-client.ts";

let behind: Nginx;
let front: Nginx;
let cache: RunningCache;
let frontPort: number;

beforeAll(async () => {
	const behindPort = await freePort();
	frontPort = await freePort();
	behind = await startNginx(
		behindPort,
		`server { listen 127.0.0.1:${behindPort}; location / { add_header Cache-Control no-store; return 200 "for $request_uri"; } }`,
	);
	cache = await startCache(drover, behindPort);
	front = await startNginx(
		frontPort,
		`upstream drover { server 127.0.0.1:${cache.port}; keepalive 1; }
		underscores_in_headers on; ignore_invalid_headers off;
		server { listen 127.0.0.1:${frontPort}; location / {
			proxy_pass http://drover; proxy_http_version 1.1; proxy_request_buffering off;
			proxy_set_header Connection ""; proxy_set_header Host $http_host; } }`,
	);
}, 60_000);

afterAll(async () => {
	await front?.stop();
	await cache?.stop();
	await behind?.stop();
});

const smuggled = () => behind.requests().filter((line) => line.includes(SMUGGLED));
let asked = 0;
/** A request of somebody else, through the same neighbours; it must get its own answer. */
async function bystander(port: number): Promise<void> {
	const target = `/bystander-${asked++}`;
	const { text } = await exchange(port, `GET ${target} HTTP/1.1\r\nHost: b\r\nCookie: a=b\r\n\r\n`, (so) =>
		so.includes(`for ${target}`),
	);
	expect(text).toStartWith("HTTP/1.1 200 ");
	expect(text).toEndWith(`for ${target}`);
}

describe("nginx behind", () => {
	for (const { title, wire, refusal } of desyncVectors)
		test(title, async () => {
			const { text, closed } = await exchange(cache.port, wire);
			expect(closed).toBe(true);
			if (refusal === "400") expect(text).toStartWith("HTTP/1.1 400 ");
			// One answer at most: a second would be the hidden request's.
			expect(text.match(/HTTP\/1\.1 \d/g)?.length ?? 0).toBeLessThanOrEqual(1);
			await bystander(cache.port);
			expect(smuggled()).toEqual([]);
		});
});

describe("nginx in front", () => {
	for (const { title, wire } of desyncVectors)
		test(title, async () => {
			// nginx may refuse it itself, or send it on as it understands it; then Drover must understand the same.
			await exchange(frontPort, wire, (text) => /^HTTP\/1\.1 \d.*\r\n\r\n/s.test(text));
			await bystander(frontPort);
			await bystander(frontPort);
		});
	test("what nginx behind was asked is what nginx in front had understood", () => {
		// nginx owes nobody our strictness: what it reads as two requests are two. But never more than it read.
		const understood = (nginx: Nginx) =>
			nginx
				.requests()
				.filter((line) => line.startsWith(`GET ${SMUGGLED} HTTP/1.1|`) && !line.endsWith("|400"));
		expect(understood(behind).length).toBeLessThanOrEqual(understood(front).length);
	});
});
