import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { CheckConfig } from "../../firmware/config/model.ts";
import { desiredEntries } from "../../firmware/director/desired.ts";
import {
	closePool,
	initialVerdict,
	liveWeight,
	type Notice,
	openPool,
	type Pool,
	reloadPool,
	stepPool,
} from "../../firmware/director/pool.ts";
import { quorumHolds } from "../../firmware/director/quorum.ts";
import { asConfigured, inhibited, realServer, sorryServer, tcpCheck, virtualServer } from "./samples.ts";

/** "address=weight …" of the only service of a pool, in the kernel's table. */
const table = (pool: Pool) =>
	desiredEntries(pool)[0]!
		.destinations.map(({ address, weight }) => `${address}=${weight}`)
		.join(" ");
const verdict = (member: number, alive: boolean, weight = 1) =>
	({ kind: "verdict", member, alive, weight, reason: "test" }) as const;
const told = (step: { readonly notices: ReturnType<typeof closePool> }) =>
	step.notices.map((notice) =>
		notice.kind === "quorum"
			? `quorum ${notice.up ? "up" : "down"}`
			: `${notice.pool.config.realServers[notice.member]!.address} ${notice.up ? "up" : "down"}`,
	);

describe("keepalived.conf(5): quorum, hysteresis", () => {
	test.each([
		// held, weight, quorum, hysteresis → holds
		[false, 1, 1, 0, true],
		[false, 0, 1, 0, false],
		[true, 0, 1, 0, false],
		[false, 3, 3, 1, false],
		[false, 4, 3, 1, true],
		[true, 2, 3, 1, true],
		[true, 1, 3, 1, false],
		[true, 0, 3, 2, false],
	])("held %p, weight %i, quorum %i, hysteresis %i: %p", (held, weight, quorum, hysteresis, holds) => {
		expect(quorumHolds(held, weight, { quorum, hysteresis })).toBe(holds);
	});

	test("hysteresis: between the limits the state stays as it was", () => {
		fc.assert(
			fc.property(fc.nat(200), fc.integer({ min: 1, max: 100 }), fc.nat(99), (weight, quorum, wish) => {
				const hysteresis = Math.min(wish, quorum - 1);
				const limits = { quorum, hysteresis };
				if (weight > 0 && weight >= quorum - hysteresis && weight < quorum + hysteresis)
					for (const held of [true, false]) expect(quorumHolds(held, weight, limits)).toBe(held);
				// What is gained is not lost at the same weight.
				if (quorumHolds(false, weight, limits)) expect(quorumHolds(true, weight, limits)).toBe(true);
			}),
		);
	});
});

describe("before the first probe", () => {
	const check = (kind: "TCP_CHECK" | "FILE_CHECK", alpha = false) =>
		({ ...tcpCheck, kind, timing: { ...tcpCheck.timing, alpha } }) as CheckConfig;
	const says = (amount: number) => ({ kind: "passed", detail: "", effect: { kind: "add", amount } }) as const;
	const bad = { kind: "failed", detail: "" } as const;

	test.each([
		["no check", [], bad, true, 5],
		["a probe", [check("TCP_CHECK")], bad, true, 5],
		["a probe with alpha", [check("TCP_CHECK", true)], bad, false, 5],
		["a file that says no", [check("FILE_CHECK")], bad, false, 5],
		["a file that moves the weight", [check("FILE_CHECK")], says(3), true, 8],
		["a file that takes more than there is", [check("FILE_CHECK")], says(-9), true, 0],
		["a file that says yes, in spite of alpha", [check("FILE_CHECK", true)], says(0), true, 5],
		[
			"a file that says yes beside a probe with alpha",
			[check("TCP_CHECK", true), check("FILE_CHECK")],
			says(0),
			false,
			5,
		],
	] as const)("%s", (_what, checks, file, alive, weight) => {
		const verdict = initialVerdict(realServer("10.0.0.1", { weight: 5, checks }), () => file);
		expect(verdict).toEqual({ alive, weight, override: null });
	});
});

describe("keepalived.conf(5): sorry_server, inhibit_on_failure", () => {
	const servers = [realServer("10.0.0.1", { weight: 3 }), realServer("10.0.0.2", { weight: 2 })];

	test("a dead server leaves, and returns with its weight", () => {
		const config = virtualServer(servers);
		let pool = openPool(config, asConfigured(config)).pool;
		expect(table(pool)).toBe("10.0.0.1=3 10.0.0.2=2");
		pool = stepPool(pool, verdict(0, false, 3)).pool;
		expect(table(pool)).toBe("10.0.0.2=2");
		pool = stepPool(pool, verdict(0, true, 3)).pool;
		expect(table(pool)).toBe("10.0.0.1=3 10.0.0.2=2");
	});

	test("inhibit_on_failure: weight 0 instead of leaving", () => {
		const config = virtualServer([realServer("10.0.0.1", { weight: 3, rules: inhibited }), servers[1]!]);
		const pool = stepPool(openPool(config, asConfigured(config)).pool, verdict(0, false, 3)).pool;
		expect(table(pool)).toBe("10.0.0.1=0 10.0.0.2=2");
	});

	test("quorum lost: only the sorry server serves; gained: the live servers are back", () => {
		const config = virtualServer(servers, { quorum: 4, sorryServer: sorryServer("10.0.0.9") });
		const opened = openPool(config, asConfigured(config));
		expect(told(opened)).toEqual(["10.0.0.1 up", "10.0.0.2 up", "quorum up"]);
		const lost = stepPool(opened.pool, verdict(1, false, 2));
		expect(told(lost)).toEqual(["10.0.0.2 down", "quorum down"]);
		expect(table(lost.pool)).toBe("10.0.0.9=1");
		const gained = stepPool(lost.pool, verdict(1, true, 2));
		expect(told(gained)).toEqual(["10.0.0.2 up", "quorum up"]);
		expect(table(gained.pool)).toBe("10.0.0.1=3 10.0.0.2=2");
	});

	test("alpha: who begins on the sorry server says so; without one nothing was lost", () => {
		const down = () => ({ alive: false, weight: 1 });
		const withSorry = virtualServer(servers, { sorryServer: sorryServer("10.0.0.9") });
		const opened = openPool(withSorry, down);
		expect(told(opened)).toEqual(["quorum down"]);
		expect(opened.notices[0]).toMatchObject({ reason: "starting with quorum down 1-0=1 > 0" });
		expect(table(opened.pool)).toBe("10.0.0.9=1");
		expect(told(openPool(virtualServer(servers), down))).toEqual([]);
		expect(told(openPool({ ...withSorry, realServers: [] }, down))).toEqual([]);
	});

	test("quorum lost without sorry server: the remaining servers go on", () => {
		const config = virtualServer(servers, { quorum: 4 });
		const lost = stepPool(openPool(config, asConfigured(config)).pool, verdict(1, false, 2));
		expect(lost.pool.quorumUp).toBe(false);
		expect(table(lost.pool)).toBe("10.0.0.1=3");
	});

	test("sorry_server_inhibit: stays with weight 0 while unused", () => {
		const config = virtualServer(servers, { sorryServer: sorryServer("10.0.0.9", true) });
		let pool = openPool(config, asConfigured(config)).pool;
		expect(table(pool)).toBe("10.0.0.1=3 10.0.0.2=2 10.0.0.9=0");
		pool = stepPool(pool, verdict(0, false, 3)).pool;
		pool = stepPool(pool, verdict(1, false, 2)).pool;
		expect(table(pool)).toBe("10.0.0.9=1");
	});

	test("inhibited servers stay with weight 0 beside the sorry server", () => {
		const config = virtualServer(
			servers.map((server) => ({ ...server, rules: inhibited })),
			{ quorum: 4, sorryServer: sorryServer("10.0.0.9") },
		);
		const lost = stepPool(openPool(config, asConfigured(config)).pool, verdict(1, false, 2));
		expect(table(lost.pool)).toBe("10.0.0.1=0 10.0.0.2=0 10.0.0.9=1");
	});

	test("a sorry server that is also a real server is in the table once", () => {
		const config = virtualServer([{ ...servers[0]!, rules: inhibited }], {
			sorryServer: sorryServer("10.0.0.1"),
		});
		const lost = stepPool(openPool(config, asConfigured(config)).pool, verdict(0, false, 3));
		expect(table(lost.pool)).toBe("10.0.0.1=1");
	});

	test("misc_dynamic: a weight counts for the table and for the quorum", () => {
		const config = virtualServer(servers, { quorum: 3 });
		const opened = openPool(config, asConfigured(config)).pool;
		const lighter = stepPool(opened, verdict(0, true, 0));
		expect(told(lighter)).toEqual(["quorum down"]);
		expect(table(lighter.pool)).toBe("10.0.0.1=0 10.0.0.2=2");
	});
});

describe("overrides", () => {
	const config = virtualServer([realServer("10.0.0.1"), realServer("10.0.0.2")]);
	const opened = openPool(config, asConfigured(config)).pool;
	const override = (pool: Pool, member: number, value: Pool["members"][number]["override"]) =>
		stepPool(pool, { kind: "override", member, override: value }).pool;

	test("drain: weight 0, then gone, then back", () => {
		const draining = override(opened, 0, "draining");
		expect(table(draining)).toBe("10.0.0.1=0 10.0.0.2=1");
		expect(liveWeight(draining)).toBe(1);
		const drained = override(draining, 0, "drained");
		expect(table(drained)).toBe("10.0.0.2=1");
		expect(table(override(drained, 0, null))).toBe("10.0.0.1=1 10.0.0.2=1");
	});

	test("maintenance: gone at once, whatever the checks say", () => {
		const pool = stepPool(override(opened, 0, "maintenance"), verdict(0, false)).pool;
		expect(table(pool)).toBe("10.0.0.2=1");
		expect(table(stepPool(pool, verdict(0, true)).pool)).toBe("10.0.0.2=1");
	});

	test("the last one drained gives way to the sorry server and keeps its connections", () => {
		const alone = virtualServer([realServer("10.0.0.1")], { sorryServer: sorryServer("10.0.0.9") });
		const pool = override(openPool(alone, asConfigured(alone)).pool, 0, "draining");
		expect(table(pool)).toBe("10.0.0.1=0 10.0.0.9=1");
	});
});

describe("reload", () => {
	test("carries overrides and quorum, starts new servers, reports those that left", () => {
		const config = virtualServer([realServer("10.0.0.1"), realServer("10.0.0.2")]);
		let pool = openPool(config, asConfigured(config)).pool;
		pool = stepPool(pool, { kind: "override", member: 1, override: "draining" }).pool;
		const changed = virtualServer([realServer("10.0.0.2"), realServer("10.0.0.3")]);
		const step = reloadPool(pool, changed, asConfigured(changed));
		expect(told(step)).toEqual(["10.0.0.3 up", "10.0.0.1 down"]);
		expect(table(step.pool)).toBe("10.0.0.2=0 10.0.0.3=1");
	});

	test("the same configuration tells nothing and changes nothing", () => {
		const config = virtualServer([realServer("10.0.0.1"), realServer("10.0.0.2")]);
		const pool = openPool(config, asConfigured(config)).pool;
		const step = reloadPool(pool, config, asConfigured(config));
		expect(step.notices).toEqual([]);
		expect(step.pool).toEqual(pool);
	});
});

test("reload: a weight from the file follows the file, one that a check has set stays", () => {
	const config = virtualServer([
		realServer("10.0.0.1", { weight: 3 }),
		realServer("10.0.0.2", { weight: 3 }),
	]);
	const pool = stepPool(openPool(config, asConfigured(config)).pool, verdict(1, true, 9)).pool;
	const changed = virtualServer([
		realServer("10.0.0.1", { weight: 5 }),
		realServer("10.0.0.2", { weight: 5 }),
	]);
	expect(table(reloadPool(pool, changed, asConfigured(changed)).pool)).toBe("10.0.0.1=5 10.0.0.2=9");
});

test("closing tells every live server and the quorum down", () => {
	const config = virtualServer([realServer("10.0.0.1"), realServer("10.0.0.2")]);
	const pool = stepPool(openPool(config, asConfigured(config)).pool, verdict(0, false)).pool;
	for (const end of ["removed", "stopped"] as const)
		expect(told({ notices: closePool(pool, end) })).toEqual(["10.0.0.2 down", "quorum down"]);
	// As keepalived: who ends says so, whether it had a quorum or not; who is taken away has lost none.
	const lost = stepPool(pool, verdict(1, false)).pool;
	expect(told({ notices: closePool(lost, "stopped") })).toEqual(["quorum down"]);
	expect(closePool(lost, "removed")).toEqual([]);
});

test("letters have keepalived's words", () => {
	const config = virtualServer(
		[realServer("10.0.0.1", { weight: 4 }), realServer("10.0.0.2", { weight: 4 })],
		{
			quorum: 6,
			hysteresis: 1,
		},
	);
	const letters = ({ notices }: { notices: readonly Notice[] }) => notices.map((notice) => notice.letter);
	const opened = openPool(config, asConfigured(config));
	expect(letters(opened).at(-1)).toBe("Starting with quorum up 6+1=7 <= 8");
	const lost = stepPool(opened.pool, verdict(0, false));
	expect(letters(lost).at(-1)).toBe("Lost quorum 6+1=5 <= 4");
	expect(letters(stepPool(lost.pool, { ...verdict(0, true), weight: 4 })).at(-1)).toBe(
		"Gained quorum 6+1=7 <= 8",
	);
	const one = virtualServer([realServer("10.0.0.2", { weight: 4 })], { quorum: 6, hysteresis: 1 });
	expect(letters(reloadPool(opened.pool, one, asConfigured(one)))).toEqual([
		"Removing",
		"Starting with quorum down 6+1=5 <= 4",
	]);
	expect(letters({ notices: closePool(opened.pool, "removed") })).toEqual([
		"Removing",
		"Removing",
		"Lost quorum 6+1=5 <= 0",
	]);
	expect(letters({ notices: closePool(lost.pool, "stopped") })).toEqual(["Shutting down", "Shutting down"]);
});

test("any history of verdicts: the table follows the last one only", () => {
	const config = virtualServer([realServer("10.0.0.1"), realServer("10.0.0.2"), realServer("10.0.0.3")]);
	const event = fc.record({ member: fc.nat(2), alive: fc.boolean(), weight: fc.nat(5) });
	fc.assert(
		fc.property(fc.array(event, { maxLength: 30 }), (history) => {
			let pool = openPool(config, asConfigured(config)).pool;
			const last = new Map([0, 1, 2].map((member) => [member, { alive: true, weight: 1 }]));
			for (const { member, alive, weight } of history) {
				pool = stepPool(pool, verdict(member, alive, weight)).pool;
				last.set(member, { alive, weight });
			}
			const expected = [...last].flatMap(([member, { alive, weight }]) =>
				alive ? [`10.0.0.${member + 1}=${weight}`] : [],
			);
			expect(table(pool)).toBe(expected.join(" "));
		}),
	);
});
