/** `-s persistent`: what was stored is there after any end, or is not there at all; never something else. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
	closeSync,
	existsSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const drover = join(import.meta.dir, "../../../firmware/drover.ts");
const directory = mkdtempSync(join(tmpdir(), "drover-persistent-"));
const store = join(directory, "store");
let origin: Bun.Server<undefined>;
let fetches = 0;
let port = 0;
let daemon: Bun.Subprocess | undefined;

/** What the origin says for a path, for ever: its own name, over and over. */
function bodyOf(path: string): string {
	const size = 200 + ((Bun.hash.crc32(path) >>> 0) % 30_000);
	return `${path} `.repeat(Math.ceil(size / (path.length + 1)));
}

beforeAll(() => {
	origin = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch(request) {
			fetches++;
			const { pathname } = new URL(request.url);
			const [, seconds = "3600", age = "0"] = /^\/ttl\/(\d+)\/(\d+)/.exec(pathname) ?? [];
			return new Response(bodyOf(pathname), {
				headers: { "cache-control": `max-age=${seconds}`, age, "x-tag": "red" },
			});
		},
	});
	const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
	port = probe.port;
	probe.stop(true);
});

afterEach(() => kill());
afterAll(() => {
	origin.stop(true);
	rmSync(directory, { recursive: true, force: true });
});

const ask = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).then((response) => response.text());

const words = (storage: string) => [
	...[process.execPath, drover, "varnishd", "-F", "-n", join(directory, "work")],
	...["-a", `127.0.0.1:${port}`, "-b", `127.0.0.1:${origin.port}`, "-S", "none"],
	...[...storage.split(" ").flatMap((each) => ["-s", each]), "-l", "1m", "-p", "thread_pools=2"],
];

async function start(storage = `persistent,${store},32m`): Promise<void> {
	daemon = Bun.spawn(words(storage), { stdio: ["ignore", "ignore", "ignore"] });
	const deadline = Date.now() + 25_000;
	while (Date.now() < deadline) {
		try {
			await ask("/up");
			return;
		} catch {
			await Bun.sleep(50);
		}
	}
	throw new Error("the cache did not come up within 25 s");
}

/** Manager and workers, without a word. */
async function kill(): Promise<void> {
	if (daemon === undefined) return;
	const { pid } = daemon;
	const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
		.trim()
		.split(" ")
		.filter(Boolean);
	daemon.kill("SIGKILL");
	for (const child of children)
		try {
			process.kill(Number(child), "SIGKILL");
		} catch {
			// It has ended by itself.
		}
	await daemon.exited;
	daemon = undefined;
}

async function stop(): Promise<void> {
	daemon!.kill("SIGTERM");
	await daemon!.exited;
	daemon = undefined;
}

async function until(what: string, holds: () => boolean): Promise<void> {
	const deadline = Date.now() + 25_000;
	while (!holds()) {
		if (Date.now() > deadline) throw new Error(`${what}: not within 25 s`);
		await Bun.sleep(20);
	}
}

const admin = (...words: string[]) =>
	Bun.spawnSync(["varnishadm", "-n", join(directory, "work"), ...words]).stdout.toString();

/** Asks for all of them; how many came from the store. Each must be right. */
async function hits(paths: readonly string[]): Promise<number> {
	const before = fetches;
	for (const path of paths) expect(await ask(path)).toBe(bodyOf(path));
	return paths.length - (fetches - before);
}

test("a restart in order keeps contents and bans", async () => {
	await start();
	const paths = Array.from({ length: 100 }, (_, index) => `/ordered/${index}`);
	await hits(paths);
	admin("ban", "req.url", "~", "^/ordered/1");
	await stop();
	await start();
	expect(admin("ban.list")).toContain("req.url ~ ^/ordered/1");
	// 1 and 10 to 19 are banned.
	expect(await hits(paths)).toBe(89);
}, 60_000);

test.each([
	["an end in order", stop],
	["kill -9", kill],
])(
	"of several storages only the persistent one is there after %s",
	async (_end, end) => {
		const several = `a=malloc,8m b=file,${store}-file,8m c=persistent,${store}-several,8m`;
		await start(several);
		const paths = Array.from({ length: 90 }, (_, index) => `/several/${index}`);
		// They go to the storages in turn.
		await hits(paths);
		expect(await hits(paths)).toBe(90);
		await end();
		await start(several);
		expect(await hits(paths)).toBe(30);
		await end();
		rmSync(`${store}-several`);
	},
	60_000,
);

test("kill -9 at any moment: what is served is right, and what was stored before is there", async () => {
	// It holds all that comes in meanwhile: what is gone was lost, and not evicted.
	const roomy = `persistent,${store}-roomy,256m`;
	const settled = Array.from({ length: 50 }, (_, index) => `/settled/${index}`);
	await start(roomy);
	await hits(settled);
	for (let round = 0; round < 4; round++) {
		let over = false;
		const traffic = Promise.all(
			[0, 1, 2, 3].map(async (client) => {
				for (let count = 0; !over; count++)
					await ask(`/round${round}/${client}/${count}`).catch(() => {
						over = true;
					});
			}),
		);
		await Bun.sleep(30 + Math.random() * 400);
		await kill();
		over = true;
		await traffic;
		await start(roomy);
		expect(await hits(settled)).toBeGreaterThanOrEqual(49);
		const written = Array.from({ length: 100 }, (_, index) => `/round${round}/${index % 4}/${index >> 2}`);
		await hits(written);
	}
}, 120_000);

test("a torn file: what does not fit its checksum is fetched again, never served", async () => {
	await start();
	const paths = Array.from({ length: 200 }, (_, index) => `/torn/${index}`);
	await hits(paths);
	await kill();
	const { size } = statSync(store);
	const file = openSync(store, "r+");
	const noise = Buffer.alloc(300, 0x5a);
	for (let place = 0; place < 400; place++)
		writeSync(file, noise, 0, noise.length, Math.floor(size * 0.1 + Math.random() * size * 0.9));
	closeSync(file);
	await start();
	const kept = await hits(paths);
	expect(kept).toBeLessThan(200);
}, 60_000);

test("an object that cannot fit is passed whole, never cut; the store keeps its budget", async () => {
	await start();
	const large = "/large";
	const big = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch: () =>
			new Response(Buffer.alloc(40 * 1048576, "x"), { headers: { "cache-control": "max-age=60" } }),
	});
	try {
		const vcl = join(directory, "big.vcl");
		await Bun.write(vcl, `vcl 4.1; backend b { .host = "127.0.0.1"; .port = "${big.port}"; }`);
		admin("vcl.load", "large", vcl);
		admin("vcl.use", "large");
		for (let count = 0; count < 2; count++) {
			const body = await (await fetch(`http://127.0.0.1:${port}${large}`)).arrayBuffer();
			expect(body.byteLength).toBe(40 * 1048576);
		}
		expect(statSync(store).size).toBeLessThanOrEqual(32 * 1048576);
	} finally {
		big.stop(true);
	}
}, 60_000);

test("kill -9: what was left of each lifetime is left, and the age goes on", async () => {
	await start();
	const age = async (path: string) => {
		const answer = await fetch(`http://127.0.0.1:${port}${path}`);
		expect(await answer.text()).toBe(bodyOf(path));
		return Number(answer.headers.get("age"));
	};
	const stored = performance.now();
	const elapsed = () => (performance.now() - stored) / 1000;
	expect(await age("/ttl/3600/1000")).toBe(1000);
	expect(await age("/ttl/5/0")).toBe(0);
	expect(await age("/ttl/100/98")).toBe(98);
	await kill();
	await Bun.sleep(1300);
	await start();
	const before = fetches;
	const old = await age("/ttl/3600/1000");
	expect(old).toBeGreaterThanOrEqual(1001);
	expect(old).toBeLessThanOrEqual(1001 + elapsed());
	const young = await age("/ttl/5/0");
	// A slow machine may have used up its lifetime; then it is new.
	if (elapsed() < 4.5) {
		expect(young).toBeGreaterThanOrEqual(1);
		expect(fetches - before).toBe(0);
	}
	// Its two seconds passed while nobody ran.
	while (elapsed() < 2.1) await Bun.sleep(50);
	expect(await age("/ttl/100/98")).toBe(98);
	expect(fetches - before).toBeGreaterThan(0);
	while (elapsed() < 5.5) await Bun.sleep(100);
	const asked = fetches;
	expect(await age("/ttl/5/0")).toBe(0);
	expect(fetches - asked).toBe(1);
}, 60_000);

test("bans with blanks and quotes are the same after kill -9", async () => {
	await start();
	await hits(["/ban/1", "/ban/2"]);
	admin("ban", 'obj.http.x-tag == "a b" && req.url ~ ^/ban');
	admin("ban", "req.url == /ban/1 && obj.http.x-tag == red");
	const list = admin("ban.list");
	await kill();
	await start();
	const specs = (text: string) => text.split("\n").map((line) => line.slice(26));
	expect(specs(admin("ban.list")).filter((spec) => spec.includes("ban"))).toEqual(
		specs(list).filter((spec) => spec.includes("ban")),
	);
	expect(await hits(["/ban/1", "/ban/2"])).toBe(1);
}, 60_000);

test("a second daemon on the same file is refused; the first one serves on, and after kill -9 the file is free", async () => {
	await start();
	await hits(["/first"]);
	const second = Bun.spawn(
		[
			...[process.execPath, drover, "varnishd", "-F", "-n", join(directory, "second"), "-a", "127.0.0.1:0"],
			...["-b", `127.0.0.1:${origin.port}`, "-S", "none", "-s", `persistent,${store},32m`],
		],
		{ stdin: "ignore", stdout: "ignore", stderr: "pipe" },
	);
	expect(await new Response(second.stderr).text()).toContain(`${store} is in use by another varnishd`);
	expect(await second.exited).not.toBe(0);
	expect(await hits(["/first"])).toBe(1);
	await kill();
	await start();
	expect(await hits(["/first"])).toBe(1);
}, 60_000);

test("-s malloc: the memory has no name, and none of it is left after kill -9 of the manager", async () => {
	await start("malloc,32m");
	await hits(["/malloc"]);
	const { pid } = daemon!;
	expect(readdirSync("/dev/shm").filter((name) => name.startsWith(`drover-store-${pid}-`))).toEqual([]);
	const workers = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
	expect(workers.length).toBeGreaterThanOrEqual(2);
	// One that begins anew finds the memory all the same.
	process.kill(Number(workers[0]), "SIGKILL");
	await until("another worker", () => {
		const now = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
		return !now.includes(workers[0]!) && now.length >= 2;
	});
	for (let count = 0; count < 20; count++) expect(await hits(["/malloc"])).toBe(1);
	daemon!.kill("SIGKILL");
	await daemon!.exited;
	daemon = undefined;
	await until("the workers end", () => workers.every((worker) => !existsSync(`/proc/${worker}/fd/0`)));
}, 60_000);

describe("-s file", () => {
	const file = join(directory, "file");

	test("objects are in the file, within its size; a restart begins empty", async () => {
		await start(`disk=file,${file},8m`);
		const paths = Array.from({ length: 50 }, (_, index) => `/file/${index}`);
		expect(await hits(paths)).toBe(0);
		expect(await hits(paths)).toBe(50);
		expect(admin("storage.list")).toContain("storage.disk = file");
		expect(readFileSync(file).includes(bodyOf("/file/7"))).toBe(true);
		// Ten times its size goes through it.
		for (let index = 0; index < 40; index++)
			await Promise.all(Array.from({ length: 20 }, (_, each) => ask(`/through/${index}/${each}`)));
		expect(statSync(file).size).toBeLessThanOrEqual(8 * 1048576);
		await kill();
		await start(`disk=file,${file},8m`);
		expect(await hits(paths)).toBe(0);
	}, 60_000);

	test.each<[title: string, storage: string, message: string]>([
		["no path", "file", "(-s file) no path"],
		["a size that is none", `file,${file},much`, '(-s file) size "much": not a size'],
		["more than there is", `file,${file},900t`, "MB left"],
		["a place that is none", "file,/proc/none/file,8m", "/proc/none"],
	])("%s", async (_title, storage, message) => {
		const child = Bun.spawn(words(storage), { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
		const text = await new Response(child.stderr).text();
		expect(await child.exited).not.toBe(0);
		expect(text).toContain(message);
	});
});
