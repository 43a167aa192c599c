/** Memory for bodies on their way has a bound: what is counted is given back, and too much is passed on unstored. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import fc from "fast-check";
import { BodyBudget, LEAST_BODY_BUDGET_BYTES } from "../../../firmware/cache/worker/body-budget.ts";
import { type BodySource, BodyStream } from "../../../firmware/cache/worker/body-stream.ts";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";

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
		budget.usedBytes = LEAST_BODY_BUDGET_BYTES + 1;
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

describe("one worker with a small store", () => {
	const CLIENTS = 12;
	const BODY_BYTES = 8 * 1024 * 1024;
	/** A body that memory has no room for goes on in the store, as long as there is room there. */
	const STORE_BYTES = 40 * 1024 * 1024;
	/** Held back until every client has had the rest, so that all bodies are in the cache at once. */
	const TAIL_BYTES = 64 * 1024;
	const body = Buffer.alloc(BODY_BYTES, "0123456789abcdef");
	const digest = createHash("sha256").update(body).digest("hex");
	let backend: Server;
	let cache: RunningCache;
	const tails: (() => void)[] = [];
	let waitingClients = 0;
	const hasTheRest = () => {
		if (++waitingClients === CLIENTS) for (const tail of tails) tail();
	};

	beforeAll(async () => {
		const port = await freePort();
		backend = createServer((socket: Socket) => {
			socket.on("error", () => {});
			socket.once("data", () => {
				socket.write(
					`HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`,
				);
				socket.write(body.subarray(0, BODY_BYTES - TAIL_BYTES));
				tails.push(() => socket.end(body.subarray(BODY_BYTES - TAIL_BYTES)));
			});
		});
		await new Promise<void>((resolve) => backend.listen(port, "127.0.0.1", resolve));
		cache = await startCache(drover, port, ["-p", "thread_pools=1", "-s", `malloc,${STORE_BYTES}b`]);
	}, 60_000);
	afterAll(async () => {
		await cache?.stop();
		backend?.close();
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
});
