/**
 * The IPVS table as ipvsadm(8) prints it, so that scripts and habits go on working. Pure.
 * Always numeric, as with `-n`. Checked against the real ipvsadm 1.31 on the same table.
 */
import { parseAddress } from "../wire/ip.ts";
import {
	endpointText,
	forwardingName,
	type IpvsDaemon,
	type IpvsDestination,
	type IpvsDestinationState,
	type IpvsFamily,
	type IpvsInfo,
	type IpvsService,
	type IpvsServiceKey,
	type IpvsServiceState,
	type IpvsStats,
	type IpvsTimeouts,
	plainTunnel,
	serviceFlags,
} from "../wire/ipvs.ts";

export interface IpvsStateEntry {
	readonly service: IpvsServiceState;
	readonly destinations: readonly IpvsDestinationState[];
}

export type ListStyle = "connections" | "stats" | "rate" | "thresholds" | "persistent";

export interface ListOptions {
	readonly style: ListStyle;
	/** Counters in full; else those of more than eight digits are cut to K, M, G, T. */
	readonly exact: boolean;
}

/** `ipvsadm -Ln` and, by style, `--stats`, `--rate`, `--thresholds`, `--persistent-conn`. */
export function listText(
	info: IpvsInfo | null,
	entries: readonly IpvsStateEntry[],
	options: ListOptions,
): string {
	const lines = info === null ? [] : [versionLine(info)];
	lines.push(...titleLines(options.style));
	for (const { service, destinations } of entries) {
		lines.push(serviceLine(service, options));
		for (const destination of destinations) lines.push(destinationLine(destination, options));
	}
	return `${lines.join("\n")}\n`;
}

/** What `ipvsadm -R` reads: `ipvsadm -Sn`, and the thresholds, which ipvsadm takes but does not save. */
export function saveText(
	entries: readonly { readonly service: IpvsService; readonly destinations: readonly IpvsDestination[] }[],
): string {
	const lines: string[] = [];
	for (const { service, destinations } of entries) {
		const name = serviceOption(service.key);
		lines.push(`-A ${name} -s ${service.scheduler}${saveFlags(service)}`);
		for (const destination of destinations) lines.push(`-a ${name} ${saveDestination(destination)}`);
	}
	return lines.map((line) => `${line}\n`).join("");
}

/** `ipvsadm -Ln --timeout`. */
export function timeoutsText({ tcpSeconds, tcpFinSeconds, udpSeconds }: IpvsTimeouts): string {
	return `Timeout (tcp tcpfin udp): ${tcpSeconds} ${tcpFinSeconds} ${udpSeconds}\n`;
}

/** `ipvsadm -Ln --daemon`. */
export function daemonsText(daemons: readonly IpvsDaemon[]): string {
	return daemons
		.map(
			(daemon) =>
				`${daemon.state} sync daemon (mcast=${daemon.interface}, syncid=${daemon.syncId}, ` +
				`maxlen=${daemon.maxLengthBytes}, group=${daemon.group}, port=${daemon.port}, ttl=${daemon.ttl})\n`,
		)
		.join("");
}

/** The order in which ipvsadm lists services and destinations unless told not to. */
export function sortEntries(entries: readonly IpvsStateEntry[]): readonly IpvsStateEntry[] {
	const words = new Map<string, Uint32Array>();
	const wordsOf = (address: string) => {
		let value = words.get(address);
		if (value === undefined) {
			value = addressWords(address);
			words.set(address, value);
		}
		return value;
	};
	return entries
		.map(({ service, destinations }) => ({
			service,
			destinations: destinations.toSorted(
				(a, b) => compareWords(wordsOf(a.address), wordsOf(b.address), a.family) || a.port - b.port,
			),
		}))
		.sort((a, b) => compareServices(a.service.key, b.service.key, wordsOf));
}

const familyOrder: Readonly<Record<IpvsFamily, number>> = { inet: 2, inet6: 10 };
const protocolOrder = { TCP: 6, UDP: 17, SCTP: 132 } as const;

function compareServices(
	a: IpvsServiceKey,
	b: IpvsServiceKey,
	wordsOf: (address: string) => Uint32Array,
): number {
	const mark = (key: IpvsServiceKey) => (key.kind === "fwmark" ? key.fwmark : 0);
	const byMark = (mark(a) - mark(b)) | 0;
	if (byMark !== 0) return byMark;
	const byFamily = familyOrder[a.family] - familyOrder[b.family];
	if (byFamily !== 0 || a.kind === "fwmark" || b.kind === "fwmark") return byFamily;
	return (
		protocolOrder[a.protocol] - protocolOrder[b.protocol] ||
		compareWords(wordsOf(a.address), wordsOf(b.address), a.family) ||
		a.port - b.port
	);
}

/**
 * libipvs takes the difference of two unsigned words as a signed one, so that far apart addresses
 * stand the other way round. The listing would not be ipvsadm's without it.
 */
function compareWords(a: Uint32Array, b: Uint32Array, family: IpvsFamily): number {
	const count = family === "inet6" ? 4 : 1;
	for (let index = 0; index < count; index++) {
		const difference = (a[index]! - b[index]!) | 0;
		if (difference !== 0) return difference;
	}
	return 0;
}

function addressWords(address: string): Uint32Array {
	const bytes = parseAddress(address) ?? new Uint8Array(4);
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const words = new Uint32Array(4);
	for (let index = 0; index * 4 < bytes.length; index++) words[index] = view.getUint32(index * 4);
	return words;
}

export function versionLine({ version, connectionTableSize }: IpvsInfo): string {
	return `IP Virtual Server version ${version} (size=${connectionTableSize})`;
}

function titleLines(style: ListStyle): readonly string[] {
	const remote = "  -> RemoteAddress:Port";
	const local = "Prot LocalAddress:Port".padEnd(33);
	switch (style) {
		case "connections":
			return [
				"Prot LocalAddress:Port Scheduler Flags",
				"  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
			];
		case "stats":
			return [`${local}    Conns   InPkts  OutPkts  InBytes OutBytes`, remote];
		case "rate":
			return [`${local}      CPS    InPPS   OutPPS    InBPS   OutBPS`, remote];
		case "thresholds":
			return [`${local} Uthreshold Lthreshold ActiveConn InActConn `, remote];
		case "persistent":
			return [`${local} Weight    PersistConn ActiveConn InActConn `, remote];
	}
}

function serviceLine(service: IpvsServiceState, { style, exact }: ListOptions): string {
	const { key } = service;
	const name =
		key.kind === "fwmark"
			? `FWM  ${key.fwmark}${key.family === "inet6" ? " IPv6" : ""}`
			: `${key.protocol.padEnd(4)} ${endpointText(key)}`;
	if (style === "stats" || style === "rate")
		return `${name.padEnd(33)}${counters(service.stats, style, exact)}`;
	const flags = schedulerFlagNames(service);
	const persistent = (service.flags & serviceFlags.persistent) !== 0;
	return [
		name,
		` ${service.scheduler}`,
		flags === "" ? "" : ` (${flags})`,
		persistent ? ` persistent ${service.timeoutSeconds}` : "",
		persistent && !isWholeAddress(service) ? ` mask ${netmaskText(service)}` : "",
		service.persistenceEngine === null ? "" : ` pe ${service.persistenceEngine}`,
		(service.flags & serviceFlags.onePacket) !== 0 ? " ops" : "",
	].join("");
}

const forwardingNames = {
	NAT: "Masq",
	LOCAL: "Local",
	TUN: "Tunnel",
	DR: "Route",
	BYPASS: "Bypass",
} as const;

function destinationLine(destination: IpvsDestinationState, { style, exact }: ListOptions): string {
	const name = `  -> ${endpointText(destination).padEnd(28)}`;
	const column = (value: number, width: number) => String(value).padEnd(width);
	const { activeConnections, inactiveConnections } = destination;
	const open = `${column(activeConnections, 10)} ${column(inactiveConnections, 10)}`;
	switch (style) {
		case "connections":
			return `${name} ${forwardingNames[destination.forwarding.kind].padEnd(7)} ${column(destination.weight, 6)} ${open}`;
		case "stats":
		case "rate":
			return `${name}${counters(destination.stats, style, exact)}`;
		case "thresholds":
			return `${name} ${column(destination.limits.upperThreshold, 10)} ${column(destination.limits.lowerThreshold, 10)} ${open}`;
		case "persistent":
			return `${name} ${column(destination.weight, 9)} ${column(destination.persistentConnections, 11)} ${open}`;
	}
}

function counters(stats: IpvsStats, style: "stats" | "rate", exact: boolean): string {
	const values =
		style === "stats"
			? [stats.connections, stats.inPackets, stats.outPackets, stats.inBytes, stats.outBytes]
			: [
					stats.connectionsPerSecond,
					stats.inPacketsPerSecond,
					stats.outPacketsPerSecond,
					stats.inBytesPerSecond,
					stats.outBytesPerSecond,
				];
	return values.map((value) => ` ${(exact ? String(value) : shortNumber(value)).padStart(8)}`).join("");
}

/** Eight characters at most, as long as there are fewer than 10^20. */
export function shortNumber(value: number): string {
	if (value < 1e8) return String(value);
	if (value < 1e9) return `${Math.floor(value / 1e3)}K`;
	if (value < 1e11) return `${Math.floor(value / 1e6)}M`;
	if (value < 1e14) return `${Math.floor(value / 1e9)}G`;
	return `${Math.floor(value / 1e12)}T`;
}

function saveFlags(service: IpvsService): string {
	const flags = schedulerFlagNames(service);
	const persistent = (service.flags & serviceFlags.persistent) !== 0;
	return [
		persistent ? ` -p ${service.timeoutSeconds}` : "",
		persistent && !isWholeAddress(service) ? ` -M ${netmaskText(service)}` : "",
		service.persistenceEngine === null ? "" : ` --pe ${service.persistenceEngine}`,
		(service.flags & serviceFlags.onePacket) !== 0 ? " -o" : "",
		flags === "" ? "" : ` -b ${flags}`,
	].join("");
}

/** A destination as programs read it. */
export function destinationRecord({
	family,
	address,
	port,
	forwarding,
	weight,
	limits,
	...rest
}: IpvsDestinationState) {
	const { tunnel: type, port: udpPort, checksum } = forwarding.kind === "TUN" ? forwarding : plainTunnel;
	const tunnel = { type, port: udpPort, checksum };
	return {
		family,
		address,
		port,
		forwarding: forwardingName(forwarding),
		tunnel,
		weight,
		...limits,
		...rest,
	};
}

const forwardingOptions = { NAT: "-m", LOCAL: "-g", TUN: "-i", DR: "-g", BYPASS: "-g" } as const;

function saveDestination(destination: IpvsDestination): string {
	const { forwarding } = destination;
	const { upperThreshold, lowerThreshold } = destination.limits;
	const option = forwardingOptions[forwarding.kind];
	const thresholds = [
		upperThreshold === 0 ? "" : ` -x ${upperThreshold}`,
		lowerThreshold === 0 ? "" : ` -y ${lowerThreshold}`,
	].join("");
	const line = `-r ${endpointText(destination)} ${option} -w ${destination.weight}${thresholds}`;
	if (forwarding.kind !== "TUN") return line;
	const port = forwarding.tunnel === "gue" ? ` --tun-port ${forwarding.port}` : "";
	const checksum =
		forwarding.tunnel === "ipip"
			? ""
			: ` --tun-${forwarding.checksum === "none" ? "nocsum" : forwarding.checksum}`;
	return `${line} --tun-type ${forwarding.tunnel}${port}${checksum}`;
}

const protocolOptions = { TCP: "-t", UDP: "-u", SCTP: "--sctp-service" } as const;

function serviceOption(key: IpvsServiceKey): string {
	return key.kind === "fwmark"
		? `-f ${key.fwmark}${key.family === "inet6" ? " -6" : ""}`
		: `${protocolOptions[key.protocol]} ${endpointText(key)}`;
}

/** The flags that ipvsadm has a name for: sh and mh have two of their own, the others are numbered. */
function schedulerFlagNames({ scheduler, flags }: IpvsService): string {
	const names: readonly (readonly [number, string])[] =
		scheduler === "sh" || scheduler === "mh"
			? [
					[serviceFlags.scheduler1, `${scheduler}-fallback`],
					[serviceFlags.scheduler2, `${scheduler}-port`],
				]
			: [
					[serviceFlags.scheduler1, "flag-1"],
					[serviceFlags.scheduler2, "flag-2"],
					[serviceFlags.scheduler3, "flag-3"],
				];
	return names
		.filter(([bit]) => (flags & bit) !== 0)
		.map(([, name]) => name)
		.join(",");
}

function isWholeAddress({ key, netmask }: IpvsService): boolean {
	return key.family === "inet6" ? netmask === 128 : netmask === 0xffffffff;
}

function netmaskText({ key, netmask }: IpvsService): string {
	return key.family === "inet6"
		? String(netmask)
		: `${netmask >>> 24}.${(netmask >>> 16) & 255}.${(netmask >>> 8) & 255}.${netmask & 255}`;
}
