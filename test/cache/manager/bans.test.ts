/** Bans and purges, with several workers: once one has been answered nobody is given what it covers, whoever answers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drover, type RunningCache, startCache } from "../../conformance/caches.ts";
import { eventually } from "../../lab/netns/network.ts";

const folder = mkdtempSync(join(tmpdir(), "drover-bans-"));
/** Grows before each ban; the origin answers with it, a little later. */
let version = 1;
const ORIGIN_DELAY_MS = 8;
const origin = Bun.serve({
	port: 0,
	hostname: "127.0.0.1",
	async fetch(request) {
		const name = new URL(request.url).pathname;
		const answer = String(version);
		await Bun.sleep(Math.random() * ORIGIN_DELAY_MS);
		return new Response(answer, { headers: { "x-key": name, xkey: name, "cache-control": "max-age=600" } });
	},
});
let cache: RunningCache;

beforeAll(async () => {
	const policy = join(folder, "policy.vcl");
	writeFileSync(
		policy,
		`vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${origin.port}"; }
import xkey;
sub vcl_recv {
	if (req.http.x-ban == "object") { ban("obj.http.x-key == " + req.url); return (synth(204)); }
	if (req.http.x-ban == "url") { ban("req.url == " + req.url); return (synth(204)); }
	if (req.http.x-ban == "tag") { set req.http.count = xkey.purge(req.url); return (synth(204)); }
	if (req.http.x-ban == "purge") { return (purge); }
}sub vcl_purge { return (synth(204)); }
`,
	);
	const eager = ["-p", "ban_lurker_age=0.1", "-p", "ban_lurker_sleep=0.01", "-p", "thread_pools=2"];
	cache = await startCache(drover, 0, ["-f", policy, ...eager]);
	await eventually("both workers accept", () => listeners() === 2);
});
afterAll(async () => {
	await cache.stop();
	await origin.stop(true);
	rmSync(folder, { recursive: true, force: true });
});

/** Sockets that listen on the cache's port (proc(5): state 0A). */
function listeners(): number {
	const place = `:${cache.port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`;
	return readFileSync("/proc/net/tcp", "latin1").split(place).length - 1;
}

/** The workers that run now, the oldest first: the two that serve, and a spare that serves nobody yet. */
function workers(): number[] {
	const childrenOf = (pid: number) =>
		readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1")
			.split(" ")
			.filter((each) => each !== "")
			.map(Number)
			.sort((one, other) => one - other);
	const isWorker = (pid: number) =>
		readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("\0cache\0worker\0");
	return childrenOf(process.pid).flatMap(childrenOf).filter(isWorker);
}

/** On a connection of its own, which the kernel gives to one of the workers. */
async function ask(path: string, ban = ""): Promise<number> {
	const headers = { connection: "close", "x-ban": ban };
	const answer = await fetch(`http://127.0.0.1:${cache.port}${path}`, { keepalive: false, headers });
	expect(answer.status).toBe(ban === "" ? 200 : 204);
	return Number(await answer.text());
}

test("a ban is answered when every worker goes by it", async () => {
	const [, held] = workers();
	let answered = 0;
	process.kill(held!, "SIGSTOP");
	const bans = Array.from({ length: 12 }, async () => {
		await ask("/held", "object");
		answered++;
	});
	try {
		await Bun.sleep(300);
		expect(answered).toBe(0);
	} finally {
		process.kill(held!, "SIGCONT");
		await Promise.all(bans);
	}
	expect(answered).toBe(12);
});

const KEYS = 12;
const STORM_MS = 2500;

test("answers that begin after a ban's or a purge's are newer, at several workers at once, one of which is killed", async () => {
	const floors = Array.from({ length: KEYS }, () => 0);
	const until = Date.now() + STORM_MS;
	const wrong: string[] = [];
	const key = () => Math.floor(Math.random() * KEYS);
	const look = async (which: number) => {
		const floor = floors[which]!;
		const got = await ask(`/${which}`);
		if (got < floor) wrong.push(`/${which}: ${got} behind a ban of ${floor}`);
	};
	/** Those whose worker is killed have no answer, and know nothing. */
	let unanswered = 0;
	const often = async (act: () => Promise<void>) => {
		while (Date.now() < until)
			await act().catch((error) => {
				if (error?.code !== "ECONNRESET" && error?.code !== "ConnectionRefused") throw error;
				unanswered++;
			});
	};
	const read = () => often(() => look(key()));
	const ban = (kind: string) =>
		often(async () => {
			const which = key();
			const mine = ++version;
			await ask(`/${which}`, kind);
			floors[which] = Math.max(floors[which]!, mine);
		});
	const kinds = ["object", "url", "tag", "purge"];
	const storm = [...kinds.map(ban), ...kinds.map(read)];
	await Bun.sleep(STORM_MS / 2);
	process.kill(workers()[0]!, "SIGKILL");
	await Promise.all(storm);
	for (let round = 0; round < 4; round++) for (let which = 0; which < KEYS; which++) await look(which);
	expect(wrong).toEqual([]);
	expect(version).toBeGreaterThan(50);
	expect(unanswered).toBeLessThan(50);
}, 20_000);

test("bans of the command line count after a stop and a start, too", async () => {
	const command = (...words: string[]) => {
		const { stdout, exitCode } = Bun.spawnSync(["varnishadm", "-n", cache.directory, ...words]);
		expect({ exitCode, said: stdout.toString() }).toMatchObject({ exitCode: 0 });
	};
	command("ban", "obj.http.x-key == /nothing");
	command("stop");
	command("start");
	const before = await ask("/again");
	version++;
	expect(await ask("/again")).toBe(before);
	command("ban", "obj.http.x-key == /again");
	for (let times = 0; times < 4; times++) expect(await ask("/again")).toBe(version);
});
