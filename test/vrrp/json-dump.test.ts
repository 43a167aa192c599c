/** keepalived 2.2.8, vrrp_json: the second layout of keepalived.json. The first is compared with the real one's in the lab. */
import { expect, test } from "bun:test";
import { newEngine } from "../../firmware/vrrp/engine.ts";
import { jsonText } from "../../firmware/vrrp/json-dump.ts";
import { configOf, globalDefaults, instanceOf, nowhere } from "./config.ts";

const config = {
	...configOf([instanceOf({ authentication: { type: "PASS", password: "secret" } })]),
	global: { ...globalDefaults, naming: { ...globalDefaults.naming, jsonVersion: 2 as const } },
	trackProcesses: [
		{
			name: "lives",
			process: ["squid", "-f"],
			match: "initial" as const,
			fullCommand: false,
			weight: 5,
			reverse: true,
			quorum: 1,
			quorumMax: null,
			terminateDelayMs: 500,
			forkDelayMs: 0,
			location: nowhere,
		},
	],
};

test("instances under vrrp, tracked processes beside them; no password", () => {
	const text = jsonText(newEngine(config, 0), () => 1_000)!;
	expect(text).not.toContain("secret");
	const { vrrp, track_process } = JSON.parse(text);
	expect(vrrp.map(({ data }: { data: { iname: string } }) => data.iname)).toEqual([
		config.vrrpInstances[0]!.name,
	]);
	expect(track_process).toEqual([
		{
			process: "squid",
			parameters: "-f",
			param_match: "initial",
			min_processes: 1,
			have_quorum: false,
			weight: -5,
			terminate_delay: 0.5,
			fork_delay: 0,
			full_command: true,
		},
	]);
});

test("without instances there is nothing to write", () => {
	expect(jsonText(newEngine(configOf([]), 0), () => 0)).toBeNull();
});
