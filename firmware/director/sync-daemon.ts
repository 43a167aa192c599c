/**
 * Which connection synchronisation daemons should run: keepalived.conf(5) `lvs_sync_daemon`.
 * A director sends its connections while it is master and receives them while it is not. Pure.
 */
import type { DroverConfig, LvsSyncDaemon } from "../config/model.ts";
import type { VrrpStateName } from "../status/vrrp.ts";
import type { IpvsDaemon } from "../wire/ipvs.ts";

/** The daemons wanted, given the state of the VRRP instance that decides. */
export function desiredDaemons(config: DroverConfig, state: VrrpStateName | null): readonly IpvsDaemon[] {
	const settings = config.global.lvsSyncDaemon;
	if (settings === null) return [];
	if (settings.instance === null)
		return [daemonOf(config, settings, "master"), daemonOf(config, settings, "backup")];
	return [daemonOf(config, settings, state === "MASTER" ? "master" : "backup")];
}

function daemonOf(config: DroverConfig, settings: LvsSyncDaemon, state: IpvsDaemon["state"]): IpvsDaemon {
	const instance = config.vrrpInstances.find(({ name }) => name === settings.instance);
	return {
		state,
		interface: settings.interface,
		syncId: settings.syncId ?? instance?.virtualRouterId ?? 0,
		maxLengthBytes: settings.maxLengthBytes ?? 0,
		group: settings.group,
		port: settings.port ?? 0,
		ttl: settings.ttl ?? 0,
	};
}

export interface DaemonChanges {
	readonly stop: readonly IpvsDaemon["state"][];
	readonly start: readonly IpvsDaemon[];
}

/** What leads from the daemons that run to those that are wanted; one that is as wanted goes on. */
export function reconcileDaemons(
	wanted: readonly IpvsDaemon[],
	running: readonly IpvsDaemon[],
): DaemonChanges {
	const goesOn = (daemon: IpvsDaemon) =>
		wanted.some((other) => other.state === daemon.state && satisfies(daemon, other));
	return {
		stop: running.filter((daemon) => !goesOn(daemon)).map(({ state }) => state),
		start: wanted.filter(
			(daemon) => !running.some((other) => other.state === daemon.state && satisfies(other, daemon)),
		),
	};
}

/** Whether `running` is what `wanted` asks for; what is left to the kernel may be anything. */
function satisfies(running: IpvsDaemon, wanted: IpvsDaemon): boolean {
	return (
		running.interface === wanted.interface &&
		running.syncId === wanted.syncId &&
		(wanted.maxLengthBytes === 0 || running.maxLengthBytes === wanted.maxLengthBytes) &&
		(wanted.group === null || running.group === wanted.group) &&
		(wanted.port === 0 || running.port === wanted.port) &&
		(wanted.ttl === 0 || running.ttl === wanted.ttl)
	);
}
