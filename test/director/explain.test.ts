/** `drover rs why ADDRESS`: a real server's story, with the rule of each decision. */
import { describe, expect, test } from "bun:test";
import {
	concernsServer,
	explainHealth,
	explainNotice,
	explainOverride,
} from "../../firmware/director/explain.ts";
import { openPool, stepPool } from "../../firmware/director/pool.ts";
import { realServer, virtualServer } from "./samples.ts";

const first = realServer("10.0.0.4");
const config = virtualServer([first, realServer("10.0.0.5")]);
const verdict = { alive: false, weight: 1, reason: "TCP_CHECK [10.0.0.4]:80: connection refused" };

describe("what the checks say", () => {
	test("a failing check, and the server that leaves by it", () => {
		const change = { up: false, reason: verdict.reason, verdict };
		expect(explainHealth({ kind: "check", ...change }, first, config)).toEqual({
			subject: "10.0.0.4:80 of [192.168.80.200]:tcp:80",
			text: "fails: TCP_CHECK [10.0.0.4]:80: connection refused",
			from: "10.0.0.4",
			rule: "a check goes down with its first answer ever, or when 1 + retry answers in a row are bad",
		});
		expect(explainHealth({ kind: "alive", ...change }, first, config)).toMatchObject({
			text: "is out: TCP_CHECK [10.0.0.4]:80: connection refused",
			rule: "one check or the path that is down takes a real server out",
		});
	});
});

describe("quorum", () => {
	test("is told with its numbers; real servers' notices are told by their checks", () => {
		const opened = openPool(config, () => ({ alive: true, weight: 1 })).pool;
		const one = stepPool(opened, { kind: "verdict", member: 0, alive: false, weight: 1, reason: "" });
		expect(one.notices.map(explainNotice)).toEqual([null]);
		const two = stepPool(one.pool, { kind: "verdict", member: 1, alive: false, weight: 1, reason: "" });
		expect(two.notices.map(explainNotice).at(-1)).toEqual({
			subject: "[192.168.80.200]:tcp:80",
			text: "has no quorum: the live weights are 0 in sum",
			from: null,
			rule: "quorum: there from 1 on, lost below 1",
		});
	});
});

test("the operator's word", () => {
	const words = (["draining", "drained", "maintenance", null] as const).map(
		(override) => explainOverride(override, "operator", first, config).text,
	);
	expect(words).toEqual([
		"is drained: no new connections",
		"its last connection has ended: out of the table",
		"is in maintenance: out of the table",
		"takes connections again",
	]);
});

test.each([
	["10.0.0.4:80 of [10.0.0.1]:tcp:80", "10.0.0.4", null, true],
	["10.0.0.4:80 of [10.0.0.1]:tcp:80", "10.0.0.4:80", "[10.0.0.1]:tcp:80", true],
	["10.0.0.4:80 of [10.0.0.1]:tcp:80", "10.0.0.4:80", "[10.0.0.2]:tcp:80", false],
	["10.0.0.4:80 of [10.0.0.1]:tcp:80", "10.0.0.40", null, false],
	["[fd00::4]:80 of FWM 3", "fd00::4", null, true],
	["[fd00::4]:80 of FWM 3", "[fd00::4]:80", "FWM 3", true],
	["[10.0.0.1]:tcp:80", "10.0.0.4", "[10.0.0.1]:tcp:80", true],
	["[10.0.0.1]:tcp:80", "10.0.0.4", null, false],
	["", "10.0.0.4", null, true],
])("an entry about %p in the story of %p in %p: %p", (subject, real, of, expected) => {
	expect(concernsServer(subject, real, of)).toBe(expected);
});
