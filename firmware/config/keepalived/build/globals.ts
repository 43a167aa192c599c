/** global_defs: the settings of the whole process, and the defaults of everything below. */

import { DEFAULT_CHILD_WAIT_MS } from "../../../process-files.ts";
import type {
	GlobalConfig,
	LvsSyncDaemon,
	NotifyFifo,
	ProcessSettings,
	Script,
	TlsClientConfig,
} from "../../model.ts";
import { parseWhole } from "../numbers.ts";
import type { Statement } from "../statement.ts";
import { readAddress } from "./address.ts";
import type { BuildContext, GlobalNotes } from "./context.ts";
import { readElsewhere } from "./vrrp-instance.ts";

export const defaultNotes = (): GlobalNotes => ({
	dynamicInterfaces: false,
	scriptSecurity: false,
	scriptUser: null,
	scriptGroup: null,
	noScriptUser: null,
	smtpAlert: null,
	smtpAlertVrrp: null,
	smtpAlertChecker: null,
	version: 2,
	strict: false,
	checkUnicastSource: false,
	checksumWithoutPseudoHeader: false,
	skipCheckAddresses: false,
	downTimerAdverts: 3,
	garpDelaySeconds: 5,
	garpRepeat: 5,
	garpRefreshSeconds: 0,
	garpRefreshRepeat: 1,
	garpElsewhere: { all: false, seconds: 0 },
	garpLowerDelaySeconds: null,
	garpLowerRepeat: null,
	minGarp: false,
	lowerPriorityNoAdvert: false,
	higherPrioritySendAdvert: false,
	ownerIgnoreAdverts: false,
	notifyPriorityChanges: false,
	defaultInterface: "eth0",
	pathCheck: true,
	logAllFailures: false,
	rsInitNotifies: false,
	multicast4: "224.0.0.18",
	multicast6: "ff02::12",
});

/** Reads every global_defs block; what builders need goes into `context.globals`. */
export function buildGlobals(
	context: BuildContext,
	blocks: readonly Statement[],
	root: readonly Statement[],
): GlobalConfig {
	const notes = context.globals;
	const settings = blocks.flatMap((block) => block.body!);
	const last = (name: string) => settings.findLast((statement) => statement.keyword.name === name);
	const has = (name: string) => last(name) !== undefined;
	const on = (name: string, otherwise: boolean) => {
		const statement = last(name);
		return statement === undefined ? otherwise : statement.number !== 0;
	};
	const word = (name: string) => last(name)?.words[0] ?? null;
	const number = (name: string, otherwise: number) => last(name)?.number ?? otherwise;
	const optional = (name: string) => last(name)?.number ?? null;

	notes.dynamicInterfaces = has("dynamic_interfaces");
	notes.scriptSecurity = has("enable_script_security");
	notes.smtpAlert = has("smtp_alert") ? on("smtp_alert", false) : null;
	notes.smtpAlertVrrp = has("smtp_alert_vrrp") ? on("smtp_alert_vrrp", false) : null;
	notes.smtpAlertChecker = has("smtp_alert_checker") ? on("smtp_alert_checker", false) : null;
	notes.version = word("vrrp_version") === "3" ? 3 : 2;
	notes.strict = on("vrrp_strict", false);
	notes.checkUnicastSource = has("vrrp_check_unicast_src");
	notes.checksumWithoutPseudoHeader = has("v3_checksum_as_v2");
	notes.skipCheckAddresses = on("vrrp_skip_check_adv_addr", false);
	notes.downTimerAdverts = number("vrrp_down_timer_adverts", 3);
	notes.minGarp = on("vrrp_min_garp", false);
	notes.garpDelaySeconds = number("vrrp_garp_master_delay", notes.minGarp ? 0 : 5_000_000) / 1_000_000;
	notes.garpRepeat = number("vrrp_garp_master_repeat", notes.minGarp ? 1 : 5);
	notes.garpRefreshSeconds = number("vrrp_garp_master_refresh", 0) / 1_000_000;
	notes.garpRefreshRepeat = number("vrrp_garp_master_refresh_repeat", 1);
	notes.garpElsewhere =
		readElsewhere(last("vrrp_garp_extra_if") ?? last("vrrp_vmac_garp_intvl")) ?? notes.garpElsewhere;
	const lowerDelay = optional("vrrp_garp_lower_prio_delay");
	notes.garpLowerDelaySeconds = lowerDelay === null ? null : lowerDelay / 1_000_000;
	notes.garpLowerRepeat = optional("vrrp_garp_lower_prio_repeat");
	notes.lowerPriorityNoAdvert = on("vrrp_lower_prio_no_advert", false);
	notes.higherPrioritySendAdvert = on("vrrp_higher_prio_send_advert", false);
	notes.ownerIgnoreAdverts = on("vrrp_owner_ignore_adverts", false);
	notes.notifyPriorityChanges = on("vrrp_notify_priority_changes", false);
	notes.defaultInterface = word("default_interface") ?? "eth0";
	notes.pathCheck = on("path_check", true);
	notes.logAllFailures = on("checker_log_all_failures", false);
	notes.rsInitNotifies = on("rs_init_notifies", false);
	const group4 = word("vrrp_mcast_group4");
	const group6 = word("vrrp_mcast_group6");
	if (group4 !== null) notes.multicast4 = readAddress(group4)!.address;
	if (group6 !== null) notes.multicast6 = readAddress(group6)!.address;

	const scriptUserStatement = last("script_user");
	const scriptUser = readScriptUser(context, scriptUserStatement);
	const hasAccount = context.machine.hasUser("keepalived_script");
	notes.scriptUser =
		scriptUser?.user ?? (hasAccount && scriptUserStatement === undefined ? "keepalived_script" : null);
	notes.scriptGroup = scriptUser?.group ?? null;
	if (scriptUserStatement !== undefined && scriptUser === null)
		notes.noScriptUser = `script_user ${scriptUserStatement.words.join(" ")} does not exist`;
	else if (notes.scriptSecurity && notes.scriptUser === null)
		notes.noScriptUser = "with enable_script_security it is keepalived_script, and there is no such user";

	const routerId = word("router_id") ?? word("lvs_id") ?? context.machine.hostName;
	const script = (name: string): Script | null => {
		const statement = last(name);
		return statement === undefined ? null : context.notifyScript(statement);
	};
	const fifo = (name: string): NotifyFifo | null => {
		const statement = last(name);
		if (statement === undefined) return null;
		const [path, user = null, group = null] = statement.words;
		return { path: path!, user, group, script: script(`${name}_script`) };
	};
	const startupDelayMicros = Math.max(
		number("vrrp_startup_delay", 0),
		number("vrrp_delay_after_boot", 0) - context.machine.uptimeSeconds() * 1_000_000,
		0,
	);
	checkOptions(context, last);
	const flushOnStop = last("lvs_flush_on_stop") ?? last("lvs_flush_onstop");
	const outermost = (name: string) =>
		root.findLast((statement) => statement.keyword.name === name)?.words[0] ?? null;
	checkNamespace(
		context,
		root,
		"net_namespace",
		"everything: what is in the file runs in it, and nothing starts",
	);
	checkNamespace(context, root, "net_namespace_ipvs", "the virtual servers");
	const processSettings = (of: "checker" | "bfd", processName: string | null): ProcessSettings => ({
		processName,
		niceness: optional(`${of}_priority`),
		rtPriority: optional(`${of}_rt_priority`),
		noSwap: has(`${of}_no_swap`),
		processors: last(`${of}_cpu_affinity`)?.words.map(Number).filter(Number.isInteger) ?? [],
		realTimeLimitMicros: (last(`${of}_rlimit_rttime`) ?? last(`${of}_rlimit_rtime`))?.number ?? null,
	});
	return {
		mail: {
			routerId,
			recipients: settings
				.filter((statement) => statement.keyword.name === "notification_email")
				.flatMap((statement) => {
					const words = statement.lines!.flatMap((line) => line.words);
					if (words.length === 0)
						context.warn(statement, "empty-block", "notification_email is empty: nobody gets mail");
					return words;
				}),
			sender: word("notification_email_from") ?? `root@${context.machine.hostName}`,
			server: readSmtpServer(context, last("smtp_server")),
			heloName: word("smtp_helo_name") ?? context.machine.hostName,
			connectTimeoutMs: (last("smtp_connect_timeout") ?? last("smtp_connection_timeout"))?.number
				? (last("smtp_connect_timeout") ?? last("smtp_connection_timeout"))!.number / 1000
				: 30_000,
			suppressFault: has("no_email_faults"),
			perRealServerOnly: on("no_checker_emails", false),
		},
		routerId,
		notifyFifo: fifo("notify_fifo"),
		vrrpNotifyFifo: fifo("vrrp_notify_fifo"),
		lvsNotifyFifo: fifo("lvs_notify_fifo"),
		fifoWriteVrrpStatesOnReload: has("fifo_write_vrrp_states_on_reload"),
		scriptUser,
		enableScriptSecurity: notes.scriptSecurity,
		startupScript: script("startup_script"),
		startupScriptTimeoutMs: number("startup_script_timeout", 10_000_000) / 1000,
		shutdownScript: script("shutdown_script"),
		shutdownScriptTimeoutMs: number("shutdown_script_timeout", 10_000_000) / 1000,
		multicastGroup4: notes.multicast4,
		multicastGroup6: notes.multicast6,
		garpIntervalMicros: number("vrrp_garp_interval", 0),
		gnaIntervalMicros: number("vrrp_gna_interval", 0),
		startupDelayMs: Math.round(startupDelayMicros / 1000),
		logUnknownVrids: has("log_unknown_vrids"),
		dynamicInterfaces: notes.dynamicInterfaces,
		disableLocalIgmp: has("disable_local_igmp"),
		vmacPrefix: word("vmac_prefix") ?? "vrrp",
		vmacAddressPrefix: word("vmac_addr_prefix") ?? word("vmac_prefix") ?? "vrrp",
		packetFilter: {
			table: word("nftables") ?? "keepalived",
			priority: number("nftables_priority", -1),
			byInterfaceIndex: has("nftables_ifindex"),
			counters: has("nftables_counters"),
		},
		vrrpProcess: {
			name: word("vrrp_process_name") ?? (has("process_names") ? "keepalived_vrrp" : null),
			niceness: optional("vrrp_priority"),
			processors: last("vrrp_cpu_affinity")?.words.map(Number).filter(Number.isInteger) ?? [],
			realTimeLimitMicros: (last("vrrp_rlimit_rttime") ?? last("vrrp_rlimit_rtime"))?.number ?? null,
			receiveBufferBytes: parseWhole(word("vrrp_rx_bufs_policy") ?? "") || null,
			netlinkCommandBufferBytes: optional("vrrp_netlink_cmd_rcv_bufs"),
			netlinkMonitorBufferBytes: optional("vrrp_netlink_monitor_rcv_bufs"),
			processMonitorBufferBytes: optional("process_monitor_rcv_bufs"),
		},
		umask: readMask(last("umask")?.words ?? null),
		lvsFlush: has("lvs_flush"),
		lvsFlushOnStop: flushOnStop === undefined ? "none" : flushOnStop.words[0] === "VS" ? "own" : "all",
		lvsTimeouts: readTimeouts(context, last("lvs_timeouts")),
		lvsSyncDaemon: readSyncDaemon(context, last("lvs_sync_daemon")),
		checkerLogAllFailures: notes.logAllFailures,
		rsInitNotifies: notes.rsInitNotifies,
		vrrpRtPriority: optional("vrrp_rt_priority"),
		checker: processSettings(
			"checker",
			word("checker_process_name") ??
				word("lvs_process_name") ??
				(has("process_names") ? "keepalived_lvs" : null),
		),
		bfd: processSettings("bfd", word("bfd_process_name") ?? (has("process_names") ? "keepalived_bfd" : null)),
		lvsNetlinkBufferBytes: optional("lvs_netlink_cmd_rcv_bufs"),
		lvsNetlinkMonitorBufferBytes: optional("lvs_netlink_monitor_rcv_bufs"),
		snmpTraps: has("enable_traps"),
		routeNameFolders: [
			word("iproute_usr_dir") ?? "/usr/share/iproute2",
			word("iproute_etc_dir") ?? "/etc/iproute2",
		],
		naming: {
			processName: word("process_name"),
			instance: outermost("instance"),
			pidDirectory: root.some((statement) => statement.keyword.name === "use_pid_dir"),
			childWaitMs:
				(root.findLast((statement) => statement.keyword.name === "child_wait_time")?.number ??
					DEFAULT_CHILD_WAIT_MS * 1000) / 1000,
			instanceInDumps: on("data_use_instance", false),
			stateDumpFile: word("state_dump_file"),
			statsDumpFile: word("stats_dump_file"),
			jsonDumpFile: word("json_dump_file"),
			jsonVersion: word("json_version") === "2" ? 2 : 1,
		},
		reload: {
			file: has("reload_file") ? (word("reload_file") ?? "") : null,
			timeFile: word("reload_time_file"),
			repeat: has("reload_repeat"),
		},
		networkNamespace: outermost("net_namespace"),
		ipvsNetworkNamespace: outermost("net_namespace_ipvs"),
		pathCheck: notes.pathCheck,
		tcpCheckSentinel: on("tcp_check_sentinel", true),
	};
}

function checkNamespace(
	context: BuildContext,
	root: readonly Statement[],
	keyword: string,
	lost: string,
): void {
	const statement = root.findLast((each) => each.keyword.name === keyword);
	const name = statement?.words[0];
	if (statement === undefined || name === undefined || context.machine.hasNetworkNamespace(name)) return;
	const message = `${keyword}: there is no network namespace ${name} on this machine`;
	context.error(statement, "no-namespace", message, lost, {
		suggestion: `make it first: "ip netns add ${name}"`,
	});
}

/** Keywords that take a few words of their own. */
function checkOptions(context: BuildContext, last: (name: string) => Statement | undefined): void {
	const options: readonly (readonly [string, RegExp, string])[] = [
		["dynamic_interfaces", /^allow_if_changes$/, "allow_if_changes"],
		["lvs_flush_on_stop", /^VS$/, "VS"],
		["lvs_flush_onstop", /^VS$/, "VS"],
		["vrrp_garp_extra_if", /^(all|\d{1,5})$/, "[all] SECONDS"],
		["vrrp_vmac_garp_intvl", /^(all|\d{1,5})$/, "[all] SECONDS"],
		["vrrp_cpu_affinity", /^\d{1,4}$/, "numbers of processors"],
		["checker_cpu_affinity", /^\d{1,4}$/, "numbers of processors"],
		["bfd_cpu_affinity", /^\d{1,4}$/, "numbers of processors"],
		["vrrp_rx_bufs_policy", /^(MTU|ADVERT|\d{1,10})$/, "MTU, ADVERT or a number of bytes"],
		[
			"umask",
			/^(0[xX][0-9a-fA-F]+|\d+|[\s|]*([IRWX](USR|GRP|OTH)|I[RWX](USR|GRP|OTH)|\|)+)$/,
			"a mask, such as 022",
		],
		[
			"include_check",
			/^[+-]?(read|match|wildcard_match|brace_match)$/,
			"read, match, wildcard_match, brace_match",
		],
	];
	for (const [name, pattern, wanted] of options) {
		const statement = last(name);
		const wrong = statement?.words.find((word) => !pattern.test(word));
		if (statement !== undefined && wrong !== undefined)
			context.error(statement, "bad-argument", `${name}: "${wrong}" is not ${wanted}`, `"${wrong}"`);
	}
	const old = last("vrrp_iptables") ?? last("vrrp_ipsets");
	if (old !== undefined)
		context.hint(old, "deprecated", `${old.keyword.name} is about iptables; Drover filters with nftables`, {
			exitStatus: 5,
		});
}

/** "022", "0x12", "18" or names as in "IRWXG | IRWXO"; null when it is not said or not understood. */
export function readMask(words: readonly string[] | null): number | null {
	const text = words?.join("") ?? "";
	if (/^0[0-7]*$/.test(text)) return Number.parseInt(text, 8) & 0o777;
	if (/^(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) return Number(text) & 0o777;
	let mask = 0;
	for (const name of text.split("|").filter(Boolean)) {
		const match = /^I([RWX]+)(USR|GRP|OTH|U|G|O)$/.exec(name.trim());
		if (match === null) return null;
		const bits = [...match[1]!].reduce((sum, letter) => sum | { R: 4, W: 2, X: 1 }[letter as "R"], 0);
		mask |= bits << { U: 6, G: 3, O: 0 }[match[2]![0] as "U"];
	}
	return text === "" ? null : mask;
}

function readScriptUser(
	context: BuildContext,
	statement: Statement | undefined,
): { user: string; group: string | null } | null {
	if (statement === undefined) return null;
	const [user, group = null] = statement.words;
	if (!context.machine.hasUser(user!)) {
		context.error(
			statement,
			"no-user",
			`script_user: there is no user ${user}`,
			"every script that names no user of its own",
		);
		return null;
	}
	if (group !== null && !context.machine.hasGroup(group)) {
		context.error(
			statement,
			"no-group",
			`script_user: there is no group ${group}`,
			"every script that names no user of its own",
		);
		return null;
	}
	return { user: user!, group };
}

function readSmtpServer(
	context: BuildContext,
	statement: Statement | undefined,
): { host: string; port: number } | null {
	if (statement === undefined) return null;
	const [host, portText] = statement.words;
	const port = portText === undefined ? 25 : parseWhole(portText);
	if (!(port >= 1 && port <= 65_535)) {
		context.error(
			statement,
			"bad-argument",
			`smtp_server: "${portText}" is no port`,
			"mail: nothing is sent",
		);
		return null;
	}
	if (
		readAddress(host!) === null &&
		!/^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*\.?$/.test(host!)
	) {
		context.error(
			statement,
			"bad-argument",
			`smtp_server: "${host}" is neither an address nor a host name`,
			"mail: nothing is sent",
		);
		return null;
	}
	return { host: host!, port };
}

const timeoutNames = ["tcp", "tcpfin", "udp"] as const;

function readTimeouts(context: BuildContext, statement: Statement | undefined): GlobalConfig["lvsTimeouts"] {
	if (statement === undefined) return null;
	const values = { tcp: 0, tcpfin: 0, udp: 0 };
	const { words } = statement;
	for (let index = 0; index < words.length; index += 2) {
		const name = timeoutNames.find((candidate) => candidate === words[index]);
		const value = parseWhole(words[index + 1] ?? "");
		if (name === undefined || !(value >= 0 && value <= 2_678_400)) {
			const text = words.slice(index, index + 2).join(" ");
			context.error(
				statement,
				"bad-argument",
				`lvs_timeouts: "${text}" is not tcp, tcpfin or udp with seconds from 0 to 2678400`,
				"that timeout",
			);
			continue;
		}
		values[name] = value;
	}
	return { tcpSeconds: values.tcp, tcpFinSeconds: values.tcpfin, udpSeconds: values.udp };
}

const syncRanges = { id: [0, 255], maxlen: [1, 65_507], port: [1, 65_535], ttl: [1, 255] } as const;

function readSyncDaemon(context: BuildContext, statement: Statement | undefined): LvsSyncDaemon | null {
	if (statement === undefined) return null;
	const { words } = statement;
	const networkInterface = words[0]!;
	context.checkInterface(networkInterface, statement, "lvs_sync_daemon");
	let instance: string | null = null;
	const numbers: { id: number | null; maxlen: number | null; port: number | null; ttl: number | null } = {
		id: null,
		maxlen: null,
		port: null,
		ttl: null,
	};
	let group: string | null = null;
	let index = 1;
	// The old form: IF INSTANCE [ID].
	if (words[1] !== undefined && !["inst", "id", "maxlen", "port", "ttl", "group"].includes(words[1])) {
		instance = words[1];
		index = 2;
		if (words[2] !== undefined && /^\d+$/.test(words[2])) {
			numbers.id = Number(words[2]);
			index = 3;
		}
	}
	for (; index < words.length; index += 2) {
		const name = words[index]!;
		const value = words[index + 1];
		if (value === undefined) {
			context.error(statement, "missing-argument", `lvs_sync_daemon: ${name} needs a value`, name, {
				exitStatus: 2,
			});
			break;
		}
		if (name === "inst") instance = value;
		else if (name === "group") {
			const address = readAddress(value);
			if (address === null)
				context.error(
					statement,
					"bad-argument",
					`lvs_sync_daemon: "${value}" is no multicast address`,
					"group",
				);
			else group = address.address;
		} else if (name === "id" || name === "maxlen" || name === "port" || name === "ttl") {
			const number = parseWhole(value);
			const [min, max] = syncRanges[name];
			if (number >= min && number <= max) numbers[name] = number;
			else
				context.error(
					statement,
					"out-of-range",
					`lvs_sync_daemon: ${name} ${value} is out of range: ${min} to ${max}`,
					name,
				);
		} else context.error(statement, "bad-option", `lvs_sync_daemon: there is no option "${name}"`, name);
	}
	return {
		interface: networkInterface,
		instance,
		syncId: numbers.id,
		maxLengthBytes: numbers.maxlen,
		port: numbers.port,
		ttl: numbers.ttl,
		group,
	};
}

/** `SSL { … }`. */
export function buildTlsClient(blocks: readonly Statement[]): TlsClientConfig | null {
	if (blocks.length === 0) return null;
	const settings = blocks.flatMap((block) => block.body!);
	const word = (name: string) =>
		settings.findLast((statement) => statement.keyword.name === name)?.words[0] ?? null;
	return {
		password: word("password"),
		caFile: word("ca"),
		certificateFile: word("certificate"),
		keyFile: word("key"),
	};
}
