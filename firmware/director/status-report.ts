/** What the director says of itself, from its pools and the kernel's counters. Pure. */
import type { RealServerStatus, VirtualServerStatus } from "../status/director.ts";
import {
	destinationKeyText,
	type IpvsDestinationState,
	serviceKeyText,
	type zeroStats,
} from "../wire/ipvs.ts";
import { destinationKeyOf, serviceKeyOf } from "./desired.ts";
import type { IpvsStateEntry } from "./ipvs-text.ts";
import { virtualServerName } from "./names.ts";
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
	const sum = (of: (stats: typeof zeroStats) => number) =>
		entries.reduce((total, { service }) => total + of(service.stats), 0);
	return {
		name: virtualServerName(config),
		protocol: config.protocol,
		scheduler: config.scheduler,
		forwarding: config.forwarding.kind,
		quorum: config.quorum,
		quorumUp: pool.quorumUp,
		onSorryServer: !pool.quorumUp && config.sorryServer !== null,
		aliveRealServers: members.filter(isServing).length,
		totalRealServers: members.length,
		connectionsPerSecond: sum((stats) => stats.connectionsPerSecond),
		inBytesPerSecond: sum((stats) => stats.inBytesPerSecond),
		outBytesPerSecond: sum((stats) => stats.outBytesPerSecond),
		connections: sum((stats) => stats.connections),
		realServers: members.map((member, index) => {
			const server = config.realServers[index]!;
			const found = rows[index]!;
			const total = (of: (row: IpvsDestinationState) => number) =>
				found.reduce((amount, row) => amount + of(row), 0);
			const { checks, path, reason } = healthOf(index);
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
				connectionsPerSecond: total((row) => row.stats.connectionsPerSecond),
				connections: total((row) => row.stats.connections),
				inBytesPerSecond: total((row) => row.stats.inBytesPerSecond),
				outBytesPerSecond: total((row) => row.stats.outBytesPerSecond),
				checks,
				path,
			};
		}),
	};
}
