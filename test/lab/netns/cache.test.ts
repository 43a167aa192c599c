/** The cache as processes: stock tools against it, workers that die, stores that survive, reloads under load. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "../../..");
const directory = mkdtempSync(join(tmpdir(), "drover-cache-"));
const DEADLINE_MS = 20_000;
let fetches = 0;
let backend: ReturnType<typeof Bun.serve>;
const instances: Instance[] = [];

beforeAll(() => {
	backend = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch(request) {
			fetches++;
			const { pathname } = new URL(request.url);
			const headers = {
				"cache-control": pathname.startsWith("/private") ? "no-store" : "max-age=600",
				"x-fetch": String(fetches),
			};
			return new Response(`${pathname} ${pathname.startsWith("/large") ? "x".repeat(2_000_000) : ""}`, {
				headers,
			});
		},
	});
});
afterEach(async () => {
	for (const instance of instances.splice(0)) await instance.stop();
});
afterAll(() => {
	backend.stop(true);
	rmSync(directory, { recursive: true, force: true });
});

class Instance {
	readonly #child: Bun.Subprocess;
	readonly workdir: string;
	constructor(workdir: string, child: Bun.Subprocess) {
		this.workdir = workdir;
		this.#child = child;
	}
	get pid(): number {
		return this.#child.pid;
	}
	async admin(...words: string[]): Promise<string> {
		const child = Bun.spawn(["varnishadm", "-n", this.workdir, ...words], { stdout: "pipe", stderr: "pipe" });
		return (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
	}
	async port(name = "a0"): Promise<number> {
		const line = (await this.admin("debug.listen_address"))
			.split("\n")
			.find((each) => each.startsWith(`${name} `));
		return Number(line?.split(" ")[2]);
	}
	workers(): number[] {
		return readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "utf8")
			.trim()
			.split(" ")
			.filter((word) => word !== "")
			.map(Number);
	}
	async kill(): Promise<void> {
		const workers = this.workers();
		process.kill(this.pid, "SIGKILL");
		for (const worker of workers) {
			try {
				process.kill(worker, "SIGKILL");
			} catch {
				// It went with its manager.
			}
		}
		await this.#child.exited;
	}
	async stop(): Promise<void> {
		this.#child.kill("SIGTERM");
		await this.#child.exited;
	}
}

let serial = 0;
async function start(...options: string[]): Promise<Instance> {
	const workdir = join(directory, `v${serial++}`);
	return startIn(workdir, ...options);
}

async function startIn(workdir: string, ...options: string[]): Promise<Instance> {
	const given = options.some((word) => word === "-f" || word === "-b")
		? []
		: ["-b", `127.0.0.1:${backend.port}`];
	const listen = options.includes("-a") ? [] : ["-a", "127.0.0.1:0"];
	const child = Bun.spawn(
		[
			process.execPath,
			join(root, "firmware/drover.ts"),
			"varnishd",
			"-F",
			"-n",
			workdir,
			...listen,
			...given,
			...options,
		],
		{ stdin: "ignore", stdout: "ignore", stderr: "pipe" },
	);
	const instance = new Instance(workdir, child);
	instances.push(instance);
	await until(
		async () =>
			child.exitCode !== null ||
			((await instance.admin("status")).includes("running") && Number.isInteger(await instance.port())),
	);
	if (child.exitCode !== null) throw new Error(await new Response(child.stderr as ReadableStream).text());
	return instance;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
	const end = Date.now() + DEADLINE_MS;
	while (!(await condition())) {
		if (Date.now() > end) throw new Error("it did not come about in time");
		await Bun.sleep(20);
	}
}

const get = (port: number, path: string, headers: Record<string, string> = {}) =>
	fetch(`http://127.0.0.1:${port}${path}`, { headers, keepalive: false });

/** Sends bytes and gives back everything that comes until the other side closes. */
function exchange(target: { port: number } | { path: string }, bytes: string | Uint8Array): Promise<string> {
	return new Promise((resolve) => {
		const socket = "port" in target ? connect(target.port, "127.0.0.1") : connect(target.path);
		let text = "";
		socket.on("connect", () => socket.write(bytes));
		socket.on("data", (data: Buffer) => {
			text += data.toString("latin1");
		});
		socket.on("close", () => resolve(text));
		socket.on("error", () => resolve(text));
	});
}

async function run(command: readonly string[]): Promise<string> {
	const child = Bun.spawn([...command], { stdout: "pipe", stderr: "pipe" });
	return (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
}

describe("stock tools", () => {
	test("varnishadm, varnishstat, varnishlog, varnishncsa and varnishtop read it", async () => {
		const instance = await start("-p", "thread_pools=2");
		const port = await instance.port();
		await (await get(port, "/tools")).text();
		await (await get(port, "/tools")).text();
		expect(await instance.admin("ping")).toMatch(/^PONG \d+ 1.0/);
		expect(await instance.admin("vcl.list")).toMatch(/^active\s+auto\s+warm\s+\d+\s+boot/);
		expect(await instance.admin("backend.list")).toContain("boot.default");
		// Counters of workers and of backends are added up at moments of their own.
		await until(async () =>
			/MAIN\.cache_hit\s+1 [\s\S]*VBE\.boot\.default\.req\s+1 /.test(
				await run(["varnishstat", "-n", instance.workdir, "-1"]),
			),
		);
		const stat = await run(["varnishstat", "-n", instance.workdir, "-1"]);
		expect(stat).toMatch(/MAIN\.cache_miss\s+1 /);
		expect(stat).toMatch(/MGT\.uptime/);
		expect(stat).toMatch(/SMA\.s0\.g_bytes\s+[1-9]/);
		expect(stat).toMatch(/VBE\.boot\.default\.req\s+1 /);
		const log = await run(["varnishlog", "-n", instance.workdir, "-d", "-g", "session"]);
		expect(log).toContain("VCL_call       HIT");
		expect(log).not.toMatch(/link too late|vtx: /i);
		expect(await run(["varnishlog", "-n", instance.workdir, "-d", "-q", 'VCL_call eq "HIT"'])).toContain(
			"ReqURL         /tools",
		);
		const lines = (
			await run(["varnishncsa", "-n", instance.workdir, "-d", "-F", "%r %s %b %{Varnish:hitmiss}x"])
		)
			.trim()
			.split("\n");
		expect(lines).toEqual([
			`GET http://127.0.0.1:${port}/tools HTTP/1.1 200 7 miss`,
			`GET http://127.0.0.1:${port}/tools HTTP/1.1 200 7 hit`,
		]);
		expect(await run(["varnishtop", "-n", instance.workdir, "-d", "-1", "-i", "ReqURL"])).toContain(
			"ReqURL /tools",
		);
	}, 60_000);

	test("a wrong secret is refused", async () => {
		const secret = join(directory, "secret");
		writeFileSync(secret, "one\n");
		const other = join(directory, "other");
		writeFileSync(other, "two\n");
		const instance = await start("-S", secret, "-T", "127.0.0.1:0");
		const argument = readFileSync(join(instance.workdir, "_.vsm_mgt/_.index"), "utf8")
			.split("\n")
			.find((line) => line.endsWith("Arg -T"))!;
		const address = readFileSync(join(instance.workdir, "_.vsm_mgt", argument.split(" ")[1]!), "utf8").split(
			"\n",
		)[0]!;
		const target = address.replace(" ", ":");
		expect(await run(["varnishadm", "-T", target, "-S", secret, "status"])).toContain("running");
		expect(await run(["varnishadm", "-T", target, "-S", other, "status"])).toContain("Rejected 500");
	}, 60_000);
});

describe("workers", () => {
	test("kill -9: the other one serves on, a new one comes, the cache is whole", async () => {
		const instance = await start("-p", "thread_pools=2");
		const port = await instance.port();
		for (let index = 0; index < 50; index++) await (await get(port, `/kept/${index}`)).text();
		const before = instance.workers();
		expect(before).toHaveLength(2);
		process.kill(before[0]!, "SIGKILL");
		const killedAt = performance.now();
		await until(() => instance.workers().length === 2 && !instance.workers().includes(before[0]!));
		console.log(`a new worker process after ${Math.round(performance.now() - killedAt)} ms`);
		await until(async () => {
			const answers = await Promise.all(
				Array.from({ length: 8 }, () =>
					get(port, "/kept/0").then(
						(answer) => answer.status,
						() => 0,
					),
				),
			);
			return answers.every((status) => status === 200);
		});
		const fetchesBefore = fetches;
		for (let index = 0; index < 50; index++) {
			const answer = await get(port, `/kept/${index}`);
			expect(await answer.text()).toBe(`/kept/${index} `);
		}
		expect(fetches).toBe(fetchesBefore);
		await until(async () =>
			/MGT\.child_died\s+1 /.test(await run(["varnishstat", "-n", instance.workdir, "-1"])),
		);
	}, 60_000);

	test("a VCL reload loses no request", async () => {
		const instance = await start("-p", "thread_pools=2");
		const port = await instance.port();
		let running = true;
		let served = 0;
		const failures: string[] = [];
		const load = Array.from({ length: 4 }, async () => {
			while (running) {
				try {
					const answer = await get(port, `/reload/${served % 20}`);
					await answer.text();
					if (answer.status !== 200) failures.push(String(answer.status));
					served++;
				} catch (error) {
					failures.push(String(error));
				}
			}
		});
		const file = join(directory, "reload.vcl");
		for (let round = 0; round < 5; round++) {
			writeFileSync(
				file,
				`vcl 4.1;\nbackend b { .host = "127.0.0.1"; .port = "${backend.port}"; }\nsub vcl_deliver { set resp.http.X-Round = "${round}"; }\n`,
			);
			expect(await instance.admin("vcl.load", `r${round}`, file)).not.toContain("failed");
			await instance.admin("vcl.use", `r${round}`);
			if (round > 0) await instance.admin("vcl.discard", `r${round - 1}`);
		}
		const answer = await get(port, "/reload/0");
		expect(answer.headers.get("x-round")).toBe("4");
		running = false;
		await Promise.all(load);
		expect(failures).toEqual([]);
		expect(served).toBeGreaterThan(20);
	}, 60_000);
});

describe("stores", () => {
	test("-s persistent: contents and bans survive kill -9", async () => {
		const store = join(directory, "persistent.store");
		const options = ["-s", `persistent,${store},16m`, "-p", "thread_pools=1"];
		const first = await start(...options);
		const port = await first.port();
		for (let index = 0; index < 30; index++) await (await get(port, `/stays/${index}`)).text();
		await (await get(port, "/large/one")).text();
		await first.admin("ban", "req.url", "==", "/stays/7");
		await first.kill();
		instances.length = 0;
		const startedAt = performance.now();
		const second = await startIn(join(directory, "again"), ...options);
		const again = await second.port();
		console.log(`serving again after ${Math.round(performance.now() - startedAt)} ms`);
		const before = fetches;
		for (let index = 0; index < 30; index++)
			expect(await (await get(again, `/stays/${index}`, { host: `127.0.0.1:${port}` })).text()).toBe(
				`/stays/${index} `,
			);
		expect(fetches).toBe(before + 1);
		expect((await (await get(again, "/large/one", { host: `127.0.0.1:${port}` })).text()).length).toBe(
			2_000_011,
		);
		expect(fetches).toBe(before + 1);
	}, 60_000);

	test("an object that cannot fit is passed whole", async () => {
		const instance = await start("-s", "malloc,1m");
		const port = await instance.port();
		for (let round = 0; round < 2; round++)
			expect((await (await get(port, "/large/two")).text()).length).toBe(2_000_011);
		expect((await (await get(port, "/small")).text()).length).toBe(7);
	}, 60_000);
});

describe("listeners", () => {
	test("PROXY v1 and v2, a Unix socket, TLS", async () => {
		const path = join(directory, "listen.sock");
		const key = join(directory, "tls.pem");
		await run([
			"openssl",
			"req",
			"-x509",
			"-newkey",
			"ec",
			"-pkeyopt",
			"ec_paramgen_curve:prime256v1",
			"-nodes",
			"-days",
			"2",
			"-subj",
			"/CN=localhost",
			"-keyout",
			join(directory, "k.pem"),
			"-out",
			join(directory, "c.pem"),
		]);
		writeFileSync(
			key,
			readFileSync(join(directory, "k.pem"), "utf8") + readFileSync(join(directory, "c.pem"), "utf8"),
		);
		const vcl = join(directory, "proxy.vcl");
		writeFileSync(
			vcl,
			`vcl 4.1;\nbackend b { .host = "127.0.0.1"; .port = "${backend.port}"; }\nsub vcl_deliver { set resp.http.X-Client = client.ip; set resp.http.X-Socket = local.socket; }\n`,
		);
		const instance = await start(
			"-a",
			"127.0.0.1:0",
			"-a",
			"p=127.0.0.1:0,PROXY",
			"-a",
			`u=${path}`,
			"-a",
			`t=127.0.0.1:0,tls=${key}`,
			"-f",
			vcl,
			"-p",
			"thread_pools=1",
		);
		const request = "GET /proxy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
		const port = await instance.port("p");
		expect(await exchange({ port }, `PROXY TCP4 192.0.2.7 192.0.2.8 1234 80\r\n${request}`)).toContain(
			"X-Client: 192.0.2.7",
		);
		const v2 = Buffer.concat([
			Buffer.from("0d0a0d0a000d0a515549540a2111000c", "hex"),
			Buffer.from([192, 0, 2, 9, 192, 0, 2, 8, 4, 210, 0, 80]),
			Buffer.from(request),
		]);
		expect(await exchange({ port }, v2)).toContain("X-Client: 192.0.2.9");
		expect(await exchange({ port }, request)).toBe("");
		expect(await exchange({ path }, request)).toContain("X-Socket: u");
		const answer = await fetch(`https://127.0.0.1:${await instance.port("t")}/tls`, {
			tls: { rejectUnauthorized: false },
		});
		expect(answer.headers.get("x-socket")).toBe("t");
	}, 60_000);
});

describe("telling why", () => {
	test("drover cache why, Cache-Status, the access log and /metrics", async () => {
		const log = join(directory, "access.log");
		const metrics = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
		const metricsPort = metrics.port;
		metrics.stop(true);
		const instance = await start(
			`--access-log=${log}`,
			`--metrics=127.0.0.1:${metricsPort}`,
			"--cache-status",
		);
		const port = await instance.port();
		const why = (...words: string[]) =>
			run([process.execPath, join(root, "firmware/drover.ts"), "cache", "why", ...words]);
		const url = `http://127.0.0.1:${port}/why`;
		expect(await why(url)).toContain("nothing is stored for it");
		expect(await why(url)).toContain("hit: fresh for another");
		expect(await why(url, "Cookie: a=b")).toContain("the request carries a Cookie");
		expect(await why(`http://127.0.0.1:${port}/private`)).toContain("Cache-Control: no-store");
		expect((await get(port, "/why")).headers.get("cache-status")).toMatch(/^"Drover"; hit; ttl=\d+$/);
		await until(() => existsSync(log) && readFileSync(log, "utf8").trim().split("\n").length >= 5);
		// Each worker writes its own lines, in its own time.
		const records = readFileSync(log, "utf8")
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as Record<string, unknown>);
		expect(records).toContainEqual(
			expect.objectContaining({ method: "GET", url: "/why", status: 200, handling: "miss" }),
		);
		const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
		expect(text).toMatch(/varnish_main_cache_hit_total [1-9]/);
		expect(text).toContain('varnish_backend_up{vcl="boot",backend="default"} 1');
		expect(text.endsWith("# EOF\n")).toBe(true);
	}, 60_000);
});

describe("a clean end", () => {
	test("SIGTERM leaves nothing behind", async () => {
		const instance = await start();
		const { workdir, pid } = instance;
		await instance.stop();
		instances.length = 0;
		for (const name of ["_.pid", "_.secret", "_.vsm_mgt", "_.vsm_child"])
			expect(existsSync(join(workdir, name))).toBe(false);
		expect(existsSync(`/proc/${pid}`)).toBe(false);
	}, 60_000);
});
