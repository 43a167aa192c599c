/**
 * The cache beside its peers: Drover, Varnish, nginx and HAProxy, all up at once, measured in turns so that a
 * change of the machine's mood hits all of them. Servers are pinned to core 1, wrk and the origin to core 0.
 * Two figures each: requests/s, and CPU microseconds per request, which a busy machine spoils less.
 *
 *   bun test/bench/cache.ts [SECONDS] [ROUNDS]
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BenchResult } from "./result.ts";

const root = join(import.meta.dir, "../..");
const SERVER_CORE = "1";
const CLIENT_CORE = "0";
/** Microseconds of one clock tick in /proc/PID/stat. */
const TICK_MICROS = 10_000;

interface Contestant {
	readonly name: "drover" | "varnish" | "nginx" | "haproxy";
	readonly port: number;
	/** Processes whose CPU time counts. */
	pids(): number[];
	stop(): Promise<void>;
}

interface Measure {
	readonly perSecond: number;
	readonly cpuMicros: number;
}

const children = (pid: number): number[] => {
	const path = `/proc/${pid}/task/${pid}/children`;
	if (!existsSync(path)) return [];
	const own = readFileSync(path, "utf8")
		.trim()
		.split(" ")
		.filter((word) => word !== "")
		.map(Number);
	return own.flatMap((child) => [child, ...children(child)]);
};

function cpuTicks(pids: readonly number[]): number {
	let ticks = 0;
	for (const pid of pids) {
		try {
			const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
				.replace(/^.*\) /, "")
				.split(" ");
			ticks += Number(fields[11]) + Number(fields[12]);
		} catch {
			// It has ended.
		}
	}
	return ticks;
}

async function answers(who: string, port: number): Promise<void> {
	for (let attempt = 0; attempt < 200; attempt++) {
		try {
			await (await fetch(`http://127.0.0.1:${port}/1k`)).arrayBuffer();
			return;
		} catch {
			await Bun.sleep(50);
		}
	}
	throw new Error(`${who} does not answer on port ${port}`);
}

function freePort(): number {
	const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
	const { port } = listener;
	listener.stop(true);
	return port;
}

/** The origin: bodies of 1 KB, 32 KB and 1 MB; /pass and /miss paths too. A process of its own on wrk's core. */
function originProgram(port: number): string {
	return `const sizes={"/1k":1024,"/32k":32768,"/1m":1048576};
Bun.serve({port:${port},hostname:"127.0.0.1",fetch(r){const p=new URL(r.url).pathname;
const pass=p.startsWith("/pass");return new Response(Buffer.alloc(sizes[p]??1024,"x"),{headers:{"content-type":"text/html","cache-control":pass?"no-store":"max-age=3600"}})}});`;
}

const vcl = (port: number) => `vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${port}"; }
sub vcl_recv { if (req.url ~ "^/pass") { return (pass); } }
sub vcl_deliver { if (obj.hits > 0) { set resp.http.X-Cache = "HIT"; } else { set resp.http.X-Cache = "MISS"; } }
`;

/** Browser-like: twelve headers. */
const browserScript = `
wrk.headers["User-Agent"]="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
wrk.headers["Accept"]="text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
wrk.headers["Accept-Language"]="en-US,en;q=0.5"
wrk.headers["Accept-Encoding"]="gzip, deflate, br"
wrk.headers["DNT"]="1"
wrk.headers["Upgrade-Insecure-Requests"]="1"
wrk.headers["Sec-Fetch-Dest"]="document"
wrk.headers["Sec-Fetch-Mode"]="navigate"
wrk.headers["Sec-Fetch-Site"]="none"
wrk.headers["Sec-Fetch-User"]="?1"
wrk.headers["Priority"]="u=0, i"
`;
const missScript = `${browserScript}
local n = math.random(1000000000)
request = function() n = n + 1 return wrk.format("GET", "/miss/" .. n) end
`;

function spawn(command: readonly string[], core: string): Bun.Subprocess {
	return Bun.spawn(["taskset", "-c", core, ...command], {
		stdin: "ignore",
		stdout: "ignore",
		stderr: "ignore",
	});
}

function contestant(
	name: Contestant["name"],
	port: number,
	child: Bun.Subprocess,
	withParent: boolean,
): Contestant {
	return {
		name,
		port,
		pids: () => (withParent ? [child.pid, ...children(child.pid)] : children(child.pid)),
		async stop() {
			child.kill("SIGTERM");
			const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
			await child.exited;
			clearTimeout(timer);
		},
	};
}

/** Starts everybody into `list`, so that whoever is up can be stopped when another one fails. */
async function startAll(directory: string, origin: number, list: Contestant[]): Promise<void> {
	const vclFile = join(directory, "bench.vcl");
	writeFileSync(vclFile, vcl(origin));
	const ports = Array.from({ length: 4 }, freePort) as [number, number, number, number];
	list.push(
		contestant(
			"drover",
			ports[0],
			spawn(
				[
					process.execPath,
					join(root, "firmware/drover.ts"),
					"varnishd",
					"-F",
					"-n",
					join(directory, "drover"),
					"-a",
					`127.0.0.1:${ports[0]}`,
					"-f",
					vclFile,
					"-p",
					"thread_pools=1",
				],
				SERVER_CORE,
			),
			false,
		),
	);
	list.push(
		contestant(
			"varnish",
			ports[1],
			spawn(
				[
					"/usr/sbin/varnishd",
					"-F",
					"-n",
					join(directory, "varnish"),
					"-a",
					`127.0.0.1:${ports[1]}`,
					"-f",
					vclFile,
				],
				SERVER_CORE,
			),
			false,
		),
	);
	const nginx = join(directory, "nginx.conf");
	mkdirSync(join(directory, "nginx-cache"));
	writeFileSync(
		nginx,
		`daemon off; worker_processes 1; pid ${directory}/nginx.pid; error_log /dev/null; user root;
events { worker_connections 1024; }
http { access_log ${directory}/nginx.log; keepalive_requests 100000000; proxy_cache_path ${directory}/nginx-cache keys_zone=c:10m;
upstream o { server 127.0.0.1:${origin}; keepalive 32; }
server { listen 127.0.0.1:${ports[2]};
location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache c; add_header X-Cache $upstream_cache_status; }
location /pass { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`,
	);
	list.push(contestant("nginx", ports[2], spawn(["nginx", "-c", nginx, "-p", directory], SERVER_CORE), true));
	const haproxy = join(directory, "haproxy.cfg");
	writeFileSync(
		haproxy,
		`global
  nbthread 1
  tune.bufsize 32768
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
cache c
  total-max-size 64
  max-object-size 4000000
  max-age 3600
frontend f
  bind 127.0.0.1:${ports[3]}
  http-request cache-use c unless { path_beg /pass }
  http-response cache-store c
  http-response set-header X-Cache HIT
  default_backend o
backend o
  server o 127.0.0.1:${origin}
`,
	);
	list.push(contestant("haproxy", ports[3], spawn(["haproxy", "-db", "-f", haproxy], SERVER_CORE), true));
	for (const { name, port } of list) await answers(name, port);
}

async function measure(target: Contestant, path: string, script: string, seconds: number): Promise<Measure> {
	const pids = target.pids();
	const before = cpuTicks(pids);
	const child = Bun.spawn(
		[
			"taskset",
			"-c",
			CLIENT_CORE,
			"wrk",
			"-t1",
			"-c32",
			`-d${seconds}s`,
			"-s",
			script,
			`http://127.0.0.1:${target.port}${path}`,
		],
		{ stdout: "pipe", stderr: "ignore" },
	);
	const text = await new Response(child.stdout).text();
	const ticks = cpuTicks(pids) - before;
	const requests = Number(/(\d+) requests in/.exec(text)?.[1] ?? 0);
	const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0);
	return { perSecond, cpuMicros: requests === 0 ? Number.NaN : (ticks * TICK_MICROS) / requests };
}

const median = (values: readonly number[]) =>
	[...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const show = ({ perSecond, cpuMicros }: Measure) =>
	`${Math.round(perSecond)}/s, ${cpuMicros.toFixed(1)} µs CPU`;

interface Comparison {
	readonly name: string;
	readonly path: string;
	readonly script: "browser" | "miss";
	readonly bars: readonly (readonly [peer: Contestant["name"], bar: number])[];
}

const comparisons: readonly Comparison[] = [
	{
		name: "hits, 1 KB, 12 headers, X-Cache",
		path: "/1k",
		script: "browser",
		bars: [
			["varnish", 1 / 2.0],
			["haproxy", 1 / 1.05],
			["nginx", 1 / 1.5],
		],
	},
	{
		name: "hits, 32 KB",
		path: "/32k",
		script: "browser",
		bars: [
			["varnish", 1],
			["nginx", 1],
		],
	},
	{
		name: "hits, 1 MB",
		path: "/1m",
		script: "browser",
		bars: [
			["varnish", 1],
			["nginx", 1],
		],
	},
	{ name: "misses, 1 KB", path: "/", script: "miss", bars: [["varnish", 1 / 1.2]] },
	{ name: "pass, 1 KB", path: "/pass", script: "browser", bars: [["varnish", 1 / 1.2]] },
];

/** Runs the comparisons. `ratio` is the peer's requests/s over ours: 0.5 is twice as fast. */
export async function bench(seconds = 1, rounds = 3): Promise<readonly BenchResult[]> {
	const directory = mkdtempSync(join(tmpdir(), "drover-bench-cache-"));
	// Varnish compiles as another user, who must get in.
	chmodSync(directory, 0o755);
	const origin = freePort();
	const program = join(directory, "origin.ts");
	writeFileSync(program, originProgram(origin));
	const originChild = spawn([process.execPath, program], CLIENT_CORE);
	const scripts = { browser: join(directory, "browser.lua"), miss: join(directory, "miss.lua") };
	writeFileSync(scripts.browser, browserScript);
	writeFileSync(scripts.miss, missScript);
	const rows: BenchResult[] = [];
	const contestants: Contestant[] = [];
	try {
		await answers("the origin", origin);
		await startAll(directory, origin, contestants);
		// Compiled code is what is measured: everybody gets the same time to warm up.
		for (const each of contestants) await measure(each, "/1k", scripts.browser, Math.max(4, seconds));
		for (const { name, path, script, bars } of comparisons) {
			const wanted = new Set<string>(["drover", ...bars.map(([peer]) => peer)]);
			const found = new Map<string, Measure[]>();
			for (let round = 0; round < rounds; round++)
				for (const each of contestants)
					if (wanted.has(each.name))
						found.set(each.name, [
							...(found.get(each.name) ?? []),
							await measure(each, path, scripts[script], seconds),
						]);
			const typical = (who: string): Measure => {
				const all = found.get(who) ?? [];
				return {
					perSecond: median(all.map((each) => each.perSecond)),
					cpuMicros: median(all.map((each) => each.cpuMicros)),
				};
			};
			const ours = typical("drover");
			for (const [peer, bar] of bars) {
				const theirs = typical(peer);
				rows.push({
					name: `${name} / ${peer}`,
					ours: show(ours),
					peer: show(theirs),
					ratio: theirs.perSecond / ours.perSecond,
					bar,
				});
			}
		}
	} finally {
		for (const each of contestants) await each.stop();
		originChild.kill("SIGKILL");
		await originChild.exited;
		rmSync(directory, { recursive: true, force: true });
	}
	return rows;
}

if (import.meta.main) {
	const [seconds, rounds] = process.argv.slice(2).map(Number);
	for (const { name, ours, peer, ratio, bar } of await bench(seconds || 1, rounds || 3))
		console.log(
			`${ratio <= bar ? "met  " : "SHORT"} ${name.padEnd(42)} ${ours.padEnd(28)} ${peer.padEnd(28)} ${ratio.toFixed(3)} (bar ≤ ${bar.toFixed(3)})`,
		);
}
