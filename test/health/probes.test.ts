/** Every kind of probe against real sockets: good servers, bad ones, and those that only pretend. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import type { Outcome } from "../../firmware/health/checker.ts";
import { requestBytes } from "../../firmware/health/http.ts";
import { startProbe } from "../../firmware/health/kinds.ts";
import { systemEnvironment } from "../../firmware/health/system-environment.ts";
import { decodeDnsHeader } from "../../firmware/wire/dns.ts";
import { check, http, probe, target, url, verdict } from "./fixtures.ts";

const folder = mkdtempSync(join(tmpdir(), "drover-health-"));
const closers: (() => void)[] = [];
afterAll(() => {
	for (const close of closers) close();
	rmSync(folder, { recursive: true, force: true });
});

/** A TCP server on a free port; `serve` gets each connection. */
async function tcpServer(serve: (socket: Socket) => void): Promise<number> {
	const server = createServer({ allowHalfOpen: true }, (socket) => {
		socket.on("error", () => {});
		serve(socket);
	});
	return listening(server);
}

async function listening(server: Server): Promise<number> {
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	closers.push(() => server.close());
	return (server.address() as { port: number }).port;
}

/** Answers every request with `answer`, and ends. */
const answering = (answer: string) =>
	tcpServer((socket) => socket.once("data", () => socket.end(answer, "latin1")));

async function closedPort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as { port: number };
	await new Promise((resolve) => server.close(resolve));
	return port;
}

describe("TCP_CHECK", () => {
	test("a listening port passes, and its program never sees the connection", async () => {
		let accepted = 0;
		const port = await tcpServer(() => accepted++);
		for (let index = 0; index < 20; index++)
			expect(await verdict(check("TCP_CHECK", { target: target(port) }))).toBe("passed: connected");
		expect(accepted).toBe(0);
		// It does leave no TIME_WAIT (06 in /proc/net/tcp) towards this port.
		const remote = `:${port.toString(16).toUpperCase().padStart(4, "0")} 06`;
		expect(readFileSync("/proc/net/tcp", "latin1")).not.toContain(remote);
	});
	test("a connection that is reset as soon as it stands was accepted, held or not", async () => {
		const script = `require("net").createServer({}, (socket) => socket.resetAndDestroy()).listen(0, "127.0.0.1", function () { console.log(this.address().port) })`;
		const server = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
		closers.push(() => server.kill());
		const { value } = await server.stdout.getReader().read();
		const port = Number(new TextDecoder().decode(value));
		for (const keeps of [false, true]) {
			const { promise, resolve } = Promise.withResolvers<Outcome>();
			const environment = systemEnvironment();
			startProbe(check("TCP_CHECK", { target: target(port) }), 0, environment, resolve, keeps);
			// The reset is there before anybody looks.
			Bun.sleepSync(100);
			expect(await promise).toEqual({ kind: "passed", detail: "connected", effect: null });
			environment.wheel.close();
		}
	});
	test("a closed port fails with the kernel's reason", async () => {
		expect(await verdict(check("TCP_CHECK", { target: target(await closedPort()) }))).toBe(
			"failed: connection refused",
		);
	});
	test("IPv6", async () => {
		const server = createServer((socket) => socket.destroy());
		await new Promise<void>((resolve) => server.listen(0, "::1", resolve));
		closers.push(() => server.close());
		const { port } = server.address() as { port: number };
		const v6 = target(port, { address: "::1", family: "inet6" });
		expect(await verdict(check("TCP_CHECK", { target: v6 }))).toBe("passed: connected");
	});
	test("an address that is not ours to bind postpones, it does not fail the server", async () => {
		const port = await tcpServer(() => {});
		const bound = target(port, { bindAddress: "192.0.2.77" });
		expect(await verdict(check("TCP_CHECK", { target: bound }))).toBe(
			"postponed: bindto 192.0.2.77: address not available",
		);
		const device = target(port, { bindInterface: "nosuch0" });
		expect(await verdict(check("TCP_CHECK", { target: device }))).toBe(
			"postponed: bind_if nosuch0: no such interface",
		);
	});
	test("a cancelled probe says nothing", async () => {
		const port = await tcpServer(() => {});
		const { environment } = await import("./fixtures.ts");
		const { startProbe } = await import("../../firmware/health/kinds.ts");
		let called = 0;
		for (const each of [port, await closedPort()]) {
			const cancel = startProbe(
				check("TCP_CHECK", { target: target(each) }),
				0,
				environment(),
				() => called++,
			);
			cancel();
		}
		await Bun.sleep(50);
		expect(called).toBe(0);
	});
});

describe("HTTP_GET", () => {
	const md5 = (text: string) => createHash("md5").update(text).digest("hex");
	const page = "<html>status: ok</html>\n";
	test("status codes", async () => {
		const good = await answering(`HTTP/1.0 200 OK\r\nContent-Length: ${page.length}\r\n\r\n${page}`);
		const bad = await answering("HTTP/1.0 503 Service Unavailable\r\n\r\nsorry");
		expect(await verdict(http(good))).toBe("passed: HTTP 200");
		expect(await verdict(http(bad))).toBe("failed: HTTP 503, wanted 200-299");
		expect(
			await verdict(
				http(bad, {
					statusCodes: [
						{ from: 200, to: 299 },
						{ from: 503, to: 503 },
					],
				}),
			),
		).toBe("passed: HTTP 503");
	});
	test("digest, until close, with Content-Length and chunked", async () => {
		const chunked = `6\r\n${page.slice(0, 6)}\r\n${(page.length - 6).toString(16)}\r\n${page.slice(6)}\r\n0\r\n\r\n`;
		for (const answer of [
			`HTTP/1.0 200 OK\r\n\r\n${page}`,
			`HTTP/1.0 200 OK\r\nContent-Length: ${page.length}\r\n\r\n${page}trailing junk`,
			`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
		])
			expect(await verdict(http(await answering(answer), { digest: md5(page) }))).toBe("passed: HTTP 200");
		// genhash -P 1.1 digests the chunk framing too: such a digest stays good.
		const raw = await answering(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`);
		expect(await verdict(http(raw, { digest: md5(chunked) }))).toBe("passed: HTTP 200");
		const wrong = "0123456789abcdef0123456789abcdef";
		expect(await verdict(http(await answering(`HTTP/1.0 200 OK\r\n\r\n${page}`), { digest: wrong }))).toBe(
			`failed: digest ${md5(page)} differs from ${wrong}`,
		);
	});
	test("regex", async () => {
		const port = await answering(`HTTP/1.0 200 OK\r\n\r\n${page}`);
		const regex = (pattern: string, noMatch = false, maxOffset: number | null = null) => ({
			regex: { pattern, options: [], noMatch, minOffset: 0, maxOffset },
		});
		expect(await verdict(http(port, regex("status: +ok")))).toBe("passed: HTTP 200");
		expect(await verdict(http(port, regex("status: +bad")))).toBe(
			'failed: regex "status: +bad" is not there',
		);
		expect(await verdict(http(port, regex("status", true)))).toBe('failed: regex "status" is there');
		expect(await verdict(http(port, regex("status", false, 3)))).toBe('failed: regex "status" is not there');
		expect(await verdict(http(port, regex("(")))).toStartWith('failed: regex "(": ');
	});
	test("what the server is sent", async () => {
		let seen = "";
		const port = await tcpServer((socket) =>
			socket.once("data", (bytes) => {
				seen = bytes.toString();
				socket.end("HTTP/1.0 200 OK\r\n\r\n");
			}),
		);
		expect(await verdict(http(port, { path: "/health", virtualHost: "www.example.org" }))).toBe(
			"passed: HTTP 200",
		);
		expect(seen).toBe("GET /health HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: www.example.org\r\n\r\n");
	});
	test.each([
		["takes a request in bites", 0],
		// Its accept queue is full: SYNs are dropped, and come again after a second.
		["accepts late", 1_000],
	])("a stopped server that goes on gets the whole request: it %s", async (_, waiting) => {
		const script = `const { createServer } = require("net");
			createServer((socket) => {
				let [seen, tail] = [0, ""];
				socket.on("error", () => {}).on("data", (bytes) => {
					seen += bytes.length;
					tail = (tail + bytes.subarray(-4).toString()).slice(-4);
					if (tail === "\\r\\n\\r\\n") socket.end("HTTP/1.0 200 OK\\r\\nX: " + seen + "\\r\\n\\r\\n");
				});
			}).listen({ port: 0, host: "127.0.0.1" }, function () { console.log(this.address().port); });`;
		const server = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
		closers.push(() => server.kill("SIGKILL"));
		const { value } = await server.stdout.getReader().read();
		const port = Number(new TextDecoder().decode(value));
		server.kill("SIGSTOP");
		const filling = Array.from({ length: waiting }, () => connect(port, "127.0.0.1").on("error", () => {}));
		await Bun.sleep(200);
		const path = `/${"x".repeat(16_000_000)}`;
		const patient = { targetChange: { connectTimeoutMs: 5_000 } };
		const { length } = requestBytes(target(port), url({ path }), "1.0");
		const regex = { pattern: `X: ${length}\r`, options: [], noMatch: false, minOffset: 0, maxOffset: null };
		const outcome = verdict(http(port, { path, regex }, patient));
		await Bun.sleep(300);
		server.kill("SIGCONT");
		expect(await outcome).toBe("passed: HTTP 200");
		for (const socket of filling) socket.destroy();
	});
	test("a whole 1.1 answer passes although the connection stays open", async () => {
		const port = await tcpServer((socket) =>
			socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")),
		);
		expect(await verdict(http(port))).toBe("passed: HTTP 200");
	});
	test("servers that are no good", async () => {
		expect(await verdict(http(await closedPort()))).toBe("failed: connection refused");
		expect(await verdict(http(await tcpServer(() => {})))).toBe("failed: timeout after 400 ms");
		expect(await verdict(http(await tcpServer((socket) => socket.end())))).toBe(
			"failed: closed without an answer",
		);
		expect(await verdict(http(await answering("SSH-2.0-OpenSSH\r\n")))).toBe(
			'failed: no HTTP answer: "SSH-2.0-OpenSSH"',
		);
		const reset = await tcpServer((socket) => socket.once("data", () => socket.resetAndDestroy()));
		expect(await verdict(http(reset))).toBe("failed: connection reset");
		const half = await tcpServer((socket) => socket.once("data", () => socket.write("HTTP/1.0 200 OK\r\n")));
		expect(await verdict(http(half))).toBe("failed: timeout after 400 ms");
	});
	test("regex: what is asked for may stand in the head, what must not be there counts in the page only", async () => {
		const port = await answering("HTTP/1.0 200 OK\r\nX-Role: primary\r\n\r\npage");
		const pattern = (text: string, more = {}) => ({
			regex: { pattern: text, options: [], noMatch: false, minOffset: 0, maxOffset: null, ...more },
		});
		expect(await verdict(http(port, pattern("X-Role: primary")))).toBe("passed: HTTP 200");
		// keepalived counts offsets from the head's beginning.
		expect(await verdict(http(port, pattern("page", { minOffset: 30 })))).toBe("passed: HTTP 200");
		expect(await verdict(http(port, pattern("^page", { maxOffset: 0 })))).toBe("passed: HTTP 200");
		expect(await verdict(http(port, pattern("X-Role", { noMatch: true })))).toBe("passed: HTTP 200");
		expect(await verdict(http(port, pattern("standby")))).toBe('failed: regex "standby" is not there');
	});
	test("each read has the timeout for itself: a slow drip passes", async () => {
		const port = await tcpServer((socket) =>
			socket.once("data", async () => {
				for (const part of ["HTTP/1.0 200 ", "OK\r\n", "\r\n", "o", "k"]) {
					socket.write(part);
					await Bun.sleep(150);
				}
				socket.end();
			}),
		);
		expect(await verdict(http(port))).toBe("passed: HTTP 200");
	});
	test("with several URLs the failure names its own", async () => {
		const port = await answering("HTTP/1.0 404 Not Found\r\n\r\n");
		const two = http(port, {}, { urls: [url({ path: "/a" }), url({ path: "/b" })] });
		expect(await verdict(two, 1)).toBe("failed: /b: HTTP 404, wanted 200-299");
	});
	test("a body of several megabytes is digested as it streams", async () => {
		const megabyte = Buffer.alloc(1024 * 1024, "x");
		const port = await tcpServer((socket) =>
			socket.once("data", () => {
				socket.write("HTTP/1.0 200 OK\r\n\r\n");
				for (let index = 0; index < 8; index++) socket.write(megabyte);
				socket.end();
			}),
		);
		const digest = createHash("md5")
			.update(Buffer.alloc(8 * 1024 * 1024, "x"))
			.digest("hex");
		expect(await verdict(http(port, { digest }))).toBe("passed: HTTP 200");
	});
});

describe("SSL_GET", () => {
	let key = "";
	let certificate = "";
	beforeAll(() => {
		const made = Bun.spawnSync([
			...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
			...["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")],
			...["-subj", "/CN=self-signed.example", "-days", "2"],
		]);
		if (made.exitCode !== 0) throw new Error(made.stderr.toString());
		key = readFileSync(join(folder, "key.pem"), "utf8");
		certificate = readFileSync(join(folder, "cert.pem"), "utf8");
	});
	const ssl = (port: number, serverName: string | null = null, change = {}) =>
		check("SSL_GET", {
			target: target(port, { connectTimeoutMs: 2_000 }),
			urls: [url(change)],
			httpProtocol: "1.0",
			serverName,
			fastRecovery: false,
		});
	async function tlsServer(answer: string, options = {}): Promise<{ port: number; names: string[] }> {
		const names: string[] = [];
		const server = createTlsServer(
			{
				key,
				cert: certificate,
				SNICallback(name, callback) {
					names.push(name);
					callback(null);
				},
				...options,
			},
			(socket) => {
				socket.on("error", () => {});
				socket.once("data", () => socket.end(answer));
			},
		);
		server.on("tlsClientError", () => {});
		return { port: await listening(server as unknown as Server), names };
	}
	test("any certificate is accepted; no server name is sent unless asked for", async () => {
		const { port, names } = await tlsServer("HTTP/1.0 200 OK\r\n\r\nok");
		expect(await verdict(ssl(port))).toBe("passed: HTTP 200");
		expect(names).toEqual([]);
		expect(await verdict(ssl(port, "www.example.org"))).toBe("passed: HTTP 200");
		expect(names).toEqual(["www.example.org"]);
	});
	test("digest over TLS 1.2 and 1.3", async () => {
		const digest = createHash("md5").update("ok").digest("hex");
		for (const maxVersion of ["TLSv1.2", "TLSv1.3"]) {
			const { port } = await tlsServer("HTTP/1.0 200 OK\r\n\r\nok", { maxVersion });
			expect(await verdict(ssl(port, null, { digest }))).toBe("passed: HTTP 200");
		}
	});
	test("a bad status fails", async () => {
		const { port } = await tlsServer("HTTP/1.0 500 No\r\n\r\n");
		expect(await verdict(ssl(port))).toBe("failed: HTTP 500, wanted 200-299");
	});
	test("a server that speaks no TLS, and one that hangs up in the handshake", async () => {
		const plain = await answering("HTTP/1.0 200 OK\r\n\r\n");
		expect(await verdict(ssl(plain))).toStartWith("failed: TLS: ");
		const mute = await tcpServer((socket) => socket.once("data", () => socket.end()));
		expect(await verdict(ssl(mute))).toStartWith("failed: TLS: ");
		expect(await verdict(ssl(await closedPort()))).toBe("failed: connection refused");
	});
	test("the end without close_notify passes, unless tls_compliant", async () => {
		// A proxy that cuts the TCP connection as soon as the server wants to end it.
		const { port: upstream } = await tlsServer("HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nok", {
			maxVersion: "TLSv1.2",
		});
		const port = await tcpServer(async (socket) => {
			const { connect } = await import("node:net");
			const to = connect(upstream, "127.0.0.1");
			to.on("error", () => {});
			let answered = false;
			socket.on("data", (bytes) => to.write(bytes));
			to.on("data", (bytes: Buffer) => {
				// Record type 21 is an alert: the close_notify that the client shall not see.
				for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
					if (bytes[at] === 21) continue;
					answered ||= bytes[at] === 23;
					socket.write(bytes.subarray(at, at + 5 + bytes.readUInt16BE(at + 3)));
				}
				if (answered) socket.end();
			});
		});
		expect(await verdict(ssl(port))).toBe("passed: HTTP 200");
		expect(await verdict(ssl(port, null, { tlsCompliant: true }))).toBe(
			"failed: TLS: closed without close_notify",
		);
	});
});

describe("SMTP_CHECK", () => {
	const smtp = (port: number) =>
		check("SMTP_CHECK", { target: target(port), heloName: "smtpchecker.keepalived.org" });
	const dialogue = (greeting: string, helo: string, quit: string, seen: string[] = []) =>
		tcpServer((socket) => {
			socket.write(greeting);
			socket.on("data", (bytes) => {
				const line = bytes.toString();
				seen.push(line);
				socket.write(line.startsWith("HELO") ? helo : quit);
			});
		});
	test("banner, HELO, QUIT", async () => {
		const seen: string[] = [];
		const port = await dialogue("220 mail ESMTP\r\n", "250 mail\r\n", "221 Bye\r\n", seen);
		expect(await verdict(smtp(port))).toBe("passed: SMTP 220, 250");
		expect(seen).toEqual(["HELO smtpchecker.keepalived.org\r\n", "QUIT\r\n"]);
	});
	test("a greeting of several lines is a greeting", async () => {
		const port = await dialogue("220-hello\r\n220-there\r\n220 mail\r\n", "250-a\r\n250 b\r\n", "221 x\r\n");
		expect(await verdict(smtp(port))).toBe("passed: SMTP 220, 250");
	});
	test("replies that come before they were asked for are none", async () => {
		const port = await dialogue("220 x\r\n250 x\r\n221 x\r\n", "", "");
		expect(await verdict(smtp(port))).toBe("failed: answered HELO before it was asked");
	});
	test("refusals", async () => {
		expect(await verdict(smtp(await dialogue("554 go away\r\n", "", "")))).toBe(
			"failed: greeted with 554 go away",
		);
		expect(await verdict(smtp(await dialogue("220 x\r\n", "550 no\r\n", "")))).toBe(
			"failed: HELO answered with 550 no",
		);
		expect(await verdict(smtp(await tcpServer((socket) => socket.end("220 x\r\n"))))).toBe(
			"failed: closed before the helo reply",
		);
		expect(await verdict(smtp(await tcpServer(() => {})))).toBe("failed: timeout after 400 ms");
		expect(await verdict(smtp(await tcpServer((socket) => socket.end("HTTP/1.1 400 Bad\r\n"))))).toBe(
			'failed: no SMTP reply: "HTTP/1.1 400 Bad"',
		);
	});
});

/** A UDP server that answers with what `reply` makes of a datagram; null is silence. */
async function udpServer(reply: (bytes: Buffer) => Uint8Array | null): Promise<number> {
	const socket = createSocket("udp4");
	socket.on("message", (bytes, from) => {
		const answer = reply(bytes);
		if (answer !== null) socket.send(answer, from.port, from.address);
	});
	await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
	closers.push(() => socket.close());
	return socket.address().port;
}

async function closedUdpPort(): Promise<number> {
	const socket = createSocket("udp4");
	await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
	const { port } = socket.address();
	await new Promise<void>((resolve) => socket.close(resolve));
	return port;
}

describe("UDP_CHECK", () => {
	const udp = (port: number, change = {}) =>
		check("UDP_CHECK", {
			target: target(port),
			payloadHex: null,
			requireReply: false,
			replyPattern: null,
			minReplyLengthBytes: 0,
			maxReplyLengthBytes: 255,
			...change,
		});
	test("silence passes unless a reply is required; a closed port fails at once", async () => {
		const silent = await udpServer(() => null);
		expect(await verdict(udp(silent))).toBe("passed: not refused");
		expect(await verdict(udp(silent, { requireReply: true }))).toBe("failed: no reply, timeout after 400 ms");
		expect(await verdict(udp(await closedUdpPort()))).toBe("failed: connection refused");
	});
	test("payload and reply", async () => {
		const port = await udpServer((bytes) =>
			bytes.toString("hex") === "70696e67" ? Buffer.from("pong") : Buffer.from("?"),
		);
		const ping = { payloadHex: "70696e67", requireReply: true };
		expect(await verdict(udp(port, { ...ping, replyPattern: "706fXX67" }))).toBe("passed: reply of 4 bytes");
		expect(await verdict(udp(port, { requireReply: true, replyPattern: "706f" }))).toBe(
			"failed: reply begins with 3f, wanted 706f",
		);
	});
});

describe("DNS_CHECK", () => {
	const dns = (port: number) =>
		check("DNS_CHECK", { target: target(port), type: "SOA", name: "example.org" });
	const answer = (bytes: Buffer, responseCode: number) => {
		const reply = Buffer.from(bytes);
		reply.writeUInt16BE(0x8180 | responseCode, 2);
		return reply;
	};
	test("NOERROR passes, NXDOMAIN fails", async () => {
		expect(await verdict(dns(await udpServer((bytes) => answer(bytes, 0))))).toBe("passed: DNS NOERROR");
		expect(await verdict(dns(await udpServer((bytes) => answer(bytes, 3))))).toBe("failed: DNS NXDOMAIN");
	});
	test("an answer to another query is not ours", async () => {
		const port = await udpServer((bytes) => {
			const reply = answer(bytes, 0);
			reply.writeUInt16BE(decodeDnsHeader(bytes)!.id ^ 1, 0);
			return reply;
		});
		expect(await verdict(dns(port))).toBe("failed: timeout after 400 ms");
	});
	test("garbage and a closed port fail", async () => {
		expect(await verdict(dns(await udpServer(() => Buffer.from("x"))))).toBe(
			"failed: reply of 1 bytes is no DNS message",
		);
		expect(await verdict(dns(await closedUdpPort()))).toBe("failed: connection refused");
	});
});

describe("MISC_CHECK", () => {
	const misc = (
		command: string[],
		options: { timeoutMs?: number; dynamicWeight?: boolean; user?: string } = {},
	) =>
		check("MISC_CHECK", {
			script: {
				command,
				user: options.user ?? null,
				group: null,
				location: { file: "", line: 1, column: 1 },
			},
			timeoutMs: options.timeoutMs ?? 5_000,
			dynamicWeight: options.dynamicWeight ?? false,
		});
	const script = (name: string, text: string) => {
		const path = join(folder, name);
		writeFileSync(path, `#!/bin/sh\n${text}\n`);
		chmodSync(path, 0o755);
		return path;
	};
	test("exit statuses", async () => {
		expect(await verdict(misc(["/bin/true"]))).toBe("passed: exit status 0");
		expect(await verdict(misc(["/bin/false"]))).toBe("failed: exit status 1");
		expect(await probe(misc(["/bin/sh", "-c", "exit 12"], { dynamicWeight: true }))).toEqual({
			kind: "passed",
			detail: "exit status 12, weight 10",
			effect: { kind: "replace", weight: 10 },
		});
		expect(await verdict(misc(["/bin/sh", "-c", "kill -SEGV $$"]))).toBe("failed: killed by SIGSEGV");
		expect(await verdict(misc(["/no/such/program"]))).toBe("postponed: /no/such/program: no such program");
	});
	test("a script without a #! line is the shell's, as with keepalived", async () => {
		const path = join(folder, "plain");
		writeFileSync(path, `exit "$1"\n`, { mode: 0o755 });
		expect(await verdict(misc([path, "0"]))).toBe("passed: exit status 0");
		expect(await verdict(misc([path, "7"]))).toBe("failed: exit status 7");
	});
	test("arguments reach the program as they are: no shell looks at them", async () => {
		const path = script("arguments", `[ "$1" = 'a b; exit 9 $HOME' ]`);
		expect(await verdict(misc([path, "a b; exit 9 $HOME"]))).toBe("passed: exit status 0");
	});
	test("a timeout ends the script with everything it started", async () => {
		const pidFile = join(folder, "grandchild");
		const path = script("slow", `trap '' TERM\nsleep 60 &\necho $! >${pidFile}\nwait; wait; sleep 60`);
		const started = performance.now();
		expect(await verdict(misc([path], { timeoutMs: 200 }))).toBe("failed: timeout after 200 ms");
		expect(performance.now() - started).toBeGreaterThan(2_000);
		const grandchild = Number(readFileSync(pidFile, "utf8"));
		const state = () => {
			try {
				return /\) (\S)/.exec(readFileSync(`/proc/${grandchild}/stat`, "latin1"))?.[1];
			} catch {
				return "gone";
			}
		};
		for (let tries = 0; tries < 100 && state() !== "gone" && state() !== "Z"; tries++) await Bun.sleep(20);
		expect(["gone", "Z"]).toContain(state()!);
	});
	test("an unknown user fails and says so", async () => {
		expect(await verdict(misc(["/bin/true"], { user: "no-such-user" }))).toBe(
			'failed: there is no user "no-such-user"',
		);
	});
});
