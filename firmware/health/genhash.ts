/** `drover genhash`: the digest for an HTTP_GET or SSL_GET check, with genhash(1)'s options and output. */
import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import type { CheckTarget } from "../config/model.ts";
import { canonicalAddress, familyOf } from "../wire/ip.ts";
import type { ProbeEnvironment } from "./checker.ts";
import { requestBytes } from "./http.ts";
import { HttpResponseReader, ResponseError } from "./http-response.ts";
import { type Stream, type StreamOwner, TcpStream } from "./stream.ts";
import { systemEnvironment } from "./system-environment.ts";
import { TlsStream } from "./tls-stream.ts";

const usage = `usage: drover genhash -s ADDRESS -p PORT -u PATH [options]
Prints the MD5 digest of a page, for "digest" in a url block.

  -s, --server=ADDRESS        the real server
  -p, --port=PORT
  -u, --url=PATH
  -S, --use-ssl               over TLS
  -I, --use-sni               with the virtual host as server name
  -V, --use-virtualhost=NAME  Host header
  -P, --protocol=1.0|1.0c|1.1 1.0c is 1.0 with "Connection: close"
  -m, --fwmark=MARK
  -t, --timeout=SECONDS       of the connection and of each read (default 5)
  -v, --verbose               the answer too
  -h, --help`;

interface Page {
	readonly status: number;
	readonly head: Buffer;
	/** As it came, chunk framing included: what keepalived digests. */
	readonly body: Buffer;
}

export async function main(words: readonly string[]): Promise<number> {
	let options: ReturnType<typeof readOptions>;
	try {
		options = readOptions(words);
	} catch (error) {
		console.error(`genhash: ${error instanceof Error ? error.message : error}\n\n${usage}`);
		return 2;
	}
	if (options === "help") {
		console.log(usage);
		return 0;
	}
	const started = performance.now();
	const environment = systemEnvironment();
	try {
		const page = await fetchPage(options, environment);
		const hash = createHash("md5").update(page.body).digest();
		if (options.verbose) {
			console.log(rule("    HTTP Header Buffer    "));
			console.log(hexDump(page.head));
			console.log(rule(" HTTP Header Ascii Buffer "));
			console.log(page.head.toString("latin1"));
			console.log(rule("        HTML Buffer        "));
			console.log(hexDump(page.body));
			console.log(rule("    HTML hash resulting    "));
			console.log(hexDump(hash));
			console.log(rule(" HTML hash final resulting "));
		}
		console.log(hash.toString("hex"));
		if (options.verbose)
			console.log(
				`\nGlobal response time for [${options.path}] = ${Math.round((performance.now() - started) * 1000)} usecs`,
			);
		if (page.status < 200 || page.status > 299)
			console.error(`genhash: the server answered HTTP ${page.status}: this is the digest of its error page`);
		return 0;
	} catch (error) {
		console.error(`genhash: ${error instanceof Error ? error.message : error}`);
		return 1;
	} finally {
		environment.wheel.close();
	}
}

function readOptions(words: readonly string[]) {
	const { values } = parseArgs({
		args: [...words],
		options: {
			server: { type: "string", short: "s" },
			port: { type: "string", short: "p" },
			url: { type: "string", short: "u" },
			"use-ssl": { type: "boolean", short: "S", default: false },
			"use-sni": { type: "boolean", short: "I", default: false },
			"use-virtualhost": { type: "string", short: "V" },
			protocol: { type: "string", short: "P", default: "1.0" },
			fwmark: { type: "string", short: "m", default: "0" },
			timeout: { type: "string", short: "t", default: "5" },
			verbose: { type: "boolean", short: "v", default: false },
			help: { type: "boolean", short: "h", default: false },
		},
	});
	if (values.help) return "help";
	const address = canonicalAddress(values.server ?? "");
	if (address === null) throw new Error("-s takes the server's IP address");
	const port = Number(values.port);
	if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Error("-p takes a port, 1 to 65535");
	if (values.url === undefined) throw new Error("-u takes the path of the page");
	const protocol = values.protocol.toUpperCase();
	if (protocol !== "1.0" && protocol !== "1.0C" && protocol !== "1.1")
		throw new Error("-P takes 1.0, 1.0c or 1.1");
	const timeoutMs = Math.round(Number(values.timeout) * 1000);
	if (!(timeoutMs > 0)) throw new Error("-t takes seconds");
	const fwmark = Number(values.fwmark);
	if (!Number.isInteger(fwmark) || fwmark < 0) throw new Error("-m takes a number");
	const target: CheckTarget = {
		address,
		family: familyOf(address),
		port,
		bindAddress: null,
		bindPort: null,
		bindInterface: null,
		connectTimeoutMs: timeoutMs,
		fwmark,
	};
	return {
		target,
		path: values.url,
		protocol,
		tls: values["use-ssl"],
		virtualHost: values["use-virtualhost"] ?? null,
		serverName: values["use-sni"] ? (values["use-virtualhost"] ?? null) : null,
		verbose: values.verbose,
	} as const;
}

type Options = Exclude<ReturnType<typeof readOptions>, "help">;

function fetchPage(options: Options, environment: ProbeEnvironment): Promise<Page> {
	return new Promise((resolve, reject) => {
		const received: Buffer[] = [];
		const body: Buffer[] = [];
		let receivedBytes = 0;
		let bodyBytes = 0;
		const reader = new HttpResponseReader({
			raw(bytes) {
				body.push(Buffer.from(bytes));
				bodyBytes += bytes.length;
			},
			body() {},
		});
		const fail = (detail: string) => {
			stream.close();
			reject(new Error(detail));
		};
		const finish = () => {
			stream.close();
			const all = Buffer.concat(received);
			resolve({
				status: reader.status,
				head: all.subarray(0, Math.max(0, receivedBytes - bodyBytes)),
				body: Buffer.concat(body),
			});
		};
		const owner: StreamOwner = {
			opening: requestBytes(options.target, options, options.protocol),
			received(bytes) {
				if (!reader.headRead || options.verbose) received.push(Buffer.from(bytes));
				receivedBytes += bytes.length;
				try {
					reader.push(bytes);
				} catch (error) {
					if (!(error instanceof ResponseError)) throw error;
					fail(error.message);
					return;
				}
				if (reader.complete) finish();
			},
			ended: () => (reader.headRead ? finish() : fail("closed without an answer")),
			failed: fail,
			postponed: fail,
		};
		const stream: Stream = options.tls
			? new TlsStream(
					options.target,
					{ serverName: options.serverName, compliant: false },
					environment,
					owner,
				)
			: new TcpStream(options.target, true, environment, owner);
	});
}

function rule(title: string): string {
	return `-----------------------[${title}]-----------------------`;
}

/** 16 bytes a line: offset, hexadecimal, text. */
function hexDump(bytes: Buffer): string {
	const lines: string[] = [];
	for (let at = 0; at < bytes.length; at += 16) {
		const row = bytes.subarray(at, at + 16);
		const hex = [...row].map((byte) => byte.toString(16).padStart(2, "0"));
		const left = hex.slice(0, 8).join(" ").padEnd(23);
		const right = hex.slice(8).join(" ").padEnd(23);
		const text = row.toString("latin1").replace(/[^\x20-\x7e]/g, ".");
		lines.push(`${String(at).padStart(4, "0")}  ${left} - ${right}   ${text}`);
	}
	return lines.join("\n");
}
