/** What `drover vrrp` answers to "status" on its socket, and what it publishes to subscribers. */

export type VrrpStateName = "INIT" | "BACKUP" | "MASTER" | "FAULT";

/** As keepalived numbers them: VrrpState of KEEPALIVED-MIB, `state` of its JSON dump. */
export const stateNumbers: Readonly<Record<VrrpStateName, number>> = {
	INIT: 0,
	BACKUP: 1,
	MASTER: 2,
	FAULT: 3,
};

export interface VrrpStatus {
	/** The process that goes on if this one is killed; null while there is none. */
	readonly standbyPid?: number | null;
	/** Unix milliseconds. */
	readonly startedAtMs: number;
	readonly configFile: string;
	readonly instances: readonly VrrpInstanceStatus[];
	readonly syncGroups: readonly { readonly name: string; readonly state: VrrpStateName }[];
	readonly tracked?: TrackedStatus;
}

/** What was seen last of everything that is tracked, by name. */
export interface TrackedStatus {
	/** Null until the first result. */
	readonly scripts: Readonly<Record<string, boolean | null>>;
	readonly files: Readonly<Record<string, number>>;
	/** How many run now, and whether that has been enough of them for long enough. */
	readonly processes: Readonly<Record<string, { readonly count: number; readonly enough: boolean | null }>>;
	readonly bfd: Readonly<Record<string, boolean>>;
}

/** vrrpv3StatisticsNewMasterReason (RFC 6527): the master gave it up, had a lower priority, or was silent. */
export type MasterReason = "not-master" | "priority" | "preempted" | "no-response";

/** vrrpv3StatisticsProtoErrReason (RFC 6527), as far as there is a virtual router that it can be told of. */
export type ProtocolError = "hop-limit" | "version" | "checksum";

export interface VrrpInstanceStatus {
	readonly name: string;
	readonly state: VrrpStateName;
	/** Why it is in this state, in the operator's words, such as "no advert from 10.0.0.1 for 3.6 s". */
	readonly reason: string;
	readonly sinceMs: number;
	readonly interface: string;
	readonly virtualRouterId: number;
	readonly version: 2 | 3;
	readonly basePriority: number;
	readonly effectivePriority: number;
	readonly advertIntervalMs: number;
	/** The address that the current master advertises from; null when none was heard. */
	readonly masterAddress: string | null;
	readonly masterPriority: number | null;
	readonly virtualAddresses: readonly string[];
	/** Set while a second master is heard: what is wrong, such as "10.0.0.2 sends interval 2 s, ours is 1 s". */
	readonly conflict: string | null;
	/** Empty when adverts go to the multicast group. */
	readonly unicastPeers?: readonly string[];
	readonly preempt?: boolean;
	/** The operator told it to give up: it preempts nobody until it is told to take over, or restarted. */
	readonly resigned?: boolean;
	readonly syncGroup?: string | null;
	/** Unix milliseconds when it last left INIT or FAULT; null while it is in one of them. */
	readonly takesPartSinceMs?: number | null;
	/** Why it became master the last time. */
	readonly masterReason?: MasterReason;
	/** What the last of its protocol errors was. */
	readonly lastProtocolError?: ProtocolError | null;
	/** The counters of keepalived's stats dump. */
	readonly counters: Readonly<Record<string, number>>;
}

export type VrrpEvent = VrrpTransition | VrrpProtocolError;

/** A packet for this instance that breaks the protocol; at most one a minute is told of. */
export interface VrrpProtocolError {
	readonly kind: "protocol-error";
	readonly atMs: number;
	readonly instance: string;
	readonly error: ProtocolError;
}

export interface VrrpTransition {
	readonly kind: "transition";
	readonly atMs: number;
	readonly instance: string;
	readonly from: VrrpStateName;
	readonly to: VrrpStateName;
	/** The service ends: `to` is INIT. */
	readonly stopped?: boolean;
	/** A reload took it away: `to` is INIT, or FAULT where keepalived's notifications call it that. */
	readonly deleted?: boolean;
	readonly reason: string;
}
