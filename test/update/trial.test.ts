/** Good, or back: a new firmware is judged against what worked before it. */
import { describe, expect, test } from "bun:test";
import {
	judgeTrial,
	missingNow,
	STEADY_MS,
	TRIAL_DEADLINE_MS,
	type Working,
} from "../../firmware/update/trial.ts";

const servers = Array.from({ length: 20 }, (_, index) => `web > 10.0.0.${index}:80`);
const before: Working = {
	services: ["vrrp", "director"],
	links: ["eth0", "eth1"],
	realServers: servers,
	instances: ["VI_1"],
	revision: 7,
};

describe("what is missing", () => {
	test.each<[string, Partial<Working>, readonly string[]]>([
		["nothing", {}, []],
		["a cable that was never there is not missed", { links: ["eth0", "eth1", "eth2"] }, []],
		["a link", { links: ["eth0"] }, ["eth1 had a link and has none"]],
		["a service", { services: ["vrrp"] }, ["the service director does not answer"]],
		["an instance in FAULT", { instances: [] }, ["the VRRP instance VI_1 does not take part"]],
		["the revision", { revision: null }, ["configuration revision 7 is not in force, but none"]],
		["two of twenty real servers may die on their own", { realServers: servers.slice(2) }, []],
		[
			"three may not",
			{ realServers: servers.slice(3) },
			["3 of 20 real servers are not back, such as web > 10.0.0.0:80"],
		],
	])("%s", (_title, change, expected) => {
		expect(missingNow(before, { ...before, ...change })).toEqual(expected);
	});
});

describe("the verdict", () => {
	const short: Working = { ...before, links: ["eth0"] };
	test.each<[string, Working, number, number | null, string]>([
		["well, but not for long yet", before, 20_000, 20_000 - STEADY_MS + 1, "wait"],
		["well for long enough", before, 20_000, 20_000 - STEADY_MS, "good"],
		["something missing, time left", short, TRIAL_DEADLINE_MS - 1, null, "wait"],
		["something missing, time over", short, TRIAL_DEADLINE_MS, null, "revert"],
		["well at the last moment is given its time", before, TRIAL_DEADLINE_MS + 1, TRIAL_DEADLINE_MS, "wait"],
	])("%s: %s", (_title, now, elapsed, steadySince, kind) => {
		expect(judgeTrial(before, now, elapsed, steadySince).kind as string).toBe(kind);
	});
});
