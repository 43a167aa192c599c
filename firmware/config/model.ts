/**
 * What a checked keepalived.conf means: the one model that every service reads.
 * It is plain data (it survives JSON and CBOR), with every default filled in and every
 * inheritance resolved, so that no reader has to know the file's rules again.
 *
 * Units are in the names. Addresses are canonical text (RFC 5952 for IPv6), without a
 * prefix length unless the field says so. Order is the file's order.
 */

/** Where something was written; `file` as the operator named it, line and column from 1. */
export interface Location {
	readonly file: string;
	readonly line: number;
	readonly column: number;
}

export type AddressFamily = "inet" | "inet6";

/** A script as `execve` wants it, with the identity it runs under. */
export interface Script {
	/** argv; argv[0] is the program. Never passed to a shell. */
	readonly command: readonly string[];
	/** User name, or null for the default (script_user, else keepalived_script, else root). */
	readonly user: string | null;
	readonly group: string | null;
	readonly location: Location;
}

export interface NotifyFifo {
	readonly path: string;
	readonly user: string | null;
	readonly group: string | null;
	readonly script: Script | null;
}

export interface MailSettings {
	/** `router_id`, else the host name: the prefix of every subject. */
	readonly routerId: string;
	readonly recipients: readonly string[];
	/** `notification_email_from`, else root at the host. */
	readonly sender: string;
	readonly server: { readonly host: string; readonly port: number } | null;
	/** `smtp_helo_name`, else the host's name. */
	readonly heloName: string;
	readonly connectTimeoutMs: number;
	/** `no_email_faults`. */
	readonly suppressFault: boolean;
	/** `no_checker_emails`: mail per real server, not per checker. */
	readonly perRealServerOnly: boolean;
}

export interface GlobalConfig {
	readonly mail: MailSettings;
	readonly routerId: string;
	readonly notifyFifo: NotifyFifo | null;
	readonly vrrpNotifyFifo: NotifyFifo | null;
	readonly lvsNotifyFifo: NotifyFifo | null;
	readonly fifoWriteVrrpStatesOnReload: boolean;
	readonly scriptUser: { readonly user: string; readonly group: string | null } | null;
	readonly enableScriptSecurity: boolean;
	readonly startupScript: Script | null;
	readonly startupScriptTimeoutMs: number;
	readonly shutdownScript: Script | null;
	readonly shutdownScriptTimeoutMs: number;
	readonly multicastGroup4: string;
	readonly multicastGroup6: string;
	/** `vrrp_garp_interval`, `vrrp_gna_interval`: least gap between announcements per interface; 0 is none. */
	readonly garpIntervalMicros: number;
	readonly gnaIntervalMicros: number;
	/** The larger of `vrrp_startup_delay` and what is left of `vrrp_delay_after_boot`. */
	readonly startupDelayMs: number;
	readonly logUnknownVrids: boolean;
	readonly dynamicInterfaces: boolean;
	readonly disableLocalIgmp: boolean;
	readonly vmacPrefix: string;
	/** The same for the virtual MACs of addresses on other interfaces. */
	readonly vmacAddressPrefix: string;
	readonly packetFilter: PacketFilterConfig;
	readonly vrrpProcess: VrrpProcessConfig;
	/** File mode mask of this process and its scripts; null leaves it as it is. */
	readonly umask: number | null;
	readonly lvsFlush: boolean;
	readonly lvsFlushOnStop: "none" | "all" | "own";
	readonly lvsTimeouts: {
		readonly tcpSeconds: number;
		readonly tcpFinSeconds: number;
		readonly udpSeconds: number;
	} | null;
	readonly lvsSyncDaemon: LvsSyncDaemon | null;
	readonly checkerLogAllFailures: boolean;
	readonly rsInitNotifies: boolean;
	readonly vrrpRtPriority: number | null;
	readonly checker: ProcessSettings;
	readonly bfd: ProcessSettings;
	/** Receive buffer of the IPVS socket in bytes; null is Drover's own. */
	readonly lvsNetlinkBufferBytes: number | null;
	/** Receive buffer of the socket that hears of this host's addresses; null is Drover's own. */
	readonly lvsNetlinkMonitorBufferBytes: number | null;
	readonly snmpTraps: boolean;
	/** `iproute_usr_dir`, `iproute_etc_dir`: where names of routing tables and the like are looked up. */
	readonly routeNameFolders: readonly string[];
	readonly naming: NamingConfig;
	readonly reload: ReloadConfig;
	readonly networkNamespace: string | null;
	readonly ipvsNetworkNamespace: string | null;
	/** Drover's own: the path check for DR and TUN; `path_check off` turns it off for all. */
	readonly pathCheck: boolean;
	/** Drover's own: a TCP_CHECK holds its connection to hear of a server's end at once; `tcp_check_sentinel off`. */
	readonly tcpCheckSentinel: boolean;
}

/** How the parent process and its files are called, and how long it waits for its children at the end. */
export interface NamingConfig {
	readonly processName: string | null;
	readonly instance: string | null;
	/** `use_pid_dir`. */
	readonly pidDirectory: boolean;
	readonly childWaitMs: number;
	/** `data_use_instance`. */
	readonly instanceInDumps: boolean;
	readonly stateDumpFile: string | null;
	readonly statsDumpFile: string | null;
	readonly jsonDumpFile: string | null;
	/** `json_version`: the layout of that dump. */
	readonly jsonVersion: 1 | 2;
}

/** How others are told of reloads, and ask for them. */
export interface ReloadConfig {
	/** `reload_file`: is there while the configuration is read; "" is the default place, null none. */
	readonly file: string | null;
	/** `reload_time_file`: holds the time of the next reload. */
	readonly timeFile: string | null;
	/** `reload_repeat`: the time file stays after the reload. */
	readonly repeat: boolean;
}

/** `nftables…`: where packets to addresses that do not accept them are dropped. */
export interface PacketFilterConfig {
	readonly table: string;
	/** Of the hooks; nft(8). */
	readonly priority: number;
	/** Rules know interfaces by index, not by name. */
	readonly byInterfaceIndex: boolean;
	readonly counters: boolean;
}

/** What `global_defs` says of the VRRP process itself; null leaves it to Drover. */
export interface VrrpProcessConfig {
	readonly name: string | null;
	/** nice(2). */
	readonly niceness: number | null;
	/** Numbers of processors; empty is all. */
	readonly processors: readonly number[];
	/** RLIMIT_RTTIME. */
	readonly realTimeLimitMicros: number | null;
	readonly receiveBufferBytes: number | null;
	readonly netlinkCommandBufferBytes: number | null;
	readonly netlinkMonitorBufferBytes: number | null;
	/** Of the socket that hears of processes, for `vrrp_track_process`. */
	readonly processMonitorBufferBytes: number | null;
}

/** An interface whose link state is asked for, not told. */
export interface LinkbeatConfig {
	readonly interface: string;
	/** Tried first. */
	readonly method: "mii" | "ethtool" | "ioctl";
}

export interface LvsSyncDaemon {
	readonly interface: string;
	/** VRRP instance that decides master or backup; null runs both. */
	readonly instance: string | null;
	readonly syncId: number | null;
	readonly maxLengthBytes: number | null;
	readonly port: number | null;
	readonly ttl: number | null;
	readonly group: string | null;
}

/** `virtual_ipaddress`, `static_ipaddress`. */
export interface AddressConfig {
	readonly address: string;
	readonly family: AddressFamily;
	readonly prefixLength: number;
	readonly peer: string | null;
	/** IPv4: an address, "+" or "-" as ip-address(8) has it; null leaves it to the kernel. */
	readonly broadcast: string | null;
	/** null is the instance's interface. */
	readonly interface: string | null;
	/** rtnetlink scope number; null is global (IPv4), host for `::1`-like. */
	readonly scope: number | null;
	readonly label: string | null;
	readonly home: boolean;
	/** `-nodad`: duplicate address detection back on. */
	readonly duplicateAddressDetection: boolean;
	readonly manageTemporaryAddresses: boolean;
	readonly noPrefixRoute: boolean;
	readonly autojoin: boolean;
	/** Seconds; null is forever. */
	readonly preferredLifetimeSeconds: number | null;
	readonly noTrack: boolean;
	readonly useVmac: boolean;
	readonly trackGroup: string | null;
	readonly location: Location;
}

/** Words as ip-route(8) and ip-rule(8) take them, checked; `interface` pulled out for tracking. */
export interface RouteConfig {
	readonly family: AddressFamily;
	readonly words: readonly string[];
	readonly interface: string | null;
	readonly noTrack: boolean;
	readonly trackGroup: string | null;
	readonly location: Location;
}
export interface RuleConfig extends RouteConfig {}

/** How a tracked object bears on priority: weight 0 means FAULT when it fails. */
export interface TrackReference {
	readonly name: string;
	readonly weight: number;
	readonly reverse: boolean;
	readonly location: Location;
}

export interface TrackScriptConfig {
	readonly name: string;
	readonly script: Script;
	readonly intervalMs: number;
	readonly timeoutMs: number;
	readonly weight: number;
	readonly reverse: boolean;
	readonly rise: number;
	readonly fall: number;
	readonly initFail: boolean;
	readonly location: Location;
}

export interface TrackFileConfig {
	readonly name: string;
	readonly path: string;
	readonly weight: number;
	readonly reverse: boolean;
	readonly initFile: { readonly value: number; readonly overwrite: boolean } | null;
	readonly location: Location;
}

export interface TrackProcessConfig {
	readonly name: string;
	/** argv[0] is the command's name; the rest must match as `match` says. */
	readonly process: readonly string[];
	readonly match: "exact" | "initial" | "partial";
	readonly fullCommand: boolean;
	readonly weight: number;
	readonly reverse: boolean;
	readonly quorum: number;
	readonly quorumMax: number | null;
	readonly terminateDelayMs: number;
	readonly forkDelayMs: number;
	readonly location: Location;
}

/** How a service's process runs; null is as it was started. */
export interface ProcessSettings {
	readonly processName: string | null;
	/** nice(2), −20 … 19. */
	readonly niceness: number | null;
	readonly rtPriority: number | null;
	readonly noSwap: boolean;
	/** Numbers of processors; empty is all. */
	readonly processors: readonly number[];
	readonly realTimeLimitMicros: number | null;
}

export interface BfdConfig {
	readonly name: string;
	readonly neighbor: string;
	readonly source: string | null;
	readonly minRxMicros: number;
	readonly minTxMicros: number;
	readonly idleTxMicros: number;
	readonly multiplier: number;
	readonly passive: boolean;
	readonly ttl: number;
	readonly maxHops: number;
	readonly multihop: boolean;
	readonly weight: number;
	readonly reverse: boolean;
	readonly forVrrp: boolean;
	readonly forChecker: boolean;
	readonly location: Location;
}

export interface GarpSchedule {
	/** Second burst after becoming master; 0 is none. */
	readonly delayMs: number;
	readonly repeat: number;
	/** Periodic while master; 0 is none. */
	readonly refreshMs: number;
	readonly refreshRepeat: number;
	/** `garp_extra_if`: periodic, for addresses on other interfaces than the router's; 0 is none. */
	readonly elsewhereMs: number;
	/** On real interfaces, too, not only on virtual MACs. */
	readonly elsewhereAll: boolean;
	readonly lowerPriorityDelayMs: number;
	readonly lowerPriorityRepeat: number;
	/** Least gap between announcements on this interface, from global_defs or garp_group. */
	readonly garpIntervalMicros: number;
	readonly gnaIntervalMicros: number;
}

export interface UnicastPeer {
	readonly address: string;
	readonly minTtl: number | null;
	readonly maxTtl: number | null;
}

export interface NotifyScripts {
	readonly master: Script | null;
	readonly backup: Script | null;
	readonly fault: Script | null;
	readonly stop: Script | null;
	readonly deleted: Script | null;
	/** `notify_deleted`, with a script or without: an instance that a reload takes away is told of as DELETED, not FAULT. */
	readonly saysDeleted: boolean;
	/** `notify`: type, name, state and priority are appended. */
	readonly generic: Script | null;
	readonly masterRxLowerPriority: Script | null;
}

export interface VrrpInstanceConfig {
	readonly name: string;
	readonly family: AddressFamily;
	readonly version: 2 | 3;
	/** null only with `unicast_src_ip` and no interface. */
	readonly interface: string | null;
	readonly virtualRouterId: number;
	/** The file's `state`: a wish, never skips the election. */
	readonly initialState: "MASTER" | "BACKUP";
	/** 1–255; 255 owns the addresses. */
	readonly priority: number;
	/** Rounded as the version demands: whole seconds in v2, centiseconds in v3. */
	readonly advertIntervalMicros: number;
	readonly downTimerAdverts: number;
	readonly preempt: boolean;
	readonly preemptDelayMs: number;
	readonly accept: boolean;
	readonly strict: boolean;
	/** `mcast_src_ip` or `unicast_src_ip`; null is the interface's first address. */
	readonly sourceAddress: string | null;
	readonly trackSourceAddress: boolean;
	readonly multicastDestination: string;
	/** Not empty means unicast. */
	readonly unicastPeers: readonly UnicastPeer[];
	readonly unicastTtl: number | null;
	readonly unicastFaultNoPeer: boolean;
	readonly checkUnicastSource: boolean;
	readonly oldUnicastChecksum: "auto" | "always" | "never";
	/** `v3_checksum_as_v2`: VRRPv3 over IPv4 without pseudo header, as RFC 9568 §5.2.8 has it. */
	readonly checksumWithoutPseudoHeader: boolean;
	readonly skipCheckAddresses: boolean;
	readonly authentication: { readonly type: "PASS" | "AH"; readonly password: string } | null;
	readonly authHmac: AuthHmac | null;
	readonly virtualAddresses: readonly AddressConfig[];
	readonly excludedAddresses: readonly AddressConfig[];
	readonly virtualRoutes: readonly RouteConfig[];
	readonly virtualRules: readonly RuleConfig[];
	readonly promoteSecondaries: boolean;
	readonly vmac: VmacConfig | null;
	/** `use_vmac_addr`: a virtual MAC on each other interface of its addresses, too. */
	readonly vmacForAddresses: boolean;
	readonly vrf: string | null;
	/** `kernel_rx_buf_size`: its share of the receive buffer; 0 is Drover's own choice. */
	readonly receiveBufferBytes: number;
	/** False with `dont_track_primary`. */
	readonly trackPrimary: boolean;
	readonly trackInterfaces: readonly TrackReference[];
	readonly trackScripts: readonly TrackReference[];
	readonly trackFiles: readonly TrackReference[];
	readonly trackProcesses: readonly TrackReference[];
	readonly trackBfd: readonly TrackReference[];
	readonly garp: GarpSchedule;
	readonly lowerPriorityNoAdvert: boolean;
	readonly higherPrioritySendAdvert: boolean;
	readonly ownerIgnoreAdverts: boolean;
	readonly notify: NotifyScripts;
	readonly notifyPriorityChanges: boolean;
	readonly smtpAlert: boolean;
	readonly location: Location;
}

export interface VmacConfig {
	/** Interface name; null lets Drover choose `vrrp.VRID`. */
	readonly name: string | null;
	readonly parentInterface: string | null;
	readonly macAddress: string | null;
	readonly transmitOnBase: boolean;
	readonly ipvlan: { readonly mode: "bridge" | "private" | "vepa"; readonly address: string | null } | null;
}

export interface AuthHmac {
	readonly keys: readonly { readonly id: number; readonly keyHex: string }[];
	readonly activeKey: number;
	readonly timeWindowMs: number;
	readonly antiReplay: "time" | "monotonic";
	readonly mode: "enforce" | "permissive" | "receive-only";
}

export interface SyncGroupConfig {
	readonly name: string;
	readonly members: readonly string[];
	readonly trackInterfaces: readonly TrackReference[];
	readonly trackScripts: readonly TrackReference[];
	readonly trackFiles: readonly TrackReference[];
	readonly trackProcesses: readonly TrackReference[];
	readonly trackBfd: readonly TrackReference[];
	readonly trackingWeight: boolean;
	readonly notify: NotifyScripts;
	readonly notifyPriorityChanges: boolean;
	readonly smtpAlert: boolean;
	readonly location: Location;
}

/** ip_vs(7) forwarding. */
export type Forwarding =
	| { readonly kind: "NAT" }
	| { readonly kind: "DR" }
	| {
			readonly kind: "TUN";
			readonly tunnel: "ipip" | "gue" | "gre";
			readonly port: number;
			readonly checksum: "none" | "csum" | "remcsum";
	  };

export type Protocol = "TCP" | "UDP" | "SCTP";

/** One IPVS service's key. Ranges and groups are already spread out. */
export type ServiceAddress =
	| {
			readonly kind: "address";
			readonly address: string;
			readonly family: AddressFamily;
			readonly port: number;
	  }
	| { readonly kind: "fwmark"; readonly fwmark: number; readonly family: AddressFamily };

/** A range or network of a group, from its first address to its last. */
export interface ServiceRange {
	readonly kind: "range";
	readonly first: string;
	readonly last: string;
	readonly family: AddressFamily;
	readonly port: number;
}

/** virtual_server_group, as it was written. */
export interface ServerGroupConfig {
	readonly name: string;
	readonly members: readonly (ServiceAddress | ServiceRange)[];
}

/** How the virtual server was written: names it in messages, FIFO lines and mails. */
export type VirtualServerName =
	| { readonly kind: "address"; readonly address: string; readonly port: number }
	| { readonly kind: "fwmark"; readonly fwmark: number }
	| { readonly kind: "group"; readonly group: string };

export interface VirtualServerConfig {
	readonly name: VirtualServerName;
	/** The services this virtual server puts into the kernel: one, or one per member of its group. */
	readonly services: readonly ServiceAddress[];
	/** The kernel ignores it for a fwmark service. */
	readonly protocol: Protocol;
	readonly scheduler: string;
	readonly schedulerFlags: { readonly flag1: boolean; readonly flag2: boolean; readonly flag3: boolean };
	readonly onePacket: boolean;
	/** null is no persistence. */
	readonly persistenceTimeoutSeconds: number | null;
	readonly persistenceEngine: string | null;
	/** Netmask length: 32 or 128 is one client. */
	readonly persistenceGranularity: number | null;
	readonly forwarding: Forwarding;
	readonly delayLoopMs: number;
	readonly haSuspend: boolean;
	readonly alpha: boolean;
	readonly omega: boolean;
	readonly quorum: number;
	readonly hysteresis: number;
	readonly quorumUp: Script | null;
	readonly quorumDown: Script | null;
	readonly smtpAlert: boolean;
	readonly snmpName: string | null;
	readonly sorryServer: {
		readonly address: string;
		readonly family: AddressFamily;
		readonly port: number;
		readonly forwarding: Forwarding;
		readonly inhibit: boolean;
	} | null;
	/** Drover's own `path_check`: on for DR and TUN unless turned off here or in global_defs. */
	readonly pathCheck: boolean;
	readonly realServers: readonly RealServerConfig[];
	readonly location: Location;
}

/**
 * A table has tens of thousands of them: what many say alike is one record of its own. Eight fields are 80 bytes, with one
 * more it would be 112.
 */
export interface RealServerConfig {
	readonly address: string;
	readonly family: AddressFamily;
	readonly port: number;
	readonly weight: number;
	readonly forwarding: Forwarding;
	readonly limits: ConnectionLimits;
	readonly rules: RealServerRules;
	/** Empty: always up. Otherwise all must be up. */
	readonly checks: readonly CheckConfig[];
}

/** Connections; 0 is no limit. */
export interface ConnectionLimits {
	readonly upperThreshold: number;
	readonly lowerThreshold: number;
}

/** What a real server's checks lead to. */
export interface RealServerRules {
	/** One that fails stays in the table, with weight 0. */
	readonly inhibitOnFailure: boolean;
	/** It starts as failed. */
	readonly alpha: boolean;
	readonly smtpAlert: boolean;
	readonly snmpName: string | null;
	readonly notifyUp: Script | null;
	readonly notifyDown: Script | null;
}

/** Where and how often, with every default and inheritance resolved. */
export interface CheckTiming {
	readonly delayLoopMs: number;
	/** Extra failures tolerated while up. */
	readonly retry: number;
	readonly delayBeforeRetryMs: number;
	/** First probe after 1 s plus a random part of this. */
	readonly warmupMs: number;
	/** Starts down until its first success. */
	readonly alpha: boolean;
	readonly logAllFailures: boolean;
}

export interface CheckTarget {
	readonly address: string;
	readonly family: AddressFamily;
	readonly port: number;
	readonly bindAddress: string | null;
	readonly bindPort: number | null;
	readonly bindInterface: string | null;
	/** Connect and every read step. */
	readonly connectTimeoutMs: number;
	readonly fwmark: number;
}

export interface UrlCheck {
	readonly path: string;
	/** MD5 of the body, 32 lower-case hex digits. */
	readonly digest: string | null;
	/** Inclusive ranges. */
	readonly statusCodes: readonly { readonly from: number; readonly to: number }[];
	/** Host header, resolved from url, check, real and virtual server; null is `ip:port`. */
	readonly virtualHost: string | null;
	readonly regex: {
		readonly pattern: string;
		readonly options: readonly string[];
		readonly noMatch: boolean;
		readonly minOffset: number;
		readonly maxOffset: number | null;
	} | null;
	readonly tlsCompliant: boolean;
}

export type CheckConfig = { readonly timing: CheckTiming } & (
	| { readonly kind: "TCP_CHECK"; readonly target: CheckTarget }
	| {
			readonly kind: "HTTP_GET" | "SSL_GET";
			readonly target: CheckTarget;
			readonly urls: readonly UrlCheck[];
			readonly httpProtocol: "1.0" | "1.0C" | "1.1";
			/** null sends no server name. */
			readonly serverName: string | null;
			readonly fastRecovery: boolean;
	  }
	| { readonly kind: "SMTP_CHECK"; readonly target: CheckTarget; readonly heloName: string }
	| { readonly kind: "DNS_CHECK"; readonly target: CheckTarget; readonly type: string; readonly name: string }
	| { readonly kind: "PING_CHECK"; readonly target: CheckTarget }
	| {
			readonly kind: "UDP_CHECK";
			readonly target: CheckTarget;
			readonly payloadHex: string | null;
			readonly requireReply: boolean;
			/** Hex digits, "X" is any nibble. */
			readonly replyPattern: string | null;
			readonly minReplyLengthBytes: number;
			readonly maxReplyLengthBytes: number;
	  }
	| {
			readonly kind: "MISC_CHECK";
			readonly script: Script;
			readonly timeoutMs: number;
			readonly dynamicWeight: boolean;
	  }
	| {
			readonly kind: "FILE_CHECK";
			readonly trackFile: string;
			readonly weight: number;
			readonly reverse: boolean;
	  }
	| { readonly kind: "BFD_CHECK"; readonly bfd: string }
);

export interface TlsClientConfig {
	readonly password: string | null;
	readonly caFile: string | null;
	readonly certificateFile: string | null;
	readonly keyFile: string | null;
}

/** The whole meaning of one configuration. */
export interface DroverConfig {
	readonly global: GlobalConfig;
	readonly tlsClient: TlsClientConfig | null;
	readonly staticAddresses: readonly AddressConfig[];
	readonly staticRoutes: readonly RouteConfig[];
	readonly staticRules: readonly RuleConfig[];
	readonly trackGroups: readonly { readonly name: string; readonly instances: readonly string[] }[];
	/** Interface debounce: `interface_up_down_delays`. */
	readonly linkbeats: readonly LinkbeatConfig[];
	readonly interfaceDelays: readonly {
		readonly interface: string;
		readonly downMs: number;
		readonly upMs: number;
	}[];
	readonly trackScripts: readonly TrackScriptConfig[];
	readonly trackFiles: readonly TrackFileConfig[];
	readonly trackProcesses: readonly TrackProcessConfig[];
	readonly bfdInstances: readonly BfdConfig[];
	readonly vrrpInstances: readonly VrrpInstanceConfig[];
	readonly syncGroups: readonly SyncGroupConfig[];
	readonly serverGroups: readonly ServerGroupConfig[];
	readonly virtualServers: readonly VirtualServerConfig[];
	/** Network interfaces that the file names, there or not: one of them that is gone later is no slip of the hand. */
	readonly namedInterfaces: readonly string[];
}
