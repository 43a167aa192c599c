/** keepalived.conf(5), VRRPD CONFIGURATION: instances, sync groups, authentication. */
import type { Argument } from "./grammar.ts";
import {
	address,
	block,
	boolean,
	choice,
	flag,
	grammar,
	integer,
	keyword,
	lines,
	netInterface,
	notify,
	seconds,
	unsigned,
	wholeSeconds,
	word,
	words,
} from "./grammar.ts";

const optionalNotify: Argument = { kind: "command", style: "notify", optional: true };

const trackers = [
	keyword("track_interface", lines("interface"), "none", "interfaces that must be up"),
	keyword("track_script", lines("tracker"), "none", "scripts that must succeed"),
	keyword("track_file", lines("tracker"), "none", "files that move the priority"),
	keyword("track_process", lines("tracker"), "none", "processes that must run"),
	keyword("track_bfd", lines("tracker"), "none", "BFD sessions that must be up"),
];

const notifications = [
	keyword("notify_master", notify, "none", "runs on MASTER"),
	keyword("notify_backup", notify, "none", "runs on BACKUP"),
	keyword("notify_fault", notify, "none", "runs on FAULT"),
	keyword("notify_stop", notify, "none", "runs at stop"),
	keyword("notify", notify, "none", "runs on every transition"),
	keyword("smtp_alert", boolean, "global_defs, else off", "mail on every transition"),
	keyword("notify_priority_changes", boolean, "global_defs", "priority changes go to the pipe"),
];

export const vrrpSyncGroup = grammar(() => [
	keyword("group", lines("words"), "", "instances of the group"),
	...trackers,
	...notifications,
	keyword("global_tracking", flag, "off", "weights on members", { replacedBy: "sync_group_tracking_weight" }),
	keyword("sync_group_tracking_weight", flag, "off", "weights on members"),
]);

export const vrrpInstance = grammar(
	() => [
		keyword("state", choice("MASTER", "BACKUP"), "MASTER with priority 255, else BACKUP", "initial wish"),
		keyword("interface", netInterface, "", "where adverts go"),
		keyword("virtual_router_id", integer(1, 255), "", "number of the virtual router"),
		keyword("priority", integer(1, 255), "255 with state MASTER, else 100", "who becomes master"),
		keyword("advert_int", seconds(0.01, 255), "1", "interval of adverts"),
		keyword("version", choice("2", "3"), "vrrp_version", "VRRP version"),
		keyword("virtual_ipaddress", lines("address"), "", "addresses of the virtual router"),
		keyword("virtual_ipaddress_excluded", lines("address"), "none", "addresses left out of adverts"),
		keyword("no_virtual_ipaddress", flag, "off", "no address is no mistake", { since: "2.2.8" }),
		keyword("virtual_routes", lines("route"), "none", "routes while master"),
		keyword("virtual_rules", lines("rule"), "none", "policy rules while master"),
		keyword("promote_secondaries", flag, "off", "removing the primary address keeps the others"),
		keyword(
			"use_vmac",
			words("[[name] IF] [MAC…] [group G] [netlink_notify_msg]", 0),
			"off",
			"virtual MAC address",
		),
		keyword("use_vmac_addr", flag, "off", "virtual MAC for addresses elsewhere"),
		keyword("vmac_xmit_base", flag, "off", "adverts leave by the parent interface"),
		keyword(
			"use_ipvlan",
			words("[[name] IF] [IP] [bridge|private|vepa] [group G]", 0),
			"off",
			"ipvlan instead of VMAC",
		),
		keyword("native_ipv6", flag, "off", "forces IPv6"),
		keyword("vrf", netInterface, "none", "unicast socket in a VRF"),
		keyword("dont_track_primary", flag, "off", "ignores the own interface's state"),
		...trackers,
		keyword("mcast_src_ip", address, "first of the interface", "source of adverts"),
		keyword("unicast_src_ip", address, "first of the interface", "source of unicast adverts"),
		keyword("mcast_dst_ip", { kind: "address", multicast: true }, "global_defs", "destination of adverts"),
		keyword("track_src_ip", flag, "off", "FAULT when the source address vanishes"),
		keyword("unicast_peer", lines("peer"), "multicast", "peers that get unicast adverts"),
		keyword("unicast_fault_no_peer", flag, "off", "FAULT instead of multicast without a peer"),
		keyword("check_unicast_src", flag, "global_defs", "adverts must come from a peer"),
		keyword("old_unicast_checksum", words("[never]", 0, 1), "auto", "checksum of old peers"),
		keyword("unicast_ttl", integer(0, 255), "255", "TTL of unicast adverts"),
		keyword("v3_checksum_as_v2", boolean, "global_defs", "VRRPv3 over IPv4 without pseudo header", {
			since: "2.2.8",
		}),
		keyword("linkbeat_use_polling", flag, "off", "polls the interface", { old: "deprecated" }),
		keyword("accept", flag, "on unless strict", "accepts packets to the virtual address"),
		keyword("no_accept", flag, "off", "drops packets to the virtual address"),
		keyword(
			"skip_check_adv_addr",
			boolean,
			"global_defs",
			"checks the address list only when the master changes",
		),
		keyword("strict_mode", boolean, "global_defs", "strict RFC mode"),
		keyword("preempt", flag, "on", "takes over from a lower priority"),
		keyword("nopreempt", flag, "off", "leaves a lower master alone"),
		keyword("preempt_delay", seconds(0, 1000), "0", "wait before taking over"),
		keyword("debug", integer(0, 4), "", "nothing, as in keepalived"),
		...notifications,
		keyword("notify_deleted", optionalNotify, "FAULT", "runs on removal at reload"),
		keyword("notify_master_rx_lower_pri", notify, "none", "runs when a master hears a lower advert"),
		keyword("lvs_sync_daemon_interface", netInterface, "none", "IPVS connection synchronisation", {
			replacedBy: "lvs_sync_daemon",
		}),
		keyword("garp_master_delay", wholeSeconds(0), "global_defs", "delay of the second announcement burst"),
		keyword("garp_master_refresh", wholeSeconds(0), "global_defs", "repeats announcements while master"),
		keyword(
			"garp_master_repeat",
			integer(1, 4_294_967_295, { clamp: true }),
			"global_defs",
			"announcements per burst",
		),
		keyword(
			"garp_master_refresh_repeat",
			integer(1, 4_294_967_295, { clamp: true }),
			"global_defs",
			"announcements per refresh",
		),
		keyword("garp_lower_prio_delay", wholeSeconds(0), "global_defs", "second burst after a lower advert"),
		keyword("garp_lower_prio_repeat", integer(0), "global_defs", "announcements after a lower advert"),
		keyword("down_timer_adverts", integer(1, 100), "global_defs", "adverts missed before takeover"),
		keyword(
			"timer_expired_backup",
			integer(1, 254, { bare: 254 }),
			"off",
			"a stalled master becomes backup, as Drover's always does with nopreempt",
			{ since: "2.2.8" },
		),
		keyword(
			"thread_timer_expired",
			integer(1, 254, { bare: 254 }),
			"off",
			"a stalled master becomes backup, as Drover's always does with nopreempt",
			{ since: "2.3.2", replacedBy: "timer_expired_backup" },
		),
		keyword("garp_extra_if", words("[all] SECONDS", 1, 2), "global_defs", "periodic announcements on VMACs"),
		keyword(
			"vmac_garp_intvl",
			words("[all] SECONDS", 1, 2),
			"global_defs",
			"periodic announcements on VMACs",
			{ replacedBy: "garp_extra_if" },
		),
		keyword("lower_prio_no_advert", boolean, "global_defs", "does not answer lower adverts"),
		keyword("higher_prio_send_advert", boolean, "global_defs", "sends an advert before yielding"),
		keyword("owner_ignore_adverts", boolean, "global_defs", "an address owner ignores adverts", {
			since: "2.3.3",
		}),
		keyword("kernel_rx_buf_size", unsigned(0), "", "size of the receive buffer"),
		keyword("authentication", block("authentication"), "none", "VRRPv2 authentication"),
		keyword("auth_hmac", block("auth_hmac"), "none", "HMAC trailer", {
			noEffect: {
				kind: "lost",
				because: "it came with keepalived 2.4, and no peer of 2.2.7 understands it",
			},
			since: "2.4.0",
		}),
	],
	"garp_extra_if kernel_rx_buf_size vmac_garp_intvl",
);

export const authentication = grammar(() => [
	keyword("auth_type", choice("PASS", "AH"), "none", "kind of authentication"),
	keyword("auth_pass", word, "", "password, 8 bytes"),
]);

export const authHmac = grammar(() => [
	keyword("key", words("ID VALUE", 2, 2), "", "a key", { since: "2.4.0" }),
	keyword("active_key", integer(1, 255), "", "the key that signs", { since: "2.4.0" }),
	keyword("time_window", wholeSeconds(1, 300), "3 × advert_int, at least 5", "how old an advert may be", {
		since: "2.4.0",
	}),
	keyword("anti_replay", choice("time", "monotonic"), "time", "what a repeated advert is", {
		since: "2.4.0",
	}),
	keyword("mode", choice("enforce", "permissive", "receive-only"), "enforce", "for migration", {
		since: "2.4.0",
	}),
]);
