/**
 * Why an answer is what it is: the Cache-Status field (RFC 9211) to clients, and `drover cache why` for the operator,
 * over a running cache and a real origin.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drover, type RunningCache, startCache } from "../../conformance/caches.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-status-"));
let origin: Bun.Server<undefined>;
let cache: RunningCache;

/** What the origin answers with, by path. */
const answers: Readonly<Record<string, Record<string, string>>> = {
	"/fresh": { "cache-control": "max-age=100" },
	"/set-cookie": { "cache-control": "max-age=100", "set-cookie": "a=b" },
	"/max-age": { "cache-control": "max-age=0" },
	"/s-maxage": { "cache-control": "max-age=100, s-maxage=0" },
	"/expires": { expires: "Thu, 01 Jan 1970 00:00:00 GMT" },
	"/private": { "cache-control": "private" },
	"/vary": { "cache-control": "max-age=100", vary: "Accept-Language" },
	"/any": { "cache-control": "max-age=100", vary: "*" },
	"/banned": { "cache-control": "max-age=100", "x-tag": "red" },
	"/stale": { "cache-control": "max-age=1, must-revalidate" },
	"/vcl": { "cache-control": "max-age=100" },
	"/teapot": {},
};

beforeAll(async () => {
	origin = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		async fetch(request) {
			const { pathname } = new URL(request.url);
			if (pathname === "/slow") {
				await Bun.sleep(300);
				return new Response(
					new ReadableStream({
						async start(body) {
							body.enqueue(new Uint8Array(100_000));
							await Bun.sleep(500);
							body.enqueue(new Uint8Array(100_000));
							body.close();
						},
					}),
					{ headers: { "cache-control": "max-age=100" } },
				);
			}
			return new Response(`hello ${pathname}`, {
				status: pathname === "/teapot" ? 418 : 200,
				headers: answers[pathname] ?? { "cache-control": "max-age=100" },
			});
		},
	});
	const vcl = join(directory, "status.vcl");
	writeFileSync(
		vcl,
		`vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${origin.port}"; }
sub vcl_recv {
	if (req.url == "/passed") { return (pass); }
	if (req.url == "/synth") { return (synth(200)); }
	if (req.http.refresh) { set req.hash_always_miss = true; }
}
sub vcl_backend_response {
	if (bereq.url == "/vcl") { set beresp.uncacheable = true; }
}
`,
	);
	cache = await startCache(drover, 0, ["-f", vcl, "--cache-status", "-p", "thread_pools=1"]);
}, 60_000);

afterAll(async () => {
	await cache?.stop();
	origin?.stop(true);
	rmSync(directory, { recursive: true, force: true });
});

async function status(
	path: string,
	headers: Record<string, string> = {},
	method = "GET",
): Promise<string | null> {
	const answer = await fetch(`http://127.0.0.1:${cache.port}${path}`, { headers, method });
	await answer.arrayBuffer();
	return answer.headers.get("cache-status");
}

async function why(path: string, ...fields: string[]): Promise<{ status: number; lines: string[] }> {
	const child = Bun.spawn(
		[...drover.slice(0, -1), "cache", "why", `http://127.0.0.1:${cache.port}${path}`, ...fields, "--json"],
		{ env: { ...process.env, DROVER_RUN_DIR: directory }, stdout: "pipe" },
	);
	const { lines } = JSON.parse(await new Response(child.stdout).text()) as { lines: string[] };
	return { status: await child.exited, lines };
}

describe("RFC 9211 §2", () => {
	test("a miss that is stored, then a hit with the rest of its lifetime", async () => {
		expect(await status("/fresh")).toBe(
			'"Drover"; fwd=uri-miss; fwd-status=200; stored; detail="nothing is stored for it yet"',
		);
		expect(await status("/fresh")).toMatch(/^"Drover"; hit; ttl=(100|99|98)$/);
	});

	test.each<[path: string, headers: Record<string, string>, method: string, forward: string, detail: string]>(
		[
			["/fresh", { cookie: "a=b" }, "GET", "bypass", "the request carries a Cookie"],
			["/fresh", { authorization: "Basic eA==" }, "GET", "bypass", "the request carries Authorization"],
			["/fresh", {}, "POST", "method", "method POST is not cached"],
			["/passed", {}, "GET", "bypass", "the VCL said return (pass) in vcl_recv"],
		],
	)("a pass: %s %j %s", async (path, headers, method, forward, detail) => {
		expect(await status(path, headers, method)).toBe(
			`"Drover"; fwd=${forward}; fwd-status=200; detail="${detail}"`,
		);
	});

	test.each<[path: string, reason: string]>([
		["/set-cookie", "Set-Cookie"],
		["/max-age", "Cache-Control: max-age=0"],
		["/s-maxage", "Cache-Control: s-maxage=0"],
		["/expires", "Expires: Thu, 01 Jan 1970 00:00:00 GMT"],
		["/private", "Cache-Control: private"],
		["/any", "Vary: *"],
		["/teapot", "status 418 is not cacheable"],
		["/vcl", "the VCL set beresp.uncacheable"],
	])("an answer that is not stored: %s, %s; the next is hit-for-miss", async (path, reason) => {
		const code = path === "/teapot" ? 418 : 200;
		const first = await status(path);
		expect(first).toStartWith(
			`"Drover"; fwd=uri-miss; fwd-status=${code}; detail="nothing is stored for it yet; not stored: ${reason}`,
		);
		expect(await status(path)).toStartWith(
			`"Drover"; fwd=bypass; fwd-status=${code}; detail="hit-for-miss: an earlier answer was not cacheable; not stored: ${reason}`,
		);
	});

	test("another variant, by the field that differs", async () => {
		await status("/vary", { "accept-language": "de" });
		expect(await status("/vary", { "accept-language": "fr" })).toBe(
			'"Drover"; fwd=vary-miss; fwd-status=200; stored; detail="only other variants are stored (Vary: accept-language)"',
		);
	});

	test("banned, by which ban", async () => {
		await status("/banned");
		Bun.spawnSync([
			"varnishadm",
			"-n",
			cache.directory,
			"ban",
			'req.url == /banned && obj.http.x-tag == "red"',
		]);
		expect(await status("/banned")).toBe(
			'"Drover"; fwd=uri-miss; fwd-status=200; stored; detail="it was banned by \\"req.url == /banned && obj.http.x-tag == red\\""',
		);
	});

	test("too old; a fresh one is asked for; the VCL's own answer has none", async () => {
		await status("/stale");
		await Bun.sleep(1100);
		expect(await status("/stale")).toStartWith(
			'"Drover"; fwd=stale; fwd-status=200; stored; detail="the stored',
		);
		await status("/fresh");
		expect(await status("/fresh", { refresh: "1" })).toStartWith(
			'"Drover"; fwd=request; fwd-status=200; stored',
		);
		expect(await status("/synth")).toBeNull();
	});

	test("two requests, one fetch: collapsed", async () => {
		const both = await Promise.all([status("/slow"), status("/slow")]);
		expect(both.sort()).toEqual([
			'"Drover"; fwd=uri-miss; collapsed',
			'"Drover"; fwd=uri-miss; fwd-status=200; stored; detail="nothing is stored for it yet"',
		]);
	});
});

describe("drover cache why", () => {
	test("says each of them in words, and succeeds only for a hit", async () => {
		await status("/why");
		const [hit, cookie, setCookie, lifetime, variant, fresh] = await Promise.all([
			why("/why"),
			why("/why", "Cookie: a=b"),
			why("/set-cookie"),
			why("/max-age"),
			why("/vary", "Accept-Language: es"),
			why("/new"),
		]);
		expect(hit.status).toBe(0);
		expect(hit.lines[0]).toMatch(/^hit: fresh for another \d+ s$/);
		expect(cookie.status).toBe(1);
		expect(cookie.lines[0]).toBe("not from the cache: the request carries a Cookie");
		expect(setCookie.lines).toEqual([
			"not from the cache: hit-for-miss: an earlier answer was not cacheable",
			"the answer is not stored",
			"it may not be: Set-Cookie",
		]);
		expect(lifetime.lines[2]).toBe("it may not be: Cache-Control: max-age=0");
		expect(variant.lines[0]).toContain("only other variants are stored (Vary: accept-language)");
		expect(fresh.lines).toEqual([
			"not from the cache: nothing is stored for it yet",
			"the answer is stored now",
		]);
	});

	test("banned by which ban", async () => {
		await status("/why/banned");
		Bun.spawnSync(["varnishadm", "-n", cache.directory, "ban", "req.url ~ ^/why/b"]);
		expect((await why("/why/banned")).lines[0]).toBe(
			'not from the cache: it was banned by "req.url ~ ^/why/b"',
		);
	});
});
