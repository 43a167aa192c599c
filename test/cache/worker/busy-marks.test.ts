/** One fetch for all workers: marks in shared memory, and what they do with four workers before one slow backend. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { BusyMarks, clearBusyMarks } from "../../../firmware/cache/worker/busy-marks.ts";
import { drover, freePort, type RunningCache, startCache } from "../../conformance/caches.ts";
import { exchange } from "../http/raw-client.ts";

describe("marks", () => {
	const words = () => new Int32Array(new SharedArrayBuffer(64 * 4));
	test("one worker marks, another is told, and may when it is released", () => {
		const table = words();
		const [one, two] = [new BusyMarks(table, 0), new BusyMarks(table, 1)];
		const mark = one.claim("a");
		expect(mark).toBeObject();
		expect(two.claim("a")).toBe("theirs");
		// The same worker knows its own fetches without the table.
		expect(one.claim("a")).toBe("unmarked");
		if (typeof mark === "object") one.release(mark);
		expect(two.claim("a")).toBeObject();
	});
	test("another key in the same place goes unmarked, and waits for nobody", () => {
		const table = words();
		const [one, two] = [new BusyMarks(table, 0), new BusyMarks(table, 1)];
		const taken = new Set<number>();
		for (let index = 0; index < 1000; index++) {
			const mark = one.claim(`key ${index}`);
			if (typeof mark === "object") taken.add(mark.place);
		}
		expect(taken.size).toBe(64);
		expect(two.claim("another")).toBe("unmarked");
	});
	test("who waits is woken when the mark goes, by its owner or with it", async () => {
		const table = words();
		const [one, two, three] = [0, 1, 2].map((worker) => new BusyMarks(table, worker)) as [
			BusyMarks,
			BusyMarks,
			BusyMarks,
		];
		const mark = one.claim("a");
		three.claim("b");
		const woken: string[] = [];
		const both = new Promise<void>((resolve) => {
			const wake = (key: string) => () => {
				woken.push(key);
				if (woken.length === 2) resolve();
			};
			two.wait("a", wake("a"));
			two.wait("b", wake("b"));
		});
		await Bun.sleep(20);
		expect(woken).toEqual([]);
		if (typeof mark === "object") one.release(mark);
		clearBusyMarks(table, 2);
		await both;
		expect(woken.toSorted()).toEqual(["a", "b"]);
	});
	test("who has gone is not woken", async () => {
		const table = words();
		const [one, two] = [0, 1].map((worker) => new BusyMarks(table, worker)) as [BusyMarks, BusyMarks];
		const mark = one.claim("a");
		const woken: string[] = [];
		await new Promise<void>((resolve) => {
			two.wait("a", () => woken.push("gone"))();
			two.wait("a", resolve);
			if (typeof mark === "object") one.release(mark);
		});
		expect(woken).toEqual([]);
	});
});

describe("four workers, one backend", () => {
	let backend: Server;
	let cache: RunningCache;
	const asked = new Map<string, number>();
	const waiting: (() => void)[] = [];

	beforeAll(async () => {
		const port = await freePort();
		backend = createServer((socket: Socket) => {
			socket.on("error", () => {});
			socket.setEncoding("latin1");
			socket.on("data", (text: string) => {
				const target = /^GET (\S+)/.exec(text)?.[1] ?? "";
				asked.set(target, (asked.get(target) ?? 0) + 1);
				const control = target.startsWith("/private") ? "no-store" : "max-age=100";
				waiting.push(() =>
					socket.write(
						`HTTP/1.1 200 OK\r\nCache-Control: ${control}\r\nContent-Length: 2\r\n\r\nok`,
						"latin1",
					),
				);
			});
		});
		await new Promise<void>((resolve) => backend.listen(port, "127.0.0.1", resolve));
		cache = await startCache(drover, port, ["-p", "thread_pools=4"]);
	}, 60_000);
	afterAll(async () => {
		await cache?.stop();
		backend?.close();
	});

	const ask = (target: string) =>
		exchange(cache.port, `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
	const until = async (holds: () => boolean) => {
		while (!holds()) await Bun.sleep(5);
	};
	const answerAll = () => {
		for (const answer of waiting.splice(0)) answer();
	};
	const CLIENTS = 40;

	test("forty clients at once: one fetch", async () => {
		const answers = Array.from({ length: CLIENTS }, () => ask("/shared"));
		await until(() => waiting.length > 0);
		// Time for all forty to arrive, and for a second fetch to show itself.
		await Bun.sleep(500);
		expect(asked.get("/shared")).toBe(1);
		answerAll();
		for (const { text } of await Promise.all(answers)) expect(text).toEndWith("\r\n\r\nok");
		expect(asked.get("/shared")).toBe(1);
	}, 30_000);

	test("what is not cacheable is not put in line behind itself", async () => {
		const first = ask("/private");
		await until(() => waiting.length > 0);
		answerAll();
		await first;
		const answers = Array.from({ length: CLIENTS }, () => ask("/private"));
		// Every one of them is at the backend before any is answered.
		await until(() => asked.get("/private") === 1 + CLIENTS);
		answerAll();
		for (const { text } of await Promise.all(answers)) expect(text).toEndWith("\r\n\r\nok");
	}, 30_000);
});
