/**
 * Is the new firmware good? Judged against what worked before the update, not against an
 * ideal: a cable that was unplugged then may be unplugged now. Pure.
 */

/** One look at what the box does for its users. */
export interface Working {
	/** Services that answer. */
	readonly services: readonly string[];
	/** Ports with a link. */
	readonly links: readonly string[];
	/** Real servers that are alive, as "virtual server > real server". */
	readonly realServers: readonly string[];
	/** VRRP instances that take part: BACKUP or MASTER. */
	readonly instances: readonly string[];
	/** The configuration revision in force; null on a box that has none. */
	readonly revision: number | null;
}

/** How long a new firmware has to show what the old one did. */
export const TRIAL_DEADLINE_MS = 5 * 60_000;
/** A few real servers may die on their own during an update. */
export const LOST_REAL_SERVERS_PERCENT = 10;
/** Everything has to stay well for this long. */
export const STEADY_MS = 10_000;

export type TrialVerdict =
	| { readonly kind: "wait"; readonly missing: readonly string[] }
	| { readonly kind: "good" }
	| { readonly kind: "revert"; readonly reasons: readonly string[] };

/** What worked before and does not now, in the operator's words. Empty: the new firmware is as good. */
export function missingNow(before: Working, now: Working): readonly string[] {
	const lost = (was: readonly string[], is: readonly string[]) => was.filter((each) => !is.includes(each));
	const missing = [
		...lost(before.services, now.services).map((name) => `the service ${name} does not answer`),
		...lost(before.links, now.links).map((name) => `${name} had a link and has none`),
		...lost(before.instances, now.instances).map((name) => `the VRRP instance ${name} does not take part`),
	];
	if (before.revision !== now.revision)
		missing.push(
			`configuration revision ${before.revision ?? "none"} is not in force, but ${now.revision ?? "none"}`,
		);
	const servers = lost(before.realServers, now.realServers);
	if (servers.length * 100 > before.realServers.length * LOST_REAL_SERVERS_PERCENT)
		missing.push(
			`${servers.length} of ${before.realServers.length} real servers are not back, such as ${servers[0]}`,
		);
	return missing;
}

/**
 * The verdict at `elapsedMs` since the new firmware's start. `steadySinceMs` is when nothing
 * was missing for the first time in a row; null while something is.
 */
export function judgeTrial(
	before: Working,
	now: Working,
	elapsedMs: number,
	steadySinceMs: number | null,
): TrialVerdict {
	const missing = missingNow(before, now);
	if (missing.length === 0)
		return steadySinceMs !== null && elapsedMs - steadySinceMs >= STEADY_MS
			? { kind: "good" }
			: { kind: "wait", missing };
	return elapsedMs >= TRIAL_DEADLINE_MS ? { kind: "revert", reasons: missing } : { kind: "wait", missing };
}
