/** A TCP_CHECK hears at once when its server ends; nothing but its own rules decides what follows. */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import type { CheckTiming } from "../../firmware/config/model.ts";
import { createHealth, realServerKey, virtualServerKey } from "../../firmware/health/health.ts";
import { HELD_PERIOD_LIMIT_MS } from "../../firmware/health/sentinel.ts";
import { check, configuration, realServer, silentLog, target, timing, virtualServer } from "./fixtures.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function until(what: string, done: () => boolean, limitMs = 6_000): Promise<void> {
	const deadline = performance.now() + limitMs;
	while (!done()) {
		if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
		await Bun.sleep(2);
	}
}

/** A server in this process; counts what its program sees. */
async function server(accept: (socket: Socket) => void = () => {}) {
	const seen = { accepted: 0, open: 0 };
	const listener = createServer((socket) => {
		seen.accepted++;
		seen.open++;
		socket.on("error", () => {});
		socket.on("close", () => seen.open--);
		accept(socket);
	});
	await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
	cleanups.push(() => listener.close());
	return { port: (listener.address() as { port: number }).port, seen };
}

/** A server that is a process of its own, to be killed. */
async function process9(): Promise<{ port: number; kill: () => Promise<unknown> }> {
	const child = Bun.spawn(
		[
			process.execPath,
			"-e",
			`const s = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }); console.log(s.port);`,
		],
		{ stdin: "ignore", stdout: "pipe", stderr: "ignore" },
	);
	const reader = child.stdout.getReader();
	const { value } = await reader.read();
	const kill = () => {
		child.kill("SIGKILL");
		return child.exited;
	};
	cleanups.push(kill);
	return { port: Number(new TextDecoder().decode(value)), kill };
}

function watch(port: number, change: Partial<CheckTiming>, sentinel = true) {
	const health = createHealth({ log: silentLog() });
	cleanups.push(() => health.close());
	const config = check("TCP_CHECK", { target: target(port), timing: { ...timing, ...change } });
	const vs = virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", port, [config])]);
	const whole = configuration([vs]);
	health.apply({ ...whole, global: { ...whole.global, tcpCheckSentinel: sentinel } });
	const verdict = () => health.verdictOf(virtualServerKey(vs), realServerKey({ address: "127.0.0.1", port }));
	return { health, verdict, key: virtualServerKey(vs) };
}

const LONG_MS = HELD_PERIOD_LIMIT_MS;

describe("a server that ends between two checks", () => {
	test("killed: it is out long before the next check's turn", async () => {
		const victim = await process9();
		const { verdict } = watch(victim.port, { delayLoopMs: LONG_MS });
		await until("first answer", () => verdict().known);
		await Bun.sleep(100);
		await victim.kill();
		await until("out", () => !verdict().alive, LONG_MS / 3);
		expect(verdict().reason).toBe(`TCP_CHECK [127.0.0.1]:${victim.port}: connection refused`);
	});
	test("killed after many turns: the connection of the last one is heard, and those before it are not", async () => {
		const victim = await process9();
		const { health, verdict, key } = watch(victim.port, { delayLoopMs: 400 });
		await until("first answer", () => verdict().known);
		const heardAt = () =>
			health.statusOf(key, realServerKey({ address: "127.0.0.1", port: victim.port })).checks[0]!.atMs;
		for (let turn = 0; turn < 4; turn++) {
			const before = heardAt();
			await until("another turn", () => heardAt() > before);
		}
		// None of the connections that were replaced leads to a question out of turn.
		const last = heardAt();
		await Bun.sleep(200);
		expect(heardAt()).toBe(last);
		await victim.kill();
		await until("out", () => !verdict().alive, 100);
	});
	test("the retries are the check's own", async () => {
		const victim = await process9();
		const { verdict } = watch(victim.port, { delayLoopMs: LONG_MS, retry: 1, delayBeforeRetryMs: 400 });
		await until("first answer", () => verdict().known);
		await Bun.sleep(100);
		const killedMs = performance.now();
		await victim.kill();
		await until("out", () => !verdict().alive, LONG_MS / 2);
		expect(performance.now() - killedMs).toBeGreaterThan(390);
		expect(verdict().reason).toEndWith("connection refused after 1 retry");
	});
	test("after a suspension and a return it is heard as before", async () => {
		const victim = await process9();
		const { health, verdict, key } = watch(victim.port, { delayLoopMs: LONG_MS });
		await until("first answer", () => verdict().known);
		health.suspend(key, true);
		health.suspend(key, false);
		await Bun.sleep(200);
		await victim.kill();
		await until("out", () => !verdict().alive, LONG_MS / 3);
	});
});

describe("what a server sees of it", () => {
	test("one idle connection, which the next check replaces", async () => {
		const { port, seen } = await server();
		const { health } = watch(port, { delayLoopMs: 50 });
		let most = 0;
		await until("many turns", () => {
			most = Math.max(most, seen.open);
			return seen.accepted >= 8;
		});
		expect(most).toBeLessThanOrEqual(2);
		health.close();
		await until("none left", () => seen.open === 0);
	});
	test("one that ends idle connections stays in, is asked once more, and is then let alone", async () => {
		const { port, seen } = await server((socket) => socket.end());
		const { verdict } = watch(port, { delayLoopMs: 50 });
		await until("first answer", () => verdict().known);
		await Bun.sleep(600);
		expect(verdict().alive).toBe(true);
		// The one that was held, and the question that its end led to.
		expect(seen.accepted).toBe(2);
	});
	test("nothing, when it is turned off or the period is long", async () => {
		const { port, seen } = await server();
		const off = watch(port, { delayLoopMs: 50 }, false);
		const long = watch(port, { delayLoopMs: LONG_MS + 1, retry: 3 });
		await until("answers", () => off.verdict().known && long.verdict().known);
		await Bun.sleep(200);
		expect(seen.accepted).toBe(0);
	});
});
