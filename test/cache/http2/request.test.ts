/** Lists of fields that are requests, and those that are not (RFC 9113 §8). */
import { describe, expect, test } from "bun:test";
import { DEFAULT_LIMITS } from "../../../firmware/cache/http/syntax.ts";
import type { HeaderField } from "../../../firmware/cache/http2/hpack.ts";
import { readRequest } from "../../../firmware/cache/http2/request.ts";

const base: readonly HeaderField[] = [
	[":method", "GET"],
	[":scheme", "https"],
	[":path", "/a?b"],
	[":authority", "example.com"],
];
const without = (name: string) => base.filter(([each]) => each !== name);
const withValue = (name: string, value: string) =>
	base.map((each): HeaderField => (each[0] === name ? [name, value] : each));
const read = (fields: readonly HeaderField[], whole = true) => readRequest(fields, whole, DEFAULT_LIMITS);

test("§8.3.1 pseudo-headers become the request line, Host and a field scheme", () => {
	const head = read([...base, ["accept", "*/*"]]);
	if (head.kind === "bad") throw new Error(head.reason);
	expect([head.method, head.url, head.proto]).toEqual(["GET", "/a?b", "HTTP/2.0"]);
	expect(head.fields.lines).toEqual(["host: example.com", "scheme: https", "accept: */*"]);
	expect(head.fields.keys).toEqual(["host", "scheme", "accept"]);
});

test("§8.2.3 cookies are one field", () => {
	const head = read([...base, ["cookie", "a=1"], ["x", "y"], ["cookie", "b=2"]]);
	expect(head.kind === "request" && head.fields.lines.slice(2)).toEqual(["cookie: a=1; b=2", "x: y"]);
});

test("§8.1.1 the body's length is what it is said to be, or what the frames say", () => {
	const framing = (fields: readonly HeaderField[], whole: boolean) => {
		const head = read(fields, whole);
		return head.kind === "request" ? head.fields.framing.kind : head.reason;
	};
	const post = withValue(":method", "POST");
	expect(framing(base, true)).toBe("none");
	expect(framing(post, false)).toBe("chunked");
	expect(framing([...post, ["content-length", "5"]], false)).toBe("length");
	expect(framing([...post, ["content-length", "0"]], true)).toBe("length");
	expect(framing([...post, ["content-length", "5"]], true)).toBe("content-length without a body");
});

test("what is allowed", () => {
	for (const fields of [
		without(":authority"),
		[...without(":authority"), ["host", "b"]],
		[...base, ["host", "EXAMPLE.com"]],
		[...base, ["te", "trailers"]],
		[...base, ["x", ""]],
		[...base, ["x", "tab\there, and \xe4"]],
		[
			[":method", "OPTIONS"],
			[":scheme", "http"],
			[":path", "*"],
		],
	] as HeaderField[][])
		expect(read(fields).kind).toBe("request");
});

describe("what is malformed", () => {
	test.each<readonly [string, readonly HeaderField[]]>([
		["§8.3.1 no :method", without(":method")],
		["§8.3.1 no :scheme", without(":scheme")],
		["§8.3.1 no :path", without(":path")],
		["§8.3.1 an empty :path", withValue(":path", "")],
		["§8.3.1 an empty :method", withValue(":method", "")],
		["§8.3.1 an empty :scheme", withValue(":scheme", "")],
		["§8.3.1 an empty :authority", withValue(":authority", "")],
		["§8.3.1 a :path that is no path", withValue(":path", "a")],
		["§8.3.1 a :path that is a URI", withValue(":path", "http://b/")],
		["§8.3.1 * for GET", withValue(":path", "*")],
		["§8.3 a pseudo-header twice", [...base, [":path", "/b"]]],
		["§8.3 an unknown one", [...base, [":status", "200"]]],
		["§8.3 one behind a field", [["a", "b"], ...base]],
		["§8.5 CONNECT with a :path, which a backend may take for a tunnel", withValue(":method", "CONNECT")],
		[
			"§8.5 CONNECT",
			[
				[":method", "CONNECT"],
				[":authority", "a:1"],
			],
		],
		["§8.2 capitals", [...base, ["Accept", "a"]]],
		["§8.2.1 an empty name", [...base, ["", "a"]]],
		["§8.2.1 a blank in a name", [...base, ["a b", "c"]]],
		["§8.2.1 a colon in a name", [...base, ["a:b", "c"]]],
		["§8.2.1 a line end in a name", [...base, ["a\r\nb", "c"]]],
		["§8.2.1 a line end in a value", [...base, ["a", "b\r\nc: d"]]],
		["§8.2.1 a line feed in a value", [...base, ["a", "b\nc"]]],
		["§8.2.1 a NUL in a value", [...base, ["a", "b\0"]]],
		["§8.2.1 a blank before a value", [...base, ["a", " b"]]],
		["§8.2.1 a tab behind a value", [...base, ["a", "b\t"]]],
		["§8.2.2 connection", [...base, ["connection", "close"]]],
		["§8.2.2 keep-alive", [...base, ["keep-alive", "3"]]],
		["§8.2.2 proxy-connection", [...base, ["proxy-connection", "close"]]],
		["§8.2.2 transfer-encoding", [...base, ["transfer-encoding", "chunked"]]],
		["§8.2.2 upgrade", [...base, ["upgrade", "h2c"]]],
		["§8.2.2 te that asks for more", [...base, ["te", "trailers, deflate"]]],
		["§10.3 a request in :path", withValue(":path", "/ HTTP/1.1\r\nHost: b")],
		["§10.3 a blank in :path", withValue(":path", "/a HTTP/1.1")],
		["§10.3 a tab in :path", withValue(":path", "/a\tb")],
		["§10.3 a blank in :method", withValue(":method", "GET /b HTTP/1.1")],
		["§10.3 a line end in :method", withValue(":method", "GET\r\n")],
		["§10.3 a line end in :authority", withValue(":authority", "a\r\nb: c")],
		["§10.3 a path in :authority", withValue(":authority", "a/b")],
		["§10.3 a user in :authority", withValue(":authority", "a@b")],
		["§10.3 a list in :authority", withValue(":authority", "a,b")],
		["§10.3 a blank in :scheme", withValue(":scheme", "http a")],
		["§8.3.1 a host that is not :authority", [...base, ["host", "b"]]],
		["§8.3.1 two hosts", [...without(":authority"), ["host", "a"], ["host", "a"]]],
		["§8.1.1 two lengths", [...base, ["content-length", "0"], ["content-length", "0"]]],
		["§8.1.1 a length that is none", [...base, ["content-length", "+0"]]],
		["§10.5.1 a field over http_req_hdr_len", [...base, ["a", "b".repeat(DEFAULT_LIMITS.lineBytes)]]],
		[
			"§10.5.1 more fields than http_max_hdr",
			[...base, ...Array.from({ length: 60 }, (): HeaderField => ["a", "b"])],
		],
	])("%s", (_title, fields) => {
		expect(read(fields).kind).toBe("bad");
	});
	test.each(["HEAD", "TRACE"])("%s with a body", (method) => {
		expect(read(withValue(":method", method), false).kind).toBe("bad");
	});
});
