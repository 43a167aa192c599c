/** All that the status screen and the menu show, as plain data. */

import type { CacheStatus } from "../status/cache.ts";
import type { ClockStatus } from "../status/clock.ts";
import type { DirectorStatus } from "../status/director.ts";
import type { Port } from "../status/port.ts";
import type { VrrpStatus } from "../status/vrrp.ts";

/** A service's own account of itself, or why there is none. */
export type ServiceFacts<Status> =
	| { readonly kind: "running"; readonly status: Status }
	| { readonly kind: "silent"; readonly reason: string };

/** The part of the cache's status that is shown at a glance. */
export type CacheGlance = Pick<
	CacheStatus,
	"state" | "total" | "recent" | "objects" | "usedBytes" | "freeBytes"
>;

/** A commit that is taken back by itself. */
export interface PendingCommit {
	readonly revision: number;
	readonly previous: number;
	/** Unix milliseconds. */
	readonly deadlineMs: number;
}

export interface ConsoleFacts {
	readonly nowMs: number;
	readonly hostname: string;
	readonly version: string;
	/** Name of the slot that was booted, such as "A". */
	readonly slot: string;
	/** Null on a box without slots. */
	readonly slotState: "good" | "trial" | "unusable" | null;
	/** The loader's word: preferred, trial, fallback, spent or menu; null when there was no loader of ours. */
	readonly bootReason: string | null;
	readonly uptimeSeconds: number;
	readonly ports: readonly Port[];
	readonly vrrp: ServiceFacts<VrrpStatus>;
	readonly director: ServiceFacts<DirectorStatus>;
	/** Null when no cache is set up. */
	readonly cache: ServiceFacts<CacheGlance> | null;
	/** The configuration: null before the first revision. */
	readonly revision: { readonly current: number | null; readonly pending: PendingCommit | null };
	/** Why the box went back to its old firmware; null when it did not. */
	readonly reverted: string | null;
	readonly password: "set" | "none";
	/** Null when no time server is set. */
	readonly clock: ServiceFacts<ClockStatus> | null;
	/** What is set here is kept on the data partition, or, where that does not mount, in memory. Null but on a box. */
	readonly data: { readonly kind: "disk"; readonly freeBytes: number } | { readonly kind: "memory" } | null;
	/** Services that keep ending, each with what is known of it. */
	readonly crashing: readonly { readonly service: string; readonly text: string }[];
}
