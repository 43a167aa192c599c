/** keepalived.data, as keepalived 2.2.7 writes it upon SIGUSR1 (observed): the parts about tracked processes. */
import { expect, test } from "bun:test";
import type { DroverConfig } from "../../firmware/config/model.ts";
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
