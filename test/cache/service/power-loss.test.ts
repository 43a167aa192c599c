/**
 * `-s persistent` over a loss of power: what was purged or banned, and acknowledged, is gone. The disk is a file system in a file:
 * a copy of that file, made while the cache runs, is what would be left of it.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drover, type RunningCache, startCache } from "../../conformance/caches.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-power-"));
const mounted = join(directory, "mounted");
const vcl = join(directory, "power.vcl");
let origin: Bun.Server<undefined>;
let fetches = 0;
let cache: RunningCache | undefined;
let disk = 0;

function command(...words: string[]): void {
	const { exitCode, stderr } = Bun.spawnSync(words);
	if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${stderr}`);
}

const image = () => join(directory, `disk-${disk}`);

/** The disk as it is at this moment, in a new file. */
function copyDisk(): void {
	const from = image();
	disk++;
	copyFileSync(from, image());
}

beforeAll(() => {
	origin = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch(request) {
			fetches++;
			const { pathname } = new URL(request.url);
			return new Response(pathname.repeat(200), {
				headers: { "cache-control": "max-age=10000", xkey: `tag${pathname.slice(0, 2)}` },
			});
		},
	});
	writeFileSync(
		vcl,
		`vcl 4.1;
import purge;
import std;
import xkey;
backend default { .host = "127.0.0.1"; .port = "${origin.port}"; }
sub vcl_recv {
	if (req.method == "PURGE") { return (purge); }
	if (req.method == "BAN") { if (std.ban("req.url == " + req.url)) { return (synth(200)); } return (synth(500)); }
	if (req.method == "TAG") { return (synth(200 + xkey.purge(req.http.tag))); }
	if (req.method == "SOFT" || req.method == "HARD") { return (hash); }
}
sub vcl_hash { hash_data(req.url); return (lookup); }
sub vcl_hit {
	if (req.method == "SOFT") { set req.http.n = purge.soft(0s, 0s, 0s); return (synth(200)); }
	if (req.method == "HARD") { set req.http.n = purge.hard(); return (synth(200)); }
}
`,
	);
	command("truncate", "-s", "96M", image());
	command("mkfs.ext4", "-q", image());
	mkdirSync(mounted);
});

afterAll(async () => {
	await cache?.stop();
	Bun.spawnSync(["umount", "-l", mounted]);
	origin?.stop(true);
	rmSync(directory, { recursive: true, force: true });
});

async function start(): Promise<RunningCache> {
	command("mount", "-o", "loop", image(), mounted);
	const storage = ["-s", `persistent,${join(mounted, "store")},32m`];
	cache = await startCache(drover, 0, ["-f", vcl, ...storage, "-p", "thread_pools=2"]);
	return cache;
}

async function end(): Promise<void> {
	await cache?.stop();
	cache = undefined;
	command("umount", mounted);
}

/** The answer's status. */
function request(path: string, method = "GET", headers: Record<string, string> = {}): Promise<number> {
	const options = { host: "127.0.0.1", port: cache!.port, path, method, headers, agent: false };
	return new Promise((resolve, reject) => {
		const sent = httpRequest(options, (answer) => {
			answer.resume();
			answer.once("end", () => resolve(answer.statusCode ?? 0));
		});
		sent.once("error", reject);
		sent.end();
	});
}

/** Those of `paths` that have to be fetched. */
async function missing(paths: readonly string[]): Promise<string[]> {
	const gone: string[] = [];
	for (const path of paths) {
		const before = fetches;
		await request(path);
		if (fetches > before) gone.push(path);
	}
	return gone;
}

const ways: [way: string, gone: string[], purge: () => Promise<number>][] = [
	["return (purge)", ["/b1"], () => request("/b1", "PURGE")],
	["purge.hard()", ["/b2"], () => request("/b2", "HARD")],
	["purge.soft()", ["/b3"], () => request("/b3", "SOFT")],
	["std.ban()", ["/a2"], () => request("/a2", "BAN")],
	["a tag", ["/c1", "/c2", "/c3"], () => request("/", "TAG", { tag: "tag/c" })],
];

test.each(ways)(
	"purged by %s",
	async (_way, gone, purge) => {
		const paths = ["a", "b", "c"].flatMap((letter) => [1, 2, 3].map((index) => `/${letter}${index}`));
		await start();
		await missing(paths);
		command("sync", "-f", mounted);
		expect(Math.floor((await purge()) / 100)).toBe(2);
		copyDisk();
		await end();
		await start();
		expect(await missing(paths)).toEqual(gone);
		await end();
	},
	120_000,
);

test("forty at once: each is answered", async () => {
	await start();
	await missing(["/a1", "/a2"]);
	command("sync", "-f", mounted);
	// Many at once share what they wait for, and each is answered.
	await missing(Array.from({ length: 40 }, (_, index) => `/d${index}`));
	const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => request(`/d${index}`, "PURGE")));
	expect(new Set(answers)).toEqual(new Set([200]));
	await end();
}, 120_000);
