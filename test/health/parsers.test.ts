/** What servers send: HTTP answers, SMTP replies, DNS messages, file contents; read whole, in pieces, and as garbage. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { judgeFile } from "../../firmware/health/file.ts";
import { requestBytes } from "../../firmware/health/http.ts";
import { HEAD_LIMIT_BYTES, HttpResponseReader, ResponseError } from "../../firmware/health/http-response.ts";
import { outcomeOf } from "../../firmware/health/misc-check.ts";
import { compilePcre, PatternError, searchBody } from "../../firmware/health/pcre.ts";
import { isEchoReply } from "../../firmware/health/ping.ts";
import { SmtpReplyError, SmtpReplyReader } from "../../firmware/health/smtp-reply.ts";
import { judgeReply } from "../../firmware/health/udp.ts";
import { decodeDnsHeader, dnsTypes, encodeDnsQuery, responseCodeName } from "../../firmware/wire/dns.ts";

const bytesOf = (text: string) => Buffer.from(text, "latin1");
const fuzzRuns = { numRuns: 300 };

interface Read {
	status: number;
	body: string;
	raw: string;
	complete: boolean;
	truncated: boolean;
}

/** Feeds `text` in pieces that end at `cuts`. */
function readHttp(text: string, cuts: readonly number[] = []): Read {
	let body = "";
	let raw = "";
	const reader = new HttpResponseReader({
		raw: (bytes) => {
			raw += Buffer.from(bytes).toString("latin1");
		},
		body: (bytes) => {
			body += Buffer.from(bytes).toString("latin1");
		},
	});
	let from = 0;
	for (const cut of [...[...cuts].sort((a, b) => a - b), text.length]) {
		if (cut > from) reader.push(bytesOf(text.slice(from, cut)));
		from = Math.max(from, cut);
	}
	return { status: reader.status, body, raw, complete: reader.complete, truncated: reader.truncated };
}

describe("HTTP answers (RFC 9112 §4, §6, §7.1)", () => {
	const cases: readonly [title: string, text: string, expected: Partial<Read>][] = [
		["until close", "HTTP/1.0 200 OK\r\n\r\nhello", { status: 200, body: "hello", complete: false }],
		[
			"Content-Length",
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
			{ body: "hello", complete: true },
		],
		[
			"bytes after Content-Length are not the body's",
			"HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nhello",
			{ body: "hel", complete: true },
		],
		[
			"Content-Length that is not reached",
			"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
			{ body: "hello", complete: false, truncated: true },
		],
		[
			"chunked, with extension and trailer",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n",
			{ body: "hello", raw: "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n", complete: true },
		],
		["no body in 204", "HTTP/1.1 204 No Content\r\n\r\n", { status: 204, body: "", complete: true }],
		["no reason phrase", "HTTP/1.1 503\r\n\r\n", { status: 503 }],
		["another protocol's name", "ICY 200 OK\r\nicy-br: 128\r\n\r\nx", { status: 200, body: "x" }],
		["small letters", "http/1.0 200 OK\r\n\r\n", { status: 200 }],
		["bare line feeds", "HTTP/1.0 404 Not Found\nA: b\n\nx", { status: 404, body: "x" }],
		["Content-Length 0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", { complete: true, body: "" }],
	];
	test.each(cases)("%s", (_title, text, expected) => {
		expect(readHttp(text)).toMatchObject(expected);
	});
	test("however the bytes are cut, the answer is the same", () => {
		fc.assert(
			fc.property(
				fc.constantFrom(...cases.map(([, text]) => text)),
				fc.array(fc.nat(120), { maxLength: 12 }),
				(text, cuts) => {
					const whole = readHttp(text);
					expect(
						readHttp(
							text,
							cuts.filter((cut) => cut <= text.length),
						),
					).toEqual(whole);
				},
			),
			fuzzRuns,
		);
	});
	test.each([
		["not HTTP", "SSH-2.0-OpenSSH_9.2\r\n"],
		["no status", "HTTP/1.1 OK\r\n\r\n"],
		["a page and nothing else", "<html>"],
		["a line without a status, before the head's end", "HTTP/1.1 OK\r\n"],
		["status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
		["bad chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
		["chunk without its end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"],
		["endless head", `HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(HEAD_LIMIT_BYTES / 6 + 1)}`],
		["head over the limit in one piece", `HTTP/1.1 200 OK\r\nA: ${"b".repeat(HEAD_LIMIT_BYTES)}\r\n\r\n`],
		[
			"endless chunk extension",
			`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;${"x".repeat(10_000)}`,
		],
	])("refused: %s", (_title, text) => {
		expect(() => readHttp(text)).toThrow(ResponseError);
	});
	test("garbage ends in an answer or a ResponseError, never in anything else", () => {
		const piece = fc.oneof(
			fc.string({ maxLength: 40 }),
			fc.constantFrom("HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n", "\r\n", "5\r\n", "\0"),
		);
		fc.assert(
			fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
				try {
					readHttp(pieces.join(""), [3, 20, 40]);
				} catch (error) {
					expect(error).toBeInstanceOf(ResponseError);
				}
			}),
			fuzzRuns,
		);
	});
});

describe("HTTP requests (check_http.c)", () => {
	const url = { path: "/x?y=1", virtualHost: null };
	test.each([
		[
			"1.0",
			{ address: "10.0.0.2", family: "inet", port: 80 },
			null,
			"GET /x?y=1 HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.0.0.2:80\r\n\r\n",
		],
		[
			"1.0C",
			{ address: "fd00::2", family: "inet6", port: 8080 },
			null,
			"GET /x?y=1 HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: [fd00::2]:8080\r\n\r\n",
		],
		[
			"1.1",
			{ address: "10.0.0.2", family: "inet", port: 80 },
			"www.example.org",
			"GET /x?y=1 HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.example.org\r\n\r\n",
		],
	] as const)("http_protocol %s", (protocol, target, virtualHost, expected) => {
		expect(new TextDecoder().decode(requestBytes(target, { ...url, virtualHost }, protocol))).toBe(expected);
	});
});

describe("regex (pcre2pattern(3))", () => {
	const found = (
		pattern: string,
		text: string,
		options: string[] = [],
		minOffset = 0,
		maxOffset = null as number | null,
	) => searchBody(compilePcre(pattern, options), bytesOf(text), { minOffset, maxOffset });
	test.each([
		["status *: *ok", "x status: ok y", [], true],
		["STATUS", "status", [], false],
		["STATUS", "status", ["caseless"], true],
		["^b", "a\nb", [], false],
		["^b", "a\nb", ["multiline"], true],
		["^b", "a\rb", ["multiline"], false],
		["^$", "a\n", ["multiline"], false],
		["^\\n", "a\n\nb", ["multiline"], true],
		["a$", "a\nb", ["multiline"], true],
		["a$", "a\r\nb", ["multiline"], false],
		["a$", "b\na", ["multiline", "dollar_endonly"], true],
		["a.b", "a\nb", [], false],
		["a.b", "a\rb", [], true],
		["a.b", "a\nb", ["dotall"], true],
		["b$", "ab\n", [], true],
		["b$", "ab\n", ["dollar_endonly"], false],
		["a b # c", "ab", ["extended"], true],
		["(?i)OK", "ok", [], true],
		["\\Aok\\z", "ok", [], true],
		["\\Aok\\z", "ok\n", [], false],
		["\\Aok\\Z", "ok\n", [], true],
		["[[:digit:]]{3}", "ab123", [], true],
		["[]x]", "]", [], true],
		["\\Qa.b\\E", "axb", [], false],
		["\\Qa.b\\E", "a.b", [], true],
		["(?P<n>a)", "a", [], true],
		["(?P<n>a)(?#remark)b", "ab", [], true],
		["\\x{41}\\h", "A ", [], true],
		["a{,3}", "a{,3}", [], true],
	] as const)("/%s/ in %j with %j is %p", (pattern, text, options, expected) => {
		expect(found(pattern, text, [...options])).toBe(expected);
	});
	test("a match must begin between the offsets, in bytes", () => {
		expect(found("ok", "..ok..ok", [], 3)).toBe(true);
		expect(found("ok", "..ok", [], 3)).toBe(false);
		expect(found("ok", "..ok", [], 0, 1)).toBe(false);
		expect(found("ok", "..ok", [], 0, 2)).toBe(true);
		expect(found("ok", "ok", [], 99)).toBe(false);
		const utf = Buffer.from("éok", "utf8");
		const regex = compilePcre("ok", ["utf"]);
		expect(searchBody(regex, utf, { minOffset: 2, maxOffset: 2 })).toBe(true);
		expect(searchBody(regex, utf, { minOffset: 0, maxOffset: 1 })).toBe(false);
	});
	test.each(["(?>a)", "a++", "(?R)", "\\K", "(a", "a)", "[a", "a\\", "[[:nope:]]", "(*UTF)"])(
		"refused with a reason: %s",
		(pattern) => {
			expect(() => compilePcre(pattern, [])).toThrow(PatternError);
		},
	);
	test("any pattern compiles or is refused", () => {
		fc.assert(
			fc.property(
				fc.string({ maxLength: 30, unit: fc.constantFrom(..."ab()[]{}*+?|\\^$.,:<=!PQEx0123-#") }),
				(pattern) => {
					try {
						compilePcre(pattern, []);
					} catch (error) {
						expect(error).toBeInstanceOf(PatternError);
					}
				},
			),
			fuzzRuns,
		);
	});
});

describe("SMTP replies (RFC 5321 §4.2)", () => {
	const read = (...pieces: string[]) => {
		const reader = new SmtpReplyReader();
		return pieces.flatMap((piece) => reader.push(bytesOf(piece)));
	};
	test.each([
		["one line", ["220 mail.example ESMTP\r\n"], [{ code: 220, text: "mail.example ESMTP" }]],
		["several lines", ["220-a\r\n220-b\r\n220 c\r\n"], [{ code: 220, text: "c" }]],
		[
			"in pieces",
			["22", "0-a\r", "\n220", " b\r\n250 x\r\n"],
			[
				{ code: 220, text: "b" },
				{ code: 250, text: "x" },
			],
		],
		["code alone", ["250\r\n"], [{ code: 250, text: "" }]],
		["bare line feed", ["250 x\n"], [{ code: 250, text: "x" }]],
	] as const)("%s", (_title, pieces, replies) => {
		expect(read(...pieces)).toEqual([...replies]);
	});
	test.each([
		["no code", "hello\r\n"],
		["code changes within a reply", "220-a\r\n250 b\r\n"],
		["endless line", "220 ".padEnd(9_000, "x")],
		["endless reply", "220-x\r\n".repeat(200)],
	])("refused: %s", (_title, text) => {
		expect(() => read(text)).toThrow(SmtpReplyError);
	});
	test("garbage ends in replies or an SmtpReplyError", () => {
		fc.assert(
			fc.property(fc.array(fc.string({ maxLength: 20 }), { maxLength: 8 }), (pieces) => {
				try {
					read(...pieces, "\r\n");
				} catch (error) {
					expect(error).toBeInstanceOf(SmtpReplyError);
				}
			}),
			fuzzRuns,
		);
	});
});

describe("DNS messages (RFC 1035 §4.1)", () => {
	test("a query for a name", () => {
		expect(Buffer.from(encodeDnsQuery(0x1234, "www.example.org", "AAAA")).toString("hex")).toBe(
			"123401000001000000000000" + "03777777" + "076578616d706c65" + "036f7267" + "00" + "001c" + "0001",
		);
	});
	test("a query for the root", () => {
		for (const name of ["", "."])
			expect(Buffer.from(encodeDnsQuery(1, name, "soa")).toString("hex")).toBe(
				"000101000001000000000000" + "00" + "0006" + "0001",
			);
	});
	test.each([["a..b"], ["x".repeat(64)], [`${"abcdefg.".repeat(33)}`]])("refused: %s", (name) => {
		expect(() => encodeDnsQuery(1, name, "A")).toThrow(RangeError);
	});
	test("unknown type", () => {
		expect(() => encodeDnsQuery(1, "a", "BOGUS")).toThrow(RangeError);
		expect(() => encodeDnsQuery(1, "a", "constructor")).toThrow(RangeError);
		expect(Object.keys(dnsTypes).length).toBe(9);
	});
	test("what a header says", () => {
		const message = Buffer.from("abcd8183000100000000000000", "hex");
		expect(decodeDnsHeader(message)).toEqual({
			id: 0xabcd,
			response: true,
			responseCode: 3,
			truncated: false,
			questions: 1,
			answers: 0,
		});
		expect(responseCodeName(3)).toBe("NXDOMAIN");
		expect(responseCodeName(15)).toBe("rcode 15");
	});
	test("any bytes are a header or none", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
				expect(decodeDnsHeader(bytes) === null).toBe(bytes.length < 12);
			}),
			fuzzRuns,
		);
	});
});

describe("UDP replies (check_udp.c)", () => {
	const judge = (replyPattern: string | null, reply: string, min = 0, max = 255) =>
		judgeReply(
			{ replyPattern, minReplyLengthBytes: min, maxReplyLengthBytes: max },
			Buffer.from(reply, "hex"),
		).kind;
	test.each([
		[null, "00", 5, 255, "passed"],
		["4f4B", "4f4b00", 0, 255, "passed"],
		["4fXb", "4f9b", 0, 255, "passed"],
		["4fXb", "4f9c", 0, 255, "failed"],
		["4f4b", "4f", 0, 255, "passed"],
		["4f4b", "", 0, 255, "passed"],
		["4f4b", "", 1, 255, "failed"],
		["4f", "4f", 2, 255, "failed"],
		["4f", "4f4f4f", 0, 2, "failed"],
	] as const)("pattern %p, reply %s, length %d to %d: %s", (pattern, reply, min, max, expected) => {
		expect(judge(pattern, reply, min, max)).toBe(expected);
	});
});

describe("echo replies (RFC 792)", () => {
	test("any bytes are ours or not", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
				isEchoReply(bytes, 0, 1);
			}),
			fuzzRuns,
		);
	});
});

describe("exit statuses (misc_dynamic)", () => {
	test.each([
		[0, false, "passed", undefined],
		[1, false, "failed", undefined],
		[7, false, "failed", undefined],
		[0, true, "passed", undefined],
		[1, true, "failed", undefined],
		[2, true, "passed", 0],
		[255, true, "passed", 253],
	] as const)("%d, dynamic %p: %s", (status, dynamic, kind, weight) => {
		const outcome = outcomeOf(status, null, dynamic);
		expect(outcome.kind).toBe(kind);
		if (outcome.kind === "passed")
			expect(outcome.effect).toEqual(weight === undefined ? null : { kind: "replace", weight });
	});
	test("a signal fails", () => {
		expect(outcomeOf(null, "SIGSEGV", true)).toEqual({ kind: "failed", detail: "killed by SIGSEGV" });
	});
});

describe("FILE_CHECK", () => {
	test.each([
		[5, 0, false, "failed", undefined],
		[0, 0, false, "passed", undefined],
		[5, 0, true, "passed", undefined],
		[5, 2, false, "passed", 10],
		[5, 2, true, "passed", -10],
		[-3, 1, false, "passed", -3],
		[-2147483648, 1, false, "failed", undefined],
		[2147483647, 2, false, "passed", 2 ** 31 - 1],
	] as const)("file %p, weight %d, reverse %p: %s %p", (value, weight, reverse, kind, amount) => {
		const outcome = judgeFile({ weight, reverse }, value);
		expect(outcome.kind).toBe(kind);
		if (outcome.kind === "passed" && amount !== undefined && weight !== 0)
			expect(outcome.effect).toEqual({ kind: "add", amount });
	});
});
