/**
 * `.proxy_header` of backends (PROXY protocol §2.1, §2.2): the bytes that a backend is sent, from Drover and from the
 * stock varnishd, for clients over IPv4, IPv6 and Unix sockets, and from probes. nginx reads them in
 * backend-tls.test.ts, HAProxy here.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	drover,
	freePort,
	portAnswers,
	type RunningCache,
	startCache,
	stock,
} from "../../conformance/caches.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-proxy-"));
// The stock daemon reads its files as a user of its own.
chmodSync(directory, 0o755);
const signature = "0d0a0d0a000d0a515549540a";

interface Greeted {
	/** The bytes in front of the request. */
	readonly bytes: Buffer;
	/** The address of the connection to the backend, and its port. */
	readonly address: string;
	readonly port: number;
}
/** By the request's target. */
const greeted = new Map<string, Greeted>();
let backend: Server;
let haproxy: Bun.Subprocess;
let haproxyPort = 0;
const caches = new Map<
	string,
	{ readonly cache: RunningCache; readonly v6Port: number; readonly path: string }
>();

beforeAll(async () => {
	backend = createServer((socket) => {
		let bytes = Buffer.alloc(0);
		socket.on("error", () => {});
		socket.on("data", (piece: Buffer) => {
			bytes = Buffer.concat([bytes, piece]);
			const text = bytes.toString("latin1");
			const at = text.indexOf("GET /");
			if (at < 0 || !text.includes("\r\n\r\n", at)) return;
			greeted.set(text.slice(at + 4, text.indexOf(" ", at + 4)), {
				bytes: bytes.subarray(0, at),
				address: socket.remoteAddress ?? "",
				port: socket.remotePort ?? 0,
			});
			socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
		});
	});
	const port = await freePort();
	await new Promise<void>((resolve) => backend.listen(port, "127.0.0.1", resolve));
	haproxyPort = await freePort();
	const configuration = join(directory, "haproxy.cfg");
	writeFileSync(
		configuration,
		`defaults
	mode http
	timeout client 10s
	timeout server 10s
	timeout connect 5s
frontend f
	bind 127.0.0.1:${haproxyPort} accept-proxy
	http-request return status 200 content-type text/plain lf-string "src=%[src] port=%[src_port] dst=%[dst] fc=%[fc_rcvd_proxy]"
`,
	);
	haproxy = Bun.spawn(["haproxy", "-db", "-f", configuration], { stdout: "ignore", stderr: "ignore" });
	for (const [name, command] of [
		["drover", drover],
		["stock", stock],
	] as const) {
		const vcl = join(directory, `${name}.vcl`);
		const definition = (version: number) =>
			`backend v${version} { .host = "127.0.0.1"; .port = "${port}"; .proxy_header = ${version};
	.probe = { .url = "/${name}/probe${version}"; .interval = 1h; .initial = 3; } }
backend h${version} { .host = "127.0.0.1"; .port = "${haproxyPort}"; .proxy_header = ${version}; }`;
		writeFileSync(
			vcl,
			`vcl 4.1;
${definition(1)}
${definition(2)}
sub vcl_recv {
	set req.backend_hint = v1;
	if (req.url ~ "/v2") { set req.backend_hint = v2; }
	if (req.url ~ "/h1") { set req.backend_hint = h1; }
	if (req.url ~ "/h2") { set req.backend_hint = h2; }
	if (req.url ~ "/pipe") { return (pipe); }
	return (pass);
}
`,
		);
		const v6Port = await freePort();
		const path = join(directory, `${name}.sock`);
		const cache = await startCache(command, 0, [
			"-f",
			vcl,
			"-a",
			`six=[::1]:${v6Port}`,
			"-a",
			`unix=${path},mode=666`,
		]);
		caches.set(name, { cache, v6Port, path });
	}
	while (!(await portAnswers(haproxyPort))) await Bun.sleep(20);
}, 60_000);

afterAll(async () => {
	for (const { cache } of caches.values()) await cache.stop();
	haproxy?.kill();
	await haproxy?.exited;
	backend?.close();
	rmSync(directory, { recursive: true, force: true });
});

/** Asks for `target`; resolves with the client's own port and the answer. */
function ask(to: { host: string; port: number } | { path: string }, target: string) {
	return new Promise<{ readonly port: number; readonly text: string }>((resolve, reject) => {
		let text = "";
		let port = 0;
		const socket = connect(to as never, () => {
			port = socket.localPort ?? 0;
			socket.write(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
		});
		socket.on("data", (bytes) => {
			text += bytes.toString("latin1");
		});
		socket.on("error", reject);
		socket.on("close", () => resolve({ port, text }));
	});
}

const hexPort = (port: number) => port.toString(16).padStart(4, "0");

describe.each(["drover", "stock"])("%s", (name) => {
	const sent = (target: string) => greeted.get(`/${name}${target}`)?.bytes ?? Buffer.alloc(0);

	test.each(["", "/pipe"])("version 1 and 2 over IPv4 %s", async (more) => {
		const { port } = caches.get(name)!.cache;
		const one = await ask({ host: "127.0.0.1", port }, `/${name}/v1${more}`);
		expect(sent(`/v1${more}`).toString("latin1")).toBe(
			`PROXY TCP4 127.0.0.1 127.0.0.1 ${one.port} ${port}\r\n`,
		);
		const two = await ask({ host: "127.0.0.1", port }, `/${name}/v2${more}`);
		expect(sent(`/v2${more}`).toString("hex")).toBe(
			`${signature}2111000c7f0000017f000001${hexPort(two.port)}${hexPort(port)}`,
		);
	});

	test("version 1 and 2 over IPv6", async () => {
		const { v6Port } = caches.get(name)!;
		const one = await ask({ host: "::1", port: v6Port }, `/${name}/v1/six`);
		expect(sent("/v1/six").toString("latin1")).toBe(`PROXY TCP6 ::1 ::1 ${one.port} ${v6Port}\r\n`);
		const two = await ask({ host: "::1", port: v6Port }, `/${name}/v2/six`);
		const loopback = "0".repeat(31).concat("1");
		expect(sent("/v2/six").toString("hex")).toBe(
			`${signature}21210024${loopback}${loopback}${hexPort(two.port)}${hexPort(v6Port)}`,
		);
	});

	test("a client on a Unix socket is 0.0.0.0, as in VCL", async () => {
		const { path } = caches.get(name)!;
		await ask({ path }, `/${name}/v1/unix`);
		expect(sent("/v1/unix").toString("latin1")).toBe("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n");
		await ask({ path }, `/${name}/v2/unix`);
		expect(sent("/v2/unix").toString("hex")).toBe(`${signature}2111000c${"00".repeat(12)}`);
	});

	test("a probe speaks for itself", async () => {
		while (!greeted.has(`/${name}/probe1`) || !greeted.has(`/${name}/probe2`)) await Bun.sleep(20);
		const { port } = greeted.get(`/${name}/probe1`)!;
		expect(sent("/probe1").toString("latin1")).toBe(`PROXY TCP4 127.0.0.1 127.0.0.1 ${port} ${port}\r\n`);
		expect(sent("/probe2").toString("hex")).toBe(`${signature}20000000`);
	});

	test.each([1, 2])("HAProxy believes version %d", async (version) => {
		const { port } = caches.get(name)!.cache;
		const answer = await ask({ host: "127.0.0.1", port }, `/${name}/h${version}`);
		expect(answer.text).toContain(`src=127.0.0.1 port=${answer.port} dst=127.0.0.1 fc=1`);
	});
});
