/** Bodies of most of the storage's size are stored as they come: whole, in the store's room and not in the process's. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-large-objects-"));
const STORE_MB = 128;
const LARGE = 80 * 1024 * 1024;
let origin: Server;
let cache: RunningCache;
let asked: string[] = [];
/** Of those that end in the middle. */
let breaks = false;

/** Byte n of a body of that name. */
const byteAt = (name: string, at: number) => (name.charCodeAt(1) * 31 + (at >>> 10)) & 0xff;
function part(name: string, from: number, bytes: number): Buffer {
	const made = Buffer.allocUnsafe(bytes);
	for (let at = 0; at < bytes; at += 1024) made.fill(byteAt(name, from + at), at, at + 1024);
	return made;
}

async function answer(socket: Socket, name: string): Promise<void> {
	asked.push(name);
	const step = 1024 * 1024;
	const bytes = name.startsWith("/over") ? STORE_MB * step : LARGE;
	const isChunked = name.endsWith("chunked");
	const framing = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${bytes}`;
	socket.write(`HTTP/1.1 200 OK\r\nCache-Control: max-age=1000\r\n${framing}\r\n\r\n`);
	for (let at = 0; at < bytes && !socket.destroyed; at += step) {
		if (breaks && at > LARGE / 2) {
			socket.destroy();
			return;
		}
		const piece = part(name, at, step);
		const chunk = [`${step.toString(16)}\r\n`, piece, "\r\n"].map((each) => Buffer.from(each));
		if (!socket.write(isChunked ? Buffer.concat(chunk) : piece))
			await new Promise((resolve) => socket.once("drain", resolve));
	}
	if (isChunked) socket.write("0\r\n\r\n");
}

beforeAll(async () => {
	const port = await freePort();
	origin = createServer((socket) => {
		socket.on("error", () => {});
		socket.on("data", (bytes) => void answer(socket, /GET (\S+)/.exec(bytes.toString("latin1"))![1]!));
	});
	await new Promise<void>((resolve) => origin.listen(port, "127.0.0.1", resolve));
	const vcl = join(directory, "large.vcl");
	await Bun.write(vcl, `vcl 4.1; backend default { .host = "127.0.0.1"; .port = "${port}"; }`);
	const options = ["-f", vcl, "-s", `malloc,${STORE_MB}m`, "-p", "thread_pools=1"];
	cache = await startCache(drover, 0, options);
}, 60_000);

afterAll(async () => {
	await cache?.stop();
	origin?.close();
	rmSync(directory, { recursive: true, force: true });
});

/** Takes the body in, and says how much of it came, and whether it is what it should be. */
async function take(name: string, headers: Record<string, string> = {}, first = 0) {
	const response = await fetch(`http://127.0.0.1:${cache.port}${name}`, { headers });
	let at = 0;
	let right = true;
	try {
		for await (const piece of response.body!) {
			for (let each = 0; each < piece.length; each += 509)
				right &&= piece[each] === byteAt(name, first + at + each);
			at += piece.length;
		}
	} catch {}
	return { status: response.status, bytes: at, right };
}
const whole = { status: 200, bytes: LARGE, right: true };

test("it is fetched once, for several who ask meanwhile, and is there for the next", async () => {
	asked = [];
	const first = take("/a");
	await Bun.sleep(30);
	const others = await Promise.all([first, take("/a"), take("/a")]);
	for (const each of others) expect(each).toEqual(whole);
	expect(await take("/a")).toEqual(whole);
	expect(await take("/a", { range: "bytes=70000000-70000999" }, 70_000_000)).toEqual({
		status: 206,
		bytes: 1000,
		right: true,
	});
	expect(asked).toEqual(["/a"]);
}, 60_000);

test("of unknown length: it is fetched once, too, and its length is told the next time", async () => {
	asked = [];
	const first = take("/chunked");
	await Bun.sleep(30);
	for (const each of await Promise.all([first, take("/chunked")])) expect(each).toEqual(whole);
	expect(await take("/chunked")).toEqual(whole);
	const { headers } = await fetch(`http://127.0.0.1:${cache.port}/chunked`, { method: "HEAD" });
	expect(headers.get("content-length")).toBe(String(LARGE));
	expect(asked).toEqual(["/chunked"]);
}, 60_000);

test.each(["/over", "/over/chunked"])(
	"larger than the storage is passed whole: %s",
	async (name) => {
		asked = [];
		for (const _ of ["first", "again"])
			expect(await take(name)).toEqual({ ...whole, bytes: STORE_MB * 1024 * 1024 });
		expect(asked).toEqual([name, name]);
		// Its room is free again.
		expect(await take(`/behind${name}`)).toEqual(whole);
		expect(await take(`/behind${name}`)).toEqual(whole);
		expect(asked.length).toBe(3);
	},
	60_000,
);

test("one that breaks off is not stored, is seen to be broken, and leaves its room", async () => {
	breaks = true;
	for (let round = 0; round < 4; round++) {
		const { bytes, right } = await take(round % 2 === 0 ? "/b" : "/b/chunked");
		expect(bytes).toBeLessThan(LARGE);
		expect(right).toBe(true);
	}
	breaks = false;
	asked = [];
	expect(await take("/b")).toEqual(whole);
	expect(await take("/b")).toEqual(whole);
	expect(asked).toEqual(["/b"]);
}, 60_000);

test("two at the same time: both are delivered whole, though only one can be stored", async () => {
	asked = [];
	const both = await Promise.all([take("/c"), take("/d")]);
	for (const each of both) expect(each).toEqual(whole);
	for (const name of ["/c", "/d"]) expect(await take(name)).toEqual(whole);
	expect(asked.length).toBeLessThanOrEqual(3);
}, 60_000);

test("who takes it slowly has all of it, though it is purged and others take its place", async () => {
	await take("/e");
	const response = await fetch(`http://127.0.0.1:${cache.port}/e`);
	const reader = response.body!.getReader();
	let at = 0;
	let right = true;
	for (let count = 0; ; count++) {
		const { value, done } = await reader.read();
		if (done) break;
		for (let each = 0; each < value.length; each += 509) right &&= value[each] === byteAt("/e", at + each);
		at += value.length;
		if (count < 3) {
			await take(`/${"fgh"[count]}`);
		}
	}
	expect([at, right]).toEqual([LARGE, true]);
}, 60_000);
