/**
 * TLS to backends (`.ssl` and what goes with it) against a real nginx, and every way in which it can fail: 503, with
 * the reason in the log, and not one byte of the request in plain text.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";
import { type Certificate, makeCertificate } from "./certificate.ts";
import { type Nginx, startNginx } from "./nginx.ts";

const BODY_BYTES = 5 * 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), "drover-tls-"));
let nginx: Nginx;
let cache: RunningCache;
let certificate: Certificate;
const silent: Server[] = [];
/** What came to the servers that speak no TLS. */
let plainText = "";

/** A server that does `act` with each connection. */
async function rawServer(act: (socket: import("node:net").Socket) => void): Promise<number> {
	const port = await freePort();
	const server = createServer((socket) => {
		socket.on("error", () => {});
		socket.on("data", (bytes) => {
			plainText += bytes.toString("latin1");
		});
		act(socket);
	});
	silent.push(server);
	await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
	return port;
}

/** Backend definitions by name; a request for /NAME goes to NAME. */
function policy(backends: Readonly<Record<string, string>>): string {
	const names = Object.keys(backends);
	return `vcl 4.1;
${names.map((name) => `backend ${name} { .host = "127.0.0.1"; ${backends[name]} }`).join("\n")}
sub vcl_recv {
${names.map((name) => `if (req.url ~ "^/${name}(/|$)") { set req.backend_hint = ${name}; }`).join("\n")}
	if (req.http.piped) { return (pipe); }
	return (pass);
}
`;
}

const failures: Readonly<Record<string, { readonly log: string }>> = {
	selfsigned: { log: "TLS: certificate not trusted: self signed certificate (DEPTH_ZERO_SELF_SIGNED_CERT)" },
	otherauthority: {
		log: "TLS: certificate not trusted: self signed certificate (DEPTH_ZERO_SELF_SIGNED_CERT)",
	},
	wrongname: {
		log: "TLS: certificate is not for other.example but for DNS:backend.example, IP Address:127.0.0.1",
	},
	plain: { log: "TLS: handshake failed: " },
	plainunverified: { log: "TLS: handshake failed: " },
	closes: { log: "TLS: handshake failed: Client network socket disconnected" },
	silent: { log: "fail errno 110 (Connection timed out)" },
	refused: { log: "fail errno 111 (Connection refused)" },
};

beforeAll(async () => {
	certificate = makeCertificate(directory, "backend", ["DNS:backend.example", "IP:127.0.0.1"]);
	const other = makeCertificate(directory, "other", ["DNS:other.example"]);
	const [port, proxied] = [await freePort(), await freePort()];
	writeFileSync(join(directory, "large"), Buffer.alloc(BODY_BYTES, "0123456789abcdef"));
	const { certificatePath, keyPath } = certificate;
	nginx = await startNginx(
		port,
		`
ssl_certificate ${certificatePath}; ssl_certificate_key ${keyPath}; client_max_body_size 20m; ssl_protocols TLSv1.2 TLSv1.3;
server {
	listen 127.0.0.1:${port} ssl;
	location / { return 200 "sni=$ssl_server_name alpn=$ssl_alpn_protocol tls=$ssl_protocol request=$connection_requests"; }
	location /authority/large { alias ${directory}/large; }
	location /authority/put { root ${directory}/put; dav_methods PUT; create_full_put_path on; }
}
server {
	listen 127.0.0.1:${proxied} ssl proxy_protocol;
	location / { return 200 "client=$proxy_protocol_addr tls=$ssl_protocol"; }
}`,
	);
	const answersPlain = await rawServer((socket) =>
		socket.on("data", () => socket.end("HTTP/1.1 400 Bad\r\n\r\n")),
	);
	const closes = await rawServer((socket) => socket.on("data", () => socket.destroy()));
	const never = await rawServer(() => {});
	const at = (number: number, more: string) => `.port = "${number}"; .ssl = 1; ${more}`;
	const trusted = `.ssl_ca = "${certificatePath}";`;
	const named = `.host_header = "backend.example";`;
	const vcl = join(directory, "tls.vcl");
	writeFileSync(
		vcl,
		policy({
			unverified: at(port, `${named} .ssl_verify_peer = 0;`),
			nosni: at(port, `${named} .ssl_verify_peer = 0; .ssl_sni = 0;`),
			authority: at(port, `${named} ${trusted}`),
			both: at(port, `${named} ${trusted} .ssl_verify_host = 1;`),
			address: at(port, `${trusted} .ssl_verify_host = 1;`),
			onlyhost: at(port, `${named} .ssl_verify_peer = 0; .ssl_verify_host = 1;`),
			proxied: at(proxied, `.ssl_verify_peer = 0; .proxy_header = 2;`),
			selfsigned: at(port, named),
			otherauthority: at(port, `${named} .ssl_ca = "${other.certificatePath}";`),
			wrongname: at(port, `.host_header = "other.example"; ${trusted} .ssl_verify_host = 1;`),
			plain: at(answersPlain, ""),
			plainunverified: at(answersPlain, ".ssl_verify_peer = 0;"),
			closes: at(closes, ".ssl_verify_peer = 0;"),
			silent: at(never, ".connect_timeout = 0.5s;"),
			refused: at(await freePort(), ""),
			probed: at(port, `${named} ${trusted} .ssl_verify_host = 1; .probe = { .interval = 50ms; }`),
			probedproxied: at(proxied, `.ssl_verify_peer = 0; .proxy_header = 1; .probe = { .interval = 50ms; }`),
			probedbad: at(port, `${named} .probe = { .interval = 50ms; .initial = 3; }`),
		}),
	);
	cache = await startCache(drover, 0, ["-f", vcl, "-p", "vsl_reclen=1000"]);
}, 60_000);

afterAll(async () => {
	await cache?.stop();
	await nginx?.stop();
	for (const server of silent) server.close();
	rmSync(directory, { recursive: true, force: true });
});

const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${cache.port}/${path}`, init);

describe("TLS to a backend", () => {
	test(".ssl = 1: the name is said, HTTP/1.1 is agreed on, the connection is used again", async () => {
		const first = await (await get("unverified")).text();
		expect(first).toMatch(/^sni=backend\.example alpn=http\/1\.1 tls=TLSv1\.3 request=\d+$/);
		const requests = async () => Number(/request=(\d+)/.exec(await (await get("unverified")).text())?.[1]);
		// Several workers have connections of their own; one of them comes round again.
		let most = 0;
		for (let index = 0; index < 20 && most < 2; index++) most = Math.max(most, await requests());
		expect(most).toBeGreaterThan(1);
	});

	test(".ssl_sni = 0: no name is said", async () => {
		expect(await (await get("nosni")).text()).toStartWith("sni= ");
	});

	test("an address is no name to be said (RFC 6066 §3), but one to be verified", async () => {
		expect(await (await get("address")).text()).toStartWith("sni= ");
	});

	test(".ssl_ca and .ssl_verify_host, each and both", async () => {
		for (const name of ["authority", "both", "onlyhost"])
			expect(await (await get(name)).text()).toStartWith("sni=backend.example ");
	});

	test("a large answer comes whole", async () => {
		const answer = await get("authority/large");
		expect(answer.status).toBe(200);
		const bytes = Buffer.from(await answer.arrayBuffer());
		expect(bytes.equals(Buffer.alloc(BODY_BYTES, "0123456789abcdef"))).toBe(true);
	});

	test("a large request body goes whole", async () => {
		const body = Buffer.alloc(BODY_BYTES, "fedcba9876543210");
		const answer = await get("authority/put/file", { method: "PUT", body });
		expect(answer.status).toBe(201);
		const stored = await Bun.file(join(directory, "put/authority/put/file")).bytes();
		expect(Buffer.from(stored).equals(body)).toBe(true);
	});

	test("a pipe is encrypted too", async () => {
		const answer = await get("authority/large", { headers: { piped: "1" } });
		expect(answer.headers.get("via")).toBeNull();
		const bytes = Buffer.from(await answer.arrayBuffer());
		expect(bytes.equals(Buffer.alloc(BODY_BYTES, "0123456789abcdef"))).toBe(true);
		const refused = await get("wrongname", { headers: { piped: "1" } });
		expect(refused.status).toBe(503);
	});

	test("the PROXY header goes in front of the handshake", async () => {
		expect(await (await get("proxied")).text()).toBe("client=127.0.0.1 tls=TLSv1.3");
	});

	test.each(Object.entries(failures))("%s: 503, and the log says why", async (name, { log }) => {
		expect((await get(name)).status).toBe(503);
		const lines = (await cache.log()).split("\n").filter((line) => line.includes("FetchError"));
		expect(lines.filter((line) => line.includes(`backend ${name}: ${log}`))).not.toEqual([]);
	});

	test("nothing of a request is ever said in plain text", () => {
		expect(plainText).not.toBe("");
		expect(plainText).not.toContain("HTTP/1.1");
		expect(plainText).not.toContain("GET");
	});

	test("probes shake hands too", async () => {
		const health = async (name: string) => {
			const list = Bun.spawnSync(["varnishadm", "-n", cache.directory, "backend.list"]).stdout.toString();
			return list.split("\n").find((line) => line.startsWith(`boot.${name} `)) ?? list;
		};
		const waitFor = async (name: string, state: RegExp) => {
			for (let index = 0; index < 100 && !state.test(await health(name)); index++) await Bun.sleep(50);
			return health(name);
		};
		expect(await waitFor("probed", /8\/8\s+healthy/)).toMatch(/8\/8\s+healthy/);
		expect(await waitFor("probedproxied", /8\/8\s+healthy/)).toMatch(/8\/8\s+healthy/);
		expect(await waitFor("probedbad", /0\/8\s+sick/)).toMatch(/0\/8\s+sick/);
	});
});
