/** What bears on a virtual router: what it tracks itself, and what its sync group tracks for it. Pure. */
import type { SyncGroupConfig, TrackReference, VrrpInstanceConfig } from "./model.ts";

export const TRACKED_LISTS = [
	"trackInterfaces",
	"trackScripts",
	"trackFiles",
	"trackProcesses",
	"trackBfd",
] as const;

export type TrackedList = (typeof TRACKED_LISTS)[number];

/** The sync group that the instance with this name is a member of. */
export const syncGroupOf = (groups: readonly SyncGroupConfig[], name: string): SyncGroupConfig | null =>
	groups.find(({ members }) => members.includes(name)) ?? null;

/**
 * One of the lists, each object once: what both track counts with the group's weight and direction, unless the instance
 * gives it none (keepalived, add_vrrp_to_track_script). Of a process the direction stays the instance's
 * (add_vrrp_to_track_process).
 */
export function trackedBy(
	instance: VrrpInstanceConfig,
	group: SyncGroupConfig | null,
	list: TrackedList,
): readonly TrackReference[] {
	const own = instance[list];
	const shared = group?.[list] ?? [];
	if (shared.length === 0) return own;
	const inGroup = new Map(shared.map((reference) => [reference.name, reference]));
	const merged = own.map((one) => {
		const theirs = inGroup.get(one.name);
		if (one.weight === 0 || theirs === undefined) return one;
		return list === "trackProcesses" ? { ...theirs, reverse: one.reverse } : theirs;
	});
	const known = new Set(own.map(({ name }) => name));
	return [...merged, ...shared.filter(({ name }) => !known.has(name))];
}
