/**
 * What the kernel's IPVS table should hold: a function of the configuration, the verdicts, the
 * quorum and the operator's overrides. Pure.
 */
import type { Forwarding, RealServerConfig, ServiceAddress, VirtualServerConfig } from "../config/model.ts";
import {
	destinationKeyText,
	type IpvsDestination,
	type IpvsEntry,
	type IpvsLimits,
	type IpvsService,
	type IpvsServiceKey,
	type IpvsTable,
	type IpvsTunnel,
	NO_LIMITS,
	netmaskOfPrefix,
	plainTunnel,
	serviceFlags,
	serviceKeyText,
} from "../wire/ipvs.ts";
import { isServing, type Pool, type PoolMember } from "./pool.ts";

/** keepalived adds a sorry server with this weight. */
const SORRY_SERVER_WEIGHT = 1;

/** The entries of every pool. Where two virtual servers claim one service, the first keeps it. */
export function desiredTable(pools: Iterable<Pool>): IpvsTable {
	const table = new Map<string, IpvsEntry>();
	for (const pool of pools)
		for (const entry of desiredEntries(pool)) {
			const key = serviceKeyText(entry.service.key);
			if (!table.has(key)) table.set(key, entry);
		}
	return table;
}

/** A pool is a value: what follows from it is worked out once, and is the same record every time. */
const entriesOf = new WeakMap<Pool, readonly IpvsEntry[]>();

/** One entry for each service of a virtual server: several when it stands for a group. */
export function desiredEntries(pool: Pool): readonly IpvsEntry[] {
	let entries = entriesOf.get(pool);
	if (entries === undefined) {
		entries = entriesIn(pool);
		entriesOf.set(pool, entries);
	}
	return entries;
}

function entriesIn(pool: Pool): readonly IpvsEntry[] {
	const { config } = pool;
	const { services } = config;
	const entries = new Array<IpvsEntry>(services.length);
	for (let index = 0; index < entries.length; index++) {
		const address = services[index]!;
		entries[index] = { service: serviceOf(config, address), destinations: destinationsOf(pool, address) };
	}
	return entries;
}

/**
 * The port of a real server in one service. In DR and TUN mode packets arrive unchanged, so it is the service's,
 * and none for a firewall mark; within a group it differs from service to service.
 */
export function destinationPort(
	server: { readonly port: number; readonly forwarding: Forwarding },
	address: ServiceAddress,
): number {
	if (server.forwarding.kind === "NAT") return server.port;
	return address.kind === "fwmark" ? 0 : address.port;
}

/** The key of a real server's destination in one service. */
export function destinationKeyOf(
	server: { readonly address: string; readonly port: number; readonly forwarding: Forwarding },
	address: ServiceAddress,
): string {
	return destinationKeyText({ address: server.address, port: destinationPort(server, address) });
}

/** The kernel's name of a service. */
export function serviceKeyOf(config: VirtualServerConfig, address: ServiceAddress): IpvsServiceKey {
	return address.kind === "fwmark"
		? { kind: "fwmark", family: address.family, fwmark: address.fwmark }
		: {
				kind: "address",
				family: address.family,
				protocol: config.protocol,
				address: address.address,
				port: address.port,
			};
}

function serviceOf(config: VirtualServerConfig, address: ServiceAddress): IpvsService {
	const persistent = config.persistenceTimeoutSeconds !== null;
	const wholeAddress = address.family === "inet6" ? 128 : 32;
	return {
		key: serviceKeyOf(config, address),
		scheduler: config.scheduler,
		flags:
			(persistent ? serviceFlags.persistent : 0) |
			(config.onePacket ? serviceFlags.onePacket : 0) |
			(config.schedulerFlags.flag1 ? serviceFlags.scheduler1 : 0) |
			(config.schedulerFlags.flag2 ? serviceFlags.scheduler2 : 0) |
			(config.schedulerFlags.flag3 ? serviceFlags.scheduler3 : 0),
		timeoutSeconds: config.persistenceTimeoutSeconds ?? 0,
		netmask: netmaskOfPrefix(
			address.family,
			persistent ? (config.persistenceGranularity ?? wholeAddress) : wholeAddress,
		),
		persistenceEngine: config.persistenceEngine,
	};
}

/**
 * The destinations of a pool in one service.
 * While a sorry server stands in for a lost quorum it serves alone: live real servers leave the table,
 * or stay with weight 0 if they are inhibited rather than removed.
 */
function destinationsOf(pool: Pool, address: ServiceAddress): readonly IpvsDestination[] {
	const { config, members, quorumUp } = pool;
	const { sorryServer } = config;
	const onSorryServer = !quorumUp && sorryServer !== null;
	// Keys are only built where two rows might share one: a table of 20,000 rows has none of either.
	const sorryKey = sorryServer === null ? null : destinationKeyOf(sorryServer, address);
	const keyed = sorryKey !== null || config.forwarding.kind !== "NAT" || config.services.length > 1;
	if (!keyed && servesAsConfigured(pool)) return config.realServers;
	// Two that differ in their port alone are one where the service's port counts; the first keeps the place.
	let taken = null as Set<string> | null;
	const destinations: IpvsDestination[] = [];
	for (let index = 0; index < members.length; index++) {
		const server = config.realServers[index]!;
		const weight = memberWeight(members[index]!, server, onSorryServer);
		if (weight === null) continue;
		if (keyed || server.forwarding.kind !== "NAT") {
			const key = destinationKeyOf(server, address);
			// One that is also the sorry server: the sorry server's row decides while it serves.
			if (taken?.has(key) === true || (key === sorryKey && onSorryServer)) continue;
			taken ??= new Set();
			taken.add(key);
		}
		destinations.push(rowOf(server, address, weight));
	}
	if (sorryServer !== null && taken?.has(sorryKey!) !== true && (onSorryServer || sorryServer.inhibit))
		destinations.push(
			destinationOf(sorryServer, address, onSorryServer ? SORRY_SERVER_WEIGHT : 0, NO_LIMITS),
		);
	return destinations;
}

/** Nearly always all serve as they are configured, with NAT on their own ports: then they are the rows. */
function servesAsConfigured({ config, members }: Pool): boolean {
	for (let index = 0; index < members.length; index++) {
		const server = config.realServers[index]!;
		const member = members[index]!;
		if (server.forwarding.kind !== "NAT" || !isServing(member) || member.weight !== server.weight)
			return false;
	}
	return true;
}

/** Weight in the kernel, or null when the server has no place in the table. */
function memberWeight(member: PoolMember, server: RealServerConfig, onSorryServer: boolean): number | null {
	if (member.override === "draining") return 0;
	if (member.override !== null) return null;
	if (isServing(member) && !onSorryServer) return member.weight;
	return server.rules.inhibitOnFailure ? 0 : null;
}

/** A real server that serves as it is configured is its own row: a large table has few others. */
function rowOf(server: RealServerConfig, address: ServiceAddress, weight: number): IpvsDestination {
	const { forwarding, port } = server;
	return server.weight === weight && forwarding.kind !== "TUN" && port === destinationPort(server, address)
		? server
		: destinationOf(server, address, weight, server.limits);
}

function destinationOf(
	server: {
		readonly address: string;
		readonly family: "inet" | "inet6";
		readonly port: number;
		readonly forwarding: Forwarding;
	},
	address: ServiceAddress,
	weight: number,
	limits: IpvsLimits,
): IpvsDestination {
	return {
		family: server.family,
		address: server.address,
		port: destinationPort(server, address),
		forwarding: server.forwarding.kind === "TUN" ? tunnelOf(server.forwarding) : server.forwarding,
		weight,
		limits,
	};
}

/** The port counts with gue alone, and ipip knows no checksum. */
function tunnelOf({ tunnel, port, checksum }: Extract<Forwarding, { kind: "TUN" }>): IpvsTunnel {
	if (tunnel === "ipip") return plainTunnel;
	return { kind: "TUN", tunnel, port: tunnel === "gue" ? port : 0, checksum };
}
