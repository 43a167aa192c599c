/** The server's side of an HTTP/2 connection, by the sections of RFC 9113. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CLOSED_REMEMBERED, CONTINUATIONS, WAITING_BYTES } from "../../../firmware/cache/http2/connection.ts";
import { Flag, Frame, frame, text32 } from "../../../firmware/cache/http2/frame.ts";
import { encodeStatus } from "../../../firmware/cache/http2/hpack.ts";
import {
	IDLE_FRAMES,
	IDLE_FRAMES_PER_REQUEST,
	IDLE_FRAMES_PER_SECOND,
	RAPID_RESET_MS,
	RAPID_RESET_PERIOD_MS,
	RAPID_RESETS,
} from "../../../firmware/cache/http2/restraint.ts";
import { block, data, get, headers, ping, Recorded, rst, settings, usual, windowUpdate } from "./client.ts";

const goAway = (last: number, code: string) => [`GOAWAY 0 last ${last} ${code}`, "broken"];
const ok = encodeStatus("200");
const bytes = (count: number) => new Uint8Array(count);

describe("§3.4 the preface", () => {
	test("the server begins with its settings", () => {
		expect(new Recorded().log).toEqual(["SETTINGS 0"]);
	});
	test("a client that does not is no client", () => {
		expect(new Recorded().get(ping())).toEqual(goAway(0, "PROTOCOL_ERROR"));
		expect(new Recorded().get(frame(Frame.settings, Flag.ack, 0, ""))).toEqual(goAway(0, "PROTOCOL_ERROR"));
	});
	test("but where debug h2_nocheck wants it", () => {
		expect(new Recorded({ nocheck: true }).get(ping())).toEqual(["PING 0 ack"]);
	});
});

describe("§4.1 and §4.2 frames", () => {
	test("may come in any pieces", () => {
		const wire = settings() + headers(1, false) + data(1, "hello") + data(1, "", true) + ping() + headers(3);
		const whole = new Recorded();
		whole.get(wire);
		fc.assert(
			fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 80 }), (cuts) => {
				const server = new Recorded();
				let at = 0;
				for (const length of cuts) {
					server.get(wire.slice(at, at + length));
					at += length;
				}
				server.get(wire.slice(at));
				expect(server.log).toEqual(whole.log);
			}),
		);
	});
	test("a long one in short pieces costs no more than its bytes", () => {
		const frameBytes = 8 << 20;
		const server = Recorded.settled({ frameBytes, windowBytes: frameBytes, windowLowWaterBytes: frameBytes });
		server.get(headers(1, false));
		// The connection's window grows with each frame.
		for (let sent = 0; sent < 8; sent++) server.get(data(1, "x".repeat(16_384)));
		const length = frameBytes - (1 << 18);
		const wire = Buffer.from(data(1, "y".repeat(length)), "latin1");
		for (let at = 0; at < wire.length; at += 64)
			server.connection.receive(wire.subarray(at, at + 64), server.now);
		expect(server.log).toContain(`body 1 [${length}]`);
	}, 5000);
	test("of unknown types are ignored", () => {
		expect(Recorded.settled().get(frame(0x33, 0xff, 8, "what"))).toEqual([]);
	});
	test("longer than was allowed are refused by their head", () => {
		expect(Recorded.settled().get("\0\x40\x01\0\0\0\0\0\x01")).toEqual(goAway(0, "FRAME_SIZE_ERROR"));
		const server = Recorded.settled({ frameBytes: 20_000 });
		server.get(headers(1, false));
		expect(server.get(data(1, "x".repeat(20_000)))[0]).toBe("body 1 [20000]");
	});
});

describe("§4.3 and §6.10 header blocks", () => {
	const begin = (stream: number, fields: string) => frame(Frame.headers, Flag.endStream, stream, fields);
	const go = (stream: number, fields: string, end = false) =>
		frame(Frame.continuation, end ? Flag.endHeaders : 0, stream, fields);

	test("come in several frames", () => {
		const server = Recorded.settled();
		expect(server.get(begin(1, get.slice(0, 3)), go(1, get.slice(3, 9)), go(1, get.slice(9), true))).toEqual([
			"request 1",
		]);
		expect(server.asked[0]!.fields).toEqual([
			[":method", "GET"],
			[":scheme", "http"],
			[":path", "/"],
			[":authority", "a"],
		]);
	});
	test.each([
		["another frame", ping()],
		["another stream's CONTINUATION", go(3, "", true)],
		["a frame of an unknown type", frame(0x33, 0, 1, "")],
	])("are not interrupted by %s", (_what, between) => {
		expect(Recorded.settled().get(begin(1, get), between)).toEqual(goAway(1, "PROTOCOL_ERROR"));
	});
	test("begin with HEADERS", () => {
		const server = Recorded.settled();
		server.get(headers(1, false));
		expect(server.get(go(1, get, true))).toEqual(goAway(1, "PROTOCOL_ERROR"));
	});
	test("that cannot be decoded end the connection", () => {
		expect(Recorded.settled().get(headers(1, true, "\xff\xff\xff\xff"))).toEqual(
			goAway(1, "COMPRESSION_ERROR"),
		);
	});
	test("§10.5.1 have a bounded number of frames, and of bytes", () => {
		const many = Recorded.settled();
		many.get(begin(1, get));
		for (let count = 0; count < CONTINUATIONS; count++) expect(many.get(go(1, ""))).toEqual([]);
		expect(many.get(go(1, ""))).toEqual(goAway(1, "ENHANCE_YOUR_CALM"));
		const long = Recorded.settled();
		long.get(begin(1, "x".repeat(16_000)));
		long.get(go(1, "x".repeat(16_000)), go(1, "x".repeat(16_000)), go(1, "x".repeat(16_000)));
		expect(long.get(go(1, "x".repeat(16_000)))).toEqual(goAway(1, "ENHANCE_YOUR_CALM"));
	});
	test("§10.5.1 with too many fields are refused alone, and the table stays in step", () => {
		const server = Recorded.settled();
		const many = get + block(...Array.from({ length: 100 }, () => ["a", "b"] as const));
		expect(server.get(headers(1, true, `\x40\x01a\x01b${many}`))).toEqual([
			"RST_STREAM 1 ENHANCE_YOUR_CALM",
			"reset 1",
		]);
		expect(server.get(headers(3, true, `${get}\xbe`))).toEqual(["request 3"]);
		expect(server.asked[0]!.fields.at(-1)).toEqual(["a", "b"]);
	});
	test("h2_max_header_list_size holds where it is smaller than http_req_size", () => {
		const server = Recorded.settled({ headerListBytes: 200 });
		expect(server.get(headers(1, true, get + block(["a", "b".repeat(200)])))[0]).toBe(
			"RST_STREAM 1 ENHANCE_YOUR_CALM",
		);
	});
	test("the client's table is told to be none before it shrinks (RFC 7541 §4.2)", () => {
		const server = Recorded.settled();
		const sent: string[] = [];
		server.get(settings([1, 0]), headers(1), headers(3));
		server.send = (head) => void sent.push(head.slice(9));
		for (const { stream } of server.asked) server.connection.sendHeaders(stream, ok, true);
		expect(sent).toEqual([`\x20${ok}`, ok]);
	});
});

describe("§5.1 streams", () => {
	test("a request, its body and its end", () => {
		const server = Recorded.settled();
		expect(server.get(headers(1, false), data(1, "hello"))).toEqual([
			"request 1 with a body",
			"body 1 [5]",
			"WINDOW_UPDATE 0 +1048576",
			"WINDOW_UPDATE 1 +1048576",
		]);
		expect(server.get(data(1, "", true)).at(-1)).toBe("body 1 ends");
		expect(server.bodies.get(1)).toBe("hello");
	});
	test("an answer closes the stream, and so does one that comes before the request is whole (§8.1)", () => {
		const server = Recorded.settled();
		server.get(headers(1), headers(3, false));
		server.log.length = 0;
		const [first, second] = server.asked.map(({ stream }) => stream);
		server.connection.sendHeaders(first!, ok, true);
		server.connection.sendHeaders(second!, ok, false);
		server.connection.sendBody(second!, bytes(3), true);
		expect(server.log).toEqual(["HEADERS 1 end", "HEADERS 3", "DATA 3 [3] end", "RST_STREAM 3 NO_ERROR"]);
		expect(server.connection.streams.size).toBe(0);
		// What was on its way.
		expect(server.get(data(3, "late"), headers(3, true, "\x88"))).toEqual(["WINDOW_UPDATE 0 +1048576"]);
	});
	test.each([
		["even numbers are not the client's", headers(2), goAway(0, "PROTOCOL_ERROR")],
		["DATA on an idle stream", data(1, "x"), goAway(0, "PROTOCOL_ERROR")],
		["RST_STREAM on an idle stream", rst(1), goAway(0, "PROTOCOL_ERROR")],
		["WINDOW_UPDATE on an idle stream", windowUpdate(1, 5), goAway(0, "PROTOCOL_ERROR")],
		["DATA on no stream", data(0, "x"), goAway(0, "PROTOCOL_ERROR")],
		["HEADERS on no stream", headers(0), goAway(0, "PROTOCOL_ERROR")],
		["SETTINGS on a stream", frame(Frame.settings, 0, 1, ""), goAway(0, "PROTOCOL_ERROR")],
		["PING on a stream", frame(Frame.ping, 0, 1, "12345678"), goAway(0, "PROTOCOL_ERROR")],
		["GOAWAY on a stream", frame(Frame.goAway, 0, 1, "12345678"), goAway(0, "PROTOCOL_ERROR")],
		["PRIORITY on no stream", frame(Frame.priority, 0, 0, "12345"), goAway(0, "PROTOCOL_ERROR")],
		["PRIORITY on an idle stream is ignored", frame(Frame.priority, 0, 7, "12345"), []],
		["§6.3 PRIORITY of another size", frame(Frame.priority, 0, 7, "1234"), ["RST_STREAM 7 FRAME_SIZE_ERROR"]],
	])("%s", (_title, wire, did) => {
		expect(Recorded.settled().get(wire)).toEqual(did);
	});
	test("§5.1.1 a number below one that was used", () => {
		expect(Recorded.settled().get(headers(5), headers(3))).toEqual([
			"request 5",
			...goAway(5, "PROTOCOL_ERROR"),
		]);
	});
	test("DATA behind the end of the request", () => {
		expect(Recorded.settled().get(headers(1), data(1, "x"))).toEqual([
			"request 1",
			"RST_STREAM 1 STREAM_CLOSED",
			"reset 1",
		]);
	});
	test("anything behind the end of both", () => {
		for (const late of [data(1, "x"), headers(1)]) {
			const server = Recorded.settled();
			server.get(headers(1));
			server.connection.sendHeaders(server.asked[0]!.stream, ok, true);
			expect(server.get(late)).toEqual(goAway(1, "STREAM_CLOSED"));
		}
	});
	test("streams that are over are forgotten in the end", () => {
		const server = Recorded.settled();
		for (let count = 0; count <= CLOSED_REMEMBERED; count++) {
			server.get(headers(2 * count + 1));
			server.connection.sendHeaders(server.asked[count]!.stream, ok, true);
		}
		expect(server.get(headers(1)).at(-2)).toMatch(/PROTOCOL_ERROR$/);
	});
	test("§5.1.2 more than h2_max_concurrent_streams are refused", () => {
		const server = Recorded.settled({ concurrentStreams: 2 });
		expect(server.get(headers(1), headers(3), headers(5))).toEqual([
			"request 1",
			"request 3",
			"RST_STREAM 5 REFUSED_STREAM",
		]);
		server.connection.sendHeaders(server.asked[0]!.stream, ok, true);
		expect(server.get(headers(7))).toEqual(["request 7"]);
	});
});

describe("§5.2 and §6.9 flow control", () => {
	test("an answer leaves as its windows allow", () => {
		const server = Recorded.settled();
		server.get(settings([4, 10]), headers(1));
		const { stream } = server.asked[0]!;
		const { connection } = server;
		connection.sendHeaders(stream, ok, false);
		expect(connection.sendBody(stream, bytes(25), true)).toBe(10);
		expect(connection.sendBody(stream, bytes(15), true)).toBe(0);
		expect(server.get(windowUpdate(1, 5))).toEqual(["writable"]);
		expect(connection.sendBody(stream, bytes(15), true)).toBe(5);
		// §6.9.2: a smaller first window may leave less than nothing.
		server.get(settings([4, 0]), windowUpdate(1, 10));
		expect(connection.sendBody(stream, bytes(10), true)).toBe(0);
		server.get(windowUpdate(1, 10));
		expect(connection.sendBody(stream, bytes(10), true)).toBe(10);
		expect(server.log.at(-1)).toBe("DATA 1 [10] end");
	});
	test("the connection's window is for all streams", () => {
		const server = Recorded.settled();
		server.get(settings([4, 100_000]), headers(1), headers(3));
		const [first, second] = server.asked.map(({ stream }) => stream);
		let sent = 0;
		for (let more = 1; more > 0; sent += more)
			more = server.connection.sendBody(first!, bytes(99_999), false);
		expect(sent).toBe(65_535);
		expect(server.connection.sendBody(second!, bytes(1), false)).toBe(0);
		server.get(windowUpdate(0, 1));
		expect(server.connection.sendBody(second!, bytes(2), false)).toBe(1);
	});
	test("the end alone needs no window", () => {
		const server = Recorded.settled();
		server.get(settings([4, 0]), headers(1));
		server.connection.sendBody(server.asked[0]!.stream, bytes(0), true);
		expect(server.log.at(-1)).toBe("DATA 1 [0] end");
	});
	test("no frame is longer than the client allows, a head neither", () => {
		const server = Recorded.settled();
		server.get(headers(1));
		server.connection.sendHeaders(server.asked[0]!.stream, "x".repeat(40_000), true);
		expect(server.log.slice(-3)).toEqual(["HEADERS 1 end", "CONTINUATION 1", "CONTINUATION 1"]);
	});
	test("who sends more than its window is out", () => {
		const chunk = "x".repeat(16_384);
		const server = Recorded.settled({ windowLowWaterBytes: 1 });
		server.get(headers(1, false));
		server.connection.pause(server.asked[0]!.stream);
		expect(server.get(data(1, chunk), data(1, chunk), data(1, chunk))).toHaveLength(3);
		expect(server.get(data(1, chunk))).toEqual(goAway(1, "FLOW_CONTROL_ERROR"));
		const alone = Recorded.settled();
		alone.get(headers(1, false));
		alone.connection.pause(alone.asked[0]!.stream);
		expect(alone.get(...Array.from({ length: 5 }, () => data(1, chunk)))).toContain(
			"RST_STREAM 1 FLOW_CONTROL_ERROR",
		);
	});
	test("a body that nobody reads gets no more room, and again when it is read", () => {
		const server = Recorded.settled();
		server.get(headers(1, false), data(1, "x"));
		const { stream } = server.asked[0]!;
		server.connection.pause(stream);
		let room = 65_535 - 1 + usual.windowIncrementBytes;
		server.log.length = 0;
		while (room > 0) {
			const length = Math.min(room, 16_384);
			server.get(data(1, "x".repeat(length)));
			room -= length;
		}
		expect(server.log.filter((each) => each.startsWith("WINDOW_UPDATE 1"))).toEqual([]);
		server.connection.resume(stream);
		expect(server.log.at(-1)).toBe("WINDOW_UPDATE 1 +1048576");
	});
	test("§10.5 what waits for all readers together is bounded", () => {
		const server = Recorded.settled({ windowBytes: 2 ** 31 - 1 });
		server.get(headers(1, false));
		server.connection.pause(server.asked[0]!.stream);
		let waiting = 0;
		while (!server.connection.broken) {
			server.get(data(1, "x".repeat(16_384)));
			waiting += 16_384;
		}
		expect(server.log.at(-2)).toBe("GOAWAY 0 last 1 FLOW_CONTROL_ERROR");
		expect(waiting).toBeLessThan(WAITING_BYTES + usual.windowLowWaterBytes + 2 * usual.windowIncrementBytes);
	});
	test.each([
		["by nothing, of a stream", windowUpdate(1, 0), ["RST_STREAM 1 PROTOCOL_ERROR", "reset 1"]],
		["by nothing, of the connection", windowUpdate(0, 0), goAway(1, "PROTOCOL_ERROR")],
		[
			"over the limit, of a stream",
			windowUpdate(1, 2 ** 31 - 1),
			["RST_STREAM 1 FLOW_CONTROL_ERROR", "reset 1"],
		],
		["over the limit, of the connection", windowUpdate(0, 2 ** 31 - 1), goAway(1, "FLOW_CONTROL_ERROR")],
		["of another size", frame(Frame.windowUpdate, 0, 1, "123"), goAway(1, "FRAME_SIZE_ERROR")],
	])("§6.9 WINDOW_UPDATE %s", (_title, wire, did) => {
		const server = Recorded.settled();
		server.get(headers(1, false));
		expect(server.get(wire)).toEqual(did);
	});
});

describe("§6.1 padding", () => {
	test("is taken off, and counts for the windows", () => {
		const server = Recorded.settled();
		server.get(headers(1, false), frame(Frame.data, Flag.padded, 1, "\x03abcppp"));
		expect(server.bodies.get(1)).toBe("abc");
		const padded = `\x02${get}pp`;
		expect(
			server.get(frame(Frame.headers, Flag.padded | Flag.endHeaders | Flag.endStream, 3, padded)),
		).toEqual(["request 3"]);
		const withPriority = `\x02\0\0\0\0\x10${get}pp`;
		const flags = Flag.padded | Flag.priority | Flag.endHeaders | Flag.endStream;
		expect(server.get(frame(Frame.headers, flags, 5, withPriority))).toEqual(["request 5"]);
	});
	test.each([
		["DATA", Frame.data, "\x04abc"],
		["DATA without a byte", Frame.data, ""],
	])("longer than its frame: %s", (_title, type, payload) => {
		const server = Recorded.settled();
		server.get(headers(1, false));
		expect(server.get(frame(type, Flag.padded, 1, payload))).toEqual(goAway(1, "PROTOCOL_ERROR"));
	});
	test("longer than its frame: HEADERS", () => {
		expect(Recorded.settled().get(frame(Frame.headers, 0xd, 1, "\xff"))).toEqual(goAway(0, "PROTOCOL_ERROR"));
	});
});

describe("§6.4 to §6.8", () => {
	test("RST_STREAM takes a request back", () => {
		const server = Recorded.settled();
		expect(server.get(headers(1), rst(1))).toEqual(["request 1", "reset 1"]);
		const before = server.log.length;
		server.connection.sendHeaders(server.asked[0]!.stream, ok, true);
		expect(server.log).toHaveLength(before);
	});
	test.each([
		["RST_STREAM of another size", frame(Frame.rstStream, 0, 1, "12345"), goAway(1, "FRAME_SIZE_ERROR")],
		["SETTINGS that are no pairs", frame(Frame.settings, 0, 0, "1"), goAway(1, "FRAME_SIZE_ERROR")],
		[
			"an acknowledgement with settings",
			frame(Frame.settings, Flag.ack, 0, "123456"),
			goAway(1, "FRAME_SIZE_ERROR"),
		],
		["SETTINGS_ENABLE_PUSH 2", settings([2, 2]), goAway(1, "PROTOCOL_ERROR")],
		["SETTINGS_INITIAL_WINDOW_SIZE 2^31", settings([4, 2 ** 31]), goAway(1, "FLOW_CONTROL_ERROR")],
		["SETTINGS_MAX_FRAME_SIZE 16383", settings([5, 16_383]), goAway(1, "PROTOCOL_ERROR")],
		["SETTINGS_MAX_FRAME_SIZE 2^24", settings([5, 2 ** 24]), goAway(1, "PROTOCOL_ERROR")],
		["unknown settings", settings([0x99, 1]), ["SETTINGS 0 ack"]],
		["PUSH_PROMISE", frame(Frame.pushPromise, 0, 1, "1234"), goAway(1, "PROTOCOL_ERROR")],
		["PING of another size", frame(Frame.ping, 0, 0, "1234567"), goAway(1, "FRAME_SIZE_ERROR")],
		["PING", ping(), ["PING 0 ack"]],
		["an answer to no PING", frame(Frame.ping, Flag.ack, 0, "12345678"), []],
		["a short GOAWAY", frame(Frame.goAway, 0, 0, "1234567"), goAway(1, "FRAME_SIZE_ERROR")],
	])("%s", (_title, wire, did) => {
		const server = Recorded.settled();
		server.get(headers(1));
		expect(server.get(wire)).toEqual(did);
	});
	test("§6.9.2 a first window that takes a stream's over its limit", () => {
		const server = Recorded.settled();
		server.get(headers(1), windowUpdate(1, 2 ** 31 - 1 - 65_535));
		expect(server.get(settings([4, 65_536]))).toEqual(goAway(1, "FLOW_CONTROL_ERROR"));
	});
	test("§6.8 a client that leaves gets its answers, and asks for nothing more", () => {
		const server = Recorded.settled();
		expect(server.get(headers(1), frame(Frame.goAway, 0, 0, text32(0) + text32(0)))).toEqual([
			"request 1",
			"leaving",
		]);
		const late = headers(3, false) + data(3, "body") + headers(3, true, block(["x-sum", "1"]));
		expect(server.get(late, rst(3), headers(5))).toEqual(["WINDOW_UPDATE 0 +1048576"]);
		server.connection.sendHeaders(server.asked[0]!.stream, ok, true);
		expect(server.log.at(-1)).toBe("HEADERS 1 end");
	});
	test("§6.8 a server that leaves says which request was the last", () => {
		const server = Recorded.settled();
		server.get(headers(7));
		server.connection.leave(true);
		expect(server.log.slice(-2)).toEqual(["GOAWAY 0 last 7 NO_ERROR", "leaving"]);
		// What had left before the client heard of it; and its last stream is the last one still.
		expect(server.get(headers(9, false), data(9, "body", true))).toEqual(["WINDOW_UPDATE 0 +1048576"]);
		expect(server.get(ping("short"))).toEqual(goAway(7, "FRAME_SIZE_ERROR"));
	});
});

describe("§8.1 messages", () => {
	test("trailers end a body", () => {
		const server = Recorded.settled();
		expect(server.get(headers(1, false), headers(1, true, block(["x-sum", "1"])))).toEqual([
			"request 1 with a body",
			"body 1 ends",
		]);
	});
	test.each([
		["pseudo-headers", [":path", "/"]],
		["capitals in a name", ["X-Sum", "1"]],
		["a line end in a value", ["x-sum", "1\r\nx: y"]],
	] as const)("trailers have no %s", (_what, field) => {
		const server = Recorded.settled();
		server.get(headers(1, false));
		expect(server.get(headers(1, true, block(field)))).toEqual(["RST_STREAM 1 PROTOCOL_ERROR", "reset 1"]);
	});
	test("other HEADERS within a body end the connection", () => {
		const server = Recorded.settled();
		server.get(headers(1, false));
		expect(server.get(headers(1, false))).toEqual(goAway(1, "PROTOCOL_ERROR"));
	});
	test.each([
		["longer", data(1, "123456")],
		["shorter", data(1, "1234", true)],
		["shorter, with trailers", headers(1, true, block(["a", "b"]))],
	])("§8.1.1 a body %s than its Content-Length", (_title, wire) => {
		const server = Recorded.settled();
		server.get(headers(1, false));
		server.asked[0]!.stream.bodyLeft = 5;
		expect(server.get(wire)).toEqual(["RST_STREAM 1 PROTOCOL_ERROR", "reset 1"]);
	});
});

describe("§10.5 what costs the server more than the client", () => {
	const calm = (log: readonly string[]) => log.some((each) => each.endsWith("ENHANCE_YOUR_CALM"));

	test.each([
		["PING", ping()],
		["SETTINGS", settings()],
		["acknowledgements", frame(Frame.settings, Flag.ack, 0, "")],
		["PRIORITY", frame(Frame.priority, 0, 1, "12345")],
		["empty DATA", data(1, "")],
		["frames of unknown types", frame(0x33, 0, 0, "")],
		["RST_STREAM for nothing", rst(3)],
		["refused streams", ""],
	])("%s without end", (title, wire) => {
		const server = Recorded.settled({ concurrentStreams: 1 });
		server.get(headers(1, false), title.startsWith("RST") ? headers(3) : "");
		let count = 0;
		for (; !server.connection.broken && count < 2 * IDLE_FRAMES; count++)
			server.get(wire === "" ? headers(2 * count + 5) : wire);
		expect(calm(server.log)).toBe(true);
		expect(count).toBeLessThan(IDLE_FRAMES + 20);
	});
	test("but as many as a busy client has", () => {
		const server = Recorded.settled();
		for (let second = 0; second < 60; second++) {
			server.now += 1000;
			server.get(ping().repeat(IDLE_FRAMES_PER_SECOND));
		}
		for (let count = 0; count < 5000; count++) {
			server.get(
				headers(2 * count + 1),
				frame(0x10, 0, 0, "u=1"),
				frame(Frame.priority, 0, 2 * count + 1, "12345"),
			);
			server.connection.sendHeaders(server.asked[count]!.stream, ok, true);
		}
		expect(server.connection.broken).toBe(false);
	});
	test.each([
		["taken back", rst],
		["broken on purpose", (stream: number) => windowUpdate(stream, 0)],
	])("streams that are opened and %s", (_title, end) => {
		const server = Recorded.settled();
		let count = 0;
		for (; !server.connection.broken && count < 1000; count++)
			server.get(headers(2 * count + 1), end(2 * count + 1));
		expect(calm(server.log)).toBe(true);
		expect(count).toBe(RAPID_RESETS + 1);
	});
	test("streams that lived for a while, or some in a minute, are taken back freely", () => {
		const server = Recorded.settled();
		let id = 1;
		for (let count = 0; count < 300; count++, id += 2) {
			server.get(headers(id));
			server.now += RAPID_RESET_MS;
			server.get(rst(id));
		}
		for (let count = 0; count < 300; count++, id += 2) {
			server.get(headers(id), rst(id));
			server.now += RAPID_RESET_PERIOD_MS / RAPID_RESETS;
		}
		expect(server.connection.broken).toBe(false);
	});
	test("windows that are opened by a byte without end", () => {
		const server = Recorded.settled();
		server.get(settings([4, 0]), headers(1));
		const { stream } = server.asked[0]!;
		const answer = bytes(100_000);
		let sent = 0;
		server.connection.sendHeaders(stream, ok, false);
		while (!server.connection.broken && sent < 10 * IDLE_FRAMES) {
			server.get(windowUpdate(1, 1));
			if (!server.connection.broken) sent += server.connection.sendBody(stream, answer, true);
		}
		expect(server.log.slice(-2)).toEqual(goAway(1, "ENHANCE_YOUR_CALM"));
		expect(sent).toBeLessThanOrEqual(IDLE_FRAMES + IDLE_FRAMES_PER_REQUEST);
	});
	test("but as often as short frames of an answer came", () => {
		const server = Recorded.settled();
		server.get(headers(1));
		const { stream } = server.asked[0]!;
		server.connection.sendHeaders(stream, ok, false);
		for (let event = 0; event < 10 * IDLE_FRAMES; event++) {
			server.connection.sendBody(stream, bytes(50), false);
			server.get(windowUpdate(0, 50), windowUpdate(1, 50));
		}
		expect(server.connection.broken).toBe(false);
	});
	test("short DATA while nobody takes it", () => {
		const server = Recorded.settled();
		server.get(headers(1, false));
		server.connection.pause(server.asked[0]!.stream);
		let count = 0;
		for (; !server.connection.broken && count < 2 * IDLE_FRAMES; count++) server.get(data(1, "x"));
		expect(count).toBeLessThan(IDLE_FRAMES + 20);
	});
});
