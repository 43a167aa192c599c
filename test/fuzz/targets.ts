/** What is fuzzed: every parser of the cache that reads bytes of strangers. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CommandReader } from "../../firmware/cache/cli/protocol.ts";
import { EsiParser, INCLUDE_LIMIT } from "../../firmware/cache/esi/parser.ts";
import { decodeProgram, encodeProgram } from "../../firmware/cache/esi/program.ts";
import { ChunkedDecoder } from "../../firmware/cache/http/chunked.ts";
import { FieldList } from "../../firmware/cache/http/headers.ts";
import { parseProxyHeader } from "../../firmware/cache/http/proxy.ts";
import { parseRequest } from "../../firmware/cache/http/request.ts";
import { parseResponse } from "../../firmware/cache/http/response.ts";
import { DEFAULT_LIMITS } from "../../firmware/cache/http/syntax.ts";
import { encodeStatus, HpackDecoder } from "../../firmware/cache/http2/hpack.ts";
import { readRequest } from "../../firmware/cache/http2/request.ts";
import { initialLifetime } from "../../firmware/cache/store/freshness.ts";
import { varyMatches, varySpecification } from "../../firmware/cache/store/vary.ts";
import { compileVcl } from "../../firmware/cache/vcl/compile.ts";
import { desyncVectors } from "../cache/http/desync-vectors.ts";
import { data, headers, ping, Recorded, rst, settings, usual, windowUpdate } from "../cache/http2/client.ts";
import { expressions } from "../cache/vcl/expressions.ts";
import { mistakes, head as vclHead } from "../cache/vcl/mistakes.ts";

export interface FuzzTarget {
	readonly name: string;
	readonly seeds: readonly string[];
	readonly words: readonly string[];
	/** Longest time for one input, milliseconds; far above what any input needs, on a machine that is busy. */
	readonly limitMs: number;
	/** Throws when something that must hold does not. `text` has one character per byte. */
	run(text: string): void;
}

const seedFiles = (folder: string): readonly string[] =>
	readdirSync(join(import.meta.dir, "seeds", folder))
		.sort()
		.map((name) => readFileSync(join(import.meta.dir, "seeds", folder, name), "latin1"));

const http = [
	"\r\n",
	"\r\n\r\n",
	"\n",
	"\r",
	" ",
	"\t",
	"\0",
	":",
	": ",
	",",
	";",
	'"',
	"\\",
	"=",
	"0",
	"1",
	"ff",
	"-1",
	"GET ",
	"HEAD ",
	"POST ",
	"HTTP/1.1",
	"HTTP/1.0",
	"Host: a\r\n",
	"Content-Length: 5\r\n",
	"Content-Length: ",
	"Transfer-Encoding: chunked\r\n",
	"Connection: close\r\n",
	"Expect: 100-continue\r\n",
	"Vary: *\r\n",
	"Vary: Accept-Language\r\n",
	"Cache-Control: max-age=",
	'no-cache="a',
	"Age: ",
	"Expires: ",
	"Date: ",
	"%0d%0a",
];

/** Header blocks with all representations, and with both forms of a string. */
const hpackBlocks = [
	"828684410f7777772e6578616d706c652e636f6d",
	"828684418cf1e3c2e5f23a6ba0ab90f4ff",
	"828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
	"3fe11f400a637573746f6d2d6b65790d637573746f6d2d686561646572be",
	"100870617373776f726406736563726574",
	"20824001610162040c2f73616d706c652f70617468",
];

/** Frames of clients behind their settings: requests, bodies, and what takes them back. */
const http2Talks = [
	headers(1) + headers(3, false) + data(3, "hello", true),
	headers(1) + windowUpdate(1, 1000) + rst(1) + ping(),
	settings([1, 0], [3, 5], [4, 100], [5, 16_384]) + headers(1),
	`${headers(1, false)}${data(1, "x")}${headers(1, true, "")}${headers(5)}`,
	"\0\0\x03\x01\x01\0\0\0\x01\x82\x86\x84\0\0\x03\x09\x04\0\0\0\x01\x41\x01a",
];

function must(holds: boolean, what: string): void {
	if (!holds) throw new Error(what);
}

const bytesOf = (text: string) => Buffer.from(text, "latin1");

function chunks(text: string): void {
	const whole = new ChunkedDecoder();
	let bytes = 0;
	const end = whole.push(bytesOf(text), 0, (data) => {
		bytes += data.length;
	});
	must(bytes <= text.length, "more data than came");
	// Cut in two anywhere, it reads the same.
	const cut = text.length >> 1;
	const parts = new ChunkedDecoder();
	const first = parts.push(bytesOf(text.slice(0, cut)), 0, () => {});
	const second =
		typeof first === "string" || first < cut ? first : parts.push(bytesOf(text.slice(cut)), 0, () => {});
	must((typeof second === "string") === (typeof end === "string"), "a cut changes what is malformed");
	must(parts.done === whole.done, "a cut changes the end");
}

const tags = [
	...["<", ">", "/", "/>", "-", "-->", "<!--", "<!--esi", "<!---->", "<![CDATA[", "]]>", '"', "'", "="],
	...["<esi:", "</esi:", "esi:", "include", "remove", "comment", " src=", " onerror=", "continue", "http://"],
	...["https://", "&amp;", "\xef\xbb\xbf", '<esi:include src="/x"/>', "<esi:remove>", "</esi:remove>"],
];

/** The steps of a page that comes in pieces of so many bytes, and what was said of it. */
function esi(page: Buffer, pieceBytes: number, strict: boolean) {
	const remarks: string[] = [];
	const rules = {
		xmlCheck: strict,
		ignoreHttps: !strict,
		ignoreOtherElements: !strict,
		removeBom: !strict,
	};
	const parser = new EsiParser("/page", rules, ({ text }) => remarks.push(text));
	for (let at = 0; at < page.length; at += pieceBytes) parser.push(page.subarray(at, at + pieceBytes));
	return { steps: parser.end(), remarks };
}

const parameters = { defaultTtl: 120, defaultGrace: 10, defaultKeep: 0, clockSkew: 10, rfc9111: true };

export const fuzzTargets: readonly FuzzTarget[] = [
	{
		name: "request",
		seeds: [...seedFiles("request"), ...desyncVectors.map(({ wire }) => wire)],
		words: http,
		limitMs: 5_000,
		run(text) {
			const head = parseRequest(text);
			if (head.kind === "more") must(text.length <= DEFAULT_LIMITS.headBytes * 2, "waits beyond its limit");
			if (head.kind !== "request") return;
			must(head.end <= text.length, "ends beyond the input");
			must(head.fields.lines.length <= DEFAULT_LIMITS.headerLines, "more headers than the limit");
			must(
				!/[\r\n\0]/.test(head.url + head.method + head.fields.lines.join("")),
				"a line end inside a field",
			);
			// What was taken can be taken again, and means the same.
			const again = parseRequest(text.slice(0, head.end));
			must(again.kind === "request" && again.end === head.end, "a second reading differs");
			if (head.fields.framing.kind === "chunked") chunks(text.slice(head.end));
		},
	},
	{
		name: "response",
		seeds: seedFiles("response"),
		words: http,
		limitMs: 5_000,
		run(text) {
			const head = parseResponse(text, 0, "GET");
			if (head.kind !== "response") return;
			must(head.end <= text.length, "ends beyond the input");
			must(!/[\r\n\0]/.test(head.reason + head.lines.join("")), "a line end inside a field");
			if (head.framing.kind === "chunked") chunks(text.slice(head.end));
			const fields = new FieldList(head.lines, head.keys);
			const { ttl, grace, keep } = initialLifetime(head.status, fields, 1_700_000_000, parameters);
			must(Number.isFinite(ttl + grace + keep), "a lifetime that is no number");
			const vary = varySpecification(fields.joined("vary"), fields, fields.joined("content-language"));
			if (vary !== undefined) must(varyMatches(vary, fields), "a request that is not its own variant");
		},
	},
	{
		name: "esi",
		seeds: seedFiles("esi"),
		words: tags,
		limitMs: 5_000,
		run(text) {
			const page = bytesOf(text);
			const strict = text.length % 2 === 0;
			const whole = esi(page, Math.max(1, page.length), strict);
			const parts = esi(page, 1 + (page.length % 7), strict);
			must(JSON.stringify(parts) === JSON.stringify(whole), "pieces change what is read");
			if (whole.steps === undefined) return;
			let bytes = 0;
			let includes = 0;
			for (const step of whole.steps)
				if (step.kind === "include") {
					includes++;
					must(!/[\r\n\0 ]/.test(step.host + step.url), "a line end inside an include");
				} else bytes += step.bytes;
			must(bytes === page.length, "the stretches are not the page");
			must(includes <= INCLUDE_LIMIT, "more includes than the limit");
			const { steps } = decodeProgram(encodeProgram({ packed: false, steps: whole.steps }));
			must(JSON.stringify(steps) === JSON.stringify(whole.steps), "a program read back differs");
		},
	},
	{
		name: "cli",
		seeds: seedFiles("cli"),
		words: [
			" ",
			'"',
			"\\",
			"\\x41",
			"\\n",
			"<<",
			" << END\n",
			"END\n",
			"\n",
			"\r",
			"-",
			"vcl.inline ",
			"\0",
			"\xff",
		],
		limitMs: 5_000,
		run(text) {
			for (const authenticated of [false, true]) {
				const reader = new CommandReader();
				reader.authenticated = authenticated;
				const cut = text.length >> 1;
				for (const part of [text.slice(0, cut), text.slice(cut)]) {
					const inputs = reader.push(part);
					for (const input of inputs)
						must(input.kind !== "command" || input.words.length > 0, "a command of no words");
					if (inputs.at(-1)?.kind === "overflow") break;
				}
			}
		},
	},
	{
		name: "proxy",
		seeds: seedFiles("proxy").map((hex) => Buffer.from(hex.trim(), "hex").toString("latin1")),
		words: [
			"PROXY ",
			"TCP4 ",
			"TCP6 ",
			"UNKNOWN",
			"\r\n",
			"\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a",
			"\x21\x11",
			"\x00\x0c",
			"255",
			"::1",
			"\xff\xff",
		],
		limitMs: 5_000,
		run(text) {
			const header = parseProxyHeader(bytesOf(text));
			if (header.kind === "more") must(text.length < 16 + 65536, "waits beyond its limit");
			if (header.kind !== "proxied" && header.kind !== "local") return;
			must(header.end <= text.length, "ends beyond the input");
			if (header.kind === "proxied")
				must(header.source.port <= 65535 && header.destination.port <= 65535, "a port that is none");
		},
	},
	{
		name: "vcl",
		seeds: [
			...seedFiles("vcl"),
			...Object.values(mistakes)
				.flat()
				.map((mistake) => vclHead + mistake),
			...Object.values(expressions)
				.flat()
				.map((expression) => `${vclHead}import std;\nsub vcl_recv { set req.http.x = ${expression}; }`),
		],
		words: [
			...'vcl 4.1 ; { } ( ) sub vcl_recv if else set unset req.url == ~ !~ + - * / && || ! , . "a" {"b"} 10s acl backend probe import std return call new include C{ }C # /* */ // regsub true now "(" "[a" "(a*)*"'.split(
				" ",
			),
			"\n",
			"\0",
			"\xff",
		],
		limitMs: 60_000,
		run(text) {
			const result = compileVcl(text, { name: "fuzz.vcl", unusedIsError: false });
			must(result.ok || result.error.text.length > 0, "an error without words");
		},
	},
	{
		name: "hpack",
		seeds: hpackBlocks.map((hex) => Buffer.from(hex, "hex").toString("latin1")),
		words: ["\x82", "\xbe", "\xff", "\x7f", "\x20", "\x3f\xe1\x1f", "\x40\x01a\x01b", "\x00\x85", "\x10"],
		limitMs: 5_000,
		run(text) {
			const decoder = new HpackDecoder(4096);
			const limits = { listBytes: 16_384, fields: 64 };
			for (let blocks = 0; blocks < 3; blocks++) {
				const list = decoder.decode(bytesOf(text), limits);
				if (list.kind === "bad") return;
				must(list.fields.length <= limits.fields, "more fields than the limit");
				const bytes = list.fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
				must(bytes <= limits.listBytes, "a longer list than the limit");
			}
		},
	},
	{
		name: "http2",
		seeds: http2Talks,
		words: [
			headers(1),
			headers(3, false),
			data(3, "hello"),
			data(3, "", true),
			rst(1),
			windowUpdate(0, 1),
			windowUpdate(1, 2 ** 31 - 1),
			settings([4, 0]),
			ping(),
			"\0\0\0",
			"\x01",
			"\x05",
			"\x09",
		],
		limitMs: 5_000,
		run(text) {
			const server = Recorded.settled();
			server.get(text);
			// Whoever asked is answered as far as the windows allow, and what is left over does no harm.
			for (const { stream, fields, whole } of server.asked) {
				const head = readRequest(fields, whole, DEFAULT_LIMITS);
				if (head.kind === "request")
					must(
						!/[\r\n\0]/.test(head.url + head.method + head.fields.lines.join("")),
						"a line end inside a field",
					);
				server.connection.sendHeaders(stream, encodeStatus("200"), false);
				server.connection.sendBody(stream, bytesOf(text), true);
			}
			must(server.connection.streams.size <= usual.concurrentStreams, "more streams than the limit");
			const { broken } = server.connection;
			const before = server.log.length;
			server.get(ping());
			must(!broken || server.log.length === before, "something is said behind the end");
		},
	},
];
