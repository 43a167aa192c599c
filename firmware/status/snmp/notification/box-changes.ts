/** What became of updates and commits between two looks. Pure. */
import type { BoxEvent, UpdateStep } from "./notification.ts";

export interface BoxRecords {
	/** 0 when there is none. */
	readonly revision: number;
	readonly pending: { readonly revision: number; readonly previous: number } | null;
	/** What the updater wrote down, newest first. */
	readonly updates: readonly { readonly atMs: number; readonly what: string; readonly detail: string }[];
}

/** The updater's words, as far as anybody is told. */
const updateSteps: Readonly<Record<string, UpdateStep>> = {
	installed: "installed",
	good: "confirmed",
	reverted: "reverted",
};

/**
 * `toldUntilMs`: updates up to then were told, perhaps before a restart. `before` is null at the agent's
 * start: a revision that is in force then is nothing new.
 */
export function boxChanges(before: BoxRecords | null, after: BoxRecords, toldUntilMs: number): BoxEvent[] {
	const updates = after.updates
		.filter(({ atMs, what }) => atMs > toldUntilMs && updateSteps[what] !== undefined)
		.map(({ what, detail }): BoxEvent => ({ kind: "update", what: updateSteps[what]!, detail }))
		.reverse();
	return before === null ? updates : [...updates, ...commits(before, after)];
}

function commits(before: BoxRecords, after: BoxRecords): BoxEvent[] {
	const { pending } = after;
	const events: BoxEvent[] = [];
	const tell = (what: "waits" | "confirmed" | "taken-back" | "changed", revision: number) =>
		events.push({ kind: "commit", what, revision });
	const waited = before.pending;
	if (waited !== null && waited.revision !== pending?.revision)
		tell(after.revision === waited.previous ? "taken-back" : "confirmed", waited.revision);
	if (after.revision !== before.revision) tell("changed", after.revision);
	if (pending !== null && pending.revision !== waited?.revision) tell("waits", pending.revision);
	return events;
}
