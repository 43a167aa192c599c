/** What `drover director` answers to "status" on its socket, and what it publishes to subscribers. */
import type { Protocol } from "../config/model.ts";
import type { IpvsStats } from "../wire/ipvs.ts";

export interface DirectorStatus {
	/** Unix milliseconds. */
	readonly startedAtMs: number;
	readonly configFile: string;
	/** Null when the kernel has no IPVS; then `ipvsError` says why. */
	readonly ipvsVersion: string | null;
	readonly ipvsError: string | null;
	/** The last reload; null before the first. A refused one leaves the running configuration as it was. */
	readonly reload?: { readonly atMs: number; readonly ok: boolean; readonly message: string } | null;
	/** Changes by others in the kernel's table that were found and repaired since the start. */
	readonly driftRepairs?: number;
	/** The IPVS synchronisation daemons that run, such as "master on eth1, sync id 51". */
	readonly syncDaemons?: readonly string[];
	readonly virtualServers: readonly VirtualServerStatus[];
}

export interface VirtualServerStatus {
	/** As keepalived writes it in messages: "[192.168.80.200]:tcp:80", "FWM 3", "[group]:1". */
	readonly name: string;
	readonly protocol: Protocol;
	/** In names of its real servers: "tcp" …, or "none" where firewall marks alone lead to it. */
	readonly protocolName: string;
	readonly scheduler: string;
	readonly forwarding: "NAT" | "DR" | "TUN";
	readonly quorum: number;
	readonly quorumUp: boolean;
	readonly onSorryServer: boolean;
	readonly aliveRealServers: number;
	readonly totalRealServers: number;
	/** From the kernel: per second, and in all. */
	readonly connectionsPerSecond: number;
	readonly inBytesPerSecond: number;
	readonly outBytesPerSecond: number;
	readonly connections: number;
	readonly traffic?: IpvsStats;
	readonly realServers: readonly RealServerStatus[];
}

export interface RealServerStatus {
	readonly address: string;
	readonly port: number;
	readonly alive: boolean;
	/** What decided, in the operator's words. */
	readonly reason?: string;
	/** The operator's word on it; null is none. */
	readonly override?: "draining" | "drained" | "maintenance" | null;
	/** What the kernel has now; 0 while inhibited, draining, or out of the table. */
	readonly weight: number;
	/** False when the kernel's table does not have it. */
	readonly inTable?: boolean;
	/** The configured weight, as the dynamic checks have changed it. */
	readonly effectiveWeight?: number;
	readonly activeConnections: number;
	readonly inactiveConnections: number;
	readonly connectionsPerSecond: number;
	readonly persistentConnections?: number;
	readonly connections?: number;
	readonly inBytesPerSecond?: number;
	readonly outBytesPerSecond?: number;
	readonly traffic?: IpvsStats;
	readonly checks: readonly {
		readonly kind: string;
		readonly up: boolean;
		/** The last answer in words, such as "connection refused" or "HTTP 503". */
		readonly detail: string;
		readonly atMs: number;
		/** Bad answers in a row; while it is up its retries cover them. */
		readonly failures?: number;
	}[];
	/** The path check's own verdict; null when it does not apply. */
	readonly path: {
		readonly ok: boolean;
		/** False while no answer has decided: `ok` is then what is assumed. */
		readonly known?: boolean;
		readonly detail: string;
	} | null;
}

export type DirectorEvent = {
	/** "drift": somebody else changed the kernel's table, and `up` says whether that was repaired. */
	readonly kind: "real-server" | "quorum" | "drift";
	readonly atMs: number;
	readonly virtualServer: string;
	readonly realServer: string | null;
	readonly up: boolean;
	/** The director ends: `up` is false. */
	readonly stopped?: boolean;
	readonly reason: string;
};
