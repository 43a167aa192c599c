/** The cache as the box runs it: `drover cache serve` over a real revision, asked by the commands that operators type. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
	mkdirSync,
	mkdtempSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { call } from "../../../firmware/bus/client.ts";
import type { CacheStatus } from "../../../firmware/status/cache.ts";
import { makeCertificate } from "../http/certificate.ts";

const drover = join(import.meta.dir, "../../../firmware/drover.ts");
const directory = mkdtempSync(join(tmpdir(), "drover-cache-"));
const environment = {
	...process.env,
	DROVER_CONFIG_DIR: join(directory, "config"),
	DROVER_RUN_DIR: join(directory, "run"),
	USER: "anna",
};
let origin: Bun.Server<undefined>;
let service: Bun.Subprocess<"ignore", "ignore", "pipe">;
let port = 0;
let originRequests = 0;
let probeTakesMs = 0;

/** Not spawnSync: the origin is served by this process meanwhile. */
async function run(...words: string[]): Promise<{ status: number; text: string }> {
	const child = Bun.spawn([process.execPath, drover, ...words], {
		env: environment,
		stdin: "ignore",
		stdout: "pipe",
		stderr: "pipe",
	});
	const text = (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
	return { status: await child.exited, text };
}
const cache = (...words: string[]) => run("cache", ...words);
const cacheJson = async (...words: string[]) => JSON.parse((await cache(...words, "--json")).text);
const status = (): Promise<CacheStatus> => cacheJson("status");

const settings = (more = "") => `
[cache]
enabled = true
listen = ["127.0.0.1:${port}"]
storage = [{ kind = "memory", name = "s0", size = "8M" }]
vcl = "default.vcl"
pool = "192.0.2.1 80"
${more}
`;
const tlsAt = (at: number) => `[[cache.tls]]\nlisten = "127.0.0.1:${at}"\ncertificate = "shop.pem"\n`;
const vcl = (mark: string) => `vcl 4.1;
include "pool.vcl";
sub vcl_recv {
	if (req.url ~ "^/private") { return (pass); }
}
sub vcl_backend_response {
	if (bereq.url ~ "^/long") { set beresp.ttl = 1h; }
}
sub vcl_deliver {
	set resp.http.X-Mark = "${mark}";
}
`;

async function write(files: Record<string, string>): Promise<void> {
	await run("config", "edit");
	for (const [name, text] of Object.entries(files))
		writeFileSync(join(directory, "config/candidate", name), text);
}

const keepalived = () => `virtual_server 192.0.2.1 80 {
    lb_algo rr
    protocol TCP
    real_server 127.0.0.1 ${origin.port} {
        weight 1
    }
}
`;
const ask = (path: string, headers: Record<string, string> = {}) =>
	fetch(`http://127.0.0.1:${port}${path}`, { headers });

async function until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
	const deadline = Date.now() + 25_000;
	while (!(await check())) {
		if (Date.now() > deadline) throw new Error(`${what}: not within 25 s`);
		await Bun.sleep(50);
	}
}

const answers = () =>
	ask("/up").then(
		() => true,
		() => false,
	);

function start(): void {
	service = Bun.spawn([process.execPath, drover, "cache", "serve"], {
		env: environment,
		stdin: "ignore",
		stdout: "ignore",
		stderr: "pipe",
	});
}

beforeAll(async () => {
	mkdirSync(join(directory, "run"), { recursive: true });
	origin = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		async fetch(request) {
			originRequests++;
			const { pathname } = new URL(request.url);
			if (pathname === "/probe") await Bun.sleep(probeTakesMs);
			return new Response(`hello ${pathname}\n`, {
				headers: pathname.startsWith("/cookie") ? { "set-cookie": "a=b" } : {},
			});
		},
	});
	const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
	port = probe.port;
	probe.stop(true);
	await write({ "appliance.toml": settings(), "default.vcl": vcl("one"), "keepalived.conf": keepalived() });
	expect((await run("config", "commit", "first")).text).toContain("Revision 1 is in force.");
	start();
	await until("the cache answers", answers);
}, 60_000);

afterAll(async () => {
	service.kill("SIGTERM");
	await service.exited;
	origin.stop(true);
	rmSync(directory, { recursive: true, force: true });
});

describe("drover cache serve", () => {
	test("the revision's VCL with the pool of a virtual server behind it", async () => {
		const before = originRequests;
		for (let count = 0; count < 3; count++) {
			const response = await ask("/a");
			expect(response.headers.get("x-mark")).toBe("one");
			expect(await response.text()).toBe("hello /a\n");
		}
		expect(originRequests - before).toBe(1);
	});

	test("status: figures, listeners, storage, backends", async () => {
		await ask("/a");
		await until("the counters are there", async () => (await status()).total.hits > 0);
		const answer = await status();
		expect(answer).toMatchObject({
			state: "running",
			vcl: { name: "boot" },
			listeners: [{ name: "a0", address: "127.0.0.1", port: String(port) }],
			storages: [{ name: "s0", kind: "malloc", bytes: 8 * 1024 * 1024 }],
			panic: null,
		});
		expect(answer.backends).toMatchObject([{ name: "boot.pool_1", healthy: true, director: null }]);
		expect(answer.total.hitRatio).toBeGreaterThan(0);
		expect((await cache("status")).text).toContain("boot.pool_1  healthy");
	});

	test("top: the URLs of the log, most asked first", async () => {
		for (let count = 0; count < 20; count++) await ask("/most", { host: "www.example.com" });
		await until("the log has them", async () => {
			const [first] = (await cacheJson("top", "1")) as { url: string; requests: number }[];
			return first?.url === "/most" && first.requests === 20;
		});
		expect(await cacheJson("top", "1")).toMatchObject([
			{ host: "www.example.com", hits: 19, misses: 1, passes: 0 },
		]);
		expect((await cache("top")).text).toContain("www.example.com/most");
	});

	test("why: hit, pass, not stored, not yet cached", async () => {
		await ask("/long", { host: "www.example.com" });
		expect(await cache("why", "http://www.example.com/long")).toMatchObject({
			status: 0,
			text: expect.stringContaining("hit: fresh for another 3"),
		});
		expect((await cache("why", "www.example.com/fresh")).text).toContain("nothing is stored for it");
		expect((await cache("why", "www.example.com/private")).text).toContain("return (pass) in vcl_recv");
		expect((await cache("why", "www.example.com/long", "Cookie: a=b")).text).toContain("carries a Cookie");
		const cookie = await cacheJson("why", "www.example.com/cookie");
		expect(cookie).toMatchObject({ handling: "miss", stored: false });
		expect(cookie.lines.join()).toContain("Set-Cookie");
	});

	test("purge drops what the URL is answered with; a client cannot give the order", async () => {
		await ask("/purged", { host: "www.example.com" });
		const refused = await ask("/purged", { host: "www.example.com", "drover-why": "purge" });
		expect(refused.headers.get("drover-purged")).toBeNull();
		expect(await cacheJson("purge", "http://www.example.com/purged")).toEqual({ purged: 1 });
		expect((await cache("purge", "www.example.com/purged")).text).toContain("nothing was stored");
		const before = originRequests;
		await ask("/purged", { host: "www.example.com" });
		expect(originRequests - before).toBe(1);
	});

	test("ban marks what matches, in words or as one expression; nonsense is refused", async () => {
		await ask("/banned/1");
		expect((await cache("ban", "req.url", "~", "^/banned")).status).toBe(0);
		const before = originRequests;
		await ask("/banned/1");
		expect(originRequests - before).toBe(1);
		expect((await cacheJson("bans"))[0]).toMatchObject({ spec: "req.url ~ ^/banned" });
		expect((await cache("ban", "obj.status == 500 && req.url ~ x", "--json")).status).toBe(0);
		const wrong = await cache("ban", "frob", "~", "x");
		expect(wrong).toMatchObject({ status: 1, text: expect.stringContaining("Unknown or unsupported field") });
	});
});

describe("a new revision", () => {
	test("a VCL that does not compile refuses the commit, with the compiler's words; what runs stays", async () => {
		await write({ "default.vcl": vcl("two").replace("set resp", "sett resp") });
		const refused = await run("config", "commit");
		expect(refused.status).toBe(1);
		expect(refused.text).toContain("Message from VCC-compiler");
		expect(refused.text).toContain("default.vcl");
		expect(refused.text).toContain("Not committed");
		expect((await ask("/a")).headers.get("x-mark")).toBe("one");
	});

	test("a commit applies it without losing a request, and keeps what is stored", async () => {
		await ask("/long/kept");
		const before = originRequests;
		let over = false;
		let failures = 0;
		const traffic = (async () => {
			while (!over)
				await ask("/long/kept").then(
					(response) => {
						if (response.status !== 200) failures++;
					},
					() => failures++,
				);
		})();
		await write({ "default.vcl": vcl("two") });
		const committed = await run("config", "commit");
		over = true;
		await traffic;
		expect(committed).toMatchObject({ status: 0, text: expect.stringContaining("is in force") });
		expect((await ask("/long/kept")).headers.get("x-mark")).toBe("two");
		expect({ failures, fetches: originRequests - before }).toEqual({ failures: 0, fetches: 0 });
		expect(await status()).toMatchObject({ vcl: { name: "reload_1" }, reload: { ok: true } });
	});

	/** What clients saw, by status, while `act` ran and for a moment after it; every request is a miss. */
	async function missesDuring(act: () => Promise<unknown>): Promise<Record<number, number>> {
		const statuses: Record<number, number> = {};
		let over = false;
		const traffic = (async () => {
			for (let count = 0; !over; count++) {
				const { status } = await ask(`/probed/${Math.random()}/${count}`);
				statuses[status] = (statuses[status] ?? 0) + 1;
			}
		})();
		await act();
		await Bun.sleep(200);
		over = true;
		await traffic;
		return statuses;
	}
	const probed = (mark: string, more = "") => `vcl 4.1;
backend own {
	.host = "127.0.0.1";
	.port = "${origin.port}";
	.probe = { .url = "/probe"; .interval = 1h; .timeout = 10s; .window = 4; .threshold = 3; ${more} }
}
sub vcl_deliver { set resp.http.X-Mark = "${mark}"; }
`;
	const commit = async (files: Record<string, string>) => {
		await write(files);
		expect((await run("config", "commit")).status).toBe(0);
	};

	test("a backend with a probe is asked before clients are sent to it, and known when it is known already", async () => {
		probeTakesMs = 500;
		expect(await missesDuring(() => commit({ "default.vcl": probed("probed") }))).toEqual({
			200: expect.any(Number),
		});
		expect((await ask("/probed")).headers.get("x-mark")).toBe("probed");
		// Whoever does not wait for a probe that takes longer than a commit has to know it.
		probeTakesMs = 8_000;
		expect(await missesDuring(() => commit({ "default.vcl": probed("again") }))).toEqual({
			200: expect.any(Number),
		});
		expect((await ask("/probed")).headers.get("x-mark")).toBe("again");
		const own = (await status()).backends.filter(({ name }) => name.endsWith(".own"));
		expect(own.map(({ healthy }) => healthy)).toEqual(own.map(() => true));
		// Another question is another probe.
		await commit({ "default.vcl": probed("other", ".expected_response = 204;") });
		expect((await ask("/probed/other")).status).toBe(503);
		probeTakesMs = 0;
		await commit({ "default.vcl": vcl("two") });
	}, 60_000);

	test("parameters of [cache.parameters] act at once and go back", async () => {
		await write({ "appliance.toml": settings('[cache.parameters]\ndefault_ttl = "5s"') });
		expect((await run("config", "commit")).status).toBe(0);
		await ask("/short");
		expect((await cache("why", `127.0.0.1:${port}/short`)).text).toMatch(/fresh for another [345] s/);
		await write({ "appliance.toml": settings() });
		expect((await run("config", "commit")).status).toBe(0);
		await ask("/short/2");
		expect((await cache("why", `127.0.0.1:${port}/short/2`)).text).toMatch(/fresh for another 1[12]\d s/);
	});

	test.each<[string, () => Record<string, string>, string]>([
		[
			"a pool that is no virtual server",
			() => ({ "appliance.toml": settings().replace("192.0.2.1", "192.0.2.9") }),
			"has no virtual server",
		],
		[
			"a VCL that is not there",
			() => ({ "appliance.toml": settings().replace("default.vcl", "other.vcl") }),
			'no file "other.vcl"',
		],
		[
			"an address that IPVS takes",
			() => ({ "appliance.toml": settings().replace(/listen.*/, 'listen = ["192.0.2.1:80"]') }),
			"takes its connections",
		],
		[
			"an unknown parameter",
			() => ({ "appliance.toml": settings('[cache.parameters]\nfrob = "1"') }),
			"frob",
		],
		["a size that is none", () => ({ "appliance.toml": settings().replace("8M", "much") }), "is not a size"],
		[
			"a certificate that is not there",
			() => ({ "appliance.toml": settings(tlsAt(port + 1)) }),
			'no file "shop.pem", which [[cache.tls]] certificate names',
		],
		[
			"a certificate without its key",
			() => ({
				"appliance.toml": settings(tlsAt(port + 1)),
				"shop.pem": readFileSync(makeCertificate(directory, "cut", ["DNS:a"]).certificatePath, "utf8"),
			}),
			"shop.pem holds no private key",
		],
		["one address for both", () => ({ "appliance.toml": settings(tlsAt(port)) }), `"127.0.0.1:`],
	])("%s is refused", async (_title, files, part) => {
		await write(files());
		const refused = await run("config", "commit");
		await run("config", "discard");
		expect(refused).toMatchObject({ status: 1, text: expect.stringContaining(part) });
	});

	test("other listeners: the service ends in order, for its supervisor to start it anew", async () => {
		await write({ "appliance.toml": settings("cache_status = true") });
		expect((await run("config", "commit")).text).toContain("is in force");
		expect(await service.exited).toBe(0);
		start();
		await until("it answers again", answers);
		expect((await ask("/a")).headers.get("cache-status")).toContain('"Drover"');
	});
});

describe("[[cache.tls]]", () => {
	const certificate = (label: string) =>
		readFileSync(makeCertificate(directory, label, ["DNS:shop.example.com"]).bothPath, "utf8");
	const connect = () =>
		new Promise<TLSSocket>((resolve, reject) => {
			const socket = connectTls({ host: "127.0.0.1", port: tlsPort, rejectUnauthorized: false }, () =>
				resolve(socket),
			);
			socket.on("error", reject);
		});
	const nameOf = (socket: TLSSocket) => String(socket.getPeerCertificate().subject.CN);
	const get = (socket: TLSSocket) =>
		new Promise<string>((resolve) => {
			socket.once("data", (bytes: Buffer) => resolve(bytes.toString("latin1")));
			socket.write("GET /tls HTTP/1.1\r\nHost: shop.example.com\r\n\r\n");
		});
	let tlsPort = 0;

	test("clients are answered over TLS with the revision's certificate", async () => {
		const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
		tlsPort = probe.port;
		probe.stop(true);
		await write({ "appliance.toml": settings(tlsAt(tlsPort)), "shop.pem": certificate("first") });
		const committed = await run("config", "commit");
		expect(committed.text).toContain("shop.pem expires on");
		expect(committed.status).toBe(0);
		expect(await service.exited).toBe(0);
		start();
		await until("it answers again", answers);
		const socket = await connect();
		expect(nameOf(socket)).toBe("first");
		expect(await get(socket)).toContain("HTTP/1.1 200 OK");
		socket.destroy();
	});

	test("a commit renews it: open connections go on, what is stored stays, new ones see the new one", async () => {
		const old = await connect();
		await get(old);
		const before = originRequests;
		const { startedAtMs } = await status();
		await write({ "shop.pem": certificate("second") });
		expect((await run("config", "commit")).status).toBe(0);
		const fresh = await connect();
		expect(nameOf(fresh)).toBe("second");
		expect(await get(fresh)).toContain("HTTP/1.1 200 OK");
		expect(await get(old)).toContain("HTTP/1.1 200 OK");
		expect(originRequests).toBe(before);
		expect(await status()).toMatchObject({
			startedAtMs,
			reload: { ok: true, message: "certificates are renewed" },
		});
		for (const socket of [old, fresh]) socket.destroy();
	});
});

test("the stock varnishadm and varnishstat find it by its directory", async () => {
	const adm = Bun.spawnSync(["varnishadm", "-n", join(directory, "run/cache"), "vcl.list"]);
	expect(adm.stdout.toString() + adm.stderr.toString()).toMatch(/active +auto +warm/);
	const stat = ["varnishstat", "-n", join(directory, "run/cache"), "-1", "-f", "MAIN.client_req"];
	await until("the worker's counters are there", () =>
		/MAIN\.client_req +[1-9]/.test(Bun.spawnSync(stat).stdout.toString()),
	);
	expect(readFileSync(join(directory, "run/cache/_.secret")).length).toBe(32);
});

test("it can be asked before it serves; a reload that comes that early is taken over behind the start", async () => {
	await write({ "default.vcl": vcl("meanwhile") });
	expect((await run("config", "commit")).text).toContain("is in force");
	expect((await ask("/a")).headers.get("x-mark")).toBe("meanwhile");
	const current = join(directory, "config/current");
	const newest = readlinkSync(current);
	const pointTo = (revision: string) => {
		symlinkSync(revision, `${current}.new`);
		renameSync(`${current}.new`, current);
	};
	service.kill("SIGTERM");
	await service.exited;
	pointTo(newest.replace(/\d+$/, (number) => String(Number(number) - 1)));
	start();
	process.env["DROVER_RUN_DIR"] = environment.DROVER_RUN_DIR;
	let early: CacheStatus | null = null;
	await until("it can be asked", async () => {
		early = await call<CacheStatus>("cache", "status").catch(() => null);
		return early !== null;
	});
	expect(early!.listeners).toEqual([]);
	pointTo(newest);
	expect(await call<string>("cache", "reload", { judged: true })).toEndWith(
		"default.vcl is active as reload_1",
	);
	expect((await ask("/a")).headers.get("x-mark")).toBe("meanwhile");
	await write({ "default.vcl": vcl("one") });
	expect((await run("config", "commit")).text).toContain("is in force");
});
