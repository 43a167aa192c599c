/** The local sockets: calls, refusals, subscriptions, and readers that lie or stall. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { z } from "zod";
import { BusError, call, subscribe } from "../../firmware/bus/client.ts";
import { encodeFrame, FRAME_LIMIT_BYTES, FrameReader } from "../../firmware/bus/frame.ts";
import { type BusServer, method, serve } from "../../firmware/bus/server.ts";
import { socketPath } from "../../firmware/bus/socket-path.ts";

let directory: string;
let server: BusServer;
beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-bus-"));
	process.env["DROVER_RUN_DIR"] = directory;
	server = serve("test", {
		double: method(z.object({ value: z.number() }), ({ value }) => value * 2),
		fail: method(z.object({}), () => {
			throw new Error("no such virtual server");
		}),
		big: method(z.object({ length: z.number() }), ({ length }) => "x".repeat(length)),
		never: method(z.object({}), () => new Promise(() => {})),
	});
});
afterAll(() => {
	server.close();
	rmSync(directory, { recursive: true });
	delete process.env["DROVER_RUN_DIR"];
});

describe("frames", () => {
	test("values survive any way of cutting the byte stream", () => {
		fc.assert(
			fc.property(
				fc.array(fc.jsonValue(), { maxLength: 5 }),
				fc.array(fc.integer({ min: 1, max: 50 })),
				(values, cuts) => {
					const bytes = Buffer.concat(values.map((value) => encodeFrame(value)));
					const reader = new FrameReader();
					const out: unknown[] = [];
					let offset = 0;
					for (const cut of cuts) {
						out.push(...reader.push(bytes.subarray(offset, offset + cut)));
						offset = Math.min(bytes.length, offset + cut);
					}
					out.push(...reader.push(bytes.subarray(offset)));
					expect(JSON.stringify(out)).toBe(JSON.stringify(values));
				},
			),
		);
	});
	test("a key may be any name", () => {
		const names = ["__proto__", "__proto_", "constructor", "toString"];
		const value = Object.fromEntries(names.map((name) => [name, { [name]: [{ [name]: name }] }]));
		const [read] = new FrameReader().push(encodeFrame(value));
		expect(JSON.stringify(read)).toBe(JSON.stringify(value));
		expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
	});
	test("a frame over the limit is refused before it is collected", () => {
		const head = new Uint8Array(4);
		new DataView(head.buffer).setUint32(0, FRAME_LIMIT_BYTES + 1);
		expect(() => new FrameReader().push(head)).toThrow(RangeError);
	});
});

describe("calls", () => {
	test("an answer comes back", async () => {
		expect(await call<number>("test", "double", { value: 21 })).toBe(42);
	});
	test("every service says that it lives", async () => {
		expect(await call<null>("test", "ping")).toBeNull();
	});
	test("an answer larger than a socket buffer comes back whole", async () => {
		expect((await call<string>("test", "big", { length: 5_000_000 })).length).toBe(5_000_000);
	});
	test.each([
		["an unknown method", "nonsense", {}, 'test has no method "nonsense"'],
		["input of the wrong shape", "double", { value: "x" }, "expected number"],
		["the service's own refusal", "fail", {}, "no such virtual server"],
	])("%s is refused with the reason", async (_title, name, input, message) => {
		expect(call("test", name, input)).rejects.toThrow(message);
	});
	test("a service that is not there is named", async () => {
		expect(call("nobody", "status")).rejects.toThrow("nobody is not running");
	});
	test("a service that does not answer is given up", async () => {
		expect(call("test", "never", {}, 50)).rejects.toBeInstanceOf(BusError);
	});
	test("bytes that are no frame end the connection, not the service", async () => {
		await new Promise<void>((resolve, reject) => {
			Bun.connect({
				unix: socketPath("test"),
				socket: {
					open: (socket) => void socket.write(new Uint8Array(64).fill(255)),
					data() {},
					close: () => resolve(),
					error: (_s, e) => reject(e),
				},
			});
		});
		expect(await call<number>("test", "double", { value: 1 })).toBe(2);
	});
});

describe("subscriptions", () => {
	test("events reach every subscriber in order", async () => {
		const seen: unknown[][] = [[], []];
		const stops = seen.map((list) => subscribe("test", (event) => list.push(event)));
		await Bun.sleep(50);
		for (let index = 0; index < 100; index++) server.publish({ index });
		await Bun.sleep(50);
		for (const stop of stops) stop();
		for (const list of seen) expect(list).toEqual(Array.from({ length: 100 }, (_, index) => ({ index })));
	});
});
