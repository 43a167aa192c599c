/** The keyword tables: the whole language is there, and each keyword is judged as keepalived judges it. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BlockName, Keyword } from "../../firmware/config/keepalived/keywords/grammar.ts";
import { grammars } from "../../firmware/config/keepalived/keywords/index.ts";
import { loadConfig } from "../../firmware/config/keepalived/load.ts";
import { inNetworkNamespace } from "../../firmware/kernel/network-namespace.ts";
import { Host } from "../../image/lab/hosts.ts";
import { instance, loadText, server } from "./load-text.ts";

/** keepalived.conf(5) and its sources: how many keywords each block has. */
const counts: Readonly<Record<BlockName, number>> = {
	root: 25,
	global_defs: 140,
	SSL: 4,
	track_group: 1,
	garp_group: 4,
	vrrp_sync_group: 15,
	vrrp_instance: 70,
	authentication: 2,
	auth_hmac: 5,
	vrrp_script: 8,
	vrrp_track_process: 9,
	track_file: 3,
	bfd_instance: 15,
	virtual_server: 39,
	real_server: 26,
	TCP_CHECK: 13,
	PING_CHECK: 13,
	UDP_CHECK: 17,
	DNS_CHECK: 15,
	SMTP_CHECK: 15,
	host: 13,
	HTTP_GET: 20,
	SSL_GET: 21,
	"HTTP_GET/url": 10,
	"SSL_GET/url": 11,
	MISC_CHECK: 10,
	FILE_CHECK: 2,
	BFD_CHECK: 2,
};

/** Drover's own words, and old ones that keepalived no longer knows. */
const isExtra = (keyword: Keyword) => keyword.since === "drover" || keyword.old === "unknown";

describe("the tables", () => {
	test.each(Object.entries(counts))("%s has %d keywords", (block, count) => {
		const table = [...grammars[block as BlockName].values()];
		expect(table.filter((keyword) => !isExtra(keyword))).toHaveLength(count);
	});

	test("531 pairs of block and keyword, vrrp_track_file being track_file again", () => {
		const sum = Object.values(counts).reduce((total, count) => total + count, 0);
		expect(sum + counts.track_file).toBe(531);
	});

	test("Drover's own and old spellings", () => {
		const extra = Object.entries(grammars).flatMap(([block, table]) =>
			[...table.values()].filter(isExtra).map((keyword) => `${block} ${keyword.name}`),
		);
		expect(extra.sort()).toEqual([
			"DNS_CHECK nb_get_retry",
			"PING_CHECK nb_get_retry",
			"SMTP_CHECK nb_get_retry",
			"TCP_CHECK nb_get_retry",
			"UDP_CHECK nb_get_retry",
			"global_defs lvs_id",
			"global_defs path_check",
			"global_defs smtp_connection_timeout",
			"global_defs tcp_check_sentinel",
			"host nb_get_retry",
			"virtual_server nat_mask",
			"virtual_server path_check",
		]);
	});

	test("a replacement is a keyword", () => {
		const all = new Set(Object.values(grammars).flatMap((table) => [...table.keys()]));
		for (const table of Object.values(grammars))
			for (const keyword of table.values()) if (keyword.replacedBy) expect(all).toContain(keyword.replacedBy);
	});

	test("what else is lost has its reason, and is none of 2.2.7's but D-Bus and marks", () => {
		const left = [...grammars.global_defs.values()].filter(({ noEffect }) => noEffect?.kind === "lost");
		expect(left.map(({ name }) => name)).toEqual([
			"set_supplementary_groups",
			"nftables_ipvs",
			"nftables_ipvs_priority",
			"nftables_ipvs_start_fwmark",
			"enable_dbus",
			"dbus_service_name",
			"dbus_no_interface_name",
		]);
	});

	test("what is so in any case is a hint, and nothing is lost", () => {
		const loaded = loadText(`global_defs {\n\tenable_snmp_checker\n}\n${instance()}`);
		expect(loaded.diagnostics.map(({ severity, message, lost }) => ({ severity, message, lost }))).toEqual([
			{
				severity: "hint",
				message:
					"enable_snmp_checker is not needed: the box's own SNMP agent shows it as soon as [snmp] of appliance.toml is enabled",
				lost: null,
			},
		]);
	});

	/** Election, addresses, tracking, notifications, checks, IPVS: what the services act on. */
	test("nothing of VRRP, checks and IPVS is left without effect, but these", () => {
		const left = Object.entries(grammars).flatMap(([block, table]) =>
			block === "global_defs" || block === "root"
				? []
				: [...table.values()]
						.filter((keyword) => keyword.noEffect?.kind === "lost")
						.map((keyword) => `${block} ${keyword.name}`),
		);
		expect(left.sort()).toEqual(["vrrp_instance auth_hmac"]);
	});

	test("what has no effect says so once, and why", () => {
		const loaded = loadText(`global_defs {\n\tenable_dbus\n\tenable_dbus\n}\n${instance()}`);
		expect(loaded.diagnostics.map((one) => `${one.severity} ${one.message}`)).toEqual([
			"warning enable_dbus has no effect: Drover has no D-Bus; `drover status` and scripts, pipes and SNMP tell the same",
		]);
		expect(loaded.acceptable).toBe(true);
	});
});

// Beside the real keepalived -----------------------------------------------------------------

const directory = mkdtempSync(join(tmpdir(), "drover-keywords-"));
afterAll(() => rmSync(directory, { recursive: true }));

const real = (check: string) => (line: string) => server("", `\t\t${check} {\n${line}\n\t\t}`);
const web = (kind: string, url: boolean) => (line: string) =>
	server(
		"",
		`\t\t${kind} {\n\t\t\turl {\n\t\t\t\tpath /\n${url ? line : ""}\n\t\t\t}\n${url ? "" : line}\n\t\t}`,
	);

/** A good configuration with `line` in that block. */
const homes: Partial<Record<BlockName, (line: string) => string>> = {
	global_defs: (line) => `global_defs {\n${line}\n}\n`,
	vrrp_instance: (line) => instance(line),
	vrrp_sync_group: (line) =>
		`vrrp_sync_group G {\n\tgroup {\n\t\tVI_1\n\t\tVI_2\n\t}\n${line}\n}\n${instance()}${instance("", "VI_2", 52, "10.0.0.2")}`,
	virtual_server: (line) => server(line),
	real_server: (line) => server("", line),
	TCP_CHECK: real("TCP_CHECK"),
	DNS_CHECK: real("DNS_CHECK"),
	UDP_CHECK: real("UDP_CHECK"),
	SMTP_CHECK: real("SMTP_CHECK"),
	HTTP_GET: web("HTTP_GET", false),
	"HTTP_GET/url": web("HTTP_GET", true),
};

/** Arguments to try: none, good ones, one out of range, nonsense. */
function trials({ argument }: Keyword): string[] {
	switch (argument.kind) {
		case "flag":
			return [""];
		case "boolean":
			return ["", "off"];
		case "integer":
			return ["", String(argument.max), String(argument.max + 1), "x"];
		case "seconds":
			return ["", String(Math.ceil(argument.min)), "x"];
		case "choice":
			return ["", argument.values[0]!, "zzz"];
		case "address":
			return argument.multicast === true ? ["zz"] : ["10.0.0.7", "zz"];
		default:
			return [];
	}
}

/** Where the statuses differ, why Drover's is the better one. */
const better: Readonly<Record<string, string>> = {
	vrrp_skip_check_adv_addr: "keepalived is silent about a word that is no truth value",
	vrrp_strict: "the same",
	regex_min_offset: "keepalived is silent about offsets without a pattern, and about numbers that are none",
	regex_max_offset: "the same",
	regex_no_match: "the same",
	vrrp_rx_bufs_multiplier: "no effect here",
	thread_timer_expired: "newer than keepalived 2.2.7",
};

const cases = Object.entries(homes).flatMap(([block, home]) =>
	[...grammars[block as BlockName].values()]
		.filter(
			(keyword) =>
				keyword.since === "2.2.7" && keyword.old !== "unknown" && better[keyword.name] === undefined,
		)
		.flatMap((keyword) =>
			trials(keyword).map((value) => ({
				block,
				line: `${keyword.name} ${value}`.trim(),
				text: home!(`\t${keyword.name} ${value}`),
			})),
		),
);
const KEEPALIVED_LIMIT_MS = 20_000;

describe("exit statuses of keepalived -t", () => {
	test(`${cases.length} arguments, each in its block`, async () => {
		const wrong: string[] = [];
		// keepalived looks up its own host's name at each start: where no name server can be reached that takes no time,
		// and one that loses a question now and then takes five seconds.
		const host = await Host.start("keepalived");
		host.run("ip link add eth0 type veth peer name eth1");
		const interfaces = new Set(["lo", "eth0", "eth1"]);
		const queue = cases.map((one, index) => ({ ...one, path: join(directory, `${index}.conf`) }));
		const worker = async () => {
			for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
				writeFileSync(one.path, one.text);
				const child = inNetworkNamespace(`/proc/${host.pid}/ns/net`, () =>
					Bun.spawn(["keepalived", "-t", "-f", one.path], {
						stdin: "ignore",
						stdout: "ignore",
						stderr: "ignore",
						timeout: KEEPALIVED_LIMIT_MS,
					}),
				);
				const theirs = await child.exited;
				const ours = loadConfig(one.path, { interfaces }).exitStatus;
				if (theirs !== ours) wrong.push(`${one.block}: ${one.line}: keepalived ${theirs}, Drover ${ours}`);
			}
		};
		try {
			await Promise.all([worker(), worker()]);
		} finally {
			await host.stop();
		}
		expect(wrong).toEqual([]);
	}, 180_000);
});
