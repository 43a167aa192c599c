/** What has become of an object, as a client of a cache with Cache-Status is told: over a running cache of two workers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NOTHING_STORED } from "../../../firmware/cache/worker/cache-status.ts";
import { drover, type RunningCache, startCache } from "../../conformance/caches.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-departures-"));
let origin: Bun.Server<undefined>;
let cache: RunningCache;

beforeAll(async () => {
	origin = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch(request) {
			const { pathname } = new URL(request.url);
			const headers = { "cache-control": "max-age=1000", xkey: `tag ${pathname}` };
			if (pathname === "/short") headers["cache-control"] = "max-age=1";
			if (pathname === "/uncacheable") headers["cache-control"] = "no-store";
			return new Response(pathname.startsWith("/filler") ? new Uint8Array(5000) : pathname, { headers });
		},
	});
	const vcl = join(directory, "departures.vcl");
	writeFileSync(
		vcl,
		`vcl 4.1;
import xkey;
backend default { .host = "127.0.0.1"; .port = "${origin.port}"; }
sub vcl_recv {
	if (req.method == "PURGE") { return (purge); }
	if (req.method == "TAG") { return (synth(200 + xkey.purge(req.url))); }
}
sub vcl_backend_response {
	set beresp.grace = 0s;
	set beresp.keep = 0s;
	if (bereq.url == "/uncacheable") { set beresp.uncacheable = true; set beresp.ttl = 2s; return (deliver); }
}
`,
	);
	const bans = ["-p", "ban_lurker_age=0", "-p", "ban_lurker_sleep=0.01"];
	const size = ["-s", "malloc,1m", "-p", "shortlived=0"];
	cache = await startCache(drover, 0, [
		"-f",
		vcl,
		"--cache-status",
		"-p",
		"thread_pools=2",
		...size,
		...bans,
	]);
}, 60_000);

afterAll(async () => {
	await cache?.stop();
	origin?.stop(true);
	rmSync(directory, { recursive: true, force: true });
});

/** Each request over a connection of its own: either worker may have it. (fetch() has no methods of one's own.) */
function request(path: string, method = "GET"): Promise<string> {
	const options = { host: "127.0.0.1", port: cache.port, path, method, agent: false };
	return new Promise((resolve, reject) => {
		const sent = httpRequest(options, (answer) => {
			answer.resume();
			answer.once("end", () => resolve(String(answer.headers["cache-status"] ?? "")));
		});
		sent.once("error", reject);
		sent.end();
	});
}

const administer = (...words: string[]) =>
	Bun.spawnSync(["varnishadm", "-n", cache.directory, ...words]).stdout.toString();

const detail = async (path: string) => /detail="(.*)"/.exec(await request(path))?.[1]?.replaceAll("\\", "");

test("never asked for", async () => expect(await detail("/never")).toBe(NOTHING_STORED));

test("purged, by its URL and by a tag", async () => {
	for (const [path, method] of [
		["/purged", "PURGE"],
		["/tagged", "TAG"],
	] as const) {
		await request(path);
		expect(await request(path)).toContain("; hit;");
		await request(path, method);
		expect(await detail(path)).toMatch(/^it was purged [0-2] s ago$/);
		expect(await request(path)).toContain("; hit;");
	}
});

test("changed by a request", async () => {
	await request("/changed");
	await request("/changed", "DELETE");
	expect(await detail("/changed")).toMatch(/^a request that changes it took it out [0-2] s ago \(RFC 9111/);
});

test("expired, and when", async () => {
	await request("/short");
	await Bun.sleep(1200);
	expect(await detail("/short")).toMatch(/^it expired: lifetime, grace and keep were over [01] s ago$/);
	await Bun.sleep(4000);
	expect(await detail("/short")).toMatch(/^it expired: lifetime, grace and keep were over [2-4] s ago$/);
});

test("banned, and by which ban, though the ban is no more", async () => {
	for (const path of ["/red", "/green", "/blue"]) await request(path);
	administer("ban", "obj.http.xkey", "~", "red");
	administer("ban", "obj.http.xkey", "~", "green");
	const until = Date.now() + 20_000;
	while (/red/.test(administer("ban.list")) && Date.now() < until) await Bun.sleep(50);
	expect(administer("ban.list")).not.toContain("red");
	expect(await detail("/red")).toMatch(/^it was banned by "obj\.http\.xkey ~ red", and taken out \d+ s ago$/);
	expect(await request("/blue")).toContain("; hit;");
});

test("evicted", async () => {
	for (let index = 0; index < 20; index++) await request(`/evicted/${index}`);
	for (let index = 0; index < 300; index++) await request(`/filler/${index}`);
	const details: (string | undefined)[] = [];
	for (let index = 0; index < 20; index++) details.push(await detail(`/evicted/${index}`));
	const evicted = details.filter((each) =>
		/^it was evicted \d+ s ago: others needed the room$/.test(each ?? ""),
	);
	expect(evicted.length).toBeGreaterThan(10);
	// Others have their places in the table.
	for (const each of details) if (!evicted.includes(each)) expect(each).toBe(NOTHING_STORED);
});

test("what was no more than a mark that it may not be cached is not missed", async () => {
	await request("/uncacheable");
	expect(await detail("/uncacheable")).toContain("hit-for-miss");
	await Bun.sleep(4500);
	expect(await detail("/uncacheable")).toStartWith(NOTHING_STORED);
});
