/** What a director that was killed goes on with: the table that it left, until its checks have spoken. */
import { describe, expect, test } from "bun:test";
import type { CheckConfig, RealServerConfig, VirtualServerConfig } from "../../firmware/config/model.ts";
import { Adoption } from "../../firmware/director/adoption.ts";
import { desiredTable } from "../../firmware/director/desired.ts";
import { initialVerdict, openPool } from "../../firmware/director/pool.ts";
import type { IpvsTable } from "../../firmware/wire/ipvs.ts";
import { inhibited, realServer, sorryServer, tcpCheck, virtualServer } from "./samples.ts";

const KEY = "the virtual server";
const script: CheckConfig = {
	kind: "MISC_CHECK",
	timing: tcpCheck.timing,
	script: {
		command: ["/bin/true"],
		user: null,
		group: null,
		location: { file: "test.conf", line: 1, column: 1 },
	},
	timeoutMs: 1000,
	dynamicWeight: true,
};

/** The table that a run left whose checks had said this. */
const left = (
	config: VirtualServerConfig,
	said: readonly { alive: boolean; weight: number }[],
	held = true,
) => desiredTable([openPool(config, (member) => said[member]!, true, held).pool]);

/** Without files. */
const atFirst = (config: VirtualServerConfig) => (member: number) =>
	initialVerdict(config.realServers[member]!, () => ({ kind: "failed", detail: "there is no such file" }));

function begin(config: VirtualServerConfig, table: IpvsTable) {
	const adoption = new Adoption();
	const { verdictOf, quorumHeld } = adoption.stateAtStart(KEY, config, table, atFirst(config))!;
	const { pool } = openPool(config, verdictOf, true, quorumHeld);
	return { pool, waitsFor: adoption.members().map(({ member }) => member), table: desiredTable([pool]) };
}

describe("after a crash, before any check has spoken, the table is the one that was left", () => {
	const up = { alive: true, weight: 1 };
	const down = { alive: false, weight: 1 };
	const cases: readonly {
		readonly what: string;
		readonly servers: readonly RealServerConfig[];
		readonly change?: Partial<VirtualServerConfig>;
		readonly said: readonly { alive: boolean; weight: number }[];
		readonly waitsFor: readonly number[];
	}[] = [
		{
			what: "one that was dead",
			servers: [realServer("10.0.0.1"), realServer("10.0.0.2")],
			said: [up, down],
			waitsFor: [1],
		},
		{
			what: "one that is inhibited",
			servers: [realServer("10.0.0.1"), realServer("10.0.0.2", { rules: inhibited })],
			said: [up, down],
			waitsFor: [1],
		},
		{
			what: "the weight that a script gave",
			servers: [realServer("10.0.0.1", { checks: [script] }), realServer("10.0.0.2")],
			said: [{ alive: true, weight: 40 }, up],
			waitsFor: [0],
		},
		{
			what: "a script's weight 0, which keeps old clients",
			servers: [realServer("10.0.0.1", { checks: [tcpCheck, script] }), realServer("10.0.0.2")],
			said: [{ alive: true, weight: 0 }, up],
			waitsFor: [0],
		},
		{
			what: "a quorum that only hysteresis keeps from the sorry server",
			servers: [realServer("10.0.0.1"), realServer("10.0.0.2"), realServer("10.0.0.3")],
			change: { quorum: 2, hysteresis: 1, sorryServer: sorryServer("10.0.0.99") },
			said: [up, down, down],
			waitsFor: [1, 2],
		},
	];
	for (const { what, servers, change, said, waitsFor } of cases)
		test(what, () => {
			const config = virtualServer(servers, change);
			const table = left(config, said);
			const begun = begin(config, table);
			expect(begun.table).toEqual(table);
			expect(begun.waitsFor).toEqual([...waitsFor]);
		});

	test("the sorry server", () => {
		const config = virtualServer([realServer("10.0.0.1"), realServer("10.0.0.2")], {
			quorum: 2,
			hysteresis: 1,
			sorryServer: sorryServer("10.0.0.99"),
		});
		const table = left(config, [up, down], false);
		expect(begin(config, table).table).toEqual(table);
	});
});

test("a weight of the file's own is the new file's", () => {
	const before = virtualServer([realServer("10.0.0.1", { weight: 5 })]);
	const after = virtualServer([realServer("10.0.0.1", { weight: 7 })]);
	const { pool, waitsFor } = begin(after, left(before, [{ alive: true, weight: 5 }]));
	expect(pool.members).toEqual([{ alive: true, weight: 7, override: null }]);
	expect(waitsFor).toEqual([]);
});

test("a virtual server without a service in the table begins as at first", () => {
	const config = virtualServer([realServer("10.0.0.1")]);
	expect(new Adoption().stateAtStart(KEY, config, new Map(), atFirst(config))).toBeNull();
});
