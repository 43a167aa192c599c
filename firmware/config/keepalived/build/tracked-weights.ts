/**
 * What is left of an instance's own weighted trackers where its priority must not move by itself: as an address owner,
 * and in a sync group without `sync_group_tracking_weight`. As keepalived 2.2.7 does it (observed): scripts, files and
 * BFD sessions with a weight are not tracked, an interface loses its weight in a group and is not tracked by an owner,
 * a file with the weight 1, its default, loses it, and processes keep theirs.
 */
import type { SyncGroupConfig, TrackReference, VrrpInstanceConfig } from "../../model.ts";
import type { BuildContext } from "./context.ts";
import { placeOf } from "./vrrp-instance.ts";

const OWNER_PRIORITY = 255;
const FILE_WEIGHT_DEFAULT = 1;

type Kept = "as it is" | "without its weight" | "not at all";

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
			const kept = weight === 0 ? "as it is" : keep(weight);
			if (kept === "as it is") return [reference];
			context.warn(
				placeOf(context, location, name.length),
				"tracked-weight",
				kept === "not at all"
					? `${instance.name}: ${name} is not tracked with a weight ${why}`
					: `${instance.name}: ${name} is tracked without its weight ${why}`,
			);
			return kept === "not at all" ? [] : [{ ...reference, weight: 0 }];
		});
	const unweighted = (): Kept => "not at all";
	return {
		...instance,
		trackInterfaces: settle(instance.trackInterfaces, () => (inGroup ? "without its weight" : "not at all")),
		trackScripts: settle(instance.trackScripts, unweighted),
		trackFiles: settle(instance.trackFiles, (weight) =>
			weight === FILE_WEIGHT_DEFAULT ? "without its weight" : "not at all",
		),
		trackBfd: settle(instance.trackBfd, unweighted),
	};
}
