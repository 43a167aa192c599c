import { describe, expect, test } from "bun:test";
import type { DroverConfig } from "../../firmware/config/model.ts";
import { adopt, leaseEndMicros, save, savedRouter } from "../../firmware/vrrp/adoption.ts";
import { statsText } from "../../firmware/vrrp/dump.ts";
import {
	type Engine,
	type EngineAction,
	type EngineEvent,
	newEngine,
	step,
	wakeAtMicros,
} from "../../firmware/vrrp/engine.ts";
import { instanceKey } from "../../firmware/vrrp/instance-key.ts";
import { masterDownInterval, standing, zeroCounters } from "../../firmware/vrrp/router.ts";
import {
	effectivePriority,
	effectOf,
	fileEffect,
	initialScript,
	report,
	ripen,
	scriptResult,
	undecided,
} from "../../firmware/vrrp/tracking.ts";
import {
	addressOf,
	configOf,
	groupOf,
	instanceOf,
	nowhere,
	trackProcessOf,
	trackScriptOf,
} from "./config.ts";

const SECOND = 1_000_000;
const reference = (name: string, weight = 0, reverse = false) => ({
	name,
	weight,
	reverse,
	location: nowhere,
});

const tracked = { files: {}, processes: {} };

class Subject {
	engine: Engine;
	actions: EngineAction[] = [];
	nowMicros = 0;

	constructor(
		config: DroverConfig,
		addresses: readonly string[] = ["192.0.2.1"],
		held = false,
		before: readonly EngineEvent[] = [],
	) {
		this.engine = { ...newEngine(config, 0), held };
		this.interface("eth0", true, addresses);
		for (const event of before) this.feed(event);
		this.feed({ kind: "listen" });
		this.feed({ kind: "start" });
	}

	feed(event: EngineEvent, afterMicros = 0): this {
		this.nowMicros += afterMicros;
		const result = step(this.engine, event, this.nowMicros);
		this.engine = result.engine;
		this.actions = [...result.actions];
		return this;
	}

	interface(name: string, up: boolean, addresses: readonly string[] = ["192.0.2.1"]): this {
		return this.feed({ kind: "interface", reading: { name, index: 2, up, addresses } });
	}

	expire(): this {
		this.nowMicros += 100 * SECOND;
		for (const { config } of this.engine.routers)
			this.feed({ kind: "expired", key: instanceKey(config), advertSent: false });
		return this;
	}

	get states(): string[] {
		return this.engine.routers.map(({ state }) => state);
	}

	kinds(): string[] {
		return this.actions.map((action) =>
			action.kind === "addresses" ? `addresses ${action.present ? "on" : "off"}` : action.kind,
		);
	}
}

describe("keepalived.conf: vrrp_script", () => {
	const config = trackScriptOf("s", { rise: 3, fall: 2 });
	/** "+" good, "-" bad, "?" it could not be started. */
	const run = (results: string, initFail = false) =>
		[...results].reduce(
			(reading, result) => scriptResult(reading, config, result === "?" ? null : result === "+"),
			initialScript({ ...config, initFail }),
		).up;
	test.each([
		["+", true],
		["-", false],
		["+-", true],
		["+--", false],
		["-++", false],
		["-+++", true],
		["-++-++", false],
		["+-+-", true],
		["?", true],
		["+???", true],
		["-???", false],
		["+-?-", false],
	] as const)("rise 3, fall 2: %s is %p", (results, up) => expect(run(results)).toBe(up));
	test("init_fail is down until it rises", () => {
		expect(initialScript(trackScriptOf("s", { initFail: true })).up).toBe(false);
		// keepalived 2.2.7: the first result decides at once then, too.
		expect(run("+", true)).toBe(true);
		expect(run("-++", true)).toBe(false);
		expect(run("??", true)).toBe(false);
	});
});

describe("keepalived.conf: weights", () => {
	test.each([
		[true, 10, false, 10],
		[false, 10, false, 0],
		[true, -10, false, 0],
		[false, -10, false, -10],
		[true, 10, true, -10],
		[false, 10, true, 0],
		[true, -10, true, 0],
		[false, -10, true, 10],
	] as const)("up %p, weight %d, reverse %p: %d", (up, weight, reverse, delta) => {
		expect(effectOf(up, weight, reverse)).toEqual({ kind: "weight", delta });
	});
	test("weight 0: fault when down, pending when unknown, reversed the other way", () => {
		expect([effectOf(false, 0, false), effectOf(null, 0, false), effectOf(true, 0, true)]).toEqual([
			{ kind: "fault" },
			{ kind: "pending" },
			{ kind: "fault" },
		]);
	});
	test("files multiply; −254 is a fault, +253 the most", () => {
		expect(fileEffect(5, 2, false)).toEqual({ kind: "weight", delta: 10 });
		expect(fileEffect(5, 2, true)).toEqual({ kind: "weight", delta: -10 });
		expect(fileEffect(-254, 1, false)).toEqual({ kind: "fault" });
		expect(fileEffect(9999, 1, false)).toEqual({ kind: "weight", delta: 253 });
		expect(fileEffect(1, 0, false)).toEqual({ kind: "fault" });
	});
	test("1–254 for all but the owner", () => {
		expect([effectivePriority(100, 900), effectivePriority(100, -900), effectivePriority(255, -9)]).toEqual([
			254, 1, 255,
		]);
	});
	test("a change counts when it has lasted", () => {
		const up = report(undecided, true, 5, 0);
		const falling = report(up, false, 5, 10);
		expect([up.value, falling.value, ripen(falling, 14).value, ripen(falling, 15).value]).toEqual([
			true,
			true,
			true,
			false,
		]);
		expect(report(falling, true, 5, 12).candidate).toBeNull();
	});
});

describe("one box", () => {
	test("the order of becoming master and of leaving", () => {
		const subject = new Subject(configOf([instanceOf()]));
		expect(subject.kinds()).toEqual(["transition", "watch"]);
		subject.expire();
		expect(subject.kinds()).toEqual(["send", "addresses on", "transition", "announce", "advert", "watch"]);
		subject.interface("eth0", false);
		expect(subject.kinds()).toEqual(["advert", "send", "send", "addresses off", "transition"]);
	});

	test("sockets are open before the wait for a master begins", () => {
		let engine = newEngine(configOf([instanceOf()]), 0);
		const feed = (event: EngineEvent, atMicros: number) => {
			const result = step(engine, event, atMicros);
			({ engine } = result);
			return result.actions;
		};
		feed({ kind: "interface", reading: { name: "eth0", index: 2, up: true, addresses: ["192.0.2.1"] } }, 0);
		expect(feed({ kind: "listen" }, 1).map(({ kind }) => kind)).toEqual(["open"]);
		expect(engine.routers[0]).toMatchObject({ state: "INIT", sourceAddress: "192.0.2.1" });
		const openAt = 7 * SECOND;
		expect(feed({ kind: "start" }, openAt).map(({ kind }) => kind)).toEqual(["transition", "watch"]);
		const router = engine.routers[0]!;
		expect(standing(router).watch?.deadlineMicros).toBe(openAt + masterDownInterval(router));
	});

	test("an advert that the reflexes already sent is not sent again", () => {
		const subject = new Subject(configOf([instanceOf()]));
		subject.feed({ kind: "expired", key: instanceKey(instanceOf()), advertSent: true }, 100 * SECOND);
		expect(subject.kinds()).toEqual(["addresses on", "transition", "announce", "advert", "watch"]);
	});

	test("the source is the first address that is not virtual; IPv6 wants link-local", () => {
		const source = (over: object, addresses: string[]) =>
			new Subject(configOf([instanceOf(over)]), addresses).engine.routers[0]!.sourceAddress;
		expect(source({}, ["192.0.2.200", "192.0.2.7"])).toBe("192.0.2.7");
		expect(source({ family: "inet6" }, ["2001:db8::1", "fe80::7"])).toBe("fe80::7");
		expect(new Subject(configOf([instanceOf()]), []).states).toEqual(["FAULT"]);
	});

	test("weights move the priority of a router", () => {
		const config = configOf([instanceOf({ trackScripts: [reference("s", 20)] })], {
			trackScripts: [trackScriptOf("s")],
		});
		const subject = new Subject(config);
		expect(subject.feed({ kind: "script", name: "s", success: true }).engine.routers[0]!.priority).toBe(120);
	});

	test("an interface that addresses or routes are on is needed: its weight does not count", () => {
		const track = { trackInterfaces: [reference("eth1", 30)] };
		const held = (over: object) => {
			const subject = new Subject(configOf([instanceOf({ ...track, ...over })]));
			const up = subject.interface("eth1", true, ["198.51.100.1"]);
			const { priority } = up.engine.routers[0]!;
			return [priority, ...subject.interface("eth1", false, ["198.51.100.1"]).states];
		};
		const elsewhere = (noTrack: boolean) => [addressOf("192.0.2.201", { interface: "eth1", noTrack })];
		expect(held({})).toEqual([130, "BACKUP"]);
		expect(held({ excludedAddresses: elsewhere(false) })).toEqual([100, "FAULT"]);
		expect(held({ excludedAddresses: elsewhere(true) })).toEqual([130, "BACKUP"]);
		const route = {
			family: "inet" as const,
			words: [],
			interface: "eth1",
			noTrack: false,
			trackGroup: null,
			location: nowhere,
		};
		expect(held({ virtualRoutes: [route] })).toEqual([100, "FAULT"]);
		const own = { trackPrimary: false, virtualRoutes: [{ ...route, interface: "eth0" }] };
		const subject = new Subject(configOf([instanceOf(own)]));
		expect(subject.interface("eth0", false).states).toEqual(["FAULT"]);
	});

	test("a weightless script holds the router in INIT until its first result", () => {
		const config = configOf([instanceOf({ trackScripts: [reference("s")] })], {
			trackScripts: [trackScriptOf("s")],
		});
		const subject = new Subject(config);
		expect(subject.states).toEqual(["INIT"]);
		expect(subject.feed({ kind: "script", name: "s", success: true }).states).toEqual(["BACKUP"]);
		expect(subject.feed({ kind: "script", name: "s", success: false }).states).toEqual(["FAULT"]);
	});

	test("vrrp_startup_delay", () => {
		const subject = new Subject(configOf([instanceOf()], { global: { startupDelayMs: 5000 } }));
		expect(subject.states).toEqual(["INIT"]);
		expect(wakeAtMicros(subject.engine)).toBe(5 * SECOND);
		expect(subject.feed({ kind: "timer" }, 5 * SECOND).states).toEqual(["BACKUP"]);
	});

	test("interface_up_down_delays", () => {
		const interfaceDelays = [{ interface: "eth0", downMs: 2000, upMs: 0 }];
		const subject = new Subject(configOf([instanceOf()], { interfaceDelays }));
		expect(subject.interface("eth0", false).states).toEqual(["BACKUP"]);
		expect(subject.feed({ kind: "timer" }, 2 * SECOND).states).toEqual(["FAULT"]);
	});
});

describe("sync groups", () => {
	const config = configOf(
		[
			instanceOf({ name: "A", virtualRouterId: 1 }),
			instanceOf({ name: "B", virtualRouterId: 2, interface: "eth1" }),
		],
		{ syncGroups: [groupOf("G", ["A", "B"])] },
	);
	const started = () => {
		const subject = new Subject(config);
		return subject.interface("eth1", true, ["198.51.100.1"]);
	};

	test("one faulty member makes all faulty, and all come back together", () => {
		const subject = new Subject(config);
		expect(subject.states).toEqual(["FAULT", "FAULT"]);
		expect(subject.interface("eth1", true, ["198.51.100.1"]).states).toEqual(["BACKUP", "BACKUP"]);
	});

	test("mastership needs every member's wish", () => {
		const subject = started();
		const [a, b] = subject.engine.routers.map(({ config }) => instanceKey(config));
		subject.feed({ kind: "expired", key: a!, advertSent: false }, 10 * SECOND);
		expect(subject.states).toEqual(["BACKUP", "BACKUP"]);
		subject.feed({ kind: "expired", key: b!, advertSent: false });
		expect(subject.states).toEqual(["MASTER", "MASTER"]);
		expect(subject.engine.groupStates["G"]).toBe("MASTER");
		expect(subject.actions.filter(({ kind }) => kind === "group-transition")).toHaveLength(1);
	});

	test("an address owner is master with its group, not before it", () => {
		const owner = (name: string, virtualRouterId: number) =>
			instanceOf({ name, virtualRouterId, priority: 255, initialState: "MASTER" });
		const syncGroups = [groupOf("G", ["A", "B"])];
		const other = instanceOf({ name: "B", virtualRouterId: 2 });
		const subject = new Subject(configOf([owner("A", 1), other], { syncGroups }));
		const [a, b] = subject.engine.routers.map(({ config }) => instanceKey(config));
		const expire = (key: string, afterMicros = 0) =>
			subject.feed({ kind: "expired", key, advertSent: false }, afterMicros);
		expect(subject.states).toEqual(["BACKUP", "BACKUP"]);
		expect(expire(a!).states).toEqual(["BACKUP", "BACKUP"]);
		expect(expire(b!, 10 * SECOND).states).toEqual(["MASTER", "MASTER"]);
		// Nobody has to be waited for where all are owners.
		const owners = new Subject(configOf([owner("A", 1), owner("B", 2)], { syncGroups }));
		owners.feed({ kind: "expired", key: a!, advertSent: false });
		expect(owners.states).toEqual(["MASTER", "MASTER"]);
	});

	test("a member that falls takes the others along", () => {
		const subject = started().expire();
		subject.interface("eth1", false, ["198.51.100.1"]);
		expect(subject.states).toEqual(["FAULT", "FAULT"]);
		// The faulty one says it twice, its mate once.
		expect(subject.actions.filter(({ kind }) => kind === "send")).toHaveLength(3);
	});
});

describe("a box that cannot serve yet", () => {
	const held = (config: DroverConfig) => new Subject(config, ["192.0.2.1"], true);
	const released = (subject: Subject) => subject.feed({ kind: "release", reason: "ready" });
	const key = instanceKey(instanceOf());
	const deadline = (subject: Subject) => subject.engine.routers[0]!.masterDownAtMicros! - subject.nowMicros;

	test("nobody becomes master however long nobody is heard; released, it does not wait again", () => {
		const subject = held(configOf([instanceOf()]))
			.expire()
			.expire();
		expect(subject.states).toEqual(["BACKUP"]);
		expect(subject.kinds()).toEqual(["watch"]);
		released(subject);
		expect(subject.states).toEqual(["BACKUP"]);
		expect(subject.kinds()).toEqual(["watch"]);
		expect(deadline(subject)).toBe(0);
		expect(subject.feed({ kind: "expired", key, advertSent: false }).states).toEqual(["MASTER"]);
	});

	test("released before its time has come, it waits for the rest of it", () => {
		const subject = held(configOf([instanceOf()]));
		const before = deadline(subject);
		released(subject.feed({ kind: "timer" }, SECOND));
		expect(deadline(subject)).toBe(before - SECOND);
		expect(subject.expire().states).toEqual(["MASTER"]);
	});

	test("RFC 9568 6.4.1: the owner of the addresses waits too, and is then at once what it is", () => {
		const owner = instanceOf({ priority: 255, initialState: "MASTER" });
		const subject = held(configOf([owner]));
		expect(subject.states).toEqual(["BACKUP"]);
		released(subject);
		expect(deadline(subject)).toBe(0);
		expect(subject.feed({ kind: "expired", key, advertSent: false }).states).toEqual(["MASTER"]);
	});

	test("the operator's word comes before it", () => {
		const subject = held(configOf([instanceOf()]));
		subject.feed({ kind: "take-over", keys: [key], reason: "the operator asked for it" });
		expect(subject.states).toEqual(["MASTER"]);
	});

	test("who comes with a reload is held as well", () => {
		const subject = held(configOf([instanceOf()]));
		subject.feed({
			kind: "reload",
			config: configOf([instanceOf(), instanceOf({ virtualRouterId: 52 })]),
			tracked,
		});
		expect(subject.expire().states).toEqual(["BACKUP", "BACKUP"]);
	});

	test("a sync group is released as a whole", () => {
		const members = ["A", "B"].map((name, at) => instanceOf({ name, virtualRouterId: at + 1 }));
		const subject = held(configOf(members, { syncGroups: [groupOf("G", ["A", "B"])] })).expire();
		released(subject);
		const [first] = subject.engine.routers;
		subject.feed({ kind: "expired", key: instanceKey(first!.config), advertSent: false });
		expect(subject.states).toEqual(["MASTER", "MASTER"]);
	});

	test("a process that goes on in its place holds on", () => {
		const subject = held(configOf([instanceOf()])).expire();
		const saved = JSON.parse(JSON.stringify(save(subject.engine)));
		const now = subject.nowMicros;
		const { engine } = adopt(subject.engine.config, saved, now, now, (fresh) => {
			const reading = { name: "eth0", index: 2, up: true, addresses: ["192.0.2.1"] };
			return step({ ...fresh, held: true }, { kind: "interface", reading }, now).engine;
		});
		subject.engine = engine;
		expect(subject.expire().states).toEqual(["BACKUP"]);
		expect(released(subject).expire().states).toEqual(["MASTER"]);
	});
});

describe("SIGHUP", () => {
	test("a kept master speaks at once, changes its addresses, and is told to nobody", () => {
		const subject = new Subject(configOf([instanceOf()])).expire();
		const config = configOf([instanceOf({ name: "renamed", virtualAddresses: [addressOf("192.0.2.201")] })]);
		subject.feed({ kind: "reload", config, tracked });
		expect(subject.states).toEqual(["MASTER"]);
		expect(subject.kinds()).toEqual(["addresses on", "send", "advert"]);
	});

	test("one that is gone says priority 0 and FAULT; a new one begins", () => {
		const subject = new Subject(configOf([instanceOf()])).expire();
		subject.feed({ kind: "reload", config: configOf([instanceOf({ virtualRouterId: 52 })]), tracked });
		expect(subject.actions).toContainEqual({ kind: "send", key: instanceKey(instanceOf()), priority: 0 });
		expect(subject.actions.find(({ kind }) => kind === "transition")).toMatchObject({ to: "FAULT" });
		expect(subject.states).toEqual(["BACKUP"]);
	});

	test("a group that is made of a master and a backup is one of backups, as with keepalived; who comes with it follows", () => {
		const members = ["A", "B", "C"].map((name, at) => instanceOf({ name, virtualRouterId: at + 1 }));
		const grouped = (count: number) =>
			configOf(members.slice(0, count), {
				syncGroups: [
					groupOf(
						"G",
						members.slice(0, count).map(({ name }) => name),
					),
				],
			});
		const subject = new Subject(configOf(members.slice(0, 2)));
		subject.feed({ kind: "expired", key: instanceKey(members[0]!), advertSent: false }, 100 * SECOND);
		expect(subject.states).toEqual(["MASTER", "BACKUP"]);
		subject.feed({ kind: "reload", config: grouped(2), tracked });
		expect(subject.states).toEqual(["BACKUP", "BACKUP"]);
		subject.expire();
		expect(subject.states).toEqual(["MASTER", "MASTER"]);
		subject.feed({ kind: "reload", config: grouped(3), tracked });
		expect(subject.states).toEqual(["MASTER", "MASTER", "BACKUP"]);
		expect(subject.expire().states).toEqual(["MASTER", "MASTER", "MASTER"]);
	});

	test("a changed script blocks nothing until it ran; an unchanged one keeps its result", () => {
		const tracking = instanceOf({ trackScripts: [reference("s")] });
		const first = configOf([tracking], { trackScripts: [trackScriptOf("s")] });
		const subject = new Subject(first).feed({ kind: "script", name: "s", success: true }).expire();
		const command = { command: ["/bin/other"], user: null, group: null, location: nowhere };
		subject.feed({
			kind: "reload",
			config: configOf([tracking], { trackScripts: [trackScriptOf("s", { script: command })] }),
			tracked,
		});
		expect(subject.states).toEqual(["MASTER"]);
		subject.feed({ kind: "script", name: "s", success: false });
		subject.feed({ kind: "reload", config: subject.engine.config, tracked });
		expect(subject.states).toEqual(["FAULT"]);
	});
});

describe("tracked objects that need no asking", () => {
	const file = {
		name: "f",
		path: "/f",
		initFile: null,
		weight: 1,
		reverse: false,
		location: nowhere,
	} as const;
	const config = configOf(
		[instanceOf({ trackProcesses: [reference("p")], trackFiles: [reference("f", 2)] })],
		{ trackProcesses: [trackProcessOf("p")], trackFiles: [file] },
	);

	test("what they said before the start counts in the first state", () => {
		const subject = new Subject(config, ["192.0.2.1"], false, [
			{ kind: "file", name: "f", value: 7 },
			{ kind: "process", name: "p", count: 1 },
		]);
		expect(subject.actions.filter(({ kind }) => kind === "transition")).toMatchObject([
			{ to: "BACKUP", priority: 114 },
		]);
	});

	test("those that come with a reload hold at once: a master goes on, at its new priority", () => {
		const subject = new Subject(configOf([instanceOf()])).expire();
		subject.feed({ kind: "reload", config, tracked: { files: { f: 7 }, processes: { p: 1 } } });
		expect(subject.states).toEqual(["MASTER"]);
		expect(subject.engine.routers[0]!.priority).toBe(114);
		subject.feed({ kind: "reload", config, tracked: { files: { f: 7 }, processes: { p: 0 } } });
		expect(subject.states).toEqual(["FAULT"]);
	});

	test("what group and instance track, the instance without a weight, moves no priority", () => {
		const grouped = configOf([instanceOf({ trackFiles: [reference("f", 0)] })], {
			trackFiles: [file],
			syncGroups: [groupOf("G", [instanceOf().name], { trackFiles: [reference("f", 20)] })],
		});
		const subject = new Subject(grouped);
		expect(subject.feed({ kind: "file", name: "f", value: 0 }).states).toEqual(["BACKUP"]);
		expect(subject.feed({ kind: "file", name: "f", value: 3 }).states).toEqual(["FAULT"]);
		expect(subject.engine.routers[0]!.priority).toBe(100);
	});
});

describe("adoption", () => {
	const goOn = (interval: number, awayMicros: number) => {
		const config = configOf([instanceOf({ version: 3, advertIntervalMicros: interval })]);
		const subject = new Subject(config).expire();
		const saved = JSON.parse(JSON.stringify(save(subject.engine)));
		const aliveAt = subject.nowMicros + 10 * interval;
		return adopt(config, saved, aliveAt, aliveAt + awayMicros, (engine) => {
			const reading = { name: "eth0", index: 2, up: true, addresses: ["192.0.2.1"] };
			return step(engine, { kind: "interface", reading }, aliveAt).engine;
		});
	};

	test("within the lease it goes on as master: an advert at once, no transition", () => {
		const { engine, actions } = goOn(SECOND, 2_900_000);
		expect(engine.routers[0]!.state).toBe("MASTER");
		expect(actions.map(({ kind }) => kind)).toEqual(["open", "send", "addresses", "advert"]);
	});

	test("after it, it begins anew", () => {
		const { engine, actions } = goOn(SECOND, 3_100_000);
		expect(engine.routers[0]!.state).toBe("BACKUP");
		expect(actions.map(({ kind }) => kind)).not.toContain("addresses");
	});

	test("below 100 ms it says priority 0 and begins anew", () => {
		const { engine, actions } = goOn(50_000, 1);
		expect(engine.routers[0]!.state).toBe("BACKUP");
		expect(actions).toContainEqual({
			kind: "send",
			key: instanceKey(engine.routers[0]!.config),
			priority: 0,
		});
	});

	test("the lease counts from the last advert that was due", () => {
		const subject = new Subject(configOf([instanceOf()])).expire();
		const [router] = subject.engine.routers;
		const saved = savedRouter(router!);
		const anchor = router!.advertAnchorMicros!;
		expect(leaseEndMicros(router!.config, saved, anchor + 2_500_000) - anchor).toBe(5 * SECOND);
		expect(leaseEndMicros(router!.config, saved, anchor - 1) - anchor).toBe(2 * SECOND);
	});
});

test("keepalived.stats has its layout", () => {
	expect(statsText(new Subject(configOf([instanceOf()])).expire().engine)).toStartWith(
		"VRRP Instance: VI_1\n  Advertisements:\n    Received: 0\n    Sent: 1\n  Became master: 1\n",
	);
});

test("SIGRTMAX-1: the counters begin anew, the states stay", () => {
	const subject = new Subject(configOf([instanceOf()])).expire();
	expect(subject.engine.routers[0]!.counters.becameMaster).toBe(1);
	const { engine, actions } = step(
		subject.engine,
		{ kind: "clear-counters" },
		subject.engine.routers[0]!.sinceMicros + 1,
	);
	expect(engine.routers[0]!.counters).toEqual(zeroCounters);
	expect(engine.routers[0]!.state).toBe("MASTER");
	expect(actions).toEqual([]);
});
