/** What the box tells without being asked: from where, and what of updates, commits and restarts. */
import { describe, expect, test } from "bun:test";
import { type BoxRecords, boxChanges } from "../../firmware/status/snmp/notification/box-changes.ts";
import {
	type CrashHistory,
	crashLoops,
	STARTS_LIMIT,
	WINDOW_MS,
} from "../../firmware/status/snmp/notification/crash-loop.ts";
import { ownAddress } from "../../firmware/status/snmp/notification/own-address.ts";

describe("the box's own address", () => {
	const ports = [
		{ addresses: ["192.0.2.10/24", "2001:db8::10/64"], gateways: ["192.0.2.1"] },
		{ addresses: ["10.80.0.10/24"], gateways: [] },
	];
	test.each<[receiver: string, why: string, expected: string | null]>([
		["10.80.0.7", "the receiver's own network", "10.80.0.10"],
		["192.0.2.7", "the receiver's own network", "192.0.2.10"],
		["198.51.100.7", "behind the default gateway", "192.0.2.10"],
		["2001:db8::7", "the receiver's own network", "2001:db8::10"],
		["2001:db8:1::7", "the first of its family", "2001:db8::10"],
	])("to %s: %s", (receiver, _why, expected) => {
		expect(ownAddress(receiver, ports)).toBe(expected);
	});
	test("without one of the family the kernel chooses", () => {
		expect(ownAddress("10.0.0.7", [])).toBeNull();
		expect(ownAddress("2001:db8::7", [{ addresses: ["10.80.0.10/24"], gateways: [] }])).toBeNull();
	});
});

describe("updates and commits", () => {
	const records = (revision: number, pending: BoxRecords["pending"] = null): BoxRecords => ({
		revision,
		pending,
		updates: [],
	});
	const waiting = { revision: 5, previous: 4 };
	const words = (before: BoxRecords | null, after: BoxRecords) =>
		boxChanges(before, after, 0).map((event) =>
			event.kind === "commit" ? `${event.what} ${event.revision}` : "",
		);
	test.each<[what: string, before: BoxRecords | null, after: BoxRecords, told: string[]]>([
		["at the start nothing is new", null, records(4), []],
		["nothing changed", records(4), records(4), []],
		["a commit", records(4), records(5), ["changed 5"]],
		["a commit that waits", records(4), records(5, waiting), ["changed 5", "waits 5"]],
		["it still waits", records(5, waiting), records(5, waiting), []],
		["it was confirmed", records(5, waiting), records(5), ["confirmed 5"]],
		["it was taken back", records(5, waiting), records(4), ["taken-back 5", "changed 4"]],
		[
			"it was confirmed, and another waits",
			records(5, waiting),
			records(6, { revision: 6, previous: 5 }),
			["confirmed 5", "changed 6", "waits 6"],
		],
	])("%s", (_what, before, after, told) => {
		expect(words(before, after)).toEqual(told);
	});
	test("updates that were not told yet, oldest first, also after a restart of the agent", () => {
		const updates = [
			{ atMs: 30, what: "reverted", detail: "c" },
			{ atMs: 20, what: "refused", detail: "b" },
			{ atMs: 20, what: "installed", detail: "b" },
			{ atMs: 10, what: "good", detail: "a" },
		];
		expect(boxChanges(null, { revision: 1, pending: null, updates }, 10)).toEqual([
			{ kind: "update", what: "installed", detail: "b" },
			{ kind: "update", what: "reverted", detail: "c" },
		]);
	});
});

describe("a crash loop", () => {
	/** Looks at one service every `intervalMs`, with these processes. */
	function loops(pids: readonly (string | null)[], intervalMs = 1_000): number[] {
		let history: CrashHistory = new Map();
		return pids.map((pid, index) => {
			const seen = crashLoops(history, { vrrp: pid }, index * intervalMs);
			history = seen.history;
			return seen.loops.length;
		});
	}
	const dying = (count: number) => Array.from({ length: count }, (_, index) => String(index));
	test("a service that runs", () => {
		expect(loops(["1", "1", "1", "1", "1", "1", "1"])).not.toContain(1);
	});
	test("a restart now and then", () => {
		expect(loops(dying(20), WINDOW_MS / (STARTS_LIMIT - 1))).not.toContain(1);
	});
	test("as often as it is started: told once", () => {
		expect(loops(dying(20)).filter(Boolean)).toHaveLength(1);
		expect(loops(dying(20))[STARTS_LIMIT]).toBe(1);
	});
	test("down in between is still the same loop", () => {
		expect(loops(dying(20).flatMap((pid) => [pid, null])).filter(Boolean)).toHaveLength(1);
	});
	test("told again after it had run for a while", () => {
		const healed = Array.from({ length: 70 }, () => "5");
		expect(loops([...dying(6), ...healed, "a", "b", "c", "d", "e", "f"]).filter(Boolean)).toHaveLength(2);
	});
});
