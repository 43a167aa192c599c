/** Everything the agent answers from: one consistent look at the box. Plain data; no edge. */
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
	readonly macAddress: Uint8Array;
	readonly adminUp: boolean;
	readonly operUp: boolean;
	/** sysUpTime when it entered its state, milliseconds. */
	readonly lastChangeMs: number;
	/** /sys/class/net/NAME/statistics, by file name. */
	readonly statistics: Readonly<Record<string, bigint>>;
	/** Canonical addresses with prefix lengths. */
	readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
}

export interface HostFacts {
	readonly hostName: string;
	/** `uname -a`-like: what the box is and which version runs. */
	readonly description: string;
	readonly contact: string;
	readonly location: string;
	/** Since the agent started, milliseconds. */
	readonly agentUpMs: number;
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

export interface Facts {
	readonly engineId: Uint8Array;
	readonly engineBoots: number;
	readonly host: HostFacts;
	readonly interfaces: readonly InterfaceFacts[];
	readonly firmware: FirmwareFacts;
	/** Notifications that no receiver got, since the agent's start. */
	readonly notificationsLost: number;
	/** Null when the configuration could not be read. */
	readonly config: DroverConfig | null;
	/** Null when the service does not answer. */
	readonly vrrp: VrrpStatus | null;
	readonly director: DirectorStatus | null;
}
