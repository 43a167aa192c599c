/** Requests that two parsers could read differently, and what a strict one makes of them (RFC 9112 §5, §6, §7; RFC 9110 §5). */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ChunkedDecoder } from "../../../firmware/cache/http/chunked.ts";
import { formatProxyHeader, parseProxyHeader } from "../../../firmware/cache/http/proxy.ts";
import { parseRequest } from "../../../firmware/cache/http/request.ts";
import { parseResponse } from "../../../firmware/cache/http/response.ts";
import { DEFAULT_LIMITS } from "../../../firmware/cache/http/syntax.ts";
import { Address } from "../../../firmware/cache/worker/address.ts";

const get = (...headers: string[]) =>
	`GET / HTTP/1.1\r\nHost: a\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n`;

const refused: readonly (readonly [title: string, request: string])[] = [
	["RFC 9112 §6.3: two Content-Length", get("Content-Length: 1", "Content-Length: 2")],
	["two equal Content-Length", get("Content-Length: 5", "Content-Length: 5")],
	["Content-Length list", get("Content-Length: 5, 5")],
	["signed Content-Length", get("Content-Length: +5")],
	["negative Content-Length", get("Content-Length: -1")],
	["hexadecimal Content-Length", get("Content-Length: 0x5")],
	["Content-Length with a blank inside", get("Content-Length: 1 0")],
	["empty Content-Length", get("Content-Length: ")],
	["Content-Length of 16 digits", get("Content-Length: 1234567890123456")],
	["CL.TE", get("Content-Length: 6", "Transfer-Encoding: chunked")],
	["TE.CL", get("Transfer-Encoding: chunked", "Content-Length: 4")],
	["TE.TE: twice", get("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")],
	["TE.TE: chunked and identity", get("Transfer-Encoding: chunked, identity")],
	["TE: identity, chunked", get("Transfer-Encoding: identity, chunked")],
	["TE: xchunked", get("Transfer-Encoding: xchunked")],
	["TE: gzip, chunked", get("Transfer-Encoding: gzip, chunked")],
	["TE: quoted", get('Transfer-Encoding: "chunked"')],
	["TE with vertical tab", get("Transfer-Encoding: \x0bchunked")],
	["TE in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"],
	["RFC 9112 §5.1: blank before the colon", get("Transfer-Encoding : chunked")],
	["tab before the colon", get("Content-Length\t: 5")],
	["RFC 9112 §5.2: obsolete line folding", get("X: a", " b")],
	["folding with a tab", get("Transfer-Encoding:", "\tchunked")],
	["first header starts with a blank", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"],
	["bare CR in a value", get("X: a\rTransfer-Encoding: chunked")],
	["bare CR as line end", "GET / HTTP/1.1\rHost: a\r\r" + "\n\n"],
	["NUL in a value", get("X: a\0b")],
	["NUL in a name", get("X\0: a")],
	["empty name", get(": a")],
	["no colon", get("Transfer-Encoding")],
	["name with a bracket", get("X[1]: a")],
	["DEL in a value", get("X: \x7f")],
	["two Host", get("Host: b")],
	["Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"],
	["Host with credentials", "GET / HTTP/1.1\r\nHost: x@a\r\n\r\n"],
	["Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"],
	["two blanks in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"],
	["blank in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"],
	["tab in the request line", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n"],
	["HTTP/0.9", "GET /\r\n\r\n"],
	["HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"],
	["HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
	["lower-case protocol", "GET / http/1.1\r\nHost: a\r\n\r\n"],
	["method with a colon", "GET: / HTTP/1.1\r\nHost: a\r\n\r\n"],
	["HEAD with a body", "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"],
	["HTTP/1.0 POST without a length", "POST / HTTP/1.0\r\n\r\n"],
	["absolute target without a host", "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"],
	["line over its limit", get(`X: ${"a".repeat(DEFAULT_LIMITS.lineBytes)}`)],
	[
		"request line over the head's limit",
		`GET /${"a".repeat(DEFAULT_LIMITS.headBytes)} HTTP/1.1\r\nHost: a\r\n\r\n`,
	],
	[
		"too many headers",
		get(...Array.from({ length: DEFAULT_LIMITS.headerLines }, (_, index) => `X-${index}: a`)),
	],
	[
		"head over its limit",
		get(...Array.from({ length: 20 }, (_, index) => `X-${index}: ${"a".repeat(4000)}`)),
	],
];

describe("requests that are refused", () => {
	for (const [title, request] of refused) test(title, () => expect(parseRequest(request).kind).toBe("bad"));

	test("a head without an end is refused at its limit, not gathered for ever", () => {
		expect(parseRequest(`GET / HTTP/1.1\r\n${"X: a\r\n".repeat(7000)}`).kind).toBe("bad");
		expect(parseRequest("a".repeat(DEFAULT_LIMITS.headBytes + 1)).kind).toBe("bad");
	});
});

describe("requests that are taken", () => {
	const taken: readonly (readonly [string, string, object])[] = [
		["plain", get(), { method: "GET", url: "/", proto: "HTTP/1.1", fields: { framing: { kind: "none" } } }],
		["leading empty lines (RFC 9112 §2.2)", `\r\n\r\n${get()}`, { method: "GET" }],
		["bare LF line ends (RFC 9112 §2.2)", "GET / HTTP/1.1\nHost: a\n\n", { method: "GET" }],
		["length", get("Content-Length: 10"), { fields: { framing: { kind: "length", bytes: 10 } } }],
		["chunked", get("Transfer-Encoding: Chunked"), { fields: { framing: { kind: "chunked" } } }],
		[
			"absolute form (RFC 9112 §3.2.2)",
			"GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
			{ url: "/x?y", host: "b:81" },
		],
		["absolute form without a path", "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", { url: "/", host: "b" }],
		["asterisk form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", { url: "*" }],
		["high bytes in a value", get("X: \xe4\xff"), { kind: "request" }],
		["gzip at q=0", get("Accept-Encoding: gzip;q=0, br"), { fields: { canGzip: false } }],
		["x-gzip", get("Accept-Encoding: x-gzip"), { fields: { canGzip: true } }],
	];
	for (const [title, request, expected] of taken)
		test(title, () => expect(parseRequest(request)).toMatchObject({ kind: "request", ...expected }));

	test("the same bytes mean the same the second time (the memo)", () => {
		const request = get("Accept-Encoding: gzip", "Content-Length: 3");
		const first = parseRequest(request);
		const second = parseRequest(request);
		expect(second).toEqual(first);
		if (first.kind === "request" && second.kind === "request") expect(second.fields).toBe(first.fields);
	});

	test("every prefix of a request asks for more", () => {
		const request = get("Content-Length: 3", "Cookie: a=b");
		for (let length = 0; length < request.length; length++)
			expect(parseRequest(request.slice(0, length)).kind).toBe("more");
		const whole = parseRequest(request + "rest");
		expect(whole.kind === "request" && whole.end).toBe(request.length);
	});
});

describe("chunked coding (RFC 9112 §7.1)", () => {
	const decode = (text: string) => {
		const decoder = new ChunkedDecoder();
		let body = "";
		const end = decoder.push(Buffer.from(text, "latin1"), 0, (data) => {
			body += Buffer.from(data).toString("latin1");
		});
		return { end, body, done: decoder.done };
	};
	test("data, extension, trailer, and what follows", () => {
		expect(decode("4\r\nWiki\r\n5;a=b\r\npedia\r\n0\r\nX: y\r\n\r\nnext")).toEqual({
			end: 34,
			body: "Wikipedia",
			done: true,
		});
	});
	const wrong = [
		"\r\n",
		"g\r\n",
		"-1\r\n",
		"0x1\r\n",
		" 1\r\na\r\n",
		"1 \r\na\r\n",
		"1\na\n0\n\n",
		"1\ra",
		"1\r\nab\r\n",
		"1\r\na\n0\r\n\r\n",
		"0\r\n\n",
		"0\r\nX: y\n\r\n",
		"1;\x00\r\n",
		"fffffffffffffffff\r\n",
		`1;${"a".repeat(300)}\r\n`,
	];
	for (const text of wrong)
		test(`refused: ${JSON.stringify(text.slice(0, 24))}`, () =>
			expect(typeof decode(text).end).toBe("string"));

	test("split anywhere it gives the same (property)", () => {
		fc.assert(
			fc.property(
				fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 }),
				fc.array(fc.nat(30)),
				(parts, cuts) => {
					const wire = Buffer.concat([
						...parts.flatMap((part) => [
							Buffer.from(`${part.length.toString(16)}\r\n`),
							part,
							Buffer.from("\r\n"),
						]),
						Buffer.from("0\r\n\r\n"),
					]);
					const decoder = new ChunkedDecoder();
					const out: Uint8Array[] = [];
					let at = 0;
					for (const cut of [...cuts, wire.length]) {
						const piece = wire.subarray(at, Math.min(wire.length, at + cut));
						expect(decoder.push(piece, 0, (data) => out.push(Uint8Array.from(data)))).toBe(piece.length);
						at += piece.length;
					}
					expect(decoder.done).toBe(true);
					expect(Buffer.concat(out)).toEqual(Buffer.concat(parts));
				},
			),
			{ numRuns: 200 },
		);
	});
});

describe("responses (RFC 9112 §6.3)", () => {
	const wrong: readonly (readonly [string, string])[] = [
		["conflicting lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
		["length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"],
		["coding that is not chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"],
		["status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
		["no protocol", "200 OK\r\n\r\n"],
		["folded header", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"],
		["header over the limit", `HTTP/1.1 200 OK\r\nX: ${"a".repeat(9000)}\r\n\r\n`],
		["headers without end", `HTTP/1.1 200 OK\r\n${"X: a\r\n".repeat(7000)}`],
	];
	for (const [title, text] of wrong)
		test(title, () => expect(parseResponse(text, 0, "GET").kind).toBe("bad"));
	const framings: readonly (readonly [string, string, string, string])[] = [
		["HEAD has none", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "none"],
		["yes to CONNECT has none", "CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "none"],
		["no to CONNECT has one", "CONNECT", "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n", "length"],
		["204 has none", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "none"],
		["304 has none", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "none"],
		["without a length it ends with the connection", "GET", "HTTP/1.1 200 OK\r\n\r\n", "eof"],
		[
			"equal lengths are one",
			"GET",
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
			"length",
		],
	];
	for (const [title, method, text, kind] of framings)
		test(title, () => {
			const head = parseResponse(text, 0, method);
			expect(head.kind === "response" && head.framing.kind).toBe(kind as "none");
		});
});

describe("PROXY protocol", () => {
	test("version 1", () => {
		expect(parseProxyHeader(Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 1234 80\r\nGET"))).toMatchObject({
			kind: "proxied",
			source: { address: "1.2.3.4", port: 1234 },
			destination: { address: "5.6.7.8", port: 80 },
			end: 36,
		});
		expect(parseProxyHeader(Buffer.from("PROXY UNKNOWN\r\n"))).toMatchObject({ kind: "local", end: 15 });
		for (const text of [
			"GET / HTTP/1.1\r\n",
			"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
			"PROXY TCP4 010.2.3.4 5.6.7.8 1 2\r\n",
			"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
			"PROXY TCP4 1.2.3.4 5.6.7.8 99999 2\r\n",
			"PROXY TCP6 1:2 ::1 1 2\r\n",
			"PROXY TCP6 :::: ::1 1 2\r\n",
			"PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
			`PROXY ${"x".repeat(200)}`,
		])
			expect(parseProxyHeader(Buffer.from(text)).kind).toBe("bad");
		const long = "PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::FFFF:5.6.7.8 1234 80\r\n";
		expect(parseProxyHeader(Buffer.from(long))).toMatchObject({
			source: { address: "2001:db8::1" },
			destination: { address: "::ffff:5.6.7.8" },
		});
	});
	test("what is written is read: the same ends, the same length, and more before its end", () => {
		const port = fc.integer({ min: 0, max: 65535 });
		const end = fc.oneof(fc.ipV4(), fc.ipV6()).chain((text) => port.map((each) => new Address(text, each)));
		fc.assert(
			fc.property(fc.constantFrom(1 as const, 2 as const), end, end, (version, source, destination) => {
				const bytes = formatProxyHeader(version, source, destination);
				const header = parseProxyHeader(Buffer.concat([bytes, Buffer.from("GET / HTTP/1.1")]));
				if (source.bytes.length !== destination.bytes.length) {
					expect(header).toEqual({ kind: "local", version, end: bytes.length, ignored: null });
					return;
				}
				if (header.kind !== "proxied") throw new Error(`${header.kind}: ${bytes}`);
				const read = (side: { address: string; port: number }) => new Address(side.address, side.port);
				for (const [wrote, side] of [
					[source, read(header.source)],
					[destination, read(header.destination)],
				] as const)
					expect([side.port, [...side.bytes]]).toEqual([wrote.port, [...wrote.bytes]]);
				expect(header.end).toBe(bytes.length);
				for (let cut = 1; cut < bytes.length; cut++)
					expect(parseProxyHeader(bytes.subarray(0, cut)).kind).toBe("more");
			}),
		);
	});
	test("version 2 with a checksum: another one is refused", () => {
		const header = (sum: string) =>
			Buffer.from(
				`0d0a0d0a000d0a515549540a211100130102030405060708100100500300 04${sum}`.replace(" ", ""),
				"hex",
			);
		const right = "34388bbf";
		expect(parseProxyHeader(header(right))).toMatchObject({ kind: "proxied", end: 35 });
		for (const wrong of ["00000000", "01020304", right.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"))])
			expect(parseProxyHeader(header(wrong)).kind).toBe("bad");
		const short = Buffer.from(
			"0d0a0d0a000d0a515549540a2111001201020304050607081001005003000300 0000".replace(" ", ""),
			"hex",
		);
		expect(parseProxyHeader(short).kind).toBe("bad");
	});
	test("version 2: another version or command is refused before what it says follows has come", () => {
		for (const which of ["31", "11", "22", "2f"])
			expect(parseProxyHeader(Buffer.from(`0d0a0d0a000d0a515549540a${which}110fff`, "hex")).kind).toBe("bad");
		expect(parseProxyHeader(Buffer.from("0d0a0d0a000d0a515549540a21110fff", "hex")).kind).toBe("more");
	});
	test("version 2 with an authority", () => {
		const tlv = Buffer.concat([Buffer.from([2, 0, 3]), Buffer.from("a.b")]);
		const header = Buffer.concat([
			Buffer.from("0d0a0d0a000d0a515549540a2111", "hex"),
			Buffer.from([0, 12 + tlv.length]),
			Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 0x04, 0xd2, 0, 80]),
			tlv,
		]);
		expect(parseProxyHeader(header)).toMatchObject({
			kind: "proxied",
			version: 2,
			source: { address: "1.2.3.4", port: 1234 },
			attributes: { authority: "a.b" },
			end: header.length,
		});
		for (let length = 1; length < header.length; length++)
			expect(parseProxyHeader(header.subarray(0, length)).kind).toBe("more");
	});
});

describe("any bytes at all (fuzz)", () => {
	const fragments = [
		"GET ",
		"/ ",
		"HTTP/1.1",
		"\r\n",
		"\n",
		"\r",
		"Host: a",
		"Content-Length: ",
		"Transfer-Encoding: chunked",
		": ",
		" ",
		"\t",
		"\0",
		"5",
		"ff",
		";",
		"HTTP/1.1 200 OK",
		"PROXY TCP4 ",
		"\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a",
	];
	const junk = fc
		.array(fc.oneof(fc.constantFrom(...fragments), fc.string({ unit: "binary-ascii", maxLength: 12 })), {
			maxLength: 40,
		})
		.map((parts) => parts.join(""));
	test("no crash, and never an end beyond the input", () => {
		fc.assert(
			fc.property(junk, (text) => {
				const request = parseRequest(text);
				if (request.kind === "request") expect(request.end).toBeLessThanOrEqual(text.length);
				const response = parseResponse(text, 0, "GET");
				if (response.kind === "response") expect(response.end).toBeLessThanOrEqual(text.length);
				const bytes = Buffer.from(text, "latin1");
				const proxy = parseProxyHeader(bytes);
				if (proxy.kind === "proxied" || proxy.kind === "local")
					expect(proxy.end).toBeLessThanOrEqual(bytes.length);
				const end = new ChunkedDecoder().push(bytes, 0, () => {});
				if (typeof end === "number") expect(end).toBeLessThanOrEqual(bytes.length);
			}),
			{ numRuns: 3000 },
		);
	});
});
