/** The servers that are compared, with the configuration that each of them needs for the same work. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { policy } from "../vcl.ts";
import { answering, compile, descendants, freePort, root, SERVER_CORE, spawn, stop } from "./machine.ts";

export type ContestantName =
	| "drover"
	| "drover with 88 statements"
	| "varnish"
	| "nginx"
	| "haproxy"
	| "floor";

export interface Contestant {
	readonly name: ContestantName;
	readonly port: number;
	/** Every process that has a part in serving. */
	pids(): number[];
	stop(): Promise<void>;
}

/** The origin: bodies of 1 KB, 32 KB and 1 MB; what begins with /pass is not to be stored. */
export const originProgram = (port: number) => `const sizes={"/1k":1024,"/32k":32768,"/1m":1048576};
Bun.serve({port:${port},hostname:"127.0.0.1",fetch(r){const p=new URL(r.url).pathname;
const pass=p.startsWith("/pass");return new Response(Buffer.alloc(sizes[p]??1024,"x"),{headers:{"content-type":"text/html","cache-control":pass?"no-store":"max-age=3600"}})}});`;

const deliver =
	'sub vcl_deliver { if (obj.hits > 0) { set resp.http.X-Cache = "HIT"; } else { set resp.http.X-Cache = "MISS"; } }';

export const plainVcl = (origin: number) => `vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${origin}"; }
sub vcl_recv { if (req.url ~ "^/pass") { return (pass); } }
${deliver}
`;

const policyVcl = (origin: number) =>
	`${policy().replace('.host = "127.0.0.1";', `.host = "127.0.0.1"; .port = "${origin}";`)}\n${deliver}\n`;

export const droverCommand = (directory: string, port: number, vclFile: string, ...more: string[]) => [
	process.execPath,
	join(root, "firmware/drover.ts"),
	"varnishd",
	"-F",
	"-n",
	directory,
	"-a",
	`127.0.0.1:${port}`,
	"-f",
	vclFile,
	"-p",
	"thread_pools=1",
	...more,
];

export const varnishCommand = (directory: string, port: number, vclFile: string, ...more: string[]) => [
	"/usr/sbin/varnishd",
	"-F",
	"-n",
	directory,
	"-a",
	`127.0.0.1:${port}`,
	"-f",
	vclFile,
	...more,
];

function command(name: ContestantName, directory: string, port: number, origin: number): readonly string[] {
	const own = join(directory, name.replaceAll(" ", "-"));
	switch (name) {
		case "drover":
		case "drover with 88 statements": {
			const file = `${own}.vcl`;
			writeFileSync(file, name === "drover" ? plainVcl(origin) : policyVcl(origin));
			return droverCommand(own, port, file);
		}
		case "varnish": {
			writeFileSync(`${own}.vcl`, plainVcl(origin));
			// With its 50 a large object finds no room in a store that the row before filled with small ones.
			return varnishCommand(own, port, `${own}.vcl`, "-p", "nuke_limit=100000");
		}
		case "nginx":
			mkdirSync(own);
			writeFileSync(
				`${own}.conf`,
				`daemon off; worker_processes 1; pid ${own}.pid; error_log /dev/null; user root;
events { worker_connections 1024; }
http { access_log ${own}.log; keepalive_requests 100000000; proxy_cache_path ${own} keys_zone=c:10m;
upstream o { server 127.0.0.1:${origin}; keepalive 32; }
server { listen 127.0.0.1:${port};
location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache c; add_header X-Cache $upstream_cache_status; }
location /pass { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`,
			);
			return ["nginx", "-c", `${own}.conf`, "-p", directory];
		case "haproxy":
			writeFileSync(
				`${own}.cfg`,
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
  bind 127.0.0.1:${port}
  http-request cache-use c unless { path_beg /pass }
  http-response cache-store c
  http-response set-header X-Cache HIT
  default_backend o
backend o
  server o 127.0.0.1:${origin}
`,
			);
			return ["haproxy", "-db", "-f", `${own}.cfg`];
		case "floor":
			return [compile("floor", directory), String(port)];
		default:
			return name satisfies never;
	}
}

/** Starts one and waits until it answers. */
export async function start(name: ContestantName, directory: string, origin: number): Promise<Contestant> {
	const port = freePort();
	const child = spawn(command(name, directory, port, origin), SERVER_CORE);
	const contestant: Contestant = {
		name,
		port,
		pids: () => [child.pid, ...descendants(child.pid)],
		stop: () => stop(child),
	};
	try {
		await answering(`http://127.0.0.1:${port}/1k`);
	} catch (error) {
		await contestant.stop();
		throw error;
	}
	return contestant;
}
