/** Virtual servers for tests: a complete model with every field stated once, and what a test changes. */
import type {
	CheckConfig,
	RealServerConfig,
	RealServerRules,
	VirtualServerConfig,
} from "../../firmware/config/model.ts";
import { NO_LIMITS } from "../../firmware/wire/ipvs.ts";

const location = { file: "test.conf", line: 1, column: 1 };

export const tcpCheck: CheckConfig = {
	kind: "TCP_CHECK",
	timing: {
		delayLoopMs: 1000,
		retry: 0,
		delayBeforeRetryMs: 0,
		warmupMs: 0,
		alpha: false,
		logAllFailures: false,
	},
	target: {
		address: "10.0.0.1",
		family: "inet",
		port: 80,
		bindAddress: null,
		bindPort: null,
		bindInterface: null,
		connectTimeoutMs: 1000,
		fwmark: 0,
	},
};

export const plainRules: RealServerRules = {
	inhibitOnFailure: false,
	alpha: false,
	smtpAlert: true,
	snmpName: null,
	notifyUp: null,
	notifyDown: null,
};
export const inhibited: RealServerRules = { ...plainRules, inhibitOnFailure: true };

export function realServer(address: string, change: Partial<RealServerConfig> = {}): RealServerConfig {
	return {
		address,
		family: address.includes(":") ? "inet6" : "inet",
		port: 80,
		weight: 1,
		forwarding: { kind: "NAT" },
		limits: NO_LIMITS,
		rules: plainRules,
		checks: [tcpCheck],
		...change,
	};
}

export function virtualServer(
	realServers: readonly RealServerConfig[],
	change: Partial<VirtualServerConfig> = {},
): VirtualServerConfig {
	return {
		name: { kind: "address", address: "192.168.80.200", port: 80 },
		services: [{ kind: "address", address: "192.168.80.200", family: "inet", port: 80 }],
		protocol: "TCP",
		scheduler: "wrr",
		schedulerFlags: { flag1: false, flag2: false, flag3: false },
		onePacket: false,
		persistenceTimeoutSeconds: null,
		persistenceEngine: null,
		persistenceGranularity: null,
		forwarding: { kind: "NAT" },
		delayLoopMs: 6000,
		haSuspend: false,
		alpha: false,
		omega: false,
		quorum: 1,
		hysteresis: 0,
		quorumUp: null,
		quorumDown: null,
		smtpAlert: false,
		snmpName: null,
		sorryServer: null,
		pathCheck: false,
		realServers,
		location,
		...change,
	};
}

/** A sorry server at `address`:80, by NAT. */
export function sorryServer(
	address: string,
	inhibit = false,
): NonNullable<VirtualServerConfig["sorryServer"]> {
	return { address, family: "inet", port: 80, forwarding: { kind: "NAT" }, inhibit };
}

/** The verdicts of servers that are up with the weight that the file gives them. */
export const asConfigured = (config: VirtualServerConfig) => (member: number) => ({
	alive: true,
	weight: config.realServers[member]!.weight,
});
