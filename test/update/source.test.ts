/** Firmware over HTTP: a transfer that breaks goes on where it broke (RFC 9110 §14). */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSource, RESUME_LIMIT, type Source } from "../../firmware/update/source.ts";
import { install, readManifest } from "../../firmware/update/trust.ts";
import { bundle, goodTarget, Slot } from "./support.ts";

const whole = bundle();
const closers: (() => void)[] = [];
afterAll(() => {
	for (const close of closers) close();
});

/** A server that cuts every connection after `bytes` of the body; `answer` chooses the status of a request for the rest. */
async function server(
	bytes: number,
	answer: 206 | 200 | 404 = 206,
): Promise<{ url: string; ranges: number[] }> {
	const ranges: number[] = [];
	const listener = createServer((socket: Socket) => {
		socket.on("error", () => {});
		socket.once("data", (request) => {
			const from = Number(/range: bytes=(\d+)-/i.exec(request.toString("latin1"))?.[1] ?? 0);
			ranges.push(from);
			const status = from === 0 ? 200 : answer;
			const rest = status === 206 ? whole.subarray(from) : status === 200 ? whole : Buffer.from("gone");
			socket.write(`HTTP/1.1 ${status} X\r\nContent-Length: ${rest.length}\r\nConnection: close\r\n\r\n`);
			socket.write(rest.subarray(0, bytes), () => socket.destroy());
		});
	});
	await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
	closers.push(() => listener.close());
	return { url: `http://127.0.0.1:${(listener.address() as { port: number }).port}/new.fw`, ranges };
}

async function installFrom(source: Source): Promise<Slot> {
	const slot = new Slot();
	await install(source.read, await readManifest(source.read, goodTarget), slot.partitions, slot);
	return slot;
}

describe("over HTTP", () => {
	test("cut twice on its way, installed whole", async () => {
		const { url, ranges } = await server(Math.ceil(whole.length / 2.5));
		const slot = await installFrom(await openSource(url));
		expect(slot.mark).toBe("trial");
		expect(slot.complete).toBe(true);
		expect(ranges.length).toBe(3);
		expect(ranges[0]).toBe(0);
		expect(ranges[1]!).toBeGreaterThan(0);
		expect(ranges[2]!).toBeGreaterThan(ranges[1]!);
	}, 30_000);

	test("a server that has no rest to give ends it, and the idle slot stays unusable", async () => {
		const { url } = await server(Math.ceil(whole.length / 2), 404);
		const source = await openSource(url);
		const slot = new Slot();
		const manifest = await readManifest(source.read, goodTarget);
		await expect(install(source.read, manifest, slot.partitions, slot)).rejects.toThrow(
			"answers 404 to the rest from byte",
		);
		expect(slot.mark).toBe("unusable");
	}, 30_000);

	test(`after ${RESUME_LIMIT} breaks it is given up`, async () => {
		const { url, ranges } = await server(Math.ceil(whole.length / 20));
		const source = await openSource(url);
		await expect(installFrom(source)).rejects.toThrow();
		expect(ranges.length).toBe(RESUME_LIMIT + 1);
	}, 30_000);

	test("nobody listens there", async () => {
		await expect(openSource("http://127.0.0.1:1/none.fw")).rejects.toThrow();
	});
});

test("from a file", async () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-source-"));
	const path = join(directory, "new.fw");
	writeFileSync(path, whole);
	const source = await openSource(path);
	expect((await installFrom(source)).complete).toBe(true);
	await source.close();
	rmSync(directory, { recursive: true });
});
