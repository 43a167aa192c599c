/** All that the status screen shows, as plain data. */
import type { Port } from "../appliance/ports.ts";
import type { DirectorStatus } from "../status/director.ts";
import type { VrrpStatus } from "../status/vrrp.ts";

/** A service's own account of itself, or why there is none. */
export type ServiceFacts<Status> =
	| { readonly kind: "running"; readonly status: Status }
	| { readonly kind: "silent"; readonly reason: string };

export interface ConsoleFacts {
	readonly nowMs: number;
	readonly hostname: string;
	readonly version: string;
	/** Name of the slot that was booted, such as "A". */
	readonly slot: string;
	readonly uptimeSeconds: number;
	readonly ports: readonly Port[];
	readonly vrrp: ServiceFacts<VrrpStatus>;
	readonly director: ServiceFacts<DirectorStatus>;
}
