/** Configurations for tests: the model's defaults, with what a test wants to differ. */
import type {
	AddressConfig,
	DroverConfig,
	GlobalConfig,
	NotifyScripts,
	SyncGroupConfig,
	TrackScriptConfig,
	VrrpInstanceConfig,
} from "../../firmware/config/model.ts";

export const nowhere = { file: "test", line: 1, column: 1 };

export const noScripts: NotifyScripts = {
	master: null,
	backup: null,
	fault: null,
	stop: null,
	deleted: null,
	generic: null,
	masterRxLowerPriority: null,
};

export function addressOf(text: string, over: Partial<AddressConfig> = {}): AddressConfig {
	const [address, length] = text.split("/");
	const family = address!.includes(":") ? "inet6" : "inet";
	return {
		address: address!,
		family,
		prefixLength: length === undefined ? (family === "inet" ? 32 : 128) : Number(length),
		peer: null,
		broadcast: null,
		interface: null,
		scope: null,
		label: null,
		home: false,
		duplicateAddressDetection: false,
		manageTemporaryAddresses: false,
		noPrefixRoute: false,
		autojoin: false,
		preferredLifetimeSeconds: null,
		noTrack: false,
		useVmac: false,
		trackGroup: null,
		location: nowhere,
		...over,
	};
}

export function instanceOf(over: Partial<VrrpInstanceConfig> = {}): VrrpInstanceConfig {
	const family = over.family ?? "inet";
	return {
		name: "VI_1",
		family,
		version: family === "inet6" ? 3 : 2,
		interface: "eth0",
		virtualRouterId: 51,
		initialState: "BACKUP",
		priority: 100,
		advertIntervalMicros: 1_000_000,
		downTimerAdverts: 3,
		preempt: true,
		preemptDelayMs: 0,
		accept: true,
		strict: false,
		sourceAddress: null,
		trackSourceAddress: false,
		multicastDestination: family === "inet" ? "224.0.0.18" : "ff02::12",
		unicastPeers: [],
		unicastTtl: null,
		unicastFaultNoPeer: false,
		checkUnicastSource: false,
		oldUnicastChecksum: "auto",
		checksumWithoutPseudoHeader: false,
		skipCheckAddresses: false,
		authentication: null,
		authHmac: null,
		virtualAddresses: [addressOf(family === "inet" ? "192.0.2.200" : "fe80::200")],
		excludedAddresses: [],
		virtualRoutes: [],
		virtualRules: [],
		promoteSecondaries: false,
		vmac: null,
		vrf: null,
		trackPrimary: true,
		trackInterfaces: [],
		trackScripts: [],
		trackFiles: [],
		trackProcesses: [],
		trackBfd: [],
		garp: {
			delayMs: 5000,
			repeat: 5,
			refreshMs: 0,
			refreshRepeat: 1,
			lowerPriorityDelayMs: 5000,
			lowerPriorityRepeat: 5,
			garpIntervalMicros: 0,
			gnaIntervalMicros: 0,
		},
		lowerPriorityNoAdvert: false,
		higherPrioritySendAdvert: false,
		ownerIgnoreAdverts: false,
		notify: noScripts,
		notifyPriorityChanges: false,
		smtpAlert: false,
		location: nowhere,
		...over,
	};
}

export function groupOf(
	name: string,
	members: readonly string[],
	over: Partial<SyncGroupConfig> = {},
): SyncGroupConfig {
	return {
		name,
		members,
		trackInterfaces: [],
		trackScripts: [],
		trackFiles: [],
		trackProcesses: [],
		trackBfd: [],
		trackingWeight: false,
		notify: noScripts,
		notifyPriorityChanges: false,
		smtpAlert: false,
		location: nowhere,
		...over,
	};
}

export function trackScriptOf(name: string, over: Partial<TrackScriptConfig> = {}): TrackScriptConfig {
	return {
		name,
		script: { command: ["/bin/true"], user: null, group: null, location: nowhere },
		intervalMs: 1000,
		timeoutMs: 1000,
		weight: 0,
		reverse: false,
		rise: 1,
		fall: 1,
		initFail: false,
		location: nowhere,
		...over,
	};
}

export const globalDefaults: GlobalConfig = {
	mail: {
		routerId: "test",
		recipients: [],
		sender: null,
		server: null,
		heloName: null,
		connectTimeoutMs: 30_000,
		suppressFault: false,
		perRealServerOnly: false,
	},
	routerId: "test",
	notifyFifo: null,
	vrrpNotifyFifo: null,
	lvsNotifyFifo: null,
	fifoWriteVrrpStatesOnReload: false,
	scriptUser: null,
	enableScriptSecurity: false,
	startupScript: null,
	startupScriptTimeoutMs: 10_000,
	shutdownScript: null,
	shutdownScriptTimeoutMs: 10_000,
	multicastGroup4: "224.0.0.18",
	multicastGroup6: "ff02::12",
	garpIntervalMicros: 0,
	gnaIntervalMicros: 0,
	startupDelayMs: 0,
	logUnknownVrids: false,
	dynamicInterfaces: false,
	disableLocalIgmp: false,
	vmacPrefix: "vrrp",
	lvsFlush: false,
	lvsFlushOnStop: "none",
	lvsTimeouts: null,
	lvsSyncDaemon: null,
	checkerLogAllFailures: false,
	rsInitNotifies: false,
	vrrpRtPriority: null,
	checkerRtPriority: null,
	snmpTraps: false,
	networkNamespace: null,
	ipvsNetworkNamespace: null,
	pathCheck: true,
};

export function configOf(
	instances: readonly VrrpInstanceConfig[],
	over: Partial<Omit<DroverConfig, "global">> & { readonly global?: Partial<GlobalConfig> } = {},
): DroverConfig {
	const { global, ...rest } = over;
	return {
		global: { ...globalDefaults, ...global },
		tlsClient: null,
		staticAddresses: [],
		staticRoutes: [],
		staticRules: [],
		trackGroups: [],
		interfaceDelays: [],
		trackScripts: [],
		trackFiles: [],
		trackProcesses: [],
		bfdInstances: [],
		vrrpInstances: instances,
		syncGroups: [],
		virtualServers: [],
		...rest,
	};
}
