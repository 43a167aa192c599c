/** Firmware over HTTP: a transfer that breaks goes on where it broke (RFC 9110 §14), of the same file. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSource, RESUME_LIMIT, type Source } from "../../firmware/update/source.ts";
import { install, readManifest, UpdateRefused } from "../../firmware/update/trust.ts";
import { readAuthority } from "../../firmware/web-authority.ts";
import { makeCertificate } from "../cache/http/certificate.ts";
import { type Random, randomFrom } from "../sim/random.ts";
import { bundle, goodTarget, Slot } from "./support.ts";

const PACE = { resumeDelayMs: 5, silenceLimitMs: 20_000 };
const whole = bundle();
const closers: (() => void)[] = [];
afterAll(() => {
	for (const close of closers) close();
});

interface Answer {
	readonly status: number;
	readonly headers: Readonly<Record<string, string | number>>;
	readonly body: Uint8Array;
	/** How the connection ends behind the body. */
	readonly end: "reset" | "close" | "hold";
}

/** A server whose answers to requests for bytes from `from` on are `answer`'s. */
async function server(
	answer: (from: number, request: string) => Answer,
): Promise<{ url: string; ranges: number[] }> {
	const ranges: number[] = [];
	const listener = createServer((socket: Socket) => {
		socket.on("error", () => {});
		socket.once("data", (bytes) => {
			const request = bytes.toString("latin1");
			const from = Number(/range: bytes=(\d+)-/i.exec(request)?.[1] ?? 0);
			ranges.push(from);
			const { status, headers, body, end } = answer(from, request);
			const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
			socket.write(`HTTP/1.1 ${status} X\r\n${fields.join("")}Connection: close\r\n\r\n`);
			socket.write(body, () => {
				if (end === "reset") socket.destroy();
				else if (end === "close") socket.end();
			});
		});
	});
	await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
	closers.push(() => listener.close());
	return { url: `http://127.0.0.1:${(listener.address() as { port: number }).port}/new.fw`, ranges };
}

/** What an honest server says of the rest of `file`, of which it sends so many bytes. */
function rest(from: number, sentBytes = Number.POSITIVE_INFINITY, file: Uint8Array = whole): Answer {
	const body = file.subarray(from);
	const partial = { "Content-Range": `bytes ${from}-${file.length - 1}/${file.length}` };
	return {
		status: from === 0 ? 200 : 206,
		headers: { "Content-Length": body.length, ETag: '"1"', ...(from === 0 ? {} : partial) },
		body: body.subarray(0, sentBytes),
		end: "reset",
	};
}

const cutAfter = (bytes: number) => (from: number) => rest(from, bytes);

async function installFrom(source: Source): Promise<Slot> {
	const slot = new Slot();
	await install(source.read, await readManifest(source.read, goodTarget), slot.partitions, slot);
	return slot;
}

/** The message with which it fails; the idle slot is not to be started then. */
async function refusalOf(answer: (from: number, request: string) => Answer): Promise<string> {
	const { url } = await server(answer);
	const source = await openSource(url, null, PACE);
	const slot = new Slot();
	const manifest = await readManifest(source.read, goodTarget);
	const refusal = await install(source.read, manifest, slot.partitions, slot).then(
		() => "installed",
		(error: Error) => error.message,
	);
	await source.close();
	expect(slot.mark).toBe(refusal === "installed" ? "trial" : "unusable");
	return refusal;
}

describe("over HTTP", () => {
	const half = Math.ceil(whole.length / 2);

	test("cut twice on its way, installed whole", async () => {
		const { url, ranges } = await server(cutAfter(Math.ceil(whole.length / 2.5)));
		const slot = await installFrom(await openSource(url, null, PACE));
		expect(slot.mark).toBe("trial");
		expect(slot.complete).toBe(true);
		expect(ranges.length).toBe(3);
		expect(ranges[0]).toBe(0);
		expect(ranges[1]!).toBeGreaterThan(0);
		expect(ranges[2]!).toBeGreaterThan(ranges[1]!);
	});

	test("§14.2: a server without ranges sends the whole file again; what was had is skipped", async () => {
		expect(
			await refusalOf((from) => ({
				status: 200,
				headers: { "Content-Length": whole.length },
				body: from === 0 ? whole.subarray(0, half) : whole,
				end: "reset",
			})),
		).toBe("installed");
	});

	test("§8.6: a connection that is closed before the announced length is a broken one", async () => {
		expect(await refusalOf((from) => ({ ...rest(from, half), end: "close" }))).toBe("installed");
	});

	test("§12.5.3: the file itself is asked for, not a compressed form of it", async () => {
		const seen: string[] = [];
		await refusalOf((from, request) => {
			seen.push(request);
			return rest(from, half);
		});
		expect(seen.length).toBeGreaterThan(1);
		for (const request of seen) expect(request).toMatch(/^accept-encoding: identity\r$/im);
		expect(seen[1]).toMatch(/^if-range: "1"\r$/im);
	});

	test("§13.1.5: another file meanwhile is not joined to the first one", async () => {
		const other = "does not go on with the same file";
		expect(
			await refusalOf((from) =>
				from === 0 ? rest(0, half) : { ...rest(0), headers: { "Content-Length": whole.length, ETag: '"2"' } },
			),
		).toContain(other);
		expect(
			await refusalOf((from) =>
				from === 0 ? rest(0, half) : rest(from, whole.length, Buffer.concat([whole, whole])),
			),
		).toContain(other);
	});

	test("§14.4: a part that is not the one that was asked for is not taken for it", async () => {
		expect(
			await refusalOf((from) =>
				from === 0
					? rest(0, half)
					: { ...rest(from), headers: { "Content-Range": `bytes 0-${whole.length - 1}/${whole.length}` } },
			),
		).toContain("does not go on with the same file");
	});

	test("a server that has no rest to give ends it, and the idle slot stays unusable", async () => {
		expect(
			await refusalOf((from) =>
				from === 0
					? rest(0, half)
					: { status: 404, headers: { "Content-Length": 4 }, body: Buffer.from("gone"), end: "reset" },
			),
		).toContain("answers 404 to the rest from byte");
	});

	test(`after ${RESUME_LIMIT} breaks it is given up`, async () => {
		const { url, ranges } = await server(cutAfter(Math.ceil(whole.length / 20)));
		const source = await openSource(url, null, PACE);
		await expect(installFrom(source)).rejects.toThrow();
		expect(ranges.length).toBe(RESUME_LIMIT + 1);
	});

	test("a server that falls silent in the middle is a broken one, and asked for the rest", async () => {
		const { url, ranges } = await server((from) => ({ ...rest(from, half), end: "hold" }));
		const source = await openSource(url, null, { ...PACE, silenceLimitMs: 200 });
		expect((await installFrom(source)).complete).toBe(true);
		expect(ranges.length).toBe(2);
	});

	test("one that never says a word is given up", async () => {
		const { url } = await server(() => ({ status: 100, headers: {}, body: new Uint8Array(0), end: "hold" }));
		await expect(openSource(url, null, { ...PACE, silenceLimitMs: 100 })).rejects.toThrow(
			"sent nothing for 0.1 s",
		);
	});

	test.each([
		["http://127.0.0.1:1/none.fw", "127.0.0.1:1 refuses the connection: no server listens there"],
		["http://300.1.1.1/none.fw", "http://300.1.1.1/none.fw is no URL"],
		["/nowhere/none.fw", "there is no file /nowhere/none.fw"],
		["/", "/ is no file"],
	])("%s cannot be had, and that is said plainly", async (place, words) => {
		await expect(openSource(place, null, PACE)).rejects.toThrow(words);
	});
});

/** An answer of a server that is broken, or lies, in one of many ways. */
function lie(random: Random, from: number): Answer {
	const honest = rest(from, random.integer(0, whole.length));
	const garbage = new Uint8Array(random.integer(0, 50_000)).map(() => random.integer(0, 255));
	const other = random.integer(0, whole.length);
	switch (random.integer(0, 12)) {
		case 0:
			return { ...honest, body: Buffer.concat([honest.body, garbage]) };
		case 1:
			return { ...honest, headers: { ...honest.headers, "Content-Length": other } };
		case 2:
			return { ...honest, headers: { ...honest.headers, ETag: '"2"' } };
		case 3:
			return {
				...honest,
				headers: { ...honest.headers, "Content-Range": `bytes ${other}-${whole.length}/*` },
			};
		case 4:
			return { ...honest, body: whole.subarray(other) };
		case 5:
			return {
				status: random.pick([206, 416, 500, 204, 304, 999]),
				headers: {},
				body: garbage,
				end: "close",
			};
		case 6:
			return { status: 200, headers: { "Content-Length": whole.length }, body: whole, end: "reset" };
		case 7:
			return { ...honest, headers: {}, end: "close" };
		case 8:
			return {
				...honest,
				headers: { ...honest.headers, "Content-Encoding": random.pick(["gzip", "br", "x"]) },
			};
		case 9:
			return { ...honest, headers: { "Transfer-Encoding": "chunked" } };
		default:
			return honest;
	}
}

test("servers that lie about ranges, lengths and versions: the complete firmware, or none", async () => {
	const outcomes = await Promise.all(
		Array.from({ length: 60 }, async (_, seed) => {
			const random = randomFrom(seed);
			const { url } = await server((from) =>
				random.chance(0.5) ? rest(from, random.integer(0, whole.length)) : lie(random, from),
			);
			const slot = new Slot();
			try {
				const source = await openSource(url, null, PACE);
				try {
					await install(source.read, await readManifest(source.read, goodTarget), slot.partitions, slot);
				} finally {
					await source.close();
				}
			} catch (error) {
				expect(error).toBeInstanceOf(Error);
				expect(slot.mark).not.toBe("trial");
				return error instanceof UpdateRefused ? "refused" : "broken";
			}
			expect(slot.complete).toBe(true);
			return "installed";
		}),
	);
	// Every way out was met.
	expect(new Set(outcomes).size).toBe(3);
}, 30_000);

test("over HTTPS from a server that nobody well-known vouches for: whoever does is named", async () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-source-"));
	const { certificatePath, keyPath } = makeCertificate(directory, "web", ["IP:127.0.0.1"]);
	const web = Bun.serve({
		hostname: "127.0.0.1",
		port: 0,
		tls: { cert: Bun.file(certificatePath), key: Bun.file(keyPath) },
		fetch: () => new Response(whole),
	});
	try {
		const url = `https://127.0.0.1:${web.port}/new.fw`;
		await expect(openSource(url, null, PACE)).rejects.toThrow("signed by nobody known here");
		const source = await openSource(url, readAuthority(url, ["ca", certificatePath]), PACE);
		expect((await installFrom(source)).complete).toBe(true);
		await source.close();
	} finally {
		await web.stop(true);
		rmSync(directory, { recursive: true });
	}
});

test("from a file", async () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-source-"));
	const path = join(directory, "new.fw");
	writeFileSync(path, whole);
	const source = await openSource(path, null);
	expect((await installFrom(source)).complete).toBe(true);
	await source.close();
	rmSync(directory, { recursive: true });
});
