/** Memory for bodies on their way has a bound: what is counted is given back, and too much is passed on unstored. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Frame, PREFACE } from "../../../firmware/cache/http2/frame.ts";
import {
	BodyBudget,
	LEAST_BODY_BUDGET_BYTES,
	SPENT_FACTOR,
	WAITING_REQUEST_BYTES,
	type WaitingClient,
} from "../../../firmware/cache/worker/body-budget.ts";
import { type BodySource, BodyStream } from "../../../firmware/cache/worker/body-stream.ts";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";
import { headers, settings, windowUpdate } from "../http2/client.ts";
import { ask, Client } from "../http2/live-client.ts";

describe("the count", () => {
	test("after its end and its last reader a stream holds nothing, whatever happened before (property)", () => {
		const step = fc.oneof(
			fc.nat({ max: 5000 }).map((bytes) => ({ kind: "push" as const, bytes })),
			fc.constantFrom("join", "take", "leave", "stopKeeping").map((kind) => ({ kind: kind as "join" })),
		);
		fc.assert(
			fc.property(fc.boolean(), fc.array(step, { maxLength: 40 }), fc.boolean(), (keeping, steps, whole) => {
				const budget = new BodyBudget(0);
				const stream = new BodyStream(keeping, undefined, budget);
				const readers: { onBody(): void }[] = [];
				for (const each of steps as readonly { kind: string; bytes?: number }[])
					switch (each.kind) {
						case "push":
							stream.push(new Uint8Array(each.bytes ?? 0));
							break;
						case "join": {
							const reader = { onBody() {} };
							readers.push(reader);
							stream.join(reader);
							break;
						}
						case "take":
							if (readers[0] !== undefined) stream.take(readers[0]);
							break;
						case "leave": {
							const reader = readers.shift();
							if (reader !== undefined) stream.leave(reader);
							break;
						}
						default:
							stream.stopKeeping();
					}
				expect(budget.usedBytes).toBeGreaterThanOrEqual(0);
				if (whole) stream.finish();
				else stream.fail();
				stream.settle();
				for (const reader of readers) stream.leave(reader);
				expect(budget.usedBytes).toBe(0);
			}),
			{ numRuns: 500 },
		);
	});
	test("a sender of what is not kept is held back sooner when much is on its way", () => {
		const budget = new BodyBudget(0);
		budget.count(LEAST_BODY_BUDGET_BYTES + 1);
		let paused = false;
		const source: BodySource = {
			pauseBody: () => {
				paused = true;
			},
			resumeBody() {},
			abandonBody() {},
		};
		const stream = new BodyStream(false, source, budget);
		stream.join({ onBody() {} });
		stream.push(new Uint8Array(200 * 1024));
		expect(paused).toBe(true);
	});
});

describe("clients that take nothing", () => {
	const SPENT_BYTES = LEAST_BODY_BUDGET_BYTES * SPENT_FACTOR;
	const turn = () => new Promise((resolve) => setImmediate(resolve));

	test("those that have taken nothing for longest are given up, and no more of them than must be", async () => {
		const budget = new BodyBudget(0);
		const given: string[] = [];
		const client = (name: string): WaitingClient => ({ giveUp: () => void given.push(name) });
		const [gone, first, second, third] = ["gone", "first", "second", "third"].map(client) as [
			WaitingClient,
			WaitingClient,
			WaitingClient,
			WaitingClient,
		];
		const share = SPENT_BYTES / 4 - WAITING_REQUEST_BYTES;
		for (const each of [gone, first, second, third]) budget.wait(each, share);
		budget.leave(gone);
		// Said again it counts once.
		budget.wait(third, share);
		budget.renew(first);
		await turn();
		expect(given).toEqual([]);
		budget.count(SPENT_BYTES / 4 + 1);
		expect(given).toEqual([]);
		await turn();
		expect(given).toEqual(["second"]);
		// Who waits does not have what is being fetched passed on unstored.
		expect(budget.over).toBe(true);
		budget.count(-SPENT_BYTES / 4 - 1);
		expect(budget.over).toBe(false);
		budget.count(SPENT_BYTES * 2);
		await turn();
		expect(given).toEqual(["second", "third", "first"]);
	});
});

describe("one worker with a small store", () => {
	const CLIENTS = 12;
	const BODY_BYTES = 8 * 1024 * 1024;
	const PASSED_BYTES = 400_000;
	const LONG_BYTES = 4 * 1024 * 1024;
	/** A body that memory has no room for goes on in the store, as long as there is room there. */
	const STORE_BYTES = 40 * 1024 * 1024;
	/** Held back until every client has had the rest, so that all bodies are in the cache at once. */
	const TAIL_BYTES = 64 * 1024;
	const body = Buffer.alloc(BODY_BYTES, "0123456789abcdef");
	const digest = createHash("sha256").update(body).digest("hex");
	const directory = mkdtempSync(join(tmpdir(), "drover-budget-"));
	const socketPath = join(directory, "clients");
	let backend: Server;
	let cache: RunningCache;
	const figure = (name: string) => {
		const said = Bun.spawnSync(["varnishstat", "-n", cache.directory, "-1", "-f", `MAIN.${name}`]);
		return Number(/ +(\d+)/.exec(said.stdout.toString())?.[1]);
	};
	const tails: (() => void)[] = [];
	let waitingClients = 0;
	const hasTheRest = () => {
		if (++waitingClients === CLIENTS) for (const tail of tails) tail();
	};

	beforeAll(async () => {
		const port = await freePort();
		backend = createServer((socket: Socket) => {
			socket.on("error", () => {});
			socket.once("data", (head) => {
				if (head.toString().startsWith("GET /passed/long")) {
					socket.write("HTTP/1.1 200 OK\r\n\r\n");
					socket.end(body.subarray(0, LONG_BYTES));
					return;
				}
				if (head.toString().startsWith("GET /passed")) {
					socket.end(Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n\r\n"), body.subarray(0, PASSED_BYTES)]));
					return;
				}
				socket.write(
					`HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`,
				);
				socket.write(body.subarray(0, BODY_BYTES - TAIL_BYTES));
				tails.push(() => socket.end(body.subarray(BODY_BYTES - TAIL_BYTES)));
			});
		});
		await new Promise<void>((resolve) => backend.listen(port, "127.0.0.1", resolve));
		const settings = ["-p", "thread_pools=1", "-p", "feature=+http2"];
		// The kernel keeps less for a client on such a socket, and always as much.
		settings.push("-a", socketPath);
		cache = await startCache(drover, port, [...settings, "-s", `malloc,${STORE_BYTES}b`]);
	}, 60_000);
	afterAll(async () => {
		await cache?.stop();
		backend?.close();
		rmSync(directory, { recursive: true, force: true });
	});

	test("every client gets the whole body; what did not fit is not stored", async () => {
		const answers = await Promise.all(
			Array.from({ length: CLIENTS }, async (_, index) => {
				const answer = await fetch(`http://127.0.0.1:${cache.port}/${index}`);
				const sum = createHash("sha256");
				let bytes = 0;
				for await (const piece of answer.body!) {
					const before = bytes;
					bytes += piece.length;
					if (before < BODY_BYTES - TAIL_BYTES && bytes >= BODY_BYTES - TAIL_BYTES) hasTheRest();
					sum.update(piece);
				}
				return sum.digest("hex");
			}),
		);
		expect(answers).toEqual(Array.from({ length: CLIENTS }, () => digest));
		const unstored = (await cache.log()).match(/passed, not stored/g)?.length ?? 0;
		// No more than the budget and the store hold may have been kept.
		expect((CLIENTS - unstored) * (BODY_BYTES - TAIL_BYTES)).toBeLessThanOrEqual(
			LEAST_BODY_BUDGET_BYTES + BODY_BYTES + STORE_BYTES,
		);
		expect(unstored).toBeLessThan(CLIENTS);
	}, 60_000);

	test("streams of HTTP/2 whose windows are shut are taken back when they hold too much, the oldest first", async () => {
		const STREAMS = 100;
		const numbers = Array.from({ length: STREAMS }, (_, index) => 2 * index + 1);
		const clients: Client[] = [];
		const givenUp = (client: Client | undefined) =>
			client?.heard.filter(({ words }) => words.endsWith("ENHANCE_YOUR_CALM")).length ?? 0;
		while (givenUp(clients[0]) === 0) {
			expect(clients.length).toBeLessThan(20);
			const client = new Client(dial(cache.port, "127.0.0.1"), PREFACE + settings([4, 0]));
			clients.push(client);
			client.send(...numbers.map((each) => headers(each, true, ask("/passed", "GET", ["cookie", "a"]))));
			await client.until(() => client.heard.filter(({ type }) => type === Frame.headers).length === STREAMS);
			await Bun.sleep(100);
		}
		const last = clients.at(-1)!;
		expect(givenUp(last)).toBe(0);
		last.send(settings([4, PASSED_BYTES]), windowUpdate(0, 2 ** 30));
		await last.until(() => numbers.some((each) => last.body(each).length === PASSED_BYTES));
		const all = () => clients.reduce((sum, client) => sum + givenUp(client), 0);
		await last.until(() => figure("req_dropped") === all());
		for (const { socket } of clients) socket.destroy();
	}, 30_000);

	test("connections of HTTP/1 that take nothing are ended when they hold too much, the oldest first", async () => {
		const before = figure("sc_overload");
		const clients: Socket[] = [];
		while (figure("sc_overload") === before) {
			expect(clients.length).toBeLessThan(1000);
			for (let count = 0; count < 50; count++) {
				const client = dial({ path: socketPath }).on("error", () => {});
				client.pause();
				client.write("GET /passed/long HTTP/1.1\r\nHost: a\r\nCookie: a\r\nConnection: close\r\n\r\n");
				clients.push(client);
			}
			await Bun.sleep(500);
		}
		const lengthOf = (client: Socket) =>
			new Promise<number>((resolve) => {
				let bytes = 0;
				client.on("data", (piece) => {
					bytes += piece.length;
				});
				client.on("close", () => resolve(bytes));
				client.resume();
			});
		expect(await lengthOf(clients.at(-1)!)).toBeGreaterThan(LONG_BYTES);
		expect(await lengthOf(clients[0]!)).toBeLessThan(LONG_BYTES);
		for (const client of clients) client.destroy();
	}, 30_000);
});
