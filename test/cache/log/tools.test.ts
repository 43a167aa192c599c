/** The stock tools read what `drover varnishd` writes: varnishstat(1), varnishlog(1), varnishncsa(1), varnishtop(1), varnishhist(1). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const drover = join(import.meta.dir, "../../../firmware/drover.ts");
const directory = mkdtempSync(join(tmpdir(), "drover-tools-"));
let origin: Bun.Server<undefined>;
let daemon: Bun.Subprocess;
let port = 0;

const ask = async (path: string, headers: Record<string, string> = {}) => {
	const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
	await response.arrayBuffer();
	return response.status;
};

/** A tool's output over what the log holds now. */
function tool(name: string, ...words: string[]): string {
	const { stdout, stderr } = Bun.spawnSync([name, "-n", directory, ...words], { timeout: 15_000 });
	return stdout.toString() + stderr.toString();
}

async function until(what: string, check: () => boolean): Promise<void> {
	const deadline = Date.now() + 20_000;
	while (!check()) {
		if (Date.now() > deadline) throw new Error(`${what}: not within 20 s`);
		await Bun.sleep(100);
	}
}

beforeAll(async () => {
	origin = Bun.serve({
		port: 0,
		hostname: "127.0.0.1",
		fetch: () => new Response("body", { headers: { "cache-control": "max-age=100" } }),
	});
	const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
	port = probe.port;
	probe.stop(true);
	daemon = Bun.spawn(
		[
			...[process.execPath, drover, "varnishd", "-F", "-n", directory, "-S", "none"],
			...["-a", `127.0.0.1:${port}`, "-b", `127.0.0.1:${origin.port}`, "-s", "malloc,8m", "-l", "4m"],
		],
		{ stdio: ["ignore", "ignore", "ignore"] },
	);
	const deadline = Date.now() + 25_000;
	while ((await ask("/up").catch(() => 0)) !== 200) {
		if (Date.now() > deadline) throw new Error("the cache did not come up within 25 s");
		await Bun.sleep(50);
	}
	await ask("/miss?a=b", { "user-agent": "tester", referer: "http://from/", connection: "close" });
	for (let count = 0; count < 5; count++) await ask("/hit");
	await ask("/pass", { cookie: "a=b" });
	await until("the log has it all", () =>
		tool("varnishlog", "-d", "-q", 'ReqURL eq "/pass"').includes("/pass"),
	);
}, 60_000);

afterAll(async () => {
	daemon.kill("SIGTERM");
	await daemon.exited;
	origin.stop(true);
	rmSync(directory, { recursive: true, force: true });
});

test("varnishstat: counters of every kind, as text and as JSON", async () => {
	const figure = (name: string) =>
		Number(new RegExp(`${name.replaceAll(".", "\\.")} +(\\d+)`).exec(tool("varnishstat", "-1"))?.[1] ?? -1);
	// Each worker brings its counters up to date by itself.
	await until(
		"every worker's counters are there",
		() =>
			figure("MAIN.cache_hit") >= 4 && figure("VBE.boot.default.req") >= 4 && figure("MAIN.client_req") >= 8,
	);
	expect(figure("MAIN.s_pass")).toBe(1);
	expect(figure("MGT.uptime")).toBeGreaterThanOrEqual(0);
	expect(figure("SMA.s0.g_bytes")).toBeGreaterThan(0);
	const json = JSON.parse(tool("varnishstat", "-j"));
	expect(json.counters["MAIN.client_req"].value).toBeGreaterThanOrEqual(8);
	expect(tool("varnishstat", "-l")).toContain("MAIN.cache_hit");
	// A name says little to who does not know the program: each is explained.
	const counters = json.counters as Record<string, { description: string }>;
	const unexplained = Object.entries(counters).filter(([name, { description }]) => {
		const words = name.split(".").at(-1)!.replaceAll("_", " ");
		return description.toLowerCase() === words || !/^[A-Z].{4}/.test(description);
	});
	expect(unexplained).toEqual([]);
});

describe("varnishlog", () => {
	const log = (...words: string[]) => tool("varnishlog", "-d", ...words);
	test("-g vxid: each transaction by itself", () => {
		const text = log("-g", "vxid", "-q", 'ReqURL eq "/miss?a=b"');
		expect(text).toMatch(/^\* +<< Request +>>/m);
		expect(text).toMatch(/-\s+VCL_call\s+MISS/);
		expect(text).not.toContain("BeReq");
	});
	test("-g request: a request with its fetch", () => {
		const text = log("-g", "request", "-q", 'ReqURL eq "/miss?a=b"');
		expect(text).toMatch(/^\*\* +<< BeReq +>>/m);
		expect(text).toMatch(/--\s+BerespStatus\s+200/);
	});
	test("-g session: a session with its requests", () => {
		const text = log("-g", "session", "-q", 'ReqURL eq "/miss?a=b"');
		expect(text).toMatch(/^\* +<< Session +>>/m);
		expect(text).toMatch(/^\*\* +<< Request +>>/m);
		expect(text).toMatch(/^\*\*\* +<< BeReq +>>/m);
	});
	test("-g raw: every record", () => {
		expect(log("-g", "raw")).toMatch(/^ +\d+ ReqURL +c \/hit$/m);
	});
	test("-q: fields, numbers, regular expressions, levels", () => {
		const count = (query: string) => (log("-g", "request", "-q", query).match(/ReqURL/g) ?? []).length;
		expect(count('ReqURL eq "/hit"')).toBe(5);
		expect(count('ReqURL eq "/hit" and VCL_call eq "HIT"')).toBe(4);
		expect(count('ReqHeader:User-Agent ~ "^test"')).toBe(1);
		expect(count("RespStatus == 200 and Timestamp:Resp[2] < 60.")).toBeGreaterThanOrEqual(8);
		expect(count('{2}BerespStatus == 200 and ReqURL ~ "^/miss"')).toBe(1);
	});
	test("-w and -r: a file of records", () => {
		const file = join(directory, "binary");
		tool("varnishlog", "-d", "-w", file);
		const { stdout } = Bun.spawnSync(["varnishlog", "-r", file, "-g", "request"]);
		expect(stdout.toString()).toContain("/miss?a=b");
	});
});

test("varnishncsa: combined lines, a format of one's own, the backend's side", () => {
	expect(tool("varnishncsa", "-d", "-q", 'ReqURL eq "/miss?a=b"')).toMatch(
		/^127\.0\.0\.1 - - \[.*\] "GET http:\/\/127\.0\.0\.1:\d+\/miss\?a=b HTTP\/1\.1" 200 4 "http:\/\/from\/" "tester"$/m,
	);
	const own = tool(
		"varnishncsa",
		"-d",
		"-F",
		"%U %q %s %b %{Varnish:handling}x %{Varnish:hitmiss}x %{Varnish:side}x",
	);
	expect(own).toContain("/miss ?a=b 200 4 miss miss c");
	expect(own).toContain("/hit  200 4 hit hit c");
	expect(own).toContain("/pass  200 4 pass miss c");
	expect(tool("varnishncsa", "-d", "-b", "-F", "%U %s")).toContain("/hit 200");
});

test("varnishtop: the most frequent records", () => {
	expect(tool("varnishtop", "-1", "-d", "-i", "ReqURL")).toMatch(/^ +5\.00 ReqURL \/hit$/m);
});

test("varnishhist draws on a terminal", async () => {
	let screen = "";
	const terminal = new Bun.Terminal({
		cols: 80,
		rows: 24,
		data: (_terminal: unknown, bytes: Uint8Array) => {
			screen += Buffer.from(bytes).toString("latin1");
		},
	});
	const hist = Bun.spawn(["varnishhist", "-n", directory, "-d"], {
		terminal,
		env: { ...process.env, TERM: "xterm" },
	});
	// Its axis, in powers of ten seconds.
	await until("the axis is drawn", () => /1e-?\d/.test(screen)).finally(() => hist.kill());
	await hist.exited;
	terminal.close();
}, 30_000);
