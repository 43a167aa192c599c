/**
 * What is left of an instance's own weighted trackers where its priority must not move by itself: as an address owner,
 * and in a sync group without `sync_group_tracking_weight`. As keepalived 2.2.7 does it (observed): scripts, files and
 * BFD sessions with a weight are not tracked, a file with the weight 1, its default, loses it, and processes keep
 * theirs. An interface is not tracked by an owner; in a group its weight is said not to count, and counts.
 */
import type { SyncGroupConfig, TrackReference, VrrpInstanceConfig } from "../../model.ts";
import type { BuildContext } from "./context.ts";
import { placeOf } from "./vrrp-instance.ts";

const OWNER_PRIORITY = 255;
const FILE_WEIGHT_DEFAULT = 1;

type Kept = "with its weight" | "without its weight" | "not at all";

export function settleTrackedWeights(
	context: BuildContext,
	instance: VrrpInstanceConfig,
	group: SyncGroupConfig | null,
): VrrpInstanceConfig {
	const inGroup = group !== null && !group.trackingWeight;
	if (!inGroup && instance.priority !== OWNER_PRIORITY) return instance;
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
	return {
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
}
