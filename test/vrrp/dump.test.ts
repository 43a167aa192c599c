/** keepalived.data, as keepalived 2.2.7 writes it upon SIGUSR1 (observed): the parts about what is tracked. */
import { expect, test } from "bun:test";
import type { DroverConfig } from "../../firmware/config/model.ts";
import { numbersOf } from "../../firmware/notify/identity.ts";
import { dataText } from "../../firmware/vrrp/dump.ts";
import { newEngine, step } from "../../firmware/vrrp/engine.ts";
import { loadText } from "../config/load-text.ts";

const text = `
vrrp_track_process web {
	process sleep 100
	param_match partial
	weight 10
	quorum_max 3
	delay 2.5
}
vrrp_track_process plain {
	process sleep
	weight -5 reverse
}
vrrp_sync_group G {
	group { VI_1 }
	track_process { plain weight 3 }
}
vrrp_instance VI_1 {
	interface eth0
	virtual_router_id 5
	priority 100
	track_process { web }
	virtual_ipaddress { 192.0.2.77/24 }
}
`;

function dumped(config: DroverConfig, ...processes: readonly [name: string, number: number][]): string[] {
	let engine = newEngine(config, 0);
	for (const [name, count] of processes)
		({ engine } = step(engine, { kind: "process", name, count }, 1_000_000));
	return dataText(engine, () => 0).split("\n");
}

const behind = (lines: readonly string[], heading: string, next: string) =>
	lines.slice(lines.indexOf(heading) + 1, lines.indexOf(next));

test("tracked processes: of instances, of groups, and each with what came of it", () => {
	const { config } = loadText(text, { interfaces: new Set(["eth0"]) });
	const lines = dumped(config, ["web", 2], ["plain", 0]);
	const mail = "   Using smtp notification = no";
	expect(behind(lines, "   Tracked processes :", mail)).toEqual(["     web, weight 10"]);
	expect(lines.slice(lines.indexOf("   Tracked process :")).slice(1, 2)).toEqual([
		"     plain, weight 3 reverse",
	]);
	expect(behind(lines, "------< VRRP Track processes >------", "------< Interfaces >------")).toEqual([
		" VRRP Track process = web",
		"   Process = sleep",
		"   Parameters = 100",
		"   Param match = partial",
		"   Min processes = 1",
		"   Max processes = 3",
		"   Current processes = 2",
		"   Have quorum = true",
		"   Weight = 10",
		"   Terminate delay = 2.500000s",
		"   Fork delay = 2.500000s",
		"   Fork delay timer not running",
		"   Terminate delay timer not running",
		"   Full command = true",
		"   Tracking instances :",
		"     VI_1, weight 10",
		" VRRP Track process = plain",
		"   Process = sleep",
		"   Min processes = 1",
		"   Current processes = 0",
		"   Have quorum = false",
		"   Weight = -5 reverse",
		"   Terminate delay = 0.000000s",
		"   Fork delay = 0.000000s",
		"   Fork delay timer not running",
		"   Terminate delay timer not running",
		"   Full command = false",
		"   Tracking instances :",
		"     VI_1, weight 3 reverse",
	]);
});

test("a process that ended a moment ago: the timer of its delay runs", () => {
	const { config } = loadText(text, { interfaces: new Set(["eth0"]) });
	const lines = dumped(config, ["web", 2], ["web", 0]);
	expect(lines).toContain("   Have quorum = true");
	expect(lines).toContain("   Terminate delay timer running");
});

test("without any there is no such part", () => {
	const { config } = loadText(
		text.slice(text.indexOf("vrrp_instance")).replace("track_process { web }", ""),
		{
			interfaces: new Set(["eth0"]),
		},
	);
	expect(dumped(config).filter((line) => /track.*process/i.test(line))).toEqual([]);
});

test("of what both an instance and its group track each line has the weight that stands there, and one counts", () => {
	const both = text
		.replace(
			"track_process { plain weight 3 }",
			"track_process { plain weight 3 }\n\tsync_group_tracking_weight",
		)
		.replace("track_process { web }", "track_process { plain weight -7 }");
	const lines = dumped(loadText(both, { interfaces: new Set(["eth0"]) }).config, ["web", 0], ["plain", 1]);
	expect(lines.slice(lines.indexOf("   Tracked processes :")).slice(1, 2)).toEqual([
		"     plain, weight -7 reverse",
	]);
	expect(lines.slice(lines.indexOf("   Tracked process :")).slice(1, 2)).toEqual([
		"     plain, weight 3 reverse",
	]);
	expect(lines.slice(lines.indexOf("   Tracking instances :")).slice(1, 2)).toEqual([
		"     VI_1, weight 3 reverse",
	]);
});

test("tracked scripts and files: exporters read the status and the state of scripts", () => {
	const { config } = loadText(
		`global_defs {\n\tenable_script_security\n\tscript_user root\n}
vrrp_script chk {\n\tscript "/bin/true a"\n\tinterval 2\n\ttimeout 3\n\tweight -20\n\trise 2\n\tfall 3\n\tuser nobody\n}
track_file f {\n\tfile /tmp/none\n\tweight 2\n}
vrrp_instance VI_1 {\n\tinterface eth0\n\tvirtual_router_id 5
	track_interface { eth1 weight 10 }\n\ttrack_script { chk }\n\ttrack_file { f weight 3 reverse }
	virtual_ipaddress { 192.0.2.77/24 }\n}\n`,
		{ interfaces: new Set(["eth0", "eth1"]) },
	);
	const numbers = (user: string) =>
		["-u", "-g"].map((which) => Bun.spawnSync(["id", which, user]).stdout.toString().trim()).join(":");
	let { engine } = step(newEngine(config, 0), { kind: "file", name: "f", value: 4 }, 1_000_000);
	const part = (running: readonly string[] = []) =>
		behind(
			dataText(engine, () => 0, new Set(running), numbersOf).split("\n"),
			"------< VRRP Scripts >------",
			"------< Interfaces >------",
		);
	expect(part()).toContain("   Status = BAD");
	({ engine } = step(engine, { kind: "script", name: "chk", success: true }, 2_000_000));
	expect(part(["chk"])).toEqual([
		" VRRP Script = chk",
		"   Command = '/bin/true' 'a'",
		"   Interval = 2 sec",
		"   Timeout = 3 sec",
		"   Weight = -20",
		"   Rise = 2",
		"   Fall = 3",
		"   Result = 4",
		"   Insecure = no",
		"   Init state = unknown",
		"   Status = GOOD",
		`   Script uid:gid = ${numbers("nobody")}`,
		"   VRRP instances :",
		"   Tracking instances :",
		"     VI_1, weight -20",
		"   State = running",
		"------< VRRP Track files >------",
		" Track file = f",
		"   File = /tmp/none",
		"   Status = 4",
		"   Weight = 2",
		"   Tracking instances :",
		"     VI_1, weight 3 reverse",
	]);
	const instance = dataText(engine, () => 0).split("\n");
	expect(behind(instance, "   Tracked interfaces :", "   Using smtp notification = no")).toEqual([
		"     eth1 weight 10",
		"   Tracked scripts :",
		"     chk weight -20",
		"   Tracked files :",
		"     f, weight 3 reverse",
	]);
});
