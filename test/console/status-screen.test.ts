/** The status screen: what an operator reads, from facts to lines. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { alarms } from "../../firmware/console/alarms.ts";
import type { ConsoleFacts } from "../../firmware/console/facts.ts";
import { help } from "../../firmware/console/menu/main-menu.ts";
import { byteRate, duration, rate } from "../../firmware/console/quantity.ts";
import { statusScreen } from "../../firmware/console/status-screen.ts";
import { WIDTH_COLUMNS, wrap } from "../../firmware/console/wrap.ts";
import { instanceStatus, realServerStatus, virtualServerStatus } from "./samples.ts";

const instance = instanceStatus();
const real = realServerStatus();
const virtualServer = virtualServerStatus();

function facts(change: { instance?: object; virtualServer?: object; top?: object } = {}): ConsoleFacts {
	return {
		nowMs: 61_000,
		hostname: "director-b",
		version: "0.1.0+7df1c122",
		slot: "A",
		slotState: null,
		bootReason: "preferred",
		cache: null,
		revision: { current: 7, pending: null },
		reverted: null,
		password: "set",
		clock: null,
		data: { kind: "disk", freeBytes: 1_000_000_000 },
		crashing: [],
		uptimeSeconds: 3723,
		ports: [
			{
				name: "eth0",
				macAddress: "52:54:00:80:01:00",
				enabled: true,
				carrier: true,
				speedMegabits: 1000,
				addresses: ["192.168.80.101/24", "192.168.80.200/32"],
			},
		],
		vrrp: {
			kind: "running",
			status: {
				startedAtMs: 0,
				configFile: "keepalived.conf",
				instances: [{ ...instance, ...change.instance }],
				syncGroups: [],
			},
		},
		director: {
			kind: "running",
			status: {
				startedAtMs: 0,
				configFile: "keepalived.conf",
				ipvsVersion: "1.2.1",
				ipvsError: null,
				reload: null,
				driftRepairs: 0,
				syncDaemons: [],
				virtualServers: [{ ...virtualServer, ...change.virtualServer }],
			},
		},
		...change.top,
	};
}

const screen = (of: ConsoleFacts) => statusScreen(of, { all: false }).join("\n");

describe("what the screen says", () => {
	test.each([
		["good", "slot A good      up 1 h 02 min  00:01:01 UTC"],
		["trial", "slot A ON TRIAL  up 1 h 02 min  00:01:01 UTC"],
	] as const)("the slot is said to be what it is: %s", (slotState, end) => {
		expect(statusScreen(facts({ top: { slotState } }), { all: false })[0]).toBe(
			`director-b  Drover 0.1.0+7df1c122  ${end}`,
		);
	});

	test("a healthy master", () => {
		expect(screen(facts())).toBe(
			[
				"director-b  Drover 0.1.0+7df1c122  slot A           up 1 h 02 min  00:01:01 UTC",
				"",
				"Ports",
				"  eth0     1000 Mb/s   52:54:00:80:01:00  192.168.80.101/24 192.168.80.200/32",
				"",
				"High availability",
				"  VI_1         MASTER  for 1 min 00 s, priority 99, VRID 51 on eth0",
				"               no advert from 192.168.80.100 for 3.6 s",
				"               holds 192.168.80.200/32",
				"",
				"Virtual servers                             live new conns        in       out",
				"  [192.168.80.200]:tcp:80 wrr DR          2 of 2      19/s   12 kB/s     0 B/s",
				"    192.168.80.102:80           up    weight 3    2 active, 40 closing   9.5/s",
				"    192.168.80.103:80           up    weight 3    2 active, 40 closing   9.5/s",
			].join("\n"),
		);
	});

	const cases: readonly (readonly [string, Parameters<typeof facts>[0], readonly string[]])[] = [
		[
			"a service that does not run",
			{ top: { vrrp: { kind: "silent", reason: "vrrp is not running" } } },
			["! High availability does not run: vrrp is not running", "  not running: vrrp is not running"],
		],
		[
			"a backup names its master",
			{ instance: { state: "BACKUP", masterAddress: "192.168.80.100", masterPriority: 100 } },
			["BACKUP", "master is 192.168.80.100, priority 100", "would hold 192.168.80.200/32"],
		],
		["a lowered priority", { instance: { effectivePriority: 79 } }, ["priority 79 (of 99)"]],
		[
			"a second master",
			{ instance: { conflict: "10.0.0.2 sends interval 2 s, ours is 1 s" } },
			["! VI_1: second master: 10.0.0.2 sends interval 2 s, ours is 1 s"],
		],
		[
			"a dead real server with its reason",
			{
				virtualServer: {
					aliveRealServers: 1,
					realServers: [
						{
							...real,
							alive: false,
							weight: 0,
							checks: [{ kind: "TCP_CHECK", up: false, detail: "connection refused", atMs: 0 }],
						},
					],
				},
			},
			[
				"192.168.80.102:80           DOWN  weight 0 of 3  2 active, 40 closing 9.5/s",
				"        TCP_CHECK: connection refused",
				"1 of 2",
			],
		],
		[
			"a black hole that every ordinary check calls healthy",
			{
				virtualServer: {
					realServers: [
						{
							...real,
							path: { ok: false, detail: "answers on its own address, does not accept the VIP" },
						},
					],
				},
			},
			["! [192.168.80.200]:tcp:80: 192.168.80.102 answers on its own address,", "path: answers"],
		],
		[
			"a real server of an own network that is not there: named once",
			{
				virtualServer: {
					realServers: [
						{
							...real,
							path: { ok: false, detail: "192.168.80.102 does not answer ARP or neighbour discovery" },
						},
					],
				},
			},
			["! [192.168.80.200]:tcp:80: 192.168.80.102 does not answer ARP or neighbour"],
		],
		[
			"the sorry server",
			{ virtualServer: { onSorryServer: true, aliveRealServers: 0 } },
			["! [192.168.80.200]:tcp:80 is on its sorry server"],
		],
		[
			"a drained real server",
			{ virtualServer: { realServers: [{ ...real, override: "draining", weight: 0 }] } },
			["drain weight 0 of 3"],
		],
		[
			"one that nobody drained, and that the kernel does not have",
			{ virtualServer: { realServers: [{ ...real, weight: 0, inTable: false }] } },
			["out   weight 0 of 3"],
		],
		[
			"a real server whose weight is configured as 0",
			{ virtualServer: { realServers: [{ ...real, weight: 0, effectiveWeight: 0 }] } },
			["zero  weight 0    2 active"],
		],
		[
			"a real server in maintenance, by the operator's word",
			{ virtualServer: { realServers: [{ ...real, override: "maintenance", weight: 0 }] } },
			["maint weight 0", "! 192.168.80.102:80 is in maintenance (3 Virtual servers)"],
		],
		[
			"two that are drained",
			{
				virtualServer: {
					realServers: [real, real].map((each) => ({ ...each, override: "draining" as const })),
				},
			},
			["! 2 real servers are drained or in maintenance (3 Virtual servers)"],
		],
		[
			"an instance that was told to give up",
			{ instance: { state: "BACKUP", resigned: true } },
			["! VI_1 was told to give up (4 High availability)"],
		],
		[
			"a data partition that does not mount",
			{ top: { data: { kind: "memory" } } },
			["! The data partition does not mount: what is set here is gone at the next"],
		],
		[
			"a data partition that is full",
			{ top: { data: { kind: "disk", freeBytes: 12_288 } } },
			["! The data partition is full (12 kB left): delete what lies below /data"],
		],
		[
			"a pulled cable",
			{ top: { ports: [{ ...facts().ports[0]!, carrier: false }] } },
			["! eth0 has no link", "eth0     NO LINK"],
		],
	];
	for (const [title, change, expected] of cases)
		test(title, () => {
			for (const part of expected) expect(screen(facts(change))).toContain(part);
		});

	test("the cache, where there is one", () => {
		const figures = { requests: 100, hits: 90, misses: 10, passes: 0, synthetic: 0, failedFetches: 0 };
		const cache = {
			kind: "running",
			status: {
				state: "running",
				total: { ...figures, hitRatio: 0.9 },
				recent: { ...figures, hitRatio: 0.934, seconds: 10 },
				objects: 1_234,
				usedBytes: 34_000_000,
				freeBytes: 222_000_000,
			},
		} as const;
		expect(statusScreen(facts({ top: { cache } }), { all: false }).slice(-4)).toEqual([
			"",
			"Cache",
			"  running, 10/s, hits 93 % now and 90 % since the start, 1234 objects, 34 MB",
			"  used, 222 MB free",
		]);
		expect(screen(facts({ top: { cache: { kind: "silent", reason: "cache is not running" } } }))).toContain(
			"! The cache does not answer: cache is not running",
		);
	});

	test("nothing is wrong: no alarm", () => {
		expect(alarms(facts())).toEqual([]);
	});

	test("long lists are counted, and listed on request", () => {
		const realServers = Array.from({ length: 200 }, (_, index) => ({ ...real, port: index + 1 }));
		const many = facts({ virtualServer: { realServers } });
		expect(screen(many)).toContain("and 192 more (status all)");
		expect(statusScreen(many, { all: true }).length).toBeGreaterThan(200);
	});
});

describe("any terminal", () => {
	const text = fc.string({ unit: "binary", maxLength: 200 });
	test("no line is wider than 79 columns and none holds a control character, whatever peers send", () => {
		fc.assert(
			fc.property(text, text, text, text, (reason, detail, name, address) => {
				const lines = statusScreen(
					facts({
						instance: { reason, name, masterAddress: address, state: "BACKUP", conflict: detail },
						virtualServer: {
							name,
							realServers: [
								{
									...real,
									address,
									alive: false,
									path: { ok: false, detail },
									checks: [{ kind: name, up: false, detail, atMs: 0 }],
								},
							],
						},
						top: { hostname: name, version: detail, slot: reason },
					}),
					{ all: true },
				);
				for (const line of lines) {
					expect(line.length).toBeLessThanOrEqual(WIDTH_COLUMNS);
					expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
				}
			}),
			{ numRuns: 300 },
		);
	});

	test("the help fits too", () => {
		for (const line of help) expect(line.length).toBeLessThanOrEqual(WIDTH_COLUMNS);
	});

	test("wrapping loses no word", () => {
		fc.assert(
			fc.property(fc.array(fc.stringMatching(/^[a-z]{1,30}$/), { maxLength: 40 }), (words) => {
				const lines = wrap(words.join(" "), "  ", "      ", 40);
				expect(
					lines
						.join(" ")
						.split(/ +/)
						.filter((word) => word !== ""),
				).toEqual(words);
			}),
		);
	});

	test("at 9600 baud the screen of two virtual servers takes under 2 s, that of an empty box half a second", () => {
		expect(screen(facts()).length).toBeLessThan(1920);
		const [port] = facts().ports;
		const empty = facts({
			top: {
				ports: ["eth0", "eth1"].map((name) => ({ ...port!, name, addresses: ["192.168.80.100/24"] })),
				vrrp: { kind: "running", status: { instances: [], syncGroups: [] } },
				director: { kind: "running", status: { virtualServers: [] } },
			},
		});
		// With the line ends, and with what the menu asks below it.
		const prompt = "r again, a all, a number: every so many seconds, 0 back: ";
		expect([...statusScreen(empty, { all: false }), prompt].join("\r\n").length).toBeLessThan(0.5 * 960);
	});
});

describe("quantities", () => {
	test.each([
		[0, "0 B/s"],
		[999, "999 B/s"],
		[1000, "1.0 kB/s"],
		[12_345, "12 kB/s"],
		[999_600, "1.0 MB/s"],
		[9_940_000_000, "9.9 GB/s"],
	])("%d bytes a second is %s", (value, expected) => {
		expect(byteRate(value)).toBe(expected);
	});
	test.each([
		[0, "0/s"],
		[0.5, "0.5/s"],
		[9.5, "9.5/s"],
		[19, "19/s"],
		[12_000, "12 k/s"],
	])("%d a second is %s", (value, expected) => {
		expect(rate(value)).toBe(expected);
	});
	test.each([
		[0, "0 s"],
		[59, "59 s"],
		[187, "3 min 07 s"],
		[7320, "2 h 02 min"],
		[1_051_200, "12 d 4 h"],
	])("%d s is %s", (value, expected) => {
		expect(duration(value)).toBe(expected);
	});
});

describe("the clock", () => {
	const lines = (clock: ConsoleFacts["clock"]) => {
		const screen = statusScreen({ ...facts(), clock }, { all: false });
		const start = screen.indexOf("Clock");
		return start < 0 ? [] : screen.slice(start + 1);
	};
	test.each<[string, ConsoleFacts["clock"], string[]]>([
		["no time server is set", null, []],
		[
			"synchronized",
			{
				kind: "running",
				status: { synchronized: true, stratum: 3, validPeers: 2, peers: 3, offsetMs: null },
			},
			["  synchronized, stratum 3, 2 of 3 servers answer"],
		],
		[
			"not yet",
			{
				kind: "running",
				status: { synchronized: false, stratum: null, validPeers: 0, peers: 3, offsetMs: -812.5 },
			},
			["  not synchronized, -812.5 ms off, 0 of 3 servers answer"],
		],
		[
			"silent",
			{ kind: "silent", reason: "the NTP client does not answer" },
			["  the NTP client does not answer"],
		],
	])("%s", (_title, clock, expected) => {
		expect(lines(clock)).toEqual(expected);
	});
});
