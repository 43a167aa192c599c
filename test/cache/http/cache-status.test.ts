/**
 * Why an answer is what it is: the Cache-Status field (RFC 9211) to clients, and `drover cache why` for the operator,
 * over a running cache and a real origin.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NOTHING_STORED } from "../../../firmware/cache/worker/cache-status.ts";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-status-"));
let origin: Bun.Server<undefined>;
let cache: RunningCache;
let unlucky = false;

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
	"/kept": { "cache-control": "max-age=1, must-revalidate", etag: '"a"' },
	"/unlucky": { "cache-control": "max-age=1, stale-if-error=100" },
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
			if (pathname === "/kept" && request.headers.has("if-none-match"))
				return new Response(null, { status: 304, headers: answers["/kept"]! });
			if (pathname === "/unlucky" && unlucky) return new Response(null, { status: 502 });
			const parts = '<a><esi:include src="/one"/><esi:include src="/two"/></a>';
			return new Response(pathname === "/page" ? parts : `hello ${pathname}`, {
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
backend nobody { .host = "127.0.0.1"; .port = "${await freePort()}"; }
sub vcl_recv {
	if (req.url == "/passed") { return (pass); }
	if (req.url == "/synth") { return (synth(200)); }
	if (req.url == "/nobody") { set req.backend_hint = nobody; }
	if (req.url == "/piped") { return (pipe); }
	if (req.url == "/broken") { set req.http.x = req.http.none + {"a
b"}; }
	if (req.http.refresh) { set req.hash_always_miss = true; }
}
sub vcl_hit { if (req.http.refuse) { return (synth(410)); } }
sub vcl_backend_fetch {
	if (bereq.url == "/abandoned") { return (abandon); }
	if (bereq.url == "/error") { return (error(404)); }
}
sub vcl_backend_response {
	set beresp.do_esi = bereq.url == "/page";
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

async function why(
	path: string,
	...fields: string[]
): Promise<{ status: number; answered: number; lines: string[] }> {
	const child = Bun.spawn(
		[...drover.slice(0, -1), "cache", "why", `http://127.0.0.1:${cache.port}${path}`, ...fields, "--json"],
		{ env: { ...process.env, DROVER_RUN_DIR: directory }, stdout: "pipe" },
	);
	const { status: answered, lines } = JSON.parse(await new Response(child.stdout).text()) as {
		status: number;
		lines: string[];
	};
	return { status: await child.exited, answered, lines };
}

test("a page with ESI tags is told as one, whether it is fetched or stored", async () => {
	const parts = "a page with 2 ESI includes, each a request of its own";
	const first = await why("/page");
	expect(first.lines[0]).toBe(`not from the cache: ${NOTHING_STORED}; ${parts}`);
	expect((await why("/page")).lines).toEqual([
		expect.stringMatching(/^hit: fresh for another \d+ s$/),
		parts,
	]);
});

describe("RFC 9211 §2", () => {
	test("a miss that is stored, then a hit with the rest of its lifetime", async () => {
		expect(await status("/fresh")).toBe(
			`"Drover"; fwd=uri-miss; fwd-status=200; stored; detail="${NOTHING_STORED}"`,
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
			`"Drover"; fwd=uri-miss; fwd-status=${code}; detail="${NOTHING_STORED}; not stored: ${reason}`,
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

	test("a 304 that confirmed what is stored, and an error that it was served in place of, are told as such", async () => {
		await status("/kept");
		await status("/unlucky");
		unlucky = true;
		await Bun.sleep(1100);
		expect(await status("/kept")).toStartWith('"Drover"; fwd=stale; fwd-status=304; stored; detail=');
		expect(await status("/unlucky")).toBe(
			`"Drover"; fwd=stale; fwd-status=502; detail="the stored object's lifetime of 1 s is over; the backend said 502; the stored answer is served (stale-if-error)"`,
		);
	});

	test("a ban's own words do not say how the miss is named", async () => {
		await status("/words");
		Bun.spawnSync([
			"varnishadm",
			"-n",
			cache.directory,
			"ban",
			"req.url == /words && obj.http.Vary != lifetime",
		]);
		expect(await status("/words")).toStartWith(
			'"Drover"; fwd=uri-miss; fwd-status=200; stored; detail="it was banned',
		);
	});

	test("what was made here has none", async () => {
		for (const path of ["/nobody", "/error", "/abandoned", "/synth", "/broken"])
			expect([path, await status(path)]).toEqual([path, null]);
	});

	test("two requests, one fetch: collapsed", async () => {
		const both = await Promise.all([status("/slow"), status("/slow")]);
		expect(both.sort()).toEqual([
			'"Drover"; fwd=uri-miss; collapsed',
			`"Drover"; fwd=uri-miss; fwd-status=200; stored; detail="${NOTHING_STORED}"`,
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
		expect(fresh.lines).toEqual([`not from the cache: ${NOTHING_STORED}`, "the answer is stored now"]);
	});

	test.each<[path: string, fields: string[], code: number, lines: (string | RegExp)[]]>([
		[
			"/nobody",
			[],
			503,
			[
				/^not from the cache: nothing is stored for it: .*; the fetch failed: backend nobody: .*Connection refused/,
				"the answer is not stored",
			],
		],
		[
			"/error",
			[],
			404,
			[/; the VCL said return \(error\(404\)\) in vcl_backend_fetch$/, "the answer is not stored"],
		],
		["/abandoned", [], 503, ["the answer was made here: the VCL said return (abandon) in vcl_backend_fetch"]],
		["/synth", [], 200, ["the answer was made here: the VCL said return (synth(200)) in vcl_recv"]],
		[
			"/broken",
			[],
			503,
			["the answer was made here: the VCL failed in vcl_recv (VCL_Error in the log says why)"],
		],
		["/fresh", ["Refuse: 1"], 410, ["the answer was made here: the VCL said return (synth(410)) in vcl_hit"]],
		["/piped", [], 200, [/^the answer has no Cache-Status field: the VCL piped it/]],
	])("an answer that no backend gave: %s %j", async (path, fields, code, expected) => {
		await status("/fresh");
		const { status: exit, lines, answered } = await why(path, ...fields);
		expect([exit, answered, lines.length]).toEqual([1, code, expected.length]);
		for (const [at, line] of expected.entries())
			if (typeof line === "string") expect(lines[at]).toBe(line);
			else expect(lines[at]).toMatch(line);
	});

	test("banned by which ban", async () => {
		await status("/why/banned");
		Bun.spawnSync(["varnishadm", "-n", cache.directory, "ban", "req.url ~ ^/why/b"]);
		expect((await why("/why/banned")).lines[0]).toBe(
			'not from the cache: it was banned by "req.url ~ ^/why/b"',
		);
	});
});
