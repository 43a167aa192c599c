/** What the director says of itself, from its pools and the kernel's counters. Pure. */
import type { RealServerStatus, VirtualServerStatus } from "../status/director.ts";
import {
	destinationKeyText,
	type IpvsDestinationState,
	type IpvsStats,
	serviceKeyText,
	zeroStats,
} from "../wire/ipvs.ts";
import { destinationKeyOf, serviceKeyOf } from "./desired.ts";
import type { IpvsStateEntry } from "./ipvs-text.ts";
import { protocolName, virtualServerName } from "./names.ts";
import { isServing, type Pool } from "./pool.ts";

/** What the health checks add to a real server's status. */
export type HealthStatus = Pick<RealServerStatus, "checks" | "path"> & { readonly reason: string };

/** Sums over the services of a group; a service that the kernel does not have counts as zero. */
export function virtualServerStatus(
	pool: Pool,
	table: ReadonlyMap<string, IpvsStateEntry>,
	healthOf: (member: number) => HealthStatus,
): VirtualServerStatus {
	const { config, members } = pool;
	const entries: IpvsStateEntry[] = [];
	const rows = config.realServers.map((): IpvsDestinationState[] => []);
	for (const address of config.services) {
		const entry = table.get(serviceKeyText(serviceKeyOf(config, address)));
		if (entry === undefined) continue;
		entries.push(entry);
		const byKey = new Map(entry.destinations.map((row) => [destinationKeyText(row), row]));
		config.realServers.forEach((server, index) => {
			const row = byKey.get(destinationKeyOf(server, address));
			if (row !== undefined) rows[index]!.push(row);
		});
	}
	const traffic = sumOf(entries.map(({ service }) => service.stats));
	return {
		name: virtualServerName(config),
		protocol: config.protocol,
		protocolName: protocolName(config),
		scheduler: config.scheduler,
		forwarding: config.forwarding.kind,
		quorum: config.quorum,
		quorumUp: pool.quorumUp,
		onSorryServer: !pool.quorumUp && config.sorryServer !== null,
		aliveRealServers: members.filter(isServing).length,
		totalRealServers: members.length,
		connectionsPerSecond: traffic.connectionsPerSecond,
		inBytesPerSecond: traffic.inBytesPerSecond,
		outBytesPerSecond: traffic.outBytesPerSecond,
		connections: traffic.connections,
		traffic,
		realServers: members.map((member, index) => {
			const server = config.realServers[index]!;
			const found = rows[index]!;
			const total = (of: (row: IpvsDestinationState) => number) =>
				found.reduce((amount, row) => amount + of(row), 0);
			const { checks, path, reason } = healthOf(index);
			const ownTraffic = sumOf(found.map((row) => row.stats));
			return {
				address: server.address,
				port: server.port,
				alive: member.alive,
				reason,
				override: member.override,
				weight: found[0]?.weight ?? 0,
				inTable: found.length > 0,
				effectiveWeight: member.weight,
				activeConnections: total((row) => row.activeConnections),
				inactiveConnections: total((row) => row.inactiveConnections),
				persistentConnections: total((row) => row.persistentConnections),
				connectionsPerSecond: ownTraffic.connectionsPerSecond,
				connections: ownTraffic.connections,
				inBytesPerSecond: ownTraffic.inBytesPerSecond,
				outBytesPerSecond: ownTraffic.outBytesPerSecond,
				// Most of a thousand servers are idle.
				...(ownTraffic === zeroStats ? {} : { traffic: ownTraffic }),
				checks,
				path,
			};
		}),
	};
}

/** `zeroStats` itself when there was nothing. */
function sumOf(list: readonly IpvsStats[]): IpvsStats {
	const busy = list.filter(({ connections, inPackets }) => connections > 0 || inPackets > 0);
	if (busy.length < 2) return busy[0] ?? zeroStats;
	const sum = (name: keyof IpvsStats) => busy.reduce((total, stats) => total + stats[name], 0);
	return {
		connections: sum("connections"),
		inPackets: sum("inPackets"),
		outPackets: sum("outPackets"),
		inBytes: sum("inBytes"),
		outBytes: sum("outBytes"),
		connectionsPerSecond: sum("connectionsPerSecond"),
		inPacketsPerSecond: sum("inPacketsPerSecond"),
		outPacketsPerSecond: sum("outPacketsPerSecond"),
		inBytesPerSecond: sum("inBytesPerSecond"),
		outBytesPerSecond: sum("outBytesPerSecond"),
	};
}
