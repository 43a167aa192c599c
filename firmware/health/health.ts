/**
 * Is a real server alive? The face of the health checks towards the director.
 *
 *   const health = createHealth({ clock, log });
 *   health.onChange((changes) => …);
 *   health.apply(config);
 *   health.verdictOf(virtualServerKey(vs), realServerKey(rs)).alive
 */
import type { DroverConfig } from "../config/model.ts";
import type { RealServerStatus } from "../status/director.ts";
import type { Log } from "../status/log.ts";

export { realServerKey, virtualServerKey } from "./keys.ts";

/** Milliseconds: `monotonic` for intervals, `now` for time stamps. */
export interface Clock {
	monotonicMs(): number;
	nowMs(): number;
}

export interface Verdict {
	/** No check has failed, and in DR and TUN mode the path is good. */
	readonly alive: boolean;
	/** What the file and the dynamic checks give it while alive; never below 0. */
	readonly weight: number;
	/** What decided, in the operator's words: "TCP_CHECK [10.0.0.2]:80: connection refused". */
	readonly reason: string;
	/** Every check has had its first answer. */
	readonly known: boolean;
}

/** One thing that happened to a real server of a virtual server. */
export interface HealthChange {
	/** `alive` and `weight` change the kernel's table; `check` and `path` are for logs, mails and status. */
	readonly kind: "alive" | "weight" | "check" | "path";
	readonly virtualServer: string;
	readonly realServer: string;
	/** The verdict after the change. */
	readonly verdict: Verdict;
	/** For `check` and `path`: whether this one is up now. */
	readonly up: boolean;
	readonly reason: string;
	/** Unix milliseconds. */
	readonly atMs: number;
}

/** BFD sessions, as far as a checker is concerned; the BFD service implements it. */
export interface BfdSessions {
	/** Calls `listener` with the state now and at every change; returns how to stop. */
	watch(name: string, listener: (up: boolean) => void): () => void;
}

export interface HealthOptions {
	readonly clock?: Clock;
	readonly log: Log;
	readonly bfd?: BfdSessions;
}

export interface Health {
	/** Takes a configuration over; checks that did not change keep state and rhythm. */
	apply(config: DroverConfig): void;
	/** A server that is not in the configuration is dead with weight 0. */
	verdictOf(virtualServer: string, realServer: string): Verdict;
	/** The check lines and the path verdict of `RealServerStatus`. */
	statusOf(virtualServer: string, realServer: string): Pick<RealServerStatus, "checks" | "path">;
	/**
	 * `listener` receives what changed since the last call, in order, soon after it happened.
	 * Returns how to stop listening.
	 */
	onChange(listener: (changes: readonly HealthChange[]) => void): () => void;
	/** ha_suspend: a suspended virtual server's checks rest and keep their last state. */
	suspend(virtualServer: string, suspended: boolean): void;
	/** Ends every probe and timer; children of MISC_CHECK are killed. */
	close(): void;
}

export type CreateHealth = (options: HealthOptions) => Health;
