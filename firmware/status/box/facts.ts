/** Everything that SNMP and metrics answer from: one consistent look at the box. Plain data; no edge. */
import type { DroverConfig } from "../../config/model.ts";
import type { DirectorStatus } from "../director.ts";
import type { VrrpStatus } from "../vrrp.ts";

export interface InterfaceFacts {
	/** Stable over restarts: see interface-index.ts. */
	readonly index: number;
	readonly name: string;
	readonly alias: string;
	/** IANAifType: 6 ethernetCsmacd, 24 softwareLoopback, 1 other. */
	readonly type: number;
	readonly mtu: number;
	/** 0 when the driver does not say. */
	readonly speedMbits: number;
	/** Empty when it has none. */
	readonly macAddress: Uint8Array;
	readonly adminUp: boolean;
	readonly operUp: boolean;
	/** When it entered its state, milliseconds since the looking began; sysUpTime for the agent. */
	readonly lastChangeMs: number;
	/** /sys/class/net/NAME/statistics, by file name. */
	readonly statistics: Readonly<Record<string, bigint>>;
	/** Canonical addresses with prefix lengths, and the kernel's IFA_F_*. */
	readonly addresses: readonly {
		readonly address: string;
		readonly prefixLength: number;
		readonly flags: number;
	}[];
}

export interface HostFacts {
	readonly hostName: string;
	/** `uname -a`-like: what the box is and which version runs. */
	readonly description: string;
	/** Since the box started, milliseconds. */
	readonly hostUpMs: number;
	readonly dateMs: number;
	readonly processes: number;
	/** /proc/loadavg: over 1, 5 and 15 minutes. */
	readonly loadAverages: readonly [number, number, number];
	/** /proc/meminfo, kibibytes, by name. */
	readonly memoryKib: Readonly<Record<string, number>>;
	/** Percent busy over the last minute, one per processor. */
	readonly processorLoads: readonly number[];
	readonly fileSystems: readonly {
		readonly path: string;
		readonly blockBytes: number;
		readonly blocks: number;
		readonly usedBlocks: number;
	}[];
}

export interface FirmwareFacts {
	readonly version: string;
	readonly slot: string;
	/** The loader's word: preferred, trial, fallback, spent, menu; "none" without a loader. */
	readonly slotReason: string;
	/** A new firmware that has not proved itself yet. */
	readonly onTrial: boolean;
	/** When, what and which; empty when there was none. */
	readonly lastUpdate: string;
	readonly reverted: boolean;
	/** Seconds until an unconfirmed commit is taken back; 0 when none waits. */
	readonly commitTimerSeconds: number;
	readonly watchdogArmed: boolean;
	readonly configRevision: number;
}

/** What the HTTP cache says of itself. */
export interface CacheFacts {
	readonly requests: number;
	readonly hits: number;
	readonly misses: number;
	/** Hits among hits and misses of the last seconds, 0 to 1; null when there was neither. */
	readonly recentHitRatio: number | null;
}

export interface BoxFacts {
	readonly host: HostFacts;
	readonly interfaces: readonly InterfaceFacts[];
	readonly firmware: FirmwareFacts;
	/** Null when the configuration could not be read. */
	readonly config: DroverConfig | null;
	/** Null when the service does not answer. */
	readonly vrrp: VrrpStatus | null;
	readonly director: DirectorStatus | null;
	/** Null when there is none, or it does not answer. */
	readonly cache: CacheFacts | null;
}

/** What the SNMP agent knows of itself besides. */
export interface Facts extends BoxFacts {
	readonly agent: {
		readonly engineId: Uint8Array;
		readonly engineBoots: number;
		/** sysUpTime, milliseconds. */
		readonly upMs: number;
		readonly contact: string;
		readonly location: string;
		/** Notifications that no receiver got, since the agent's start. */
		readonly notificationsLost: number;
	};
}
