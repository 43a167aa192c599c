/** TLS to clients (-a …,tls=PEM) as node's and openssl's clients see it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { connect as connectPlain } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { drover, freePort, portAnswers, type RunningCache, startCache } from "../../conformance/caches.ts";
import { makeCertificate } from "./certificate.ts";

const BODY_BYTES = 8 * 1024 * 1024;
const large = Buffer.alloc(BODY_BYTES, "0123456789abcdef");
const directory = mkdtempSync(join(tmpdir(), "drover-tls-listener-"));
const { bothPath } = makeCertificate(directory, "front", ["DNS:front.example"]);
let origin: Server;
let cache: RunningCache;
let port = 0;
/** Seconds that a client stayed that said nothing. */
let silence: Promise<number>;

beforeAll(async () => {
	port = await freePort();
	origin = createServer((request, response) => {
		if (request.method === "POST") {
			let bytes = 0;
			request.on("data", (piece: Buffer) => {
				bytes += piece.length;
			});
			request.on("end", () => response.end(String(bytes)));
		} else response.end(request.url === "/large" ? large : `you asked for ${request.url}`);
	});
	await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
	const { port: originPort } = origin.address() as { port: number };
	const vcl = join(directory, "front.vcl");
	writeFileSync(
		vcl,
		`vcl 4.1;
import proxy;
backend default { .host = "127.0.0.1"; .port = "${originPort}"; }
sub vcl_deliver {
	set resp.http.hits = obj.hits;
	set resp.http.socket = local.socket;
	set resp.http.ssl = proxy.is_ssl() + " " + proxy.ssl_version() + " " + proxy.alpn() + " " + proxy.authority();
}
`,
	);
	cache = await startCache(drover, 0, ["-f", vcl, "-a", `web=127.0.0.1:${port},tls=${bothPath}`]);
	while (!(await portAnswers(port))) await Bun.sleep(20);
	const started = performance.now();
	silence = new Promise((resolve) => {
		const socket = connectPlain(port, "127.0.0.1");
		socket.on("error", () => {});
		socket.on("close", () => resolve((performance.now() - started) / 1000));
	});
}, 60_000);

afterAll(async () => {
	await cache?.stop();
	origin?.closeAllConnections();
	origin?.close();
	rmSync(directory, { recursive: true, force: true });
});

function dial(more: object = {}): Promise<TLSSocket> {
	return new Promise((resolve, reject) => {
		const socket = connect({
			host: "127.0.0.1",
			port,
			servername: "front.example",
			ca: readFileSync(bothPath, "utf8"),
			ALPNProtocols: ["h2", "http/1.1"],
			...more,
		});
		socket.on("secureConnect", () => resolve(socket));
		socket.on("error", reject);
	});
}

/** Everything until `enough` says so. */
function read(socket: TLSSocket, enough: (bytes: Buffer) => boolean): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		const pieces: Buffer[] = [];
		socket.on("data", (piece: Buffer) => {
			pieces.push(piece);
			const all = Buffer.concat(pieces);
			if (enough(all)) resolve(all);
		});
		socket.on("close", () => reject(new Error(`closed after ${Buffer.concat(pieces)}`)));
	});
}

const answers = (text: string) => text.split("HTTP/1.1 ").length - 1;

describe("a TLS listener", () => {
	test("proves itself with its certificate, agrees on HTTP/1.1, and VCL knows", async () => {
		const socket = await dial();
		expect(socket.authorized).toBe(true);
		expect(socket.alpnProtocol).toBe("http/1.1");
		socket.write("GET /a HTTP/1.1\r\nHost: front.example\r\n\r\n");
		const text = (await read(socket, (bytes) => bytes.includes("you asked for /a"))).toString();
		expect(text).toContain("socket: web\r\n");
		expect(text).toContain("ssl: true TLSv1.3 http/1.1 ");
		socket.destroy();
	});

	test("several requests on one connection, pipelined too, some of them hits", async () => {
		const socket = await dial();
		const request = "GET /b HTTP/1.1\r\nHost: front.example\r\n\r\n";
		socket.write(request);
		socket.write(request.repeat(9));
		const text = (
			await read(socket, (bytes) => answers(bytes.toString()) === 10 && bytes.toString().endsWith("/b"))
		).toString();
		expect(text).toContain("hits: 9\r\n");
		socket.destroy();
	});

	test("a large body comes whole, also to a reader that pauses", async () => {
		const socket = await dial();
		socket.write("GET /large HTTP/1.1\r\nHost: front.example\r\nConnection: close\r\n\r\n");
		const pieces: Buffer[] = [];
		let paused = 0;
		await new Promise<void>((resolve) => {
			socket.on("data", (piece: Buffer) => {
				pieces.push(piece);
				if (paused++ % 50 !== 0) return;
				socket.pause();
				setTimeout(() => socket.resume(), 5);
			});
			socket.on("end", resolve);
		});
		const all = Buffer.concat(pieces);
		const body = all.subarray(all.indexOf("\r\n\r\n") + 4);
		expect(body.length).toBe(BODY_BYTES);
		expect(body.equals(large)).toBe(true);
	});

	test("a large request body goes whole", async () => {
		const socket = await dial();
		socket.write(`POST /up HTTP/1.1\r\nHost: front.example\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`);
		socket.write(large);
		const text = (
			await read(
				socket,
				(bytes) => bytes.toString().includes("\r\n\r\n") && bytes.toString().endsWith(String(BODY_BYTES)),
			)
		).toString();
		expect(text).toStartWith("HTTP/1.1 200 OK");
		socket.destroy();
	});

	test("TLS 1.2 is spoken, TLS 1.1 is not (RFC 8996)", async () => {
		const tls12 = await dial({ maxVersion: "TLSv1.2" });
		expect(tls12.getProtocol()).toBe("TLSv1.2");
		tls12.destroy();
		const old = Bun.spawnSync(
			["openssl", "s_client", "-connect", `127.0.0.1:${port}`, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
			{ stdin: "ignore" },
		);
		expect(old.exitCode).not.toBe(0);
		expect(old.stderr.toString()).toMatch(/alert protocol version|unsupported protocol/);
	});

	test("plain text and noise are refused, the log says so, and the next client is served", async () => {
		for (const noise of [
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"\x16\x03\x01\xff\xff".repeat(100),
			"\0".repeat(5000),
		]) {
			const text = await new Promise<string>((resolve) => {
				let got = "";
				const socket = connectPlain(port, "127.0.0.1", () => socket.write(noise, "latin1"));
				socket.on("data", (bytes) => {
					got += bytes.toString("latin1");
				});
				socket.on("error", () => {});
				socket.on("close", () => resolve(got));
			});
			expect(text).not.toContain("HTTP/1");
		}
		expect(await cache.log()).toMatch(/Error\s+c TLS handshake failed: \S+/);
		const socket = await dial();
		socket.write("GET /c HTTP/1.1\r\nHost: front.example\r\n\r\n");
		await read(socket, (bytes) => bytes.includes("you asked for /c"));
		socket.destroy();
	});

	test("a certificate that cannot be read is said at the start", async () => {
		const missing = join(directory, "missing.pem");
		for (const [more, words] of [
			[`tls=${missing}`, `certificate ${missing} cannot be read: ENOENT`],
			[`PROXY,tls=${bothPath}`, "PROXY and tls do not go together"],
		]) {
			const child = Bun.spawn(
				[...drover, "-F", "-n", join(directory, "n"), "-b", "none", "-a", `127.0.0.1:0,${more}`],
				{ stdout: "ignore", stderr: "pipe" },
			);
			expect(await new Response(child.stderr).text()).toContain(words!);
			expect(await child.exited).not.toBe(0);
		}
	});

	test("who does not shake hands does not stay", async () => expect(await silence).toBeGreaterThan(1));
});
