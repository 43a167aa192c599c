/** keepalived.conf(5) instance, use_pid_dir, data_use_instance, state_dump_file, stats_dump_file: names as 2.2.7 makes them. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../firmware/config/keepalived/load.ts";
import { dumpFile, jsonFile, pidFile, statsFile } from "../firmware/process-files.ts";

function read(text: string) {
	const directory = mkdtempSync(join(tmpdir(), "drover-files-"));
	writeFileSync(join(directory, "k.conf"), text);
	try {
		const { config, diagnostics } = loadConfig(join(directory, "k.conf"));
		// What it is about are names: the namespace of one of them is not made.
		expect(diagnostics.filter(({ code }) => code !== "no-namespace")).toEqual([]);
		return config.global;
	} finally {
		rmSync(directory, { recursive: true });
	}
}

test.each([
	["", "/run/vrrp.pid", "/t/keepalived.data"],
	["use_pid_dir", "/run/keepalived/vrrp.pid", "/t/keepalived.data"],
	["instance foo", "/run/keepalived/vrrp_foo.pid", "/t/keepalived.data"],
	[
		"instance foo\nglobal_defs { data_use_instance }",
		"/run/keepalived/vrrp_foo.pid",
		"/t/keepalived.foo.data",
	],
	[
		"instance foo\nnet_namespace ns\nglobal_defs { data_use_instance }",
		"/run/keepalived/ns/vrrp_foo.pid",
		"/t/keepalived.ns_foo.data",
	],
	["global_defs { state_dump_file /var/x }", "/run/vrrp.pid", "/var/x"],
])("%j", (text, pid, dump) => {
	const global = read(text);
	expect(pidFile("vrrp", global)).toBe(pid);
	expect(dumpFile("keepalived", global, "/t")).toBe(dump);
});

test("the checker's dump; statistics, whose name only stats_dump_file changes", () => {
	const global = read("instance foo\nglobal_defs { data_use_instance }");
	expect(dumpFile("keepalived_check", global, "/t")).toBe("/t/keepalived_check.foo.data");
	expect(statsFile(global, "/t")).toBe("/t/keepalived.stats");
	expect(statsFile(read("global_defs { stats_dump_file /var/y }"), "/t")).toBe("/var/y");
	expect(jsonFile(global, "/t")).toBe("/t/keepalived.json");
	expect(jsonFile(read("global_defs { json_dump_file /var/z }"), "/t")).toBe("/var/z");
});

test("child_wait_time: five seconds unless told", () => {
	expect(read("").naming.childWaitMs).toBe(5_000);
	expect(read("child_wait_time 3").naming.childWaitMs).toBe(3_000);
});
