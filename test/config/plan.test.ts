/** `drover config plan`: what would change, in words. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DroverConfig } from "../../firmware/config/model.ts";
import { formatChange, planChanges } from "../../firmware/config/plan.ts";
import { same } from "../../firmware/config/same.ts";
import { showConfig } from "../../firmware/config/show.ts";
import { instance, loadText, server } from "./load-text.ts";

const plan = (before: string, after: string) =>
	planChanges(loadText(before).config, loadText(after).config).map(formatChange);

const base = instance("\tpriority 100") + server("", "\t\tweight 3\n\t\tTCP_CHECK {\n\t\t}");

/** Discriminants: another word there makes another record of it. */
const kinds = new Set(["kind", "family"]);

/** Something of each part of the model. */
const rich = `global_defs {
	notification_email { a@example.com }
	smtp_server 127.0.0.1 25
	notify_fifo /tmp/f1
	enable_script_security
	script_user root
	lvs_timeouts tcp 100 tcpfin 10 udp 5
	lvs_sync_daemon eth0 VI_1
}
garp_group { garp_interval 1\n interfaces { eth0 }\n}
static_ipaddress { 10.1.1.1/24 dev eth1 track_group TG }
static_routes { 10.2.0.0/16 via 10.1.1.2 dev eth1 track_group TG }
static_rules { from 10.3.0.0/16 table 5 track_group TG }
track_group TG { group { VI_1 }\n}
linkbeat_interfaces { eth0 }
interface_up_down_delays { eth0 3 4 }
vrrp_script S { script /bin/true\n interval 2 }
track_file F { file /tmp/ff\n weight 2 }
vrrp_track_process P { process sleep 4\n weight 2 }
bfd_instance B { neighbor_ip 10.0.0.7 }
vrrp_sync_group G { group { VI_1 }\n track_interface { eth1 weight 5 }\n notify_master /bin/true }
vrrp_instance VI_1 {
	interface eth0
	virtual_router_id 5
	unicast_src_ip 10.0.0.1
	unicast_peer { 10.0.0.2 }
	track_script { S }
	notify /bin/true
	virtual_ipaddress { 10.0.0.9/24 dev eth0 label eth0:1 }
	virtual_ipaddress_excluded { 10.0.0.10/24 }
	virtual_routes { 10.9.0.0/16 via 10.0.0.4 dev eth0 no_track }
	virtual_rules { from 10.8.0.0/16 table 5 }
}
virtual_server_group VG { 10.0.0.9-11 80\n fwmark 5 }
virtual_server group VG {
	lb_algo wrr
	lb_kind NAT
	protocol TCP
	persistence_timeout 50
	sorry_server 10.0.1.9 80
	quorum_up /bin/true
	virtualhost foo
	real_server 10.0.1.1 80 {
		weight 2
		notify_up /bin/true
		HTTP_GET { url { path /a\n status_code 200 }\n connect_timeout 3 }
	}
	real_server 10.0.1.2 80 {
		inhibit_on_failure
		uthreshold 100
		MISC_CHECK { misc_path "/bin/true a"\n misc_timeout 3\n misc_dynamic }
	}
}
`;

describe("changes", () => {
	test("none, wherever things are written", () => {
		expect(plan(base, `# a comment\n\n${base}`)).toEqual([]);
	});

	test.each<[string, (text: string) => string, string[]]>([
		[
			"priority",
			(text) => text.replace("priority 100", "priority 90"),
			["~ vrrp     VI_1: priority 100 → 90\n           a peer with a higher priority takes over"],
		],
		[
			"an instance leaves",
			(text) => text.slice(text.indexOf("virtual_server")),
			[
				"- vrrp     VI_1: leaves: VRID 51 on eth0, priority 100\n           if it is master here, its addresses move to a peer",
				"- address  10.0.0.1/32: from eth0\n           connections to it end",
			],
		],
		[
			"another name only",
			(text) => text.replace("VI_1", "web"),
			[
				"~ vrrp     web: name VI_1 → web",
				"~ address  10.0.0.1/32: present while VI_1 is master → while web is master",
			],
		],
		[
			"an address comes",
			(text) => text.replace("\t\t10.0.0.1\n", "\t\t10.0.0.1\n\t\t10.0.0.7/24\n"),
			["+ address  10.0.0.7/24: on eth0, while VI_1 is master"],
		],
		[
			"scheduler",
			(text) => text.replace("lb_algo rr", "lb_algo wlc"),
			["~ service  TCP 10.0.0.1:80: lb_algo rr → wlc"],
		],
		[
			"how a real server is told of",
			(text) => text.replace("weight 3", "weight 3\n\t\tsmtp_alert off\n\t\tsnmp_name web2"),
			["~ server   TCP 10.0.0.1:80 → 10.0.1.2:80: smtp alert on → off, snmp name none → web2"],
		],
		[
			"draining",
			(text) => text.replace("weight 3", "weight 0"),
			[
				"~ server   TCP 10.0.0.1:80 → 10.0.1.2:80: weight 3 → 0\n           it gets no new connections; the old ones go on",
			],
		],
		[
			"another real server",
			(text) => text.replace("10.0.1.2", "10.0.1.3"),
			[
				"- server   TCP 10.0.0.1:80 → 10.0.1.2:80: weight 3, NAT\n           its connections are cut; weight 0 would drain it first",
				"+ server   TCP 10.0.0.1:80 → 10.0.1.3:80: weight 3, NAT, TCP_CHECK",
			],
		],
		[
			"a check's retry",
			(text) => text.replace("TCP_CHECK {", "TCP_CHECK {\n\t\t\tretry 5"),
			["~ check    TCP 10.0.0.1:80 → 10.0.1.2:80: TCP_CHECK: timing retry 1 → 5"],
		],
		[
			"another service",
			(text) => text + server("", "", "10.0.0.1 443"),
			["+ service  TCP 10.0.0.1:443: rr, 1 real servers"],
		],
		[
			"router_id",
			(text) => `global_defs {\nrouter_id B\n}\n${text}`,
			[
				"~ global   global_defs: mail router id director → B",
				"~ global   global_defs: router id director → B",
			],
		],
	])("%s", (_title, edit, expected) => {
		expect(plan(base, edit(base))).toEqual(expected);
	});

	test("nothing that a file can say changes in silence", () => {
		const { config } = loadText(rich);
		const silent = new Set<string>();
		const tryWith = (path: readonly (string | number)[], value: unknown) => {
			const changed = structuredClone(config) as unknown as Record<string | number, unknown>;
			let owner = changed;
			for (const step of path.slice(0, -1)) owner = owner[step] as typeof owner;
			owner[path.at(-1)!] = value;
			const told = planChanges(config, changed as unknown as DroverConfig).map(formatChange);
			for (const line of told) expect(line).not.toMatch(/undefined|\[object|NaN|: $/);
			if (told.length === 0)
				silent.add(path.map((step) => (typeof step === "number" ? "*" : step)).join("."));
		};
		const visit = (value: unknown, path: readonly (string | number)[]): void => {
			if (path.at(-1) === "location" || kinds.has(String(path.at(-1)))) return;
			if (typeof value === "number") tryWith(path, value + 1);
			else if (typeof value === "string") tryWith(path, `${value}x`);
			else if (typeof value === "boolean") tryWith(path, !value);
			else if (value !== null && typeof value === "object") {
				for (const [key, each] of Object.entries(value))
					visit(each, [...path, Array.isArray(value) ? Number(key) : key]);
				if (Array.isArray(value) && value.length > 0) tryWith(path, value.slice(1));
			}
		};
		visit(config, []);
		// Groups that a file has and does not use; what else it names is there to judge the next one by.
		expect([...silent].filter((path) => !/^(serverGroups|namedInterfaces)/.test(path))).toEqual([]);
	});

	test("passwords are never shown", () => {
		const secret = (word: string) =>
			instance(`\tauthentication {\n\t\tauth_type PASS\n\t\tauth_pass ${word}\n\t}`);
		const text = [...plan(secret("hush1"), secret("hush2")), ...plan(secret("hush1"), instance())].join("\n");
		expect(text).toContain("authentication");
		expect(text).not.toContain("hush");
	});
});

describe("the commands", () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-config-command-"));
	const write = (name: string, text: string) => {
		writeFileSync(join(directory, name), text);
		return join(directory, name);
	};
	const drover = (...words: string[]) => {
		const child = Bun.spawnSync(
			[process.execPath, join(import.meta.dir, "../../firmware/drover.ts"), "config", ...words],
			{ stderr: "pipe", env: { ...process.env, DROVER_CONFIG_DIR: join(directory, "no-box") } },
		);
		return { status: child.exitCode, text: child.stdout.toString(), errors: child.stderr.toString() };
	};
	const good = write("good.conf", server());
	const bad = write("bad.conf", server("\tlb_algoo rr"));

	test("check", () => {
		expect(drover("check", good)).toMatchObject({
			status: 0,
			text: "0 VRRP instances, 1 virtual server, 1 real server; nothing wrong; accepted\n",
		});
		const { status, text } = drover("check", bad);
		expect(status).toBe(5);
		expect(text).toContain('bad.conf:8:2: error: there is no keyword "lb_algoo"');
		expect(JSON.parse(drover("check", "--json", bad).text)).toMatchObject({
			acceptable: false,
			exitStatus: 5,
		});
		expect(drover("check", join(directory, "none.conf")).status).toBe(4);
	}, 120_000);

	test("check of a large file, in a process of its own", () => {
		const large = write("large.conf", `${"# padding\n".repeat(120_000)}${server("\tlb_algoo rr")}`);
		const { status, text } = drover("check", large);
		expect(status).toBe(5);
		expect(text).toContain('error: there is no keyword "lb_algoo"');
	}, 120_000);

	test("plan", () => {
		expect(drover("plan", good, "--against", good)).toMatchObject({
			status: 0,
			text: "nothing would change\n",
		});
		const other = write("other.conf", server().replace("lb_algo rr", "lb_algo wrr"));
		expect(drover("plan", other, `--against=${good}`)).toMatchObject({
			status: 1,
			text: "~ service  TCP 10.0.0.1:80: lb_algo rr → wrr\n",
		});
		expect(drover("plan", bad, `--against=${good}`).status).toBe(5);
	}, 120_000);

	test("show", () => {
		expect(drover("show", good).text).toContain(
			"TCP 10.0.0.1:80: rr, NAT\n  10.0.1.2:80 weight 1, never checked",
		);
		const shown = JSON.parse(drover("show", good, "--json").text) as DroverConfig;
		expect(same(shown.virtualServers, loadText(server()).config.virtualServers)).toBe(true);
		expect(showConfig(loadText(base).config)).toContain(
			"VI_1: VRRPv2 51 on eth0, priority 100, state BACKUP",
		);
	}, 120_000);

	test("usage", () => {
		expect(drover().status).toBe(2);
		for (const action of ["check", "plan"])
			expect(drover(action)).toMatchObject({
				status: 2,
				errors: `drover config ${action}: there is no configuration in ${join(directory, "no-box")}; name a file: drover config ${action} FILE\n`,
			});
		expect(existsSync(join(directory, "no-box"))).toBe(false);
		expect(drover("--help").status).toBe(0);
		rmSync(directory, { recursive: true });
	}, 120_000);
});
