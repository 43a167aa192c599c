/** Verdicts on real servers: what the director sees of checks that come, go, are shared, suspended and reloaded. */
import { fullGC, heapStats } from "bun:jsc";
import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CheckConfig, CheckTiming, VirtualServerConfig } from "../../firmware/config/model.ts";
import {
	createHealth,
	type Health,
	type HealthChange,
	realServerKey,
	virtualServerKey,
} from "../../firmware/health/health.ts";
import { TICK_MS, Wheel } from "../../firmware/health/wheel.ts";
import {
	check,
	configuration,
	http,
	realServer,
	silentLog,
	target,
	timing,
	virtualServer,
} from "./fixtures.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
	for (const cleanup of cleanups.splice(0)) cleanup();
});

async function until(what: string, done: () => boolean, limitMs = 5_000): Promise<void> {
	const deadline = performance.now() + limitMs;
	while (!done()) {
		if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
		await Bun.sleep(5);
	}
}

/** An HTTP server on `port` (0: any) that counts its requests. */
async function webServer(port = 0): Promise<{ port: number; requests: () => number; stop: () => void }> {
	let requests = 0;
	const server: Server = createServer((socket) => {
		socket.on("error", () => {});
		socket.once("data", () => {
			requests++;
			socket.end("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
		});
	});
	await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
	const stop = () => server.close();
	cleanups.push(stop);
	return { port: (server.address() as { port: number }).port, requests: () => requests, stop };
}

function start(): { health: Health; changes: HealthChange[] } {
	const health = createHealth({ log: silentLog() });
	const changes: HealthChange[] = [];
	health.onChange((batch) => changes.push(...batch));
	cleanups.push(() => health.close());
	return { health, changes };
}

const tcp = (port: number, change: Partial<CheckTiming> = {}) =>
	check("TCP_CHECK", { target: target(port), timing: { ...timing, ...change } });
const keyOf = (server: VirtualServerConfig) => virtualServerKey(server);
const serverKey = (port: number) => realServerKey({ address: "127.0.0.1", port });

/** Beside the check's configuration: its record, the server's, and where they stand. */
const BYTES_PER_SERVER_LIMIT = 400;

test("20,000 real servers of which nothing bad was heard take little memory", () => {
	const servers = Array.from({ length: 20_000 }, (_, index) => {
		const address = `127.1.${index >> 8}.${index & 255}`;
		const check = { kind: "TCP_CHECK", target: target(9, { address }), timing } as const;
		return realServer(address, 80, [check]);
	});
	const virtualServers = Array.from({ length: 1_000 }, (_, index) =>
		virtualServer(`10.0.${index >> 8}.${index & 255}`, 80, servers.slice(index * 20, index * 20 + 20)),
	);
	const { health } = start();
	const heapBytes = () => {
		fullGC();
		return heapStats().heapSize;
	};
	const before = heapBytes();
	// No probe is made before this function returns.
	health.apply(configuration(virtualServers));
	const bytesPerServer = (heapBytes() - before) / servers.length;
	expect(health.verdictOf(virtualServerKey(virtualServers[999]!), realServerKey(servers.at(-1)!))).toEqual({
		alive: true,
		weight: 1,
		reason: "no check has failed",
		known: false,
	});
	expect(bytesPerServer).toBeLessThan(BYTES_PER_SERVER_LIMIT);
});

describe("a real server's life", () => {
	test("up from the start, down when it refuses, up when it answers again", async () => {
		const web = await webServer();
		const vs = virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", web.port, [tcp(web.port)])]);
		const { health, changes } = start();
		health.apply(configuration([vs]));
		const verdict = () => health.verdictOf(keyOf(vs), serverKey(web.port));
		expect(verdict()).toMatchObject({ alive: true, weight: 1, known: false });
		await until("first answer", () => verdict().known);
		web.stop();
		await until("down", () => !verdict().alive);
		expect(verdict().reason).toBe(`TCP_CHECK [127.0.0.1]:${web.port}: connection refused`);
		expect(health.statusOf(keyOf(vs), serverKey(web.port)).checks).toMatchObject([
			{ kind: "TCP_CHECK", up: false, detail: "connection refused" },
		]);
		await webServer(web.port);
		await until("up", () => verdict().alive);
		expect(changes.filter(({ kind }) => kind === "alive").map(({ up }) => up)).toEqual([false, true]);
		expect(changes.every(({ virtualServer: vsKey }) => vsKey === keyOf(vs))).toBe(true);
	});
	test("alpha: down until the first success, and that comes within a second", async () => {
		const web = await webServer();
		const vs = virtualServer("192.0.2.1", 80, [
			realServer("127.0.0.1", web.port, [
				tcp(web.port, { alpha: true, delayLoopMs: 60_000, warmupMs: 60_000 }),
			]),
		]);
		const { health } = start();
		health.apply(configuration([vs]));
		expect(health.verdictOf(keyOf(vs), serverKey(web.port)).alive).toBe(false);
		await until("up", () => health.verdictOf(keyOf(vs), serverKey(web.port)).alive, 2_000);
	});
	test("alpha: a server that was never up is told once, when its first check says why", async () => {
		const gone = await webServer();
		gone.stop();
		const checks = [
			tcp(gone.port, { alpha: true }),
			http(gone.port, {}, { timing: { alpha: true } }),
			tcp(gone.port, { alpha: true, retry: 1 }),
		];
		const vs = virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", gone.port, checks)]);
		const { health, changes } = start();
		health.apply(configuration([vs]));
		const verdict = () => health.verdictOf(keyOf(vs), serverKey(gone.port));
		await until("all heard", () => verdict().known);
		health.apply(configuration([{ ...vs }]));
		await Bun.sleep(250);
		expect(changes.map(({ kind, verdict: { alive, reason } }) => ({ kind, alive, reason }))).toEqual([
			{
				kind: "stays-down",
				alive: false,
				reason: expect.stringMatching(/connection refused$/),
			},
		]);
	});
	test("all checks must be up", async () => {
		const web = await webServer();
		const gone = await webServer();
		gone.stop();
		const vs = virtualServer("192.0.2.1", 80, [
			realServer("127.0.0.1", web.port, [tcp(web.port), tcp(gone.port), http(web.port)]),
		]);
		const { health } = start();
		health.apply(configuration([vs]));
		await until("all heard", () => health.verdictOf(keyOf(vs), serverKey(web.port)).known);
		expect(health.verdictOf(keyOf(vs), serverKey(web.port)).alive).toBe(false);
		expect(health.statusOf(keyOf(vs), serverKey(web.port)).checks.map(({ up }) => up)).toEqual([
			true,
			false,
			true,
		]);
	});
	test("no checks: always up; not configured: dead", () => {
		const vs = virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", 80, [], { weight: 7 })]);
		const { health } = start();
		health.apply(configuration([vs]));
		expect(health.verdictOf(keyOf(vs), serverKey(80))).toMatchObject({ alive: true, weight: 7, known: true });
		expect(health.verdictOf(keyOf(vs), serverKey(81))).toMatchObject({ alive: false, weight: 0 });
	});
});

describe("one check, several virtual servers", () => {
	test("the same check runs once and tells them all", async () => {
		const web = await webServer();
		const rs = realServer("127.0.0.1", web.port, [http(web.port)]);
		const servers = [1, 2, 3, 4, 5].map((last) => virtualServer(`192.0.2.${last}`, 80, [rs]));
		const { health, changes } = start();
		health.apply(configuration(servers));
		await until("some rounds", () => web.requests() >= 4);
		const before = web.requests();
		await Bun.sleep(500);
		// Five periods of 100 ms: five probes, not twenty-five.
		expect(web.requests() - before).toBeLessThan(12);
		web.stop();
		await until("all down", () =>
			servers.every((vs) => !health.verdictOf(keyOf(vs), serverKey(web.port)).alive),
		);
		expect(changes.filter(({ kind }) => kind === "alive").length).toBe(5);
	});
	test("alpha: what a shared check has found already is told of a server that comes later, too", async () => {
		const gone = await webServer();
		gone.stop();
		const check = tcp(gone.port, { alpha: true, delayLoopMs: 60_000 });
		const pool = (address: string) =>
			virtualServer(address, 80, [realServer("127.0.0.1", gone.port, [check])]);
		const [first, second] = [pool("192.0.2.1"), pool("192.0.2.2")];
		const { health, changes } = start();
		health.apply(configuration([first]));
		await until("told", () => changes.length > 0);
		health.apply(configuration([first, second]));
		await until("told again", () => changes.length > 1);
		expect(changes).toMatchObject(
			[first, second].map((server) => ({ kind: "stays-down", virtualServer: keyOf(server) })),
		);
		expect(health.verdictOf(keyOf(second), serverKey(gone.port)).reason).toEndWith("connection refused");
	});
	test("another timing is another check", async () => {
		const web = await webServer();
		const { health } = start();
		health.apply(
			configuration([
				virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", web.port, [http(web.port)])]),
				virtualServer("192.0.2.2", 80, [
					realServer("127.0.0.1", web.port, [
						{ ...http(web.port), timing: { ...timing, delayLoopMs: 60_000 } },
					]),
				]),
			]),
		);
		await until("rounds", () => web.requests() >= 3);
	});
});

describe("reload", () => {
	test("an unchanged check keeps its state; a new one begins; one that is gone stops", async () => {
		const web = await webServer();
		const other = await webServer();
		const gone = await webServer();
		gone.stop();
		const { health, changes } = start();
		const dead = realServer("127.0.0.1", gone.port, [tcp(gone.port, { delayLoopMs: 60_000 })]);
		const first = virtualServer("192.0.2.1", 80, [dead, realServer("127.0.0.1", web.port, [http(web.port)])]);
		health.apply(configuration([first]));
		await until("dead one found", () => !health.verdictOf(keyOf(first), serverKey(gone.port)).alive);
		changes.length = 0;
		const second = virtualServer("192.0.2.1", 80, [
			dead,
			realServer("127.0.0.1", other.port, [http(other.port)]),
		]);
		health.apply(configuration([second]));
		expect(health.verdictOf(keyOf(second), serverKey(gone.port))).toMatchObject({
			alive: false,
			known: true,
		});
		expect(health.verdictOf(keyOf(second), serverKey(web.port)).alive).toBe(false);
		expect(health.verdictOf(keyOf(second), serverKey(other.port))).toMatchObject({
			alive: true,
			known: false,
		});
		await until("new one probed", () => other.requests() >= 2);
		const stopped = web.requests();
		await Bun.sleep(250);
		expect(web.requests()).toBe(stopped);
		expect(changes).toEqual([]);
	});
	test("when a check was last heard is told, answer by answer, and across a change of its rhythm", async () => {
		const web = await webServer();
		const { health } = start();
		const heardAt = (server: VirtualServerConfig) =>
			health.statusOf(keyOf(server), serverKey(web.port)).checks[0]!.atMs;
		const before = Date.now();
		const server = (change: Partial<CheckTiming>) =>
			virtualServer("192.0.2.1", 80, [
				realServer("127.0.0.1", web.port, [http(web.port, {}, { timing: change })]),
			]);
		const first = server({ delayLoopMs: 50 });
		health.apply(configuration([first]));
		expect(heardAt(first)).toBe(0);
		await until("three answers", () => web.requests() >= 3);
		await Bun.sleep(20);
		const third = heardAt(first);
		expect(third).toBeGreaterThanOrEqual(before + 50);
		await until("it is told of a later one", () => heardAt(first) > third);
		const late = server({ delayLoopMs: 60_000, warmupMs: 1_000 });
		const last = heardAt(first);
		health.apply(configuration([late]));
		expect(heardAt(late)).toBeGreaterThanOrEqual(last);
		expect(heardAt(late)).toBeLessThanOrEqual(Date.now());
	});
	const rare = { delayLoopMs: 60_000 };
	test.each([
		["another rhythm", (port: number) => [tcp(port, { alpha: true, delayLoopMs: 50 })]],
		["another question", (port: number) => [http(port, {}, { timing: { ...rare, alpha: true } })]],
		["one question more", (port: number) => [tcp(port, rare), http(port, {}, { timing: { alpha: true } })]],
	])("a server that serves goes on serving under alpha: %s", async (_, checks) => {
		const web = await webServer();
		const of = (checks: CheckConfig[]) =>
			virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", web.port, checks)]);
		const { health, changes } = start();
		const first = of([tcp(web.port, rare)]);
		health.apply(configuration([first]));
		const verdict = () => health.verdictOf(keyOf(first), serverKey(web.port));
		await until("known", () => verdict().known);
		health.apply(configuration([of(checks(web.port))]));
		expect(verdict()).toMatchObject({ alive: true, known: false });
		await until("known again", () => verdict().known);
		expect(changes.filter(({ kind }) => kind === "alive")).toEqual([]);
	});
	test.each([
		["another rhythm", (port: number) => tcp(port, { delayLoopMs: 50 })],
		["another question", (port: number) => http(port)],
	])("a dead server is not tried on clients: %s", async (_, check) => {
		const gone = await webServer();
		gone.stop();
		const of = (check: CheckConfig) =>
			virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", gone.port, [check])]);
		const { health, changes } = start();
		const first = of(tcp(gone.port, rare));
		health.apply(configuration([first]));
		const verdict = () => health.verdictOf(keyOf(first), serverKey(gone.port));
		await until("dead", () => !verdict().alive);
		changes.length = 0;
		health.apply(configuration([of(check(gone.port))]));
		expect(verdict()).toMatchObject({ alive: false, known: false });
		await until("known again", () => verdict().known);
		expect(changes.filter(({ kind }) => kind === "alive")).toEqual([]);
		await webServer(gone.port);
		await until("up", () => verdict().alive);
	});
	test("a new check that several servers share takes away none that serves", async () => {
		const web = await webServer();
		const gone = await webServer();
		gone.stop();
		const pools = (one: CheckConfig, other: CheckConfig) => [
			virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", web.port, [one])]),
			virtualServer("192.0.2.2", 80, [realServer("127.0.0.1", web.port, [other])]),
		];
		const [serves, dead] = pools(tcp(web.port, rare), tcp(gone.port, rare)) as [
			VirtualServerConfig,
			VirtualServerConfig,
		];
		const { health, changes } = start();
		health.apply(configuration([serves, dead]));
		await until("dead", () => !health.verdictOf(keyOf(dead), serverKey(web.port)).alive);
		await until("known", () => health.verdictOf(keyOf(serves), serverKey(web.port)).known);
		changes.length = 0;
		for (const shared of [http(web.port), http(web.port, { path: "/other" })]) {
			health.apply(configuration(pools(shared, shared).toReversed()));
			expect(health.verdictOf(keyOf(serves), serverKey(web.port)).alive).toBe(true);
		}
	});
});

describe("ha_suspend", () => {
	test("a suspended virtual server is not probed and keeps its state", async () => {
		const web = await webServer();
		const vs = virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", web.port, [http(web.port)])]);
		const { health } = start();
		health.apply(configuration([vs]));
		await until("probed", () => web.requests() >= 1);
		health.suspend(keyOf(vs), true);
		await Bun.sleep(50);
		const before = web.requests();
		web.stop();
		await Bun.sleep(300);
		expect(web.requests()).toBe(before);
		expect(health.verdictOf(keyOf(vs), serverKey(web.port)).alive).toBe(true);
		health.suspend(keyOf(vs), false);
		await until("down", () => !health.verdictOf(keyOf(vs), serverKey(web.port)).alive);
	});
	test("a resting check wakes when a reload gives it a virtual server that does not rest", async () => {
		const web = await webServer();
		const rs = realServer("127.0.0.1", web.port, [http(web.port)]);
		const [a, b] = [virtualServer("192.0.2.1", 80, [rs]), virtualServer("192.0.2.2", 80, [rs])];
		const { health } = start();
		health.apply(configuration([a]));
		await until("probed", () => web.requests() >= 1);
		health.suspend(keyOf(a), true);
		await Bun.sleep(50);
		const before = web.requests();
		health.apply(configuration([a]));
		await Bun.sleep(200);
		expect(web.requests()).toBe(before);
		health.apply(configuration([a, b]));
		await until("probed again", () => web.requests() > before);
	});
	test("a shared check rests only when all its virtual servers do", async () => {
		const web = await webServer();
		const rs = realServer("127.0.0.1", web.port, [http(web.port)]);
		const [a, b] = [virtualServer("192.0.2.1", 80, [rs]), virtualServer("192.0.2.2", 80, [rs])];
		const { health } = start();
		health.apply(configuration([a, b]));
		health.suspend(keyOf(a), true);
		await until("still probed", () => web.requests() >= 3);
		health.suspend(keyOf(b), true);
		await Bun.sleep(50);
		const before = web.requests();
		await Bun.sleep(300);
		expect(web.requests()).toBe(before);
	});
});

describe("weights that move", () => {
	const folder = () => {
		const path = mkdtempSync(join(tmpdir(), "drover-health-"));
		cleanups.push(() => rmSync(path, { recursive: true, force: true }));
		return path;
	};
	test("misc_dynamic: the exit status sets the weight, 0 gives the configured one back", async () => {
		const path = join(folder(), "weight.sh");
		const answer = (status: number) => {
			writeFileSync(path, `#!/bin/sh\nexit ${status}\n`);
			chmodSync(path, 0o755);
		};
		answer(42);
		const misc = check("MISC_CHECK", {
			script: { command: [path], user: null, group: null, location: { file: "", line: 1, column: 1 } },
			timeoutMs: 2_000,
			dynamicWeight: true,
		});
		const vs = virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", 80, [misc], { weight: 9 })]);
		const { health, changes } = start();
		health.apply(configuration([vs]));
		const verdict = () => health.verdictOf(keyOf(vs), serverKey(80));
		await until("weight 40", () => verdict().weight === 40);
		answer(0);
		await until("weight 9", () => verdict().weight === 9);
		answer(1);
		await until("down", () => !verdict().alive);
		expect(changes.filter(({ kind }) => kind === "weight").map((change) => change.verdict.weight)).toEqual([
			40, 9,
		]);
	});
	test("MISC_CHECK: a program that is taken away leaves the verdict as it was", async () => {
		const path = join(folder(), "check.sh");
		const write = (status: number) => writeFileSync(path, `#!/bin/sh\nexit ${status}\n`, { mode: 0o755 });
		write(0);
		const location = { file: "", line: 1, column: 1 };
		const misc = check("MISC_CHECK", {
			script: { command: [path], user: null, group: null, location },
			timeoutMs: 5_000,
			dynamicWeight: false,
		});
		const vs = virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", 80, [misc])]);
		const { health } = start();
		health.apply(configuration([vs]));
		const said = () => health.statusOf(keyOf(vs), serverKey(80)).checks[0]?.detail ?? "";
		const verdict = () => health.verdictOf(keyOf(vs), serverKey(80));
		await until("read", () => verdict().known);
		rmSync(path);
		await until("it is said", () => /no such program/.test(said()));
		expect(verdict().alive).toBe(true);
		write(1);
		await until("down", () => !verdict().alive);
		rmSync(path);
		await until("it is said again", () => /no such program/.test(said()));
		expect(verdict().alive).toBe(false);
	});
	test("FILE_CHECK: the file's value moves the weight when it is written", async () => {
		const path = join(folder(), "value");
		writeFileSync(path, "0\n");
		const file = check("FILE_CHECK", { trackFile: "load", weight: 2, reverse: false });
		const vs = virtualServer("192.0.2.1", 80, [realServer("127.0.0.1", 80, [file], { weight: 10 })]);
		const { health } = start();
		const trackFile = {
			name: "load",
			path,
			weight: 2,
			reverse: false,
			initFile: null,
			location: vs.location,
		};
		health.apply(configuration([vs], { trackFiles: [trackFile] }));
		const verdict = () => health.verdictOf(keyOf(vs), serverKey(80));
		await until("read", () => verdict().known);
		expect(verdict().weight).toBe(10);
		writeFileSync(path, "7\n");
		await until("weight 24", () => verdict().weight === 24);
		// Beyond 32 bits a number says nothing, as with keepalived.
		writeFileSync(path, "99999999999\n");
		await Bun.sleep(200);
		expect(verdict()).toMatchObject({ alive: true, weight: 24 });
		writeFileSync(path, "-2147483648\n");
		await until("down", () => !verdict().alive);
		writeFileSync(path, "99999999999\n");
		await Bun.sleep(200);
		expect(verdict().alive).toBe(false);
		rmSync(path);
		await until("up again", () => verdict().alive && verdict().weight === 10);
	});
	test("BFD_CHECK: the session's state is the verdict", async () => {
		const session: { tell: ((up: boolean) => void) | null } = { tell: null };
		const health = createHealth({
			log: silentLog(),
			bfd: {
				watch(_name, listener) {
					session.tell = listener;
					return () => {
						session.tell = null;
					};
				},
			},
		});
		cleanups.push(() => health.close());
		const vs = virtualServer("192.0.2.1", 80, [
			realServer("127.0.0.1", 80, [check("BFD_CHECK", { bfd: "peer", timing: { ...timing, retry: 3 } })]),
		]);
		health.apply(configuration([vs]));
		const { tell } = session;
		tell!(true);
		expect(health.verdictOf(keyOf(vs), serverKey(80)).alive).toBe(true);
		tell!(false);
		expect(health.verdictOf(keyOf(vs), serverKey(80)).alive).toBe(false);
		tell!(true);
		expect(health.verdictOf(keyOf(vs), serverKey(80)).alive).toBe(true);
		health.apply(configuration([]));
		expect(session.tell).toBeNull();
	});
});

describe("the timer wheel", () => {
	/** Virtual time: `advance` moves it and wakes what is due. */
	function virtualWheel() {
		let now = 0;
		let sleeper: { at: number; wake: () => void } | null = null;
		const wheel = new Wheel({
			nowMs: () => now,
			sleep(delayMs, wake) {
				const mine = { at: now + delayMs, wake };
				sleeper = mine;
				return () => {
					if (sleeper === mine) sleeper = null;
				};
			},
		});
		return {
			wheel,
			now: () => now,
			advance(to: number) {
				while (sleeper !== null && sleeper.at <= to) {
					const due: { at: number; wake: () => void } = sleeper;
					sleeper = null;
					now = Math.max(now, due.at);
					due.wake();
				}
				now = to;
			},
			jump(to: number) {
				now = to;
			},
		};
	}
	test("never early, at most a tick late, over many turns", () => {
		const { wheel, now, advance } = virtualWheel();
		const fired = new Map<number, number>();
		for (const at of [0, 1, 7, 8, 9, 100, 8_191, 8_192, 8_200, 60_000, 3_600_000])
			wheel.set(
				wheel.timer(() => fired.set(at, now())),
				at,
			);
		advance(4_000_000);
		expect(wheel.size).toBe(0);
		for (const [at, when] of fired) {
			expect(when).toBeGreaterThanOrEqual(at);
			expect(when - at).toBeLessThanOrEqual(2 * TICK_MS);
		}
		expect(fired.size).toBe(11);
	});
	test("cancelled and moved timers", () => {
		const { wheel, advance } = virtualWheel();
		const fired: string[] = [];
		const a = wheel.timer(() => fired.push("a"));
		const b = wheel.timer(() => fired.push("b"));
		wheel.set(a, 50);
		wheel.set(b, 50);
		wheel.cancel(a);
		wheel.set(b, 500);
		advance(100);
		expect(fired).toEqual([]);
		advance(600);
		expect(fired).toEqual(["b"]);
	});
	test("timers set while others fire, and a process that was stopped for a minute", () => {
		const { wheel, advance, jump } = virtualWheel();
		let rounds = 0;
		const again = wheel.timer(() => {
			rounds++;
			if (rounds < 5) wheel.set(again, 0);
		});
		wheel.set(again, 10);
		let late = 0;
		for (let at = 0; at < 20_000; at += 100)
			wheel.set(
				wheel.timer(() => late++),
				at,
			);
		jump(60_000);
		advance(60_100);
		expect(rounds).toBe(5);
		expect(late).toBe(200);
	});
});
