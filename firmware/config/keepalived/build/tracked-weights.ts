/** Which weights of trackers count, where an address owner or a sync group has a say. As keepalived 2.2.7 (observed). */
import type { SyncGroupConfig, TrackReference, VrrpInstanceConfig } from "../../model.ts";
import { TRACKED_LISTS } from "../../tracked.ts";
import type { BuildContext } from "./context.ts";
import { placeOf } from "./vrrp-instance.ts";

const OWNER_PRIORITY = 255;
const FILE_WEIGHT_DEFAULT = 1;

type Kept = "with its weight" | "without its weight" | "not at all";

/** Where one member is an address owner the group tracks without weights: what fails keeps all of it out. */
export function settleGroupWeights(
	context: BuildContext,
	group: SyncGroupConfig,
	instances: readonly VrrpInstanceConfig[],
): SyncGroupConfig {
	const owner = instances.find(
		({ name, priority }) => priority === OWNER_PRIORITY && group.members.includes(name),
	);
	if (owner === undefined) return group;
	const unweighted = (references: readonly TrackReference[]) =>
		references.map((reference) => {
			const { name, weight, location } = reference;
			if (weight === 0) return reference;
			context.warn(
				placeOf(context, location, name.length),
				"tracked-weight",
				`sync group ${group.name}: ${name} is tracked without its weight, since ${owner.name} is an address owner`,
			);
			return { ...reference, weight: 0 };
		});
	return { ...group, ...Object.fromEntries(TRACKED_LISTS.map((list) => [list, unweighted(group[list])])) };
}

/** Says of what its sync group tracks, too, which of the two weights counts (`trackedBy`). */
function tellOfShared(
	context: BuildContext,
	instance: VrrpInstanceConfig,
	group: SyncGroupConfig | null,
): VrrpInstanceConfig {
	if (group === null) return instance;
	for (const list of TRACKED_LISTS)
		for (const { name, weight, location } of instance[list])
			if (group[list].some((shared) => shared.name === name))
				context.warn(
					placeOf(context, location, name.length),
					"tracked-weight",
					`${instance.name}: ${name} is tracked by sync group ${group.name}, too: ${weight === 0 ? "for this instance without a weight" : "its weight there counts"}`,
					{ exitStatus: 0 },
				);
	return instance;
}

/**
 * What is left of an instance's own weighted trackers where its priority must not move by itself: as an address owner,
 * and in a sync group without `sync_group_tracking_weight`. Scripts, files and BFD sessions with a weight are not
 * tracked, a file with the weight 1, its default, loses it, and processes keep theirs. An interface is not tracked by
 * an owner; in a group its weight is said not to count, and counts.
 */
export function settleTrackedWeights(
	context: BuildContext,
	instance: VrrpInstanceConfig,
	group: SyncGroupConfig | null,
): VrrpInstanceConfig {
	const inGroup = group !== null && !group.trackingWeight;
	if (!inGroup && instance.priority !== OWNER_PRIORITY) return tellOfShared(context, instance, group);
	const why = inGroup ? `in sync group ${group.name}` : "as an address owner";
	const settle = (references: readonly TrackReference[], keep: (weight: number) => Kept) =>
		references.flatMap((reference): TrackReference[] => {
			const { name, weight, location } = reference;
			if (weight === 0) return [reference];
			const kept = keep(weight);
			const what = kept === "not at all" ? "not tracked with a weight" : `tracked ${kept}`;
			context.warn(
				placeOf(context, location, name.length),
				"tracked-weight",
				`${instance.name}: ${name} is ${what} ${why}`,
			);
			if (kept === "with its weight") return [reference];
			return kept === "not at all" ? [] : [{ ...reference, weight: 0 }];
		});
	const unweighted = (): Kept => "not at all";
	const settled = {
		...instance,
		trackInterfaces: settle(instance.trackInterfaces, () =>
			instance.priority === OWNER_PRIORITY ? "not at all" : "with its weight",
		),
		trackScripts: settle(instance.trackScripts, unweighted),
		trackFiles: settle(instance.trackFiles, (weight) =>
			weight === FILE_WEIGHT_DEFAULT ? "without its weight" : "not at all",
		),
		trackBfd: settle(instance.trackBfd, unweighted),
	};
	return tellOfShared(context, settled, group);
}
