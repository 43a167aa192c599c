/** keepalived.conf(5): what may stand at the outermost level, and its smaller blocks. */
import type { Argument } from "./grammar.ts";
import {
	block,
	flag,
	grammar,
	keyword,
	lines,
	netInterface,
	seconds,
	wholeSeconds,
	word,
} from "./grammar.ts";

const optionalWord: Argument = { kind: "word", optional: true };

export const root = grammar(() => [
	keyword("global_defs", block("global_defs"), "", "settings of the whole process"),
	keyword("linkbeat_use_polling", flag, "off", "polls interfaces"),
	keyword("linkbeat_interfaces", lines("IF [MII|ETHTOOL|IOCTL]"), "", "polls these interfaces"),
	keyword("net_namespace", word, "none", "network namespace to run in"),
	keyword("net_namespace_ipvs", optionalWord, "as net_namespace", "network namespace of IPVS"),
	keyword("namespace_with_ipsets", flag, "off", "ipsets inside a namespace; Drover filters with nftables"),
	keyword("use_pid_dir", flag, "off", "place of pid files"),
	keyword("instance", word, "none", "names pid files"),
	keyword("child_wait_time", wholeSeconds(0), "5", "wait for services at shutdown"),
	keyword("SSL", block("SSL"), "", "client certificate of SSL_GET"),
	keyword("static_ipaddress", lines("address"), "", "addresses that are always there"),
	keyword("static_routes", lines("route"), "", "routes that are always there"),
	keyword("static_rules", lines("rule"), "", "policy rules that are always there"),
	keyword("track_group", block("track_group", "one"), "", "instances that govern static items"),
	keyword("vrrp_sync_group", block("vrrp_sync_group", "one"), "", "instances that change state together"),
	keyword("garp_group", block("garp_group"), "", "paces announcements"),
	keyword("vrrp_instance", block("vrrp_instance", "one"), "", "a virtual router"),
	keyword("vrrp_script", block("vrrp_script", "one"), "", "a tracked script"),
	keyword("vrrp_track_process", block("vrrp_track_process", "one"), "", "a tracked process"),
	keyword("track_file", block("track_file", "one"), "", "a tracked file"),
	keyword("vrrp_track_file", block("track_file", "one"), "", "a tracked file", { replacedBy: "track_file" }),
	keyword("interface_up_down_delays", lines("IF DOWN [UP]"), "", "debounces the link state"),
	keyword("bfd_instance", block("bfd_instance", "one"), "", "a BFD session"),
	keyword(
		"virtual_server_group",
		{ kind: "lines", grammar: "service", named: true },
		"",
		"addresses of a virtual server",
	),
	keyword("virtual_server", block("virtual_server", "service"), "", "an IPVS service"),
]);

export const ssl = grammar(
	() => [
		keyword("password", word, "none", "password of the key"),
		keyword("ca", word, "none", "CA file"),
		keyword("certificate", word, "none", "client certificate"),
		keyword("key", word, "none", "client key"),
	],
	"ca certificate key password",
);

export const trackGroup = grammar(() => [keyword("group", lines("words"), "", "instances of the group")]);

export const garpGroup = grammar(() => [
	keyword("garp_interval", seconds(0, 2147.483647), "0", "gap between gratuitous ARPs"),
	keyword("gna_interval", seconds(0, 2147.483647), "0", "gap between unsolicited neighbour adverts"),
	keyword("interface", netInterface, "", "interface that is paced"),
	keyword("interfaces", lines("words"), "", "interfaces that are paced together"),
]);
