/** What the services say, for tests: complete statuses, and what a test changes. */
import type { ConsoleFacts } from "../../firmware/console/facts.ts";
import type {
	DirectorStatus,
	RealServerStatus,
	VirtualServerStatus,
} from "../../firmware/status/director.ts";
import type { VrrpInstanceStatus, VrrpStatus } from "../../firmware/status/vrrp.ts";

export function realServerStatus(change: Partial<RealServerStatus> = {}): RealServerStatus {
	return {
		address: "192.168.80.102",
		port: 80,
		alive: true,
		reason: "TCP_CHECK: connected",
		override: null,
		weight: 3,
		inTable: true,
		effectiveWeight: 3,
		activeConnections: 2,
		inactiveConnections: 40,
		connectionsPerSecond: 9.5,
		connections: 500,
		inBytesPerSecond: 6_000,
		outBytesPerSecond: 0,
		checks: [{ kind: "TCP_CHECK", up: true, detail: "connected", atMs: 0 }],
		path: { ok: true, detail: "answers" },
		...change,
	};
}

export function virtualServerStatus(change: Partial<VirtualServerStatus> = {}): VirtualServerStatus {
	return {
		name: "[192.168.80.200]:tcp:80",
		protocol: "TCP",
		protocolName: "tcp",
		scheduler: "wrr",
		forwarding: "DR",
		quorum: 1,
		quorumUp: true,
		onSorryServer: false,
		aliveRealServers: 2,
		totalRealServers: 2,
		connectionsPerSecond: 19,
		inBytesPerSecond: 12_345,
		outBytesPerSecond: 0,
		connections: 1000,
		realServers: [realServerStatus(), realServerStatus({ address: "192.168.80.103" })],
		...change,
	};
}

export function instanceStatus(change: Partial<VrrpInstanceStatus> = {}): VrrpInstanceStatus {
	return {
		name: "VI_1",
		state: "MASTER",
		reason: "no advert from 192.168.80.100 for 3.6 s",
		sinceMs: 1_000,
		interface: "eth0",
		virtualRouterId: 51,
		version: 2,
		basePriority: 99,
		effectivePriority: 99,
		advertIntervalMs: 1000,
		masterAddress: "192.168.80.101",
		masterPriority: 99,
		virtualAddresses: ["192.168.80.200/32"],
		conflict: null,
		counters: {},
		...change,
	};
}

export const vrrpStatus = (change: Partial<VrrpStatus> = {}): VrrpStatus => ({
	startedAtMs: 0,
	configFile: "/data/config/current/keepalived.conf",
	instances: [instanceStatus()],
	syncGroups: [],
	...change,
});

export const directorStatus = (change: Partial<DirectorStatus> = {}): DirectorStatus => ({
	startedAtMs: 0,
	configFile: "/data/config/current/keepalived.conf",
	ipvsVersion: "1.2.1",
	ipvsError: null,
	virtualServers: [virtualServerStatus()],
	...change,
});

export function consoleFacts(change: Partial<ConsoleFacts> = {}): ConsoleFacts {
	return {
		nowMs: 61_000,
		hostname: "director-b",
		version: "0.1.0+7df1c122",
		slot: "A",
		slotState: "good",
		bootReason: "preferred",
		uptimeSeconds: 3_723,
		ports: [
			{
				name: "eth0",
				macAddress: "52:54:00:80:01:00",
				enabled: true,
				carrier: true,
				speedMegabits: 1000,
				addresses: ["192.168.80.101/24"],
			},
		],
		vrrp: { kind: "running", status: vrrpStatus() },
		director: { kind: "running", status: directorStatus() },
		cache: null,
		revision: { current: 7, pending: null },
		reverted: null,
		password: "set",
		clock: null,
		data: { kind: "disk", freeBytes: 1_000_000_000 },
		crashing: [],
		...change,
	};
}
