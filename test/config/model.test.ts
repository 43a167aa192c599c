/** What a file means: defaults, inheritance, and what is put right, section by section of keepalived.conf(5). */
import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CheckConfig, VirtualServerConfig, VrrpInstanceConfig } from "../../firmware/config/model.ts";
import { syncGroupOf, trackedBy } from "../../firmware/config/tracked.ts";
import { brief, instance, loadText, server } from "./load-text.ts";

const vrrp = (lines: string, before = ""): VrrpInstanceConfig =>
	loadText(before + instance(lines)).config.vrrpInstances[0]!;
const virtual = (lines: string, serverLines = "", before = ""): VirtualServerConfig =>
	loadText(before + server(lines, serverLines)).config.virtualServers[0]!;
const check = (text: string, lines = "", serverLines = ""): CheckConfig =>
	virtual(lines, `${serverLines}\n${text}`).realServers[0]!.checks[0]!;

describe("global_defs", () => {
	test("defaults", () => {
		expect(loadText("").config.global).toMatchObject({
			routerId: "director",
			multicastGroup4: "224.0.0.18",
			multicastGroup6: "ff02::12",
			vmacPrefix: "vrrp",
			pathCheck: true,
			tcpCheckSentinel: true,
			lvsFlushOnStop: "none",
			lvsTimeouts: null,
			mail: { connectTimeoutMs: 30_000, server: null, recipients: [] },
		});
	});

	test("mail, timeouts, sync daemon", () => {
		const { config, diagnostics } = loadText(`global_defs {
	notification_email {
		a@example.org b@example.org
		c@example.org
	}
	smtp_server 192.0.2.1 2525
	smtp_connect_timeout 5
	lvs_timeouts tcp 900 udp 30
	lvs_sync_daemon eth0 inst VI_1 id 7 ttl 3 group 224.0.0.81
	lvs_flush_on_stop VS
}
${instance()}`);
		expect(diagnostics).toEqual([]);
		expect(config.global).toMatchObject({
			mail: {
				recipients: ["a@example.org", "b@example.org", "c@example.org"],
				server: { host: "192.0.2.1", port: 2525 },
				connectTimeoutMs: 5000,
			},
			lvsTimeouts: { tcpSeconds: 900, tcpFinSeconds: 0, udpSeconds: 30 },
			lvsSyncDaemon: {
				interface: "eth0",
				instance: "VI_1",
				syncId: 7,
				ttl: 3,
				group: "224.0.0.81",
				port: null,
			},
			lvsFlushOnStop: "own",
		});
	});

	test("several blocks are one", () => {
		const { config } = loadText("global_defs {\nrouter_id A\n}\nglobal_defs {\nvrrp_version 3\n}\n");
		expect(config.global.routerId).toBe("A");
	});
});

describe("vrrp_instance", () => {
	test.each<[string, string, Partial<VrrpInstanceConfig>]>([
		["priority without state", "", { priority: 100, initialState: "BACKUP" }],
		[
			"state MASTER without priority owns the address",
			"\tstate MASTER",
			{ priority: 255, initialState: "MASTER" },
		],
		["priority 255 starts as MASTER", "\tpriority 255", { priority: 255, initialState: "MASTER" }],
		["VRRPv2 rounds to whole seconds", "\tadvert_int 1.6", { advertIntervalMicros: 2_000_000 }],
		["VRRPv2 never below 1 s", "\tadvert_int 0.4", { advertIntervalMicros: 1_000_000 }],
		["VRRPv3 rounds to 10 ms", "\tversion 3\n\tadvert_int 0.255", { advertIntervalMicros: 260_000 }],
		["VRRPv3 up to 40.95 s", "\tversion 3\n\tadvert_int 100", { advertIntervalMicros: 40_950_000 }],
		["nopreempt", "\tstate BACKUP\n\tnopreempt", { preempt: false }],
		["nopreempt does not go with MASTER", "\tstate MASTER\n\tpriority 9\n\tnopreempt", { preempt: true }],
		...(["nopreempt", "preempt_delay 300"] as const).map(
			(words): [string, string, Partial<VrrpInstanceConfig>] => [
				`AH begins as BACKUP, and so goes with ${words}`,
				`\tstate MASTER\n\tpriority 9\n\t${words}\n\tauthentication {\n\t\tauth_type AH\n\t\tauth_pass 1\n\t}`,
				words === "nopreempt"
					? { initialState: "BACKUP", preempt: false }
					: { initialState: "BACKUP", preemptDelayMs: 300_000 },
			],
		),
		["preempt_delay", "\tpreempt_delay 300", { preemptDelayMs: 300_000 }],
		["preempt_delay not with nopreempt", "\tnopreempt\n\tpreempt_delay 300", { preemptDelayMs: 0 }],
		["strict: nothing sent to the address is accepted", "\tstrict_mode on", { strict: true, accept: false }],
		[
			"strict: but by an owner",
			"\tstrict_mode on\n\tpriority 255",
			{ accept: true, ownerIgnoreAdverts: true },
		],
		["strict: three adverts", "\tstrict_mode\n\tdown_timer_adverts 7", { downTimerAdverts: 3 }],
		[
			"unicast",
			"\tunicast_peer {\n\t\t10.0.0.9 min_ttl 3\n\t}",
			{ unicastPeers: [{ address: "10.0.0.9", minTtl: 3, maxTtl: null }], checkUnicastSource: true },
		],
		["no_accept", "\tno_accept", { accept: false }],
	])("%s", (_title, lines, expected) => {
		expect(vrrp(lines)).toMatchObject(expected);
	});

	test("announcements: global defaults, then its own; lower priority follows the global ones", () => {
		const before = "global_defs {\nvrrp_garp_master_delay 2\nvrrp_garp_master_repeat 3\n}\n";
		expect(vrrp("", before).garp).toMatchObject({
			delayMs: 2000,
			repeat: 3,
			lowerPriorityDelayMs: 2000,
			lowerPriorityRepeat: 3,
		});
		expect(vrrp("\tgarp_master_delay 7\n\tgarp_lower_prio_repeat 1", before).garp).toMatchObject({
			delayMs: 7000,
			lowerPriorityDelayMs: 2000,
			lowerPriorityRepeat: 1,
		});
	});

	test("strict mode: lower adverts are not answered, whatever else is written", () => {
		const before = "global_defs {\nvrrp_lower_prio_no_advert off\n}\n";
		expect(vrrp("\tstrict_mode", before).lowerPriorityNoAdvert).toBe(true);
		const own = loadText(instance("\tstrict_mode\n\tlower_prio_no_advert off"));
		expect(own.config.vrrpInstances[0]!.lowerPriorityNoAdvert).toBe(true);
		expect(own.exitStatus).toBe(5);
		expect(vrrp("", before).lowerPriorityNoAdvert).toBe(false);
	});

	test("scripts that cannot run are not tracked: no file, not executable, writable for others", () => {
		const directory = mkdtempSync(join(tmpdir(), "drover-scripts-"));
		const open = join(directory, "open");
		const plain = join(directory, "plain");
		writeFileSync(plain, "#!/bin/sh\n");
		writeFileSync(open, "#!/bin/sh\n");
		chmodSync(open, 0o777);
		const scripts = { gone: "/nowhere/check", plain, open, good: "/bin/true" };
		const blocks = Object.entries(scripts).map(
			([name, path]) => `vrrp_script ${name} {\nscript ${path}\n}\n`,
		);
		const tracked = `track_script {\n${Object.keys(scripts).join("\n")}\n}\nnotify ${open}`;
		const text = `global_defs {\nenable_script_security\nscript_user root\n}\n${blocks.join("")}${instance(tracked)}`;
		const { config, exitStatus } = loadText(text);
		rmSync(directory, { recursive: true });
		expect(config.vrrpInstances[0]!.trackScripts.map(({ name }) => name)).toEqual(["good"]);
		expect(config.trackScripts.map(({ name }) => name)).toEqual(["good"]);
		expect(config.vrrpInstances[0]!.notify.generic).toBeNull();
		expect(exitStatus).toBe(5);
	});

	test("enable_script_security: what root or root's group runs, nobody else may write, but root's group", () => {
		const directory = mkdtempSync(join(tmpdir(), "drover-scripts-"));
		const script = (name: string, mode: number, gid: number) => {
			const path = join(directory, name);
			writeFileSync(path, "#!/bin/sh\n");
			chownSync(path, 0, gid);
			chmodSync(path, mode);
			return path;
		};
		const roots = script("roots", 0o775, 0);
		const groups = script("groups", 0o775, 65_534);
		const tracked = (path: string, user: string) =>
			loadText(
				`global_defs {\nenable_script_security\nscript_user root\n}\nvrrp_script s {\nscript ${path}\n${user}\n}\n${instance("track_script {\ns\n}")}`,
			).config.trackScripts.length;
		expect(tracked(roots, "")).toBe(1);
		expect(tracked(groups, "")).toBe(0);
		expect(tracked(groups, "user root nogroup")).toBe(0);
		expect(tracked(groups, "user nobody root")).toBe(0);
		expect(tracked(groups, "user nobody")).toBe(1);
		rmSync(directory, { recursive: true });
	});

	test.each([
		["quorum_max 0", 0, 0, 0],
		["quorum 1\nquorum_max 0", 0, 0, 0],
		["quorum_max 0\nquorum 1", 0, 0, 5],
		["quorum_max 0\nquorum_max 5", 1, 5, 0],
		["quorum 2\nquorum_max 1", 2, null, 5],
		["quorum 2\nquorum_max 0", 2, null, 5],
		["quorum_max 1\nquorum 2", 1, 1, 5],
		["quorum 2\nquorum_max 2", 2, 2, 0],
	] as const)(
		"vrrp_track_process %j: from %p to %p, as in keepalived's dump",
		(lines, least, most, status) => {
			const { config, exitStatus } = loadText(
				`vrrp_track_process p {\nprocess nginx\n${lines}\n}\n${instance("track_process {\np\n}")}`,
			);
			expect(config.trackProcesses).toMatchObject([{ quorum: least, quorumMax: most }]);
			expect(exitStatus).toBe(status);
		},
	);

	test("mail is from root at the host, who says the host's name, whatever router_id is", () => {
		const mail = (lines: string) =>
			loadText(`global_defs {\nrouter_id LVS_DEVEL\n${lines}\n}\n`).config.global.mail;
		expect(mail("")).toMatchObject({ heloName: "director", sender: "root@director", routerId: "LVS_DEVEL" });
		expect(mail("smtp_helo_name a.example\nnotification_email_from b@c.example")).toMatchObject({
			heloName: "a.example",
			sender: "b@c.example",
		});
	});

	test.each([
		["delay 1.5\nfork_delay 2", 1500, 2000],
		["fork_delay 2\ndelay 1.5", 1500, 1500],
		["fork_delay 2\nterminate_delay 3\ndelay 1.5", 1500, 1500],
		["fork_delay 2", 0, 2000],
	] as const)(
		"vrrp_track_process %j: the last one holds, %d and %d ms, as in keepalived's dump",
		(lines, end, fork) => {
			const { config } = loadText(`vrrp_track_process p {\nprocess nginx\n${lines}\n}\n${instance("")}`);
			expect(config.trackProcesses).toMatchObject([{ terminateDelayMs: end, forkDelayMs: fork }]);
		},
	);

	test("rules without a preference get one downwards through the whole file, for each family, as in keepalived", () => {
		const rules = (text: string) => `virtual_rules {\n${text}\n}`;
		const { config } = loadText(
			`static_rules {\nfrom 10.90.0.0/16 table 90\nfrom 2001:db8:90::/48 table 92\n}\n${[
				instance(
					rules("from 10.92.0.0/16 table 92\nfrom 10.93.0.0/16 priority 12 table 93\nfwmark 3 table 94"),
				),
				instance(rules("from 2001:db8:92::/48 table 92\nfrom 10.95.0.0/16 table 92"), "V2", 52, "10.0.0.2"),
			].join("")}`,
		);
		const preferences = [config.staticRules, ...config.vrrpInstances.map((each) => each.virtualRules)].map(
			(list) => list.map(({ words }) => Number(words[words.indexOf("priority") + 1])),
		);
		expect(preferences).toEqual([
			[16_384, 16_384],
			[16_383, 12, 16_382],
			[16_383, 16_381],
		]);
	});

	test("preferred_lft is for IPv6: an IPv4 address does not become a deprecated one", () => {
		const { config, exitStatus } = loadText(instance("", "V", 9, "10.0.0.1/24 preferred_lft 0"));
		expect(config.vrrpInstances[0]!.virtualAddresses[0]!.preferredLifetimeSeconds).toBeNull();
		expect(exitStatus).toBe(0);
	});

	test("use_ipvlan: its address is the source of adverts, unless another one is written", () => {
		const own = vrrp("\tuse_ipvlan 10.0.0.9/24 vepa");
		expect(own.sourceAddress).toBe("10.0.0.9");
		expect(own.vmac!.ipvlan).toEqual({ mode: "vepa", address: "10.0.0.9/24" });
		expect(vrrp("\tuse_ipvlan 10.0.0.9\n\tmcast_src_ip 10.0.0.8").sourceAddress).toBe("10.0.0.8");
	});

	describe("weights, where the priority of an instance must not move by itself", () => {
		const trackers = `track_file default {\nfile /tmp/f\n}\ntrack_file none {\nfile /tmp/f\nweight 0\n}
vrrp_script plain {\nscript /bin/true\n}\nvrrp_script weighted {\nscript /bin/true\nweight 4\n}
vrrp_track_process process {\nprocess sleep\nweight 5\n}\n`;
		const lines = `track_interface {\neth1 weight -5\n}\ntrack_script {\nplain\nweighted\n}
track_file {\ndefault\nnone\n}\ntrack_process {\nprocess\n}`;
		const secure = "global_defs {\nenable_script_security\nscript_user root\n}\n";
		const tracked = (before: string, own = "") => {
			const { config, exitStatus } = loadText(
				`${secure}${trackers}${before}${instance(`${lines}\n${own}`)}${instance("", "VI_2", 52, "10.0.0.2")}`,
			);
			const one = config.vrrpInstances[0]!;
			const group = syncGroupOf(config.syncGroups, one.name);
			const lists = (["trackInterfaces", "trackScripts", "trackFiles", "trackProcesses"] as const).map(
				(list) => trackedBy(one, group, list),
			);
			return [...lists.flat().map(({ name, weight }) => `${name} ${weight}`), String(exitStatus)];
		};
		const group = (line: string) => `vrrp_sync_group G {\ngroup {\nVI_1\nVI_2\n}\n${line}\n}\n`;
		test.each([
			["alone", "", "", ["eth1 -5", "plain 0", "weighted 4", "default 1", "none 0", "process 5", "0"]],
			["in a group", group(""), "", ["eth1 -5", "plain 0", "default 0", "none 0", "process 5", "5"]],
			[
				"in a group with sync_group_tracking_weight",
				group("sync_group_tracking_weight"),
				"",
				["eth1 -5", "plain 0", "weighted 4", "default 1", "none 0", "process 5", "0"],
			],
			["as an owner", "", "priority 255", ["plain 0", "default 0", "none 0", "process 5", "5"]],
			[
				"what the group tracks, too, counts with the group's weight",
				group(`sync_group_tracking_weight\ntrack_script {\nweighted weight 9\n}
track_interface {\neth1\n}\ntrack_process {\nprocess weight 2\n}`),
				"",
				["eth1 0", "plain 0", "weighted 9", "default 1", "none 0", "process 2", "0"],
			],
			[
				"but without one when the instance says so",
				group("sync_group_tracking_weight\ntrack_script {\nplain weight 9\n}"),
				"",
				["eth1 -5", "plain 0", "weighted 4", "default 1", "none 0", "process 5", "0"],
			],
		])("%s", (_title, before, own, expected) => {
			expect(tracked(before, own)).toEqual(expected);
		});
		test("the direction of what both track is the group's, but of a process the instance's, as keepalived has it", () => {
			const both = (words: string) =>
				`track_script {\nweighted weight 9${words}\n}\ntrack_process {\nprocess weight 2${words}\n}`;
			const of = (inGroup: string, own: string) => {
				const { config } = loadText(
					`${secure}${trackers}${group(`sync_group_tracking_weight\n${both(inGroup)}`)}${instance(both(own))}${instance("", "VI_2", 52, "10.0.0.2")}`,
				);
				const one = config.vrrpInstances[0]!;
				return (["trackScripts", "trackProcesses"] as const).flatMap((list) =>
					trackedBy(one, syncGroupOf(config.syncGroups, one.name), list).map(({ reverse }) => reverse),
				);
			};
			expect(of(" reverse", "")).toEqual([true, false]);
			expect(of("", " reverse")).toEqual([false, true]);
		});
		test("a group with an owner tracks without weights", () => {
			const lists = "track_script {\nplain weight 9\n}\ntrack_file {\ndefault weight 3\n}";
			const weights = (priority: number) => {
				const before = `${secure}${trackers}${group(`sync_group_tracking_weight\n${lists}`)}`;
				const { config, exitStatus } = loadText(
					`${before}${instance(`priority ${priority}`)}${instance("", "VI_2", 52, "10.0.0.2")}`,
				);
				const [one] = config.syncGroups;
				return [...one!.trackScripts, ...one!.trackFiles].map(({ weight }) => weight).concat(exitStatus);
			};
			expect(weights(254)).toEqual([9, 3, 0]);
			expect(weights(255)).toEqual([0, 0, 5]);
		});
	});

	test("a calculated broadcast address is for prefixes up to 30 bits", () => {
		const lines = ["10.0.0.1/24 brd +", "10.0.0.2/31 brd +", "10.0.0.3 brd -", "10.0.0.4 brd 10.0.0.255"];
		const { config } = loadText(instance("", "V", 9, lines.join("\n\t\t")));
		const broadcasts = config.vrrpInstances[0]!.virtualAddresses.map(({ broadcast }) => broadcast);
		expect(broadcasts).toEqual(["+", null, null, "10.0.0.255"]);
	});

	test("IPv6: the first address fixes family and version", () => {
		const { config } = loadText(instance("", "V6", 9, "fe80::1/64\n\t\t2001:DB8:0:0::1"));
		expect(config.vrrpInstances[0]).toMatchObject({
			family: "inet6",
			version: 3,
			multicastDestination: "ff02::12",
			virtualAddresses: [
				{ address: "fe80::1", prefixLength: 64, preferredLifetimeSeconds: null },
				{ address: "2001:db8::1", prefixLength: 128, preferredLifetimeSeconds: 0 },
			],
		});
	});

	test("an address with everything", () => {
		const line =
			"10.0.0.1/24 brd 10.0.0.255 dev eth1 scope link label eth1:v home -nodad noprefixroute no_track";
		expect(loadText(instance("", "V", 9, line)).config.vrrpInstances[0]!.virtualAddresses[0]).toMatchObject({
			address: "10.0.0.1",
			prefixLength: 24,
			broadcast: "10.0.0.255",
			interface: "eth1",
			scope: 253,
			label: "eth1:v",
			home: true,
			duplicateAddressDetection: true,
			noPrefixRoute: true,
			noTrack: true,
		});
	});

	test("use_vmac", () => {
		expect(vrrp("\tuse_vmac vrrp7\n\tvmac_xmit_base").vmac).toMatchObject({
			name: "vrrp7",
			parentInterface: "eth0",
			transmitOnBase: true,
			ipvlan: null,
		});
	});

	test("tracking: the weight of the object, unless the line has its own", () => {
		const before =
			"vrrp_script a {\nscript /bin/true\nweight 5\n}\nvrrp_script b {\nscript /bin/true\nweight -5 reverse\n}\n";
		const { trackScripts } = vrrp("\ttrack_script {\n\t\ta\n\t\tb\n\t\tb weight 9\n\t}", before);
		expect(trackScripts.map(({ name, weight, reverse }) => ({ name, weight, reverse }))).toEqual([
			{ name: "a", weight: 5, reverse: false },
			{ name: "b", weight: -5, reverse: true },
		]);
	});

	test("whoever tracks something with a weight of his own keeps its direction, unless he says noreverse", () => {
		const { trackFiles } = vrrp(
			"\ttrack_file {\nplain\nb weight 3\nc weight 3 noreverse\nd weight 3 reverse\n}",
			["plain", "b", "c", "d"]
				.map(
					(name) => `track_file ${name} {\nfile /run/${name}\nweight 2${name === "d" ? "" : " reverse"}\n}\n`,
				)
				.join(""),
		);
		expect(trackFiles.map(({ name, weight, reverse }) => [name, weight, reverse])).toEqual([
			["plain", 2, true],
			["b", 3, true],
			["c", 3, false],
			["d", 3, true],
		]);
	});

	test("what is defined further down is tracked all the same, and said", () => {
		const loaded = loadText(
			`${instance("\ttrack_script {\n\t\ta\n\t}")}vrrp_script a {\nscript /bin/true\n}\n`,
		);
		expect(loaded.config.vrrpInstances[0]!.trackScripts).toHaveLength(1);
		expect(brief(loaded)[0]).toBe(
			"warning 8:3 VI_1: vrrp_script a is defined further down; keepalived would not track it, Drover does",
		);
	});

	test("scripts: script_user runs those that name nobody; without it root does", () => {
		const before = (lines: string) => `global_defs {\n${lines}\n}\n`;
		expect(vrrp("\tnotify /bin/true", before("script_user daemon bin")).notify.generic).toMatchObject({
			user: "daemon",
			group: "bin",
		});
		expect(vrrp("\tnotify /bin/true root", before("script_user daemon bin")).notify.generic).toMatchObject({
			user: "root",
			group: null,
		});
		expect(vrrp("\tnotify /bin/true", before("script_user nobody_here")).notify.generic).toBeNull();
	});

	test("scripts: words, user, group", () => {
		expect(vrrp("\tnotify_master \"/bin/echo 'a b' c\" root root").notify.master).toMatchObject({
			command: ["/bin/echo", "a b", "c"],
			user: "root",
			group: "root",
		});
	});
});

describe("virtual_server", () => {
	test("defaults: UDP, wlc, NAT", () => {
		const { config } = loadText("virtual_server 10.0.0.1 80 {\n\treal_server 10.0.1.2 80 {\n\t}\n}\n");
		expect(config.virtualServers[0]).toMatchObject({
			protocol: "UDP",
			scheduler: "wlc",
			forwarding: { kind: "NAT" },
			persistenceTimeoutSeconds: null,
			quorum: 1,
			hysteresis: 0,
			delayLoopMs: 60_000,
			smtpAlert: false,
			pathCheck: false,
			realServers: [{ weight: 1, rules: { smtpAlert: true, inhibitOnFailure: false }, checks: [] }],
		});
	});

	test.each<[string, string, object]>([
		["persistence_timeout without a number", "\tpersistence_timeout", { persistenceTimeoutSeconds: 360 }],
		[
			"persistence_granularity brings persistence",
			"\tpersistence_granularity 255.255.255.0",
			{ persistenceTimeoutSeconds: 360, persistenceGranularity: 24 },
		],
		[
			"sorry_server",
			"\tsorry_server 10.0.1.9 8080",
			{ sorryServer: { address: "10.0.1.9", port: 8080, inhibit: false } },
		],
		[
			"the later of two spellings holds",
			"\tlvs_sched sh\n\tsh-port",
			{ scheduler: "sh", schedulerFlags: { flag1: false, flag2: true, flag3: false } },
		],
		[
			"tunnels",
			"\tlvs_method TUN type gue port 6080 csum",
			{ forwarding: { kind: "TUN", tunnel: "gue", port: 6080, checksum: "csum" }, pathCheck: true },
		],
		["path_check off", "\tlb_kind DR\n\tpath_check off", { pathCheck: false }],
		["an engine without persistence", "\tpersistence_engine sip", { persistenceEngine: null }],
		[
			"an engine with persistence",
			"\tpersistence_engine sip\n\tpersistence_timeout 60",
			{ persistenceEngine: "sip", persistenceTimeoutSeconds: 60 },
		],
	])("%s", (_title, lines, expected) => {
		expect(virtual(lines)).toMatchObject(expected);
	});

	test("path_check off for all", () => {
		expect(virtual("\tlb_kind DR", "", "global_defs {\npath_check off\n}\n").pathCheck).toBe(false);
		expect(virtual("\tlb_kind DR\n\tpath_check on", "", "global_defs {\npath_check off\n}\n").pathCheck).toBe(
			true,
		);
	});

	test("virtual_server_group: ranges, networks, fwmarks", () => {
		const { config, diagnostics } = loadText(
			`virtual_server_group web {\n\t10.0.0.8-10 80\n\t10.0.2.1-10.0.2.2 443\n\t10.0.3.0/31 8080\n\tfwmark 7\n}\n${server("", "", "group web")}`,
		);
		expect(diagnostics).toEqual([]);
		expect(
			config.virtualServers[0]!.services.map((one) =>
				one.kind === "fwmark" ? `fwmark ${one.fwmark}` : `${one.address}:${one.port}`,
			),
		).toEqual([
			"10.0.0.8:80",
			"10.0.0.9:80",
			"10.0.0.10:80",
			"10.0.2.1:443",
			"10.0.2.2:443",
			"10.0.3.0:8080",
			"10.0.3.1:8080",
			"fwmark 7",
		]);
		const at = (port: number) => ({ family: "inet", port }) as const;
		expect(config.serverGroups).toEqual([
			{
				name: "web",
				members: [
					{ kind: "range", first: "10.0.0.8", last: "10.0.0.10", ...at(80) },
					{ kind: "range", first: "10.0.2.1", last: "10.0.2.2", ...at(443) },
					{ kind: "range", first: "10.0.3.0", last: "10.0.3.1", ...at(8080) },
					{ kind: "fwmark", fwmark: 7, family: "inet" },
				],
			},
		]);
	});

	test.each([
		["fwmark 7", "ambiguous-mark"],
		["fwmark 7 inet", undefined],
		["10.0.0.9 80", undefined],
	])("virtual_server_group of both families beside %s", (line, code) => {
		const text = `virtual_server_group web {\n\t10.0.0.8 80\n\t${line}\n\t2001:db8::8 80\n}\n`;
		expect(loadText(`${text}${server("", "", "group web")}`).diagnostics[0]?.code).toBe(code!);
	});

	test("fwmark: the family of its real servers", () => {
		const text =
			"virtual_server fwmark 5 {\n\tlb_algo rr\n\tlb_kind NAT\n\treal_server 2001:db8::2 80 {\n\t}\n}\n";
		expect(loadText(text).config.virtualServers[0]!.services).toEqual([
			{ kind: "fwmark", fwmark: 5, family: "inet6" },
		]);
	});

	test("a DR real server has the service's port; NAT may change it", () => {
		const text = server().replace("10.0.1.2 80", "10.0.1.2 8080");
		expect(loadText(text).config.virtualServers[0]!.realServers[0]!.port).toBe(8080);
		expect(loadText(text.replace("NAT", "DR")).config.virtualServers[0]!.realServers[0]!.port).toBe(80);
	});
});

describe("checks inherit: check, real server, virtual server, kind", () => {
	test.each<[string, string, string, string, object]>([
		[
			"TCP_CHECK alone",
			"TCP_CHECK {\n}",
			"",
			"",
			{ delayLoopMs: 60_000, retry: 1, delayBeforeRetryMs: 1000, warmupMs: 60_000 },
		],
		["HTTP_GET alone", "HTTP_GET {\nurl {\npath /\n}\n}", "", "", { retry: 1, delayBeforeRetryMs: 3000 }],
		["DNS_CHECK alone", "DNS_CHECK {\n}", "\tdelay_loop 7", "", { retry: 3, delayBeforeRetryMs: 7000 }],
		["MISC_CHECK alone", "MISC_CHECK {\nmisc_path /bin/true\n}", "", "", { retry: 0 }],
		[
			"virtual server",
			"TCP_CHECK {\n}",
			"\tdelay_loop 6\n\tretry 4\n\talpha",
			"",
			{ delayLoopMs: 6000, retry: 4, alpha: true, warmupMs: 6000 },
		],
		[
			"real server over virtual server",
			"TCP_CHECK {\n}",
			"\tdelay_loop 6\n\tretry 4",
			"\tretry 5\n\tdelay_loop 2.5",
			{ delayLoopMs: 2500, retry: 5 },
		],
		[
			"check over real server",
			"TCP_CHECK {\nretry 0\nwarmup 0\n}",
			"\tretry 4",
			"\tretry 5",
			{ retry: 0, warmupMs: 0 },
		],
		["nb_get_retry is retry", "TCP_CHECK {\nnb_get_retry 9\n}", "", "", { retry: 9 }],
	])("%s", (_title, text, lines, serverLines, expected) => {
		expect(check(text, lines, serverLines).timing).toMatchObject(expected);
	});

	test("target", () => {
		expect(
			check("TCP_CHECK {\nconnect_ip 10.9.9.9\nconnect_port 81\nbindto 10.9.9.1\n}", "\tconnect_timeout 2"),
		).toMatchObject({
			target: { address: "10.9.9.9", port: 81, bindAddress: "10.9.9.1", connectTimeoutMs: 2000 },
		});
	});

	test("HTTP_GET: host, status, digest, pattern", () => {
		const url =
			"url {\npath /a\nstatus_code 200 301-302\n}\nurl {\npath /b\nvirtualhost two\nregex a\\\\.b\nregex_no_match\n}";
		expect(check(`SSL_GET {\nenable_sni\n${url}\n}`, "\tvirtualhost one")).toMatchObject({
			kind: "SSL_GET",
			serverName: "one",
			urls: [
				{
					path: "/a",
					virtualHost: "one",
					statusCodes: [
						{ from: 200, to: 200 },
						{ from: 301, to: 302 },
					],
					regex: null,
				},
				{
					path: "/b",
					virtualHost: "two",
					statusCodes: [{ from: 200, to: 299 }],
					regex: { pattern: "a\\.b", noMatch: true },
				},
			],
		});
	});

	test("regex offsets that leave no place: neither holds, as with keepalived", () => {
		const offsets = (min: number, max: number) =>
			check(`HTTP_GET {\nurl {\npath /\nregex a\nregex_min_offset ${min}\nregex_max_offset ${max}\n}\n}`);
		expect(offsets(7, 7)).toMatchObject({ urls: [{ regex: { minOffset: 7, maxOffset: 7 } }] });
		expect(offsets(8, 7)).toMatchObject({ urls: [{ regex: { minOffset: 0, maxOffset: null } }] });
	});

	test("FILE_CHECK: its own weight before the file's, 0 too, as keepalived 2.2.7 has it", () => {
		const server = (weight: string) =>
			loadText(
				`track_file number {\nfile /run/number\nweight 2 reverse\n}\nvirtual_server 10.0.0.100 80 {\nreal_server 10.0.0.1 80 {\nFILE_CHECK {\ntrack_file number\n${weight}\n}\n}\n}`,
			).config.virtualServers[0]!.realServers[0]!.checks[0]!;
		expect(server("")).toMatchObject({ weight: 2, reverse: true });
		expect(server("weight 0 reverse")).toMatchObject({ weight: 0, reverse: true });
		expect(server("weight 3")).toMatchObject({ weight: 3, reverse: false });
	});

	test("SMTP_CHECK with host: each is a check", () => {
		const checks = virtual(
			"",
			"SMTP_CHECK {\nhelo_name me\nhost {\nconnect_port 25\n}\nhost {\nconnect_port 26\n}\n}",
		).realServers[0]!.checks;
		expect(checks.map((one) => one.kind === "SMTP_CHECK" && `${one.heloName} ${one.target.port}`)).toEqual([
			"me 25",
			"me 26",
		]);
	});
});
