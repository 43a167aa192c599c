/** The real-time thread between two namespaces: repeats, leases, watches, takeover, and JavaScript that stands still. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { EINVAL, EPERM, type SystemCallError } from "../../../firmware/kernel/errno.ts";
import { RawSocket } from "../../../firmware/kernel/raw-socket.ts";
import {
	type Expiry,
	type Frame,
	monotonicMicros,
	RealTime,
	type Receiver,
	type Repeat,
	type Watch,
} from "../../../firmware/kernel/realtime.ts";
import { interfaceIndex } from "../../../firmware/kernel/rtnetlink.ts";
import { internetAddress } from "../../../firmware/kernel/sockaddr.ts";
import { inside } from "./inside.ts";
import { type Cable, eventually, type Namespace, Network } from "./network.ts";

const LONG_LEASE_MICROS = 60_000_000;

let network: Network;
let a: Namespace;
let b: Namespace;
let cableB: Cable;
let realTime: RealTime;
let nextKey = 0;

beforeAll(() => {
	network = Network.create("realtime");
	a = network.namespace("a");
	b = network.namespace("b");
	const lan = network.segment("lan");
	lan.plug(a, "eth0", "10.0.0.1/24", "fd00::1/64");
	cableB = lan.plug(b, "eth0", "10.0.0.2/24", "fd00::2/64");
	realTime = RealTime.open({ priority: 52 });
});

afterAll(() => {
	realTime.close();
	network.dispose();
});

interface Side {
	readonly sender: RawSocket;
	readonly socket: RawSocket;
	readonly receiver: Receiver;
	close(): void;
}

function side(namespace: Namespace, family: "inet" | "inet6", onUnknown?: (frame: Frame) => void): Side {
	const v4 = family === "inet";
	return inside(namespace, () => {
		const index = interfaceIndex("eth0")!;
		const host = namespace === a ? "1" : "2";
		const sender = RawSocket.open({
			family,
			protocol: 112,
			interface: "eth0",
			source: v4 ? `10.0.0.${host}` : `fd00::${host}`,
			multicastInterfaceIndex: index,
			sendOnly: true,
		});
		const socket = RawSocket.open({ family, protocol: 112, interface: "eth0" });
		socket.joinGroup(v4 ? "224.0.0.18" : "ff02::12", index);
		const receiver = realTime.receiver({
			fd: socket.fd,
			family,
			keyOffset: 1,
			...(onUnknown ? { onUnknown } : {}),
		});
		return {
			sender,
			socket,
			receiver,
			close() {
				receiver.close();
				socket.close();
				sender.close();
			},
		};
	});
}

const group = { inet: internetAddress("224.0.0.18", 0), inet6: internetAddress("ff02::12", 0) };
const advert = (from: Side, family: "inet" | "inet6", key: number, priority: number) => ({
	fd: from.sender.fd,
	address: group[family],
	data: Uint8Array.of(0x31, key, priority, 1),
});

/** A watch with all that it told. `judge` says which frames are good, and for how long. */
function listen(receiver: Receiver, key: number, judge: (frame: Frame) => number | null) {
	const frames: Frame[] = [];
	const expiries: Expiry[] = [];
	const watch: Watch = receiver.watch(key, {
		onFrame(frame) {
			frames.push(frame);
			const interval = judge(frame);
			if (interval !== null) watch.accept(frame, interval);
		},
		onExpired: (expiry) => expiries.push(expiry),
	});
	return { watch, frames, expiries };
}

/** Lets nothing of JavaScript run. */
function standStill(milliseconds: number): void {
	const until = performance.now() + milliseconds;
	while (performance.now() < until);
}

function newRepeat(onLapse: (lapse: { atMicros: number }) => void = () => {}): Repeat {
	return realTime.repeat(onLapse);
}

describe.each(["inet", "inet6"] as const)("%s", (family) => {
	test("steady state: adverts on an absolute schedule, matched frames never reach JavaScript", async () => {
		const key = ++nextKey;
		realTime.renewLease(LONG_LEASE_MICROS);
		const master = side(a, family);
		const backup = side(b, family);
		const { watch, frames, expiries } = listen(backup.receiver, key, () => 5_000_000);
		const repeat = newRepeat();
		repeat.set([advert(master, family, key, 100)]);
		const startedAt = monotonicMicros();
		repeat.start(startedAt, 20_000);
		await eventually("30 adverts", () => watch.statistics().frames >= 30);
		const { sent, running, nextAtMicros } = repeat.statistics();
		expect(running).toBe(true);
		expect(frames.length).toBeLessThan(10);
		expect(watch.statistics().matched).toBe(watch.statistics().frames - frames.length);
		expect(expiries).toEqual([]);
		// No drift: after n turns the next one is due n intervals after the first, less one step onto the grid.
		const turns = Math.round((nextAtMicros - startedAt) / 20_000);
		expect(nextAtMicros - startedAt).toBeLessThan(turns * 20_000 + 2000);
		expect(nextAtMicros - startedAt).toBeGreaterThan(turns * 20_000 - 2000);
		expect(sent).toBeLessThanOrEqual(turns + 1);
		expect(frames[0]).toMatchObject({ hopLimit: 255, payload: Uint8Array.of(0x31, key, 100, 1) });
		expect(frames[0]!.atMicros).toBeGreaterThan(startedAt - 1000);
		expect(frames[0]!.atMicros).toBeLessThan(monotonicMicros());
		for (const thing of [repeat, watch, master, backup]) thing.close();
	});

	test("a frame that differs is JavaScript's to judge; only what it accepts moves the deadline", async () => {
		const key = ++nextKey;
		const master = side(a, family);
		const backup = side(b, family);
		const { watch, frames } = listen(backup.receiver, key, (frame) =>
			frame.payload[2]! >= 100 ? 5_000_000 : null,
		);
		const send = (priority: number) => {
			const { fd, address, data } = advert(master, family, key, priority);
			master.sender.send(data, family === "inet" ? address.subarray(4, 8) : address.subarray(8, 24));
			expect(fd).toBe(master.sender.fd);
		};
		const told = async (count: number) => eventually(`${count} frames`, () => frames.length === count);
		send(100);
		await told(1);
		const first = watch.statistics().deadlineMicros;
		expect(first).toBeCloseTo(frames[0]!.atMicros + 5_000_000, 0);
		send(50);
		await told(2);
		expect(watch.statistics().deadlineMicros).toBe(first);
		send(100);
		await eventually("the pinned frame to match", () => watch.statistics().matched === 1);
		expect(watch.statistics().deadlineMicros).toBeGreaterThan(first);
		watch.disarm();
		send(100);
		await told(3);
		for (const thing of [watch, master, backup]) thing.close();
	});
});

describe("lease", () => {
	test("when it ends, the final datagrams go out once, JavaScript is told, and nothing starts again by itself", async () => {
		const key = ++nextKey;
		const master = side(a, "inet");
		const backup = side(b, "inet");
		const { frames, watch } = listen(backup.receiver, key, () => null);
		const lapses: number[] = [];
		const repeat = newRepeat(({ atMicros }) => lapses.push(atMicros));
		repeat.set([advert(master, "inet", key, 100)], [advert(master, "inet", key, 0)]);
		const leaseUntil = monotonicMicros() + 200_000;
		realTime.renewLease(200_000);
		repeat.start(monotonicMicros(), 20_000);
		await eventually("the lapse", () => lapses.length === 1);
		expect(lapses[0]).toBeGreaterThanOrEqual(leaseUntil);
		expect(repeat.statistics().running).toBe(false);
		await eventually("priority 0", () => frames.at(-1)?.payload[2] === 0);
		const { sent } = repeat.statistics();
		realTime.renewLease(LONG_LEASE_MICROS);
		await Bun.sleep(100);
		expect(repeat.statistics().sent).toBe(sent);
		expect(frames.filter((frame) => frame.payload[2] === 0)).toHaveLength(1);
		for (const thing of [repeat, watch, master, backup]) thing.close();
	});

	test("a process that was stopped for longer than its lease sends its resignation, not an advert, when it goes on", async () => {
		const key = ++nextKey;
		const backup = side(b, "inet");
		const { frames, watch } = listen(backup.receiver, key, () => null);
		const firmware = `${import.meta.dir}/../../../firmware/kernel`;
		const script = `
			const { RawSocket } = await import("${firmware}/raw-socket.ts");
			const { RealTime, monotonicMicros } = await import("${firmware}/realtime.ts");
			const { internetAddress } = await import("${firmware}/sockaddr.ts");
			const socket = RawSocket.open({ family: "inet", protocol: 112, interface: "eth0", source: "10.0.0.1" });
			const realTime = RealTime.open({ priority: 52 });
			const datagram = (priority) => ({
				fd: socket.fd, address: internetAddress("224.0.0.18", 0), data: Uint8Array.of(0x31, ${key}, priority),
			});
			const repeat = realTime.repeat(() => {});
			repeat.set([datagram(100)], [datagram(0)]);
			const renew = () => realTime.renewLease(300_000);
			renew();
			setInterval(renew, 20);
			repeat.start(monotonicMicros(), 50_000);
		`;
		const child = a.spawn([process.execPath, "-e", script], { stderr: "inherit" });
		await eventually("adverts", () => frames.length > 3);
		process.kill(child.pid, "SIGSTOP");
		await Bun.sleep(600);
		const stoppedAt = frames.length;
		process.kill(child.pid, "SIGCONT");
		await eventually("a frame", () => frames.length > stoppedAt);
		await Bun.sleep(150);
		expect(frames.slice(stoppedAt).map((frame) => frame.payload[2])).toEqual([0]);
		child.kill("SIGKILL");
		await child.exited;
		watch.close();
		backup.close();
	});

	test("renewed in time, a repeat goes on beyond the first lease", async () => {
		const key = ++nextKey;
		const master = side(a, "inet");
		const repeat = newRepeat(() => expect.unreachable("the lease was renewed"));
		repeat.set([advert(master, "inet", key, 100)]);
		realTime.renewLease(400_000);
		repeat.start(monotonicMicros(), 20_000);
		for (let count = 0; count < 10; count++) {
			await Bun.sleep(60);
			realTime.renewLease(400_000);
		}
		expect(repeat.statistics()).toMatchObject({ running: true, errors: 0 });
		realTime.renewLease(LONG_LEASE_MICROS);
		repeat.close();
		master.close();
	});

	test("over, or with an interval that is not from 1 ms to a day, a repeat does not start", () => {
		const repeat = newRepeat();
		realTime.renewLease(-1);
		const errnoOf = (work: () => void) => {
			try {
				work();
			} catch (error) {
				return (error as SystemCallError).errno;
			}
			return 0;
		};
		expect(errnoOf(() => repeat.start(monotonicMicros(), 20_000))).toBe(EPERM);
		realTime.renewLease(LONG_LEASE_MICROS);
		for (const interval of [999, 0, -1, Number.NaN, 86_400_000_001, Number.POSITIVE_INFINITY])
			expect(errnoOf(() => repeat.start(monotonicMicros(), interval))).toBe(EINVAL);
		repeat.close();
	});
});

describe("expiry", () => {
	test("the pinned frame behind another one waits for its turn: it may be the answer to that", async () => {
		const key = ++nextKey;
		realTime.renewLease(LONG_LEASE_MICROS);
		const master = side(a, "inet");
		const backup = side(b, "inet");
		const { watch, frames } = listen(backup.receiver, key, ({ payload }) =>
			payload[2] === 100 ? 5_000_000 : null,
		);
		const repeat = newRepeat();
		repeat.set([advert(master, "inet", key, 100)]);
		repeat.start(monotonicMicros(), 20_000);
		await eventually("steady state", () => watch.statistics().matched > 3);
		const before = frames.length;
		repeat.setRounds([[advert(master, "inet", key, 0)], [advert(master, "inet", key, 100)]]);
		standStill(100);
		await eventually("both were judged", () => frames.length > before + 1);
		expect(frames.slice(before, before + 2).map(({ payload }) => payload[2])).toEqual([0, 100]);
		// What comes after them reaches nobody again.
		const { matched } = watch.statistics();
		await eventually("steady state again", () => watch.statistics().matched > matched + 3);
		for (const thing of [repeat, watch, master, backup]) thing.close();
	});

	test("silence is told with its exact time, and a prepared repeat has started", async () => {
		const key = ++nextKey;
		realTime.renewLease(LONG_LEASE_MICROS);
		const master = side(a, "inet");
		const backup = side(b, "inet");
		const heardByMaster = listen(master.receiver, key, () => null);
		const { watch, expiries, frames } = listen(backup.receiver, key, ({ payload }) =>
			payload[2] === 100 ? 600_000 : null,
		);
		const takeover = newRepeat();
		takeover.set([advert(backup, "inet", key, 90)]);
		takeover.setOpening([advert(backup, "inet", key, 77)]);
		watch.startOnExpiry(takeover, 50_000);
		const repeat = newRepeat();
		repeat.set([advert(master, "inet", key, 100)]);
		repeat.start(monotonicMicros(), 50_000);
		await eventually("steady state", () => watch.statistics().matched > 3);
		repeat.stop();
		await eventually("the expiry", () => expiries.length === 1);
		const { lastFrameAtMicros, lastMatchedAtMicros } = watch.statistics();
		expect(lastMatchedAtMicros).toBe(lastFrameAtMicros);
		expect(expiries[0]!.startedRepeat).toBe(true);
		expect(expiries[0]!.atMicros).toBeCloseTo(lastFrameAtMicros + 600_000, 0);
		await eventually("the takeover's adverts", () => heardByMaster.frames.length > 3);
		// The opening comes once, after the first advert.
		const priorities = heardByMaster.frames.map(({ payload }) => payload[2]!);
		expect(priorities[0]).toBe(90);
		expect(priorities.filter((priority) => priority === 77).length).toBe(1);
		expect(heardByMaster.frames[0]!.atMicros).toBeGreaterThanOrEqual(expiries[0]!.atMicros);
		expect(frames.length).toBeLessThan(4);
		// Another frame is none of the master's; the master's own counts as heard though it comes late.
		const { length } = frames;
		repeat.set([advert(master, "inet", key, 55)]);
		repeat.start(monotonicMicros(), 60_000_000);
		await eventually("another frame", () => frames.length > length);
		expect(watch.statistics().lastFrameAtMicros).toBeGreaterThan(lastFrameAtMicros);
		expect(watch.statistics().lastMatchedAtMicros).toBe(lastMatchedAtMicros);
		repeat.set([advert(master, "inet", key, 100)]);
		repeat.start(monotonicMicros(), 60_000_000);
		await eventually(
			"a late one",
			() => watch.statistics().lastMatchedAtMicros === watch.statistics().lastFrameAtMicros,
		);
		for (const thing of [repeat, takeover, watch, heardByMaster.watch, master, backup]) thing.close();
	});

	test("JavaScript stands still for twice the deadline: no false failover while adverts come, and takeover when they do not", async () => {
		const key = ++nextKey;
		const master = side(a, "inet");
		const backup = side(b, "inet");
		const { watch, expiries } = listen(backup.receiver, key, () => 1_000_000);
		const takeover = newRepeat();
		takeover.set([advert(backup, "inet", key, 90)]);
		watch.startOnExpiry(takeover, 20_000);
		const repeat = newRepeat();
		repeat.set([advert(master, "inet", key, 100)]);
		repeat.start(monotonicMicros(), 20_000);
		await eventually("steady state", () => watch.statistics().matched > 3);
		standStill(2000);
		await Bun.sleep(20);
		expect(expiries).toEqual([]);
		expect(takeover.statistics().sent).toBe(0);
		repeat.stop();
		standStill(2000);
		// All of this happened while nothing of JavaScript ran.
		expect(takeover.statistics().sent).toBeGreaterThan(10);
		await eventually("the expiry", () => expiries.length === 1);
		expect(expiries[0]!.startedRepeat).toBe(true);
		for (const thing of [repeat, takeover, watch, master, backup]) thing.close();
	});

	test("a frame that waits to be judged holds the prepared repeat back", async () => {
		const key = ++nextKey;
		const master = side(a, "inet");
		const backup = side(b, "inet");
		const { watch, expiries, frames } = listen(backup.receiver, key, () => 1_000_000);
		const takeover = newRepeat();
		takeover.set([advert(backup, "inet", key, 90)]);
		watch.startOnExpiry(takeover, 20_000);
		const send = (priority: number) =>
			master.sender.send(advert(master, "inet", key, priority).data, Uint8Array.of(224, 0, 0, 18));
		send(100);
		await eventually("the first frame", () => frames.length === 1);
		// The master changes its priority; JavaScript cannot look at it before the old deadline has passed.
		send(101);
		standStill(1300);
		expect(takeover.statistics().sent).toBe(0);
		await eventually("the verdict", () => frames.length === 2);
		// Judged too late all the same: the frame's own deadline has passed as well, and that is told.
		await eventually("the expiry", () => expiries.length === 1);
		for (const thing of [takeover, watch, master, backup]) thing.close();
	});

	test("an expiry that was overtaken is not told", async () => {
		const key = ++nextKey;
		const backup = side(b, "inet");
		const { watch, expiries } = listen(backup.receiver, key, () => null);
		watch.rearm(monotonicMicros() + 20_000);
		standStill(80);
		watch.rearm(monotonicMicros() + 60_000_000);
		await Bun.sleep(50);
		expect(expiries).toEqual([]);
		watch.rearm(monotonicMicros() - 1);
		await eventually("the expiry of a deadline in the past", () => expiries.length === 1);
		watch.close();
		backup.close();
	});

	test("a deadline may move earlier", async () => {
		const key = ++nextKey;
		const backup = side(b, "inet");
		const { watch, expiries } = listen(backup.receiver, key, () => null);
		watch.rearm(monotonicMicros() + 60_000_000);
		const wanted = monotonicMicros() + 30_000;
		watch.rearm(wanted);
		await eventually("the expiry", () => expiries.length === 1);
		expect(expiries[0]!.atMicros).toBeCloseTo(wanted, 0);
		watch.close();
		backup.close();
	});
});

test("one whole CPU stands still: the thread that stands by on another does what is due", async () => {
	const key = ++nextKey;
	const master = side(a, "inet");
	realTime.renewLease(LONG_LEASE_MICROS);
	const threads = readdirSync("/proc/self/task").map((id) => ({
		name: readFileSync(`/proc/self/task/${id}/comm`, "utf8").trim(),
		cpus: /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync(`/proc/self/task/${id}/status`, "utf8"))![1]!,
	}));
	const cpu = threads.find(({ name }) => name === "real-time")!.cpus;
	expect(threads.filter(({ name }) => name === "real-time-2").map(({ cpus }) => cpus)).not.toContain(cpu);
	const repeat = newRepeat();
	repeat.set([advert(master, "inet", key, 100)]);
	repeat.start(monotonicMicros(), 20_000);
	await Bun.sleep(60);
	const before = realTime.stoodIn;
	const { sent } = repeat.statistics(true);
	// Of higher priority than the thread, on its CPU, and over by itself: nothing else could stop it there.
	const script = `
		const { native } = await import("${import.meta.dir}/../../../firmware/kernel/native.ts");
		if (native.setScheduler(1, 99) < 0) process.exit(1);
		const until = performance.now() + 400;
		while (performance.now() < until);
	`;
	const hog = Bun.spawn(["taskset", "-c", cpu, process.execPath, "-e", script]);
	expect(await hog.exited).toBe(0);
	expect(realTime.stoodIn).toBeGreaterThan(before);
	expect(repeat.statistics().sent).toBeGreaterThan(sent + 10);
	expect(repeat.statistics().longestGapMicros).toBeLessThan(300_000);
	repeat.close();
	master.close();
});

test("the sockets outlive a pulled cable", async () => {
	const key = ++nextKey;
	realTime.renewLease(LONG_LEASE_MICROS);
	const master = side(a, "inet");
	const backup = side(b, "inet");
	const { watch, expiries } = listen(backup.receiver, key, () => 100_000);
	const repeat = newRepeat();
	repeat.set([advert(master, "inet", key, 100)]);
	repeat.start(monotonicMicros(), 20_000);
	await eventually("steady state", () => watch.statistics().matched > 3);
	cableB.unplug();
	await eventually("the expiry", () => expiries.length === 1);
	cableB.plugIn();
	const before = watch.statistics().frames;
	await eventually("frames again", () => watch.statistics().frames > before);
	b.ip("link", "set", "eth0", "down");
	b.ip("link", "set", "eth0", "up");
	const after = watch.statistics().frames;
	await eventually("frames after link down and up", () => watch.statistics().frames > after);
	for (const thing of [repeat, watch, master, backup]) thing.close();
});

test("rounds: each turn sends the next one, the last one stays; a failing descriptor is counted and stops nobody", async () => {
	const key = ++nextKey;
	const master = side(a, "inet");
	const backup = side(b, "inet");
	const { watch, frames } = listen(backup.receiver, key, () => null);
	const repeat = newRepeat();
	const broken = { fd: -1, address: group.inet, data: Uint8Array.of(1) };
	repeat.setRounds([
		[advert(master, "inet", key, 1)],
		[broken, advert(master, "inet", key, 2)],
		[advert(master, "inet", key, 3)],
	]);
	repeat.start(monotonicMicros(), 10_000);
	await eventually("five turns", () => frames.length >= 5);
	repeat.stop();
	expect(frames.slice(0, 5).map((frame) => frame.payload[2])).toEqual([1, 2, 3, 3, 3]);
	expect(repeat.statistics()).toMatchObject({ errors: 1, lastErrno: 9, roundsLeft: 1 });
	for (const thing of [repeat, watch, master, backup]) thing.close();
});

test("a flood: at most 64 frames wait, the rest is counted, and JavaScript's view stays in order", async () => {
	const key = ++nextKey;
	const unknown: Frame[] = [];
	const master = side(a, "inet");
	const backup = side(b, "inet", (frame) => unknown.push(frame));
	const { watch, frames } = listen(backup.receiver, key, () => null);
	for (let count = 0; count < 200; count++) {
		master.sender.send(Uint8Array.of(0x31, key, count), Uint8Array.of(10, 0, 0, 2));
		master.sender.send(Uint8Array.of(0x31, 250, count), Uint8Array.of(10, 0, 0, 2));
	}
	standStill(50);
	await eventually("all to be counted", () => watch.statistics().frames === 200);
	await eventually("64 frames", () => frames.length >= 64);
	await Bun.sleep(20);
	const { delivered, dropped } = watch.statistics();
	expect(delivered + dropped).toBe(200);
	expect(frames).toHaveLength(delivered);
	const counts = frames.map((frame) => frame.payload[2]!);
	expect(counts).toEqual([...counts].sort((x, y) => x - y));
	await eventually("the unknown ones", () => backup.receiver.statistics().unknown === 200);
	expect(unknown.length).toBeGreaterThanOrEqual(64);
	for (const thing of [watch, master, backup]) thing.close();
});

test("a watch that names its interface hears only that one; too short datagrams are counted", async () => {
	const key = ++nextKey;
	const master = side(a, "inet");
	const backup = side(b, "inet");
	const index = inside(b, () => interfaceIndex("eth0"))!;
	const heard: string[] = [];
	const handlers = (name: string) => ({ onFrame: () => heard.push(name), onExpired() {} });
	const here = backup.receiver.watch(key, handlers("here"), index);
	const there = backup.receiver.watch(key, handlers("there"), index + 1000);
	master.sender.send(Uint8Array.of(0x31), Uint8Array.of(10, 0, 0, 2));
	await eventually("the frame", async () => {
		master.sender.send(Uint8Array.of(0x31, key, 1), Uint8Array.of(10, 0, 0, 2));
		await Bun.sleep(20);
		return heard.length > 0;
	});
	expect(new Set(heard)).toEqual(new Set(["here"]));
	expect(backup.receiver.statistics().malformed).toBeGreaterThan(0);
	for (const thing of [here, there, master, backup]) thing.close();
});
