/** What is told of an instance to whoever asks. Pure. */
import type { SyncGroupConfig } from "../config/model.ts";
import { syncGroupOf } from "../config/tracked.ts";
import type { TrackedStatus, VrrpInstanceStatus } from "../status/vrrp.ts";
import type { Readings } from "./readings.ts";
import type { Router } from "./router.ts";

/** `wallMs` turns CLOCK_MONOTONIC microseconds into Unix milliseconds. */
export function instanceStatus(
	router: Router,
	syncGroups: readonly SyncGroupConfig[],
	wallMs: (atMicros: number) => number,
): VrrpInstanceStatus {
	const { config, master, conflict } = router;
	const isMaster = router.state === "MASTER";
	return {
		name: config.name,
		state: router.state,
		reason: router.reason,
		sinceMs: wallMs(router.sinceMicros),
		interface: config.interface ?? "",
		virtualRouterId: config.virtualRouterId,
		version: config.version,
		basePriority: config.priority,
		effectivePriority: router.priority,
		advertIntervalMs: config.advertIntervalMicros / 1000,
		masterAddress: isMaster ? router.sourceAddress : (master?.address ?? null),
		masterPriority: isMaster ? router.priority : (master?.priority ?? null),
		virtualAddresses: config.virtualAddresses.map(
			({ address, prefixLength }) => `${address}/${prefixLength}`,
		),
		conflict: conflict?.detail ?? null,
		unicastPeers: config.unicastPeers.map(({ address }) => address),
		preempt: config.preempt,
		resigned: router.resigned,
		syncGroup: syncGroupOf(syncGroups, config.name)?.name ?? null,
		takesPartSinceMs: router.takesPartSinceMicros === null ? null : wallMs(router.takesPartSinceMicros),
		masterReason: router.masterReason,
		lastProtocolError: router.lastProtocolError,
		counters: { ...router.counters },
	};
}

export function trackedStatus({ scripts, files, processes, bfd }: Readings): TrackedStatus {
	const each = <T, U>(values: Readonly<Record<string, T>>, read: (value: T) => U): Record<string, U> =>
		Object.fromEntries(Object.entries(values).map(([name, value]) => [name, read(value)]));
	return {
		scripts: each(scripts, ({ up }) => up),
		files,
		processes: each(processes, ({ count, enough }) => ({ count, enough: enough.value })),
		bfd,
	};
}
