/** keepalived.conf(5), global_defs: settings of the whole process. */
import type { Argument } from "./grammar.ts";
import {
	boolean,
	choice,
	flag,
	grammar,
	identity,
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

const processName: Argument = { kind: "word", max: 15 };
const nice = integer(-20, 19);
const realTime = integer(1, 99, { clamp: true });
const cpus = words("CPU…");
const microseconds = unsigned(1);
const bytes = unsigned(0);
const optionalWord: Argument = { kind: "word", optional: true };
const fifo = words("PATH [USER [GROUP]]", 1, 3);

const lost = (because: string) => ({ noEffect: { kind: "lost", because } }) as const;
const notNeeded = (because: string) => ({ noEffect: { kind: "not-needed", because } }) as const;
const noDbus = lost("Drover has no D-Bus; `drover status` and scripts, pipes and SNMP tell the same");
const ownAgent = notNeeded(
	"the box's own SNMP agent shows it as soon as [snmp] of appliance.toml is enabled",
);
const countersWhenAsked = notNeeded(
	"the SNMP agent reads the counters when it is asked, at most once a second",
);
const noMarks = lost(
	"each address of a group is a service of its own in the kernel; the same traffic is balanced, but a client's persistence counts for each address and port by itself",
);

/** keepalived reports these without their argument, and goes on. */
const LENIENT = `bfd_cpu_affinity bfd_priority bfd_rt_priority checker_cpu_affinity checker_priority
	checker_rt_priority dbus_service_name default_interface lvs_netlink_cmd_rcv_bufs
	lvs_netlink_monitor_rcv_bufs lvs_notify_fifo lvs_notify_fifo_script lvs_sync_daemon lvs_timeouts
	min_auto_priority_delay notification_email_from notify_fifo notify_fifo_script process_monitor_rcv_bufs
	reload_time_file router_id script_user shutdown_script shutdown_script_timeout smtp_helo_name
	startup_script startup_script_timeout tmp_config_directory vrrp_cpu_affinity vrrp_garp_extra_if
	vrrp_netlink_cmd_rcv_bufs vrrp_netlink_monitor_rcv_bufs vrrp_notify_fifo vrrp_notify_fifo_script
	vrrp_priority vrrp_rt_priority vrrp_rx_bufs_multiplier vrrp_rx_bufs_policy
	vrrp_vmac_garp_intvl`.replace(/\s+/g, " ");

export const globalDefs = grammar(
	() => [
		keyword("process_names", flag, "off", "names the child processes"),
		keyword("process_name", processName, "keepalived", "names the parent process"),
		keyword("vrrp_process_name", processName, "", "names the VRRP process"),
		keyword("checker_process_name", processName, "", "names the checker process"),
		keyword("lvs_process_name", processName, "", "names the checker process", {
			replacedBy: "checker_process_name",
			old: "alias",
		}),
		keyword("bfd_process_name", processName, "", "names the BFD process"),
		keyword("use_symlink_paths", boolean, "off", "keeps symbolic links in script paths; Drover always does", {
			since: "2.3.0",
		}),
		keyword("set_supplementary_groups", boolean, "off", "gives scripts the user's other groups", {
			...lost("scripts have their user's own group alone"),
			since: "head",
		}),
		keyword("router_id", word, "host name", "names this director in mails and SNMP"),
		keyword("notification_email", lines("words"), "none", "mail recipients"),
		keyword("notification_email_from", word, "user@host", "mail sender"),
		keyword("smtp_server", words("HOST [PORT]", 1, 2), "none, port 25", "mail relay"),
		keyword("smtp_helo_name", word, "host name", "name said to the mail relay"),
		keyword(
			"smtp_connect_timeout",
			wholeSeconds(1, 4294, { clamp: true }),
			"30",
			"patience with the mail relay",
		),
		keyword("smtp_alert", boolean, "unset", "default for every smtp_alert"),
		keyword("smtp_alert_vrrp", boolean, "unset", "default smtp_alert of VRRP"),
		keyword("smtp_alert_checker", boolean, "unset", "default smtp_alert of virtual and real servers"),
		keyword("no_email_faults", flag, "off", "no mail for FAULT"),
		keyword(
			"no_checker_emails",
			boolean,
			"off",
			"mail only when the real server's state changes; Drover sends no other",
		),
		keyword("checker_log_all_failures", boolean, "off", "logs every failed probe"),
		keyword("startup_script", notify, "none", "runs before the services start"),
		keyword("startup_script_timeout", wholeSeconds(1, 1000), "10", "limit of startup_script"),
		keyword("shutdown_script", notify, "none", "runs after the services stopped"),
		keyword("shutdown_script_timeout", wholeSeconds(1, 1000), "10", "limit of shutdown_script"),
		keyword(
			"max_auto_priority",
			integer(-1, 99, { bare: 99 }),
			"0",
			"raises the own real-time priority; Drover's threads have it from the start",
		),
		keyword("min_auto_priority_delay", unsigned(1, 10_000_000), "1000000", "when the priority is raised"),
		keyword("dynamic_interfaces", words("[allow_if_changes]", 0, 1), "off", "interfaces may appear later"),
		keyword("default_interface", netInterface, "eth0", "interface of static addresses without dev"),
		keyword("disable_local_igmp", flag, "off", "no IGMP reports for 224.0.0.0/24"),
		keyword("v3_checksum_as_v2", flag, "off", "VRRPv3 over IPv4 without pseudo header", { since: "2.2.8" }),
		keyword("lvs_timeouts", words("[tcp N] [tcpfin N] [udp N]", 2, 6), "kernel", "IPVS connection timeouts"),
		keyword("lvs_flush", flag, "off", "empties the IPVS table at start"),
		keyword("lvs_flush_on_stop", words("[VS]", 0, 1), "off", "empties the IPVS table at stop"),
		keyword("lvs_flush_onstop", words("[VS]", 0, 1), "off", "empties the IPVS table at stop", {
			replacedBy: "lvs_flush_on_stop",
			old: "alias",
		}),
		keyword(
			"lvs_sync_daemon",
			words("IF [inst VRRP] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]"),
			"none",
			"IPVS connection synchronisation",
		),
		keyword(
			"vrrp_mcast_group4",
			{ kind: "address", family: "inet", multicast: true },
			"224.0.0.18",
			"destination of adverts",
		),
		keyword(
			"vrrp_mcast_group6",
			{ kind: "address", family: "inet6", multicast: true },
			"ff02::12",
			"destination of adverts",
		),
		keyword("vrrp_garp_master_delay", wholeSeconds(0), "5", "delay of the second announcement burst"),
		keyword(
			"vrrp_garp_master_repeat",
			integer(1, 4_294_967_295, { clamp: true }),
			"5",
			"announcements per burst",
		),
		keyword("vrrp_garp_master_refresh", wholeSeconds(0), "0", "repeats announcements while master"),
		keyword(
			"vrrp_garp_master_refresh_repeat",
			integer(1, 4_294_967_295, { clamp: true }),
			"1",
			"announcements per refresh",
		),
		keyword("vrrp_garp_lower_prio_delay", wholeSeconds(0), "as master", "second burst after a lower advert"),
		keyword("vrrp_garp_lower_prio_repeat", integer(0), "as master", "announcements after a lower advert"),
		keyword("vrrp_down_timer_adverts", integer(1, 100), "3", "adverts missed before takeover"),
		keyword("vrrp_garp_interval", seconds(0.000001), "0", "least gap between gratuitous ARPs"),
		keyword("vrrp_gna_interval", seconds(0.000001), "0", "least gap between unsolicited neighbour adverts"),
		keyword("vrrp_min_garp", boolean, "off", "one announcement, no second burst"),
		keyword("vrrp_garp_extra_if", words("[all] SECONDS", 1, 2), "0", "periodic announcements on VMACs"),
		keyword("vrrp_vmac_garp_intvl", words("[all] SECONDS", 1, 2), "0", "periodic announcements on VMACs", {
			replacedBy: "vrrp_garp_extra_if",
		}),
		keyword("vrrp_lower_prio_no_advert", boolean, "off", "does not answer lower adverts"),
		keyword("vrrp_higher_prio_send_advert", boolean, "off", "sends an advert before yielding"),
		keyword("vrrp_version", choice("2", "3"), "2", "VRRP version of IPv4 instances"),
		keyword(
			"vrrp_iptables",
			words("[INPUT [OUTPUT]]", 0, 2),
			"nftables",
			"names of iptables chains; Drover filters with nftables",
		),
		keyword("vrrp_ipsets", words("[SET…]", 0, 6), "", "names of ipsets; Drover filters with nftables"),
		keyword("nftables", optionalWord, "keepalived", "name of the nftables table"),
		keyword("nftables_priority", integer(-2_147_483_648), "-1", "priority of the nftables chains"),
		keyword("nftables_ifindex", flag, "off", "nftables rules match the interface index"),
		keyword("nftables_counters", flag, "off", "counters in the nftables rules"),
		keyword("nftables_ipvs", optionalWord, "keepalived_ipvs", "one fwmark per virtual server group", noMarks),
		keyword("nftables_ipvs_priority", integer(-2_147_483_648), "-1", "priority of its chains", noMarks),
		keyword("nftables_ipvs_start_fwmark", unsigned(1), "1000", "first automatic fwmark", noMarks),
		keyword("vrrp_check_unicast_src", flag, "off", "unicast adverts must come from a peer"),
		keyword(
			"vrrp_skip_check_adv_addr",
			boolean,
			"off",
			"checks the address list only when the master changes",
		),
		keyword("vrrp_strict", boolean, "off", "strict RFC mode for all instances"),
		keyword("vrrp_priority", nice, "0", "nice value of the VRRP process"),
		keyword("vrrp_no_swap", flag, "off", "locks the VRRP process in memory"),
		keyword("vrrp_rt_priority", realTime, "off", "real-time priority of the VRRP process"),
		keyword("vrrp_cpu_affinity", cpus, "", "processors of the VRRP process"),
		keyword("vrrp_rlimit_rttime", microseconds, "10000", "real-time limit of the VRRP process"),
		keyword("vrrp_rlimit_rtime", microseconds, "10000", "real-time limit of the VRRP process", {
			replacedBy: "vrrp_rlimit_rttime",
			old: "alias",
		}),
		keyword("checker_priority", nice, "0", "nice value of the checker"),
		keyword("checker_no_swap", flag, "off", "locks the checker in memory"),
		keyword("checker_rt_priority", realTime, "off", "real-time priority of the checker"),
		keyword("checker_cpu_affinity", cpus, "", "processors of the checker"),
		keyword("checker_rlimit_rttime", microseconds, "", "real-time limit of the checker"),
		keyword("checker_rlimit_rtime", microseconds, "", "real-time limit of the checker", {
			replacedBy: "checker_rlimit_rttime",
			old: "alias",
		}),
		keyword("bfd_priority", nice, "0", "nice value of BFD"),
		keyword("bfd_no_swap", flag, "off", "locks BFD in memory"),
		keyword("bfd_rt_priority", realTime, "off", "real-time priority of BFD"),
		keyword("bfd_cpu_affinity", cpus, "", "processors of BFD"),
		keyword("bfd_rlimit_rttime", microseconds, "", "real-time limit of BFD"),
		keyword("bfd_rlimit_rtime", microseconds, "", "real-time limit of BFD", {
			replacedBy: "bfd_rlimit_rttime",
			old: "alias",
		}),
		keyword("notify_fifo", fifo, "none", "pipe for all events"),
		keyword("notify_fifo_script", notify, "none", "reader of notify_fifo"),
		keyword("vrrp_notify_fifo", fifo, "none", "pipe for VRRP events"),
		keyword("vrrp_notify_fifo_script", notify, "none", "reader of vrrp_notify_fifo"),
		keyword("vrrp_notify_priority_changes", boolean, "off", "priority changes go to the pipe"),
		keyword("fifo_write_vrrp_states_on_reload", flag, "off", "repeats all states to the pipe after a reload"),
		keyword("lvs_notify_fifo", fifo, "none", "pipe for server events"),
		keyword("lvs_notify_fifo_script", notify, "none", "reader of lvs_notify_fifo"),
		keyword(
			"snmp_socket",
			optionalWord,
			"udp:localhost:705",
			"AgentX master",
			notNeeded(
				"the SNMP agent is the box's own, not a part of snmpd: [snmp] of appliance.toml says where it listens",
			),
		),
		keyword("enable_traps", flag, "off", "sends SNMP traps"),
		keyword("enable_snmp_vrrp", flag, "off", "the VRRP part of KEEPALIVED-MIB", ownAgent),
		keyword("enable_snmp_keepalived", flag, "off", "the VRRP part of KEEPALIVED-MIB", {
			...ownAgent,
			replacedBy: "enable_snmp_vrrp",
			old: "alias",
		}),
		keyword("enable_snmp_checker", flag, "off", "the server part of KEEPALIVED-MIB", ownAgent),
		keyword("enable_snmp_rfc", flag, "off", "both RFC MIBs", ownAgent),
		keyword(
			"enable_snmp_rfcv2",
			flag,
			"off",
			"the MIB of RFC 2787",
			notNeeded(
				"the SNMP agent shows instances of both versions in the tables of RFC 6527, which took the place of RFC 2787",
			),
		),
		keyword("enable_snmp_rfcv3", flag, "off", "the MIB of RFC 6527", ownAgent),
		keyword("snmp_vs_stats_update_interval", seconds(0.001, 30), "5", "age of SNMP counters", {
			...countersWhenAsked,
			since: "2.3.0",
		}),
		keyword("snmp_rs_stats_update_interval", seconds(0.001, 30), "5", "age of SNMP counters", {
			...countersWhenAsked,
			since: "2.3.0",
		}),
		keyword("enable_dbus", flag, "off", "D-Bus interface", noDbus),
		keyword("dbus_service_name", word, "org.keepalived.Vrrp1", "name on the D-Bus", noDbus),
		keyword("dbus_no_interface_name", word, "none", "D-Bus path element", { ...noDbus, since: "2.3.0" }),
		keyword("script_user", identity, "keepalived_script, else root", "identity of scripts"),
		keyword("enable_script_security", flag, "off", "no root script from a path that others can write"),
		keyword("vrrp_netlink_cmd_rcv_bufs", bytes, "", "netlink buffer"),
		keyword("vrrp_netlink_cmd_rcv_bufs_force", boolean, "off", "netlink buffer"),
		keyword("vrrp_netlink_monitor_rcv_bufs", bytes, "", "netlink buffer"),
		keyword("vrrp_netlink_monitor_rcv_bufs_force", boolean, "off", "netlink buffer"),
		keyword("lvs_netlink_cmd_rcv_bufs", bytes, "1 MiB", "netlink buffer"),
		keyword("lvs_netlink_cmd_rcv_bufs_force", boolean, "on", "netlink buffer; Drover always does"),
		keyword("lvs_netlink_monitor_rcv_bufs", bytes, "", "netlink buffer"),
		keyword("lvs_netlink_monitor_rcv_bufs_force", boolean, "off", "netlink buffer; Drover always does"),
		keyword("process_monitor_rcv_bufs", bytes, "", "process monitor buffer"),
		keyword("process_monitor_rcv_bufs_force", boolean, "off", "process monitor buffer; Drover always does"),
		keyword("rs_init_notifies", boolean, "off", "notify_up at start, too"),
		keyword("vrrp_rx_bufs_policy", words("MTU|ADVERT|BYTES", 1, 1), "", "size of receive buffers"),
		keyword("vrrp_rx_bufs_multiplier", integer(1), "3", "size of receive buffers"),
		keyword("vrrp_startup_delay", seconds(0.001, 4294), "0", "keeps out of VRRP after start"),
		keyword("vrrp_delay_after_boot", seconds(0.001, 4294), "0", "keeps out of VRRP after boot", {
			since: "2.4.0",
		}),
		keyword("log_unknown_vrids", flag, "off", "logs adverts of other virtual routers"),
		keyword("vrrp_owner_ignore_adverts", boolean, "off", "address owners ignore adverts", { since: "2.3.3" }),
		keyword("vmac_prefix", word, "vrrp", "name prefix of VMAC interfaces"),
		keyword("vmac_addr_prefix", word, "vmac_prefix", "name prefix of use_vmac_addr interfaces"),
		keyword("umask", words("OCTAL | IRUSR|…"), "", "permissions of written files"),
		keyword("random_seed", unsigned(0), "", "the same _RANDOM numbers at every reading"),
		keyword("reload_check_config", optionalWord, "off", "checks before a reload; Drover always does", {}),
		keyword("reload_time_file", word, "", "reload at the time in a file"),
		keyword("reload_repeat", flag, "off", "reload every day"),
		keyword("reload_file", optionalWord, "", "file that exists during a reload"),
		keyword(
			"include_check",
			words("[[+|-]read|match|wildcard_match|brace_match]…", 0),
			"off",
			"how strict include is",
		),
		keyword(
			"config_save_dir",
			word,
			"",
			"keeps copies of configurations",
			notNeeded("each commit keeps the files as a revision: drover config history"),
		),
		keyword("tmp_config_directory", word, "", "place of the merged configuration; Drover needs none"),
		keyword("data_use_instance", boolean, "off", "instance in dump file names"),
		keyword("json_version", choice("1", "2"), "1", "layout of the JSON dump", { since: "2.2.8" }),
		keyword("iproute_usr_dir", word, "", "place of rt_tables", { since: "2.3.2" }),
		keyword("iproute_etc_dir", word, "", "place of rt_tables", { since: "2.3.2" }),
		keyword("state_dump_file", word, "", "path of the state dump", { since: "2.3.3" }),
		keyword("stats_dump_file", word, "", "path of the statistics dump", { since: "2.3.3" }),
		keyword("json_dump_file", word, "", "path of the JSON dump", { since: "2.3.3" }),
		// Drover's own, and spellings that keepalived dropped.
		keyword("path_check", boolean, "on", "asks real servers for the virtual address (DR, TUN)", {
			since: "drover",
		}),
		keyword("tcp_check_sentinel", boolean, "on", "a TCP_CHECK hears at once when its server ends", {
			since: "drover",
		}),
		keyword("lvs_id", word, "", "names this director", { replacedBy: "router_id", old: "unknown" }),
		keyword(
			"smtp_connection_timeout",
			wholeSeconds(1, 4294, { clamp: true }),
			"30",
			"patience with the mail relay",
			{
				replacedBy: "smtp_connect_timeout",
				old: "unknown",
			},
		),
	],
	LENIENT,
);
