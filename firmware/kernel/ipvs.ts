/**
 * The IPVS family of generic netlink as bytes (<linux/ip_vs.h>, net/netfilter/ipvs/ip_vs_ctl.c), both ways. Pure.
 * Addresses and ports are in network order, an IPv4 netmask too; everything else is in host order.
 */
import { formatAddress, ipv4Number, parseAddress } from "../wire/ip.ts";
import {
	type IpvsDaemon,
	type IpvsDestination,
	type IpvsDestinationOperation,
	type IpvsDestinationState,
	type IpvsFamily,
	type IpvsForwarding,
	type IpvsInfo,
	type IpvsOperation,
	type IpvsProtocol,
	type IpvsService,
	type IpvsServiceKey,
	type IpvsServiceState,
	type IpvsStats,
	type IpvsTimeouts,
	type IpvsTunnel,
	NO_LIMITS,
	plainTunnel,
	serviceFlags,
	zeroStats,
} from "../wire/ipvs.ts";
import { AF_INET, AF_INET6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from "./constants.ts";
import type { AttributeWriter, RequestBatch } from "./netlink-batch.ts";
import { Attributes, eachAttribute, type MessageBuilder } from "./netlink-message.ts";

export const IPVS_FAMILY = "IPVS";
export const IPVS_VERSION = 1;

/** IPVS_CMD_*. */
export const ipvsCommand = {
	newService: 1,
	setService: 2,
	deleteService: 3,
	getService: 4,
	newDestination: 5,
	setDestination: 6,
	deleteDestination: 7,
	getDestination: 8,
	newDaemon: 9,
	deleteDaemon: 10,
	getDaemon: 11,
	setConfig: 12,
	getConfig: 13,
	getInfo: 15,
	zero: 16,
	flush: 17,
} as const;

// IPVS_CMD_ATTR_*: the first level.
const CMD_SERVICE = 1;
const CMD_DEST = 2;
const CMD_DAEMON = 3;
const CMD_TIMEOUT_TCP = 4;
const CMD_TIMEOUT_TCP_FIN = 5;
const CMD_TIMEOUT_UDP = 6;

// IPVS_SVC_ATTR_*.
const SVC_AF = 1;
const SVC_PROTOCOL = 2;
const SVC_ADDR = 3;
const SVC_PORT = 4;
const SVC_FWMARK = 5;
const SVC_SCHED_NAME = 6;
const SVC_FLAGS = 7;
const SVC_TIMEOUT = 8;
const SVC_NETMASK = 9;
const SVC_STATS = 10;
const SVC_PE_NAME = 11;
const SVC_STATS64 = 12;

// IPVS_DEST_ATTR_*.
const DEST_ADDR = 1;
const DEST_PORT = 2;
const DEST_FWD_METHOD = 3;
const DEST_WEIGHT = 4;
const DEST_U_THRESH = 5;
const DEST_L_THRESH = 6;
const DEST_ACTIVE_CONNS = 7;
const DEST_INACT_CONNS = 8;
const DEST_PERSIST_CONNS = 9;
const DEST_STATS = 10;
const DEST_ADDR_FAMILY = 11;
const DEST_STATS64 = 12;
const DEST_TUN_TYPE = 13;
const DEST_TUN_PORT = 14;
const DEST_TUN_FLAGS = 15;

// IPVS_DAEMON_ATTR_*.
const DAEMON_STATE = 1;
const DAEMON_MCAST_IFN = 2;
const DAEMON_SYNC_ID = 3;
const DAEMON_SYNC_MAXLEN = 4;
const DAEMON_MCAST_GROUP = 5;
const DAEMON_MCAST_GROUP6 = 6;
const DAEMON_MCAST_PORT = 7;
const DAEMON_MCAST_TTL = 8;

// IPVS_STATS_ATTR_*.
const STATS_CONNS = 1;
const STATS_OUTBPS = 10;

// IPVS_INFO_ATTR_*.
const INFO_VERSION = 1;
const INFO_CONN_TAB_SIZE = 2;

const IP_VS_CONN_F_FWD_MASK = 0x7;
const ALL_FLAGS = 0xffffffff;

const familyNumbers: Readonly<Record<IpvsFamily, number>> = { inet: AF_INET, inet6: AF_INET6 };
const protocolNumbers: Readonly<Record<IpvsProtocol, number>> = {
	TCP: IPPROTO_TCP,
	UDP: IPPROTO_UDP,
	SCTP: IPPROTO_SCTP,
};
/** IP_VS_CONN_F_*: by method. */
const forwardings: readonly IpvsForwarding[] = [
	{ kind: "NAT" },
	{ kind: "LOCAL" },
	plainTunnel,
	{ kind: "DR" },
	{ kind: "BYPASS" },
];
const forwardingNumbers: Readonly<Record<IpvsForwarding["kind"], number>> = {
	NAT: 0,
	LOCAL: 1,
	TUN: 2,
	DR: 3,
	BYPASS: 4,
};
const tunnelTypes: readonly IpvsTunnel["tunnel"][] = ["ipip", "gue", "gre"];
const tunnelChecksums: readonly IpvsTunnel["checksum"][] = ["none", "csum", "remcsum"];
/** IP_VS_STATE_*. */
const daemonStates: Readonly<Record<IpvsDaemon["state"], number>> = { master: 1, backup: 2 };

/** What is read of a dump's entries besides what they are. */
export interface ReadOptions {
	/** Counters; without them `zeroStats` is reported, at a third of the cost. */
	readonly stats: boolean;
}

/** IPVS_CMD_ATTR_SERVICE with the key only: enough to delete, and to name a destination's service. */
export function addServiceKey(message: MessageBuilder, key: IpvsServiceKey): MessageBuilder {
	return message.nest(CMD_SERVICE, (service) => putServiceKey(service, key));
}

/** Appends the change of a service to a batch; of a new one, its destinations are left to the caller. */
export function putServiceChange(
	batch: RequestBatch,
	operation: Exclude<IpvsOperation, IpvsDestinationOperation>,
): void {
	const service = batch.openNest(CMD_SERVICE);
	if (operation.kind === "delete-service") putServiceKey(batch, operation.key);
	else putService(batch, operation.service);
	batch.closeNest(service);
}

/**
 * Appends the change of a destination as a message, if nothing but the address differs from the one that the last message
 * of the batch is about, `previous`; else returns false.
 */
export function repeatDestinationChange(
	batch: RequestBatch,
	kind: IpvsDestinationOperation["kind"],
	key: IpvsServiceKey,
	destination: IpvsDestination,
	previous: WrittenDestination,
): boolean {
	if (previous.key !== key || previous.kind !== kind) return false;
	if (!differInAddress(previous.destination, destination)) return false;
	batch.repeatMessage(previous.addressOffset, checkedIpv4(destination.address));
	return true;
}

/**
 * Appends the change of a destination to a message. `previous` is what the last call returned for this batch: the
 * service's key is copied from there.
 */
export function putDestinationChange(
	batch: RequestBatch,
	kind: IpvsDestinationOperation["kind"],
	key: IpvsServiceKey,
	destination: IpvsDestination,
	previous: WrittenDestination | null,
): WrittenDestination {
	const start = batch.position;
	const neighbour = previous !== null && previous.key === key ? previous : null;
	if (neighbour !== null) batch.repeat(neighbour.start, neighbour.keyEnd);
	else {
		const service = batch.openNest(CMD_SERVICE);
		putServiceKey(batch, key);
		batch.closeNest(service);
	}
	const keyEnd = batch.position;
	const nest = batch.openNest(CMD_DEST);
	const addressOffset = putDestinationKey(batch, destination);
	if (kind !== "delete-destination") putDestination(batch, destination);
	batch.closeNest(nest);
	return { kind, key, destination, start, keyEnd, addressOffset };
}

/** The attributes of a destination's change in a batch: its neighbours begin alike, and are often alike but for the address. */
export interface WrittenDestination extends IpvsDestinationOperation {
	readonly start: number;
	/** Behind the service's key. */
	readonly keyEnd: number;
	/** Of the destination's address, in the message. */
	readonly addressOffset: number;
}

/** Whether two IPv4 destinations differ in nothing but the address. */
function differInAddress(a: IpvsDestination, b: IpvsDestination): boolean {
	return (
		a.family === "inet" &&
		b.family === "inet" &&
		a.port === b.port &&
		a.weight === b.weight &&
		a.forwarding === b.forwarding &&
		a.limits === b.limits
	);
}

/** IPVS_CMD_*. */
export function commandOf(kind: IpvsOperation["kind"]): number {
	switch (kind) {
		case "new-service":
			return ipvsCommand.newService;
		case "set-service":
			return ipvsCommand.setService;
		case "delete-service":
			return ipvsCommand.deleteService;
		case "new-destination":
			return ipvsCommand.newDestination;
		case "set-destination":
			return ipvsCommand.setDestination;
		case "delete-destination":
			return ipvsCommand.deleteDestination;
	}
}

/** A service in full: to add or to edit. */
function putService(service: AttributeWriter, wanted: IpvsService): void {
	putServiceKey(service, wanted.key);
	service.stringAttribute(SVC_SCHED_NAME, wanted.scheduler);
	if (wanted.persistenceEngine !== null) service.stringAttribute(SVC_PE_NAME, wanted.persistenceEngine);
	flagsWithMask.setUint32(0, wanted.flags, true);
	service.attribute(SVC_FLAGS, flagBytes);
	service.u32Attribute(SVC_TIMEOUT, wanted.timeoutSeconds);
	if (wanted.key.family === "inet6") service.u32Attribute(SVC_NETMASK, wanted.netmask);
	else service.u32NetworkAttribute(SVC_NETMASK, wanted.netmask);
}

/** A destination beside its key: to add or to edit. */
function putDestination(dest: AttributeWriter, wanted: IpvsDestination): void {
	const { forwarding } = wanted;
	dest.u32Attribute(DEST_FWD_METHOD, forwardingNumbers[forwarding.kind]);
	dest.u32Attribute(DEST_WEIGHT, wanted.weight);
	dest.u32Attribute(DEST_U_THRESH, wanted.limits.upperThreshold);
	dest.u32Attribute(DEST_L_THRESH, wanted.limits.lowerThreshold);
	if (forwarding.kind !== "TUN") return;
	dest.u8Attribute(DEST_TUN_TYPE, tunnelTypes.indexOf(forwarding.tunnel));
	dest.u16NetworkAttribute(DEST_TUN_PORT, forwarding.port);
	dest.u16Attribute(DEST_TUN_FLAGS, tunnelChecksums.indexOf(forwarding.checksum));
}

/** IPVS_CMD_ATTR_DAEMON: to start one. */
export function addDaemon(message: MessageBuilder, wanted: IpvsDaemon): MessageBuilder {
	return message.nest(CMD_DAEMON, (daemon) => {
		daemon.u32Attribute(DAEMON_STATE, daemonStates[wanted.state]);
		daemon.stringAttribute(DAEMON_MCAST_IFN, wanted.interface);
		daemon.u32Attribute(DAEMON_SYNC_ID, wanted.syncId);
		if (wanted.maxLengthBytes !== 0) daemon.u16Attribute(DAEMON_SYNC_MAXLEN, wanted.maxLengthBytes);
		if (wanted.group !== null)
			daemon.attribute(
				wanted.group.includes(":") ? DAEMON_MCAST_GROUP6 : DAEMON_MCAST_GROUP,
				addressBytes(wanted.group),
			);
		if (wanted.port !== 0) daemon.u16Attribute(DAEMON_MCAST_PORT, wanted.port);
		if (wanted.ttl !== 0) daemon.u8Attribute(DAEMON_MCAST_TTL, wanted.ttl);
	});
}

/** IPVS_CMD_ATTR_DAEMON: to stop the one of this state. */
export function addDaemonState(message: MessageBuilder, state: IpvsDaemon["state"]): MessageBuilder {
	return message.nest(CMD_DAEMON, (daemon) => daemon.u32Attribute(DAEMON_STATE, daemonStates[state]));
}

export function addTimeouts(message: MessageBuilder, timeouts: IpvsTimeouts): MessageBuilder {
	return message
		.u32Attribute(CMD_TIMEOUT_TCP, timeouts.tcpSeconds)
		.u32Attribute(CMD_TIMEOUT_TCP_FIN, timeouts.tcpFinSeconds)
		.u32Attribute(CMD_TIMEOUT_UDP, timeouts.udpSeconds);
}

function putServiceKey(service: AttributeWriter, key: IpvsServiceKey): void {
	service.u16Attribute(SVC_AF, familyNumbers[key.family]);
	if (key.kind === "fwmark") {
		service.u32Attribute(SVC_FWMARK, key.fwmark);
		return;
	}
	service.u16Attribute(SVC_PROTOCOL, protocolNumbers[key.protocol]);
	putUnionAddress(service, SVC_ADDR, key.address);
	service.u16NetworkAttribute(SVC_PORT, key.port);
}

/** Returns where the address stands in the message. */
function putDestinationKey(batch: RequestBatch, { family, address, port }: IpvsDestination): number {
	batch.u16Attribute(DEST_ADDR_FAMILY, familyNumbers[family]);
	putUnionAddress(batch, DEST_ADDR, address);
	const addressOffset = batch.offset - UNION_ADDRESS_BYTES;
	batch.u16NetworkAttribute(DEST_PORT, port);
	return addressOffset;
}

/** `struct ip_vs_flags`: the flags, and which of them are meant: all. The kernel adds `hashed` itself. */
const flagBytes = new Uint8Array(8);
const flagsWithMask = new DataView(flagBytes.buffer);
flagsWithMask.setUint32(4, ALL_FLAGS, true);

function addressBytes(address: string): Uint8Array {
	const bytes = parseAddress(address);
	if (bytes === null) throw new RangeError(`"${address}" is no address`);
	return bytes;
}

function checkedIpv4(address: string): number {
	const number = ipv4Number(address);
	if (number < 0) throw new RangeError(`"${address}" is no IPv4 address`);
	return number;
}

const UNION_ADDRESS_BYTES = 16;

/** `union nf_inet_addr`: always 16 bytes, IPv4 in the first four. */
function putUnionAddress(message: AttributeWriter, type: number, address: string): void {
	const number = ipv4Number(address);
	if (number >= 0) message.paddedNetworkAttribute(type, number);
	else message.attribute(type, addressBytes(address));
}

/** The service of one message of a service dump, or null when it is none that this codec knows. */
export function readService(payload: Uint8Array, options: ReadOptions): IpvsServiceState | null {
	const service = attributeOf(payload, CMD_SERVICE);
	if (service === null) return null;
	let family: IpvsFamily | null = null;
	let protocol: IpvsProtocol | null = null;
	let address: Uint8Array | null = null;
	let port = 0;
	let fwmark = 0;
	let scheduler = "";
	let flags = 0;
	let timeoutSeconds = 0;
	let netmask: Uint8Array | null = null;
	let persistenceEngine: string | null = null;
	let stats: IpvsStats | null = null;
	eachAttribute(service, 0, (type, value) => {
		switch (type) {
			case SVC_AF:
				family = familyOf(u16(value));
				break;
			case SVC_PROTOCOL:
				protocol = protocolOf(u16(value));
				break;
			case SVC_ADDR:
				address = value;
				break;
			case SVC_PORT:
				port = u16Network(value);
				break;
			case SVC_FWMARK:
				fwmark = u32(value);
				break;
			case SVC_SCHED_NAME:
				scheduler = text(value);
				break;
			case SVC_FLAGS:
				flags = u32(value);
				break;
			case SVC_TIMEOUT:
				timeoutSeconds = u32(value);
				break;
			case SVC_NETMASK:
				netmask = value;
				break;
			case SVC_PE_NAME:
				persistenceEngine = text(value);
				break;
			case SVC_STATS:
				if (options.stats) stats ??= readStats(value);
				break;
			case SVC_STATS64:
				if (options.stats) stats = readStats(value);
				break;
		}
	});
	if (family === null) return null;
	const key = serviceKey(family, protocol, address, port, fwmark);
	if (key === null) return null;
	return {
		key,
		scheduler,
		flags: flags & ~serviceFlags.hashed,
		timeoutSeconds,
		netmask: netmask === null ? 0 : family === "inet6" ? u32(netmask) : u32Network(netmask),
		persistenceEngine,
		stats: stats ?? zeroStats,
	};
}

function serviceKey(
	family: IpvsFamily,
	protocol: IpvsProtocol | null,
	address: Uint8Array | null,
	port: number,
	fwmark: number,
): IpvsServiceKey | null {
	if (fwmark !== 0) return { kind: "fwmark", family, fwmark };
	const words = address === null ? null : addressText(address, family);
	return protocol === null || words === null
		? null
		: { kind: "address", family, protocol, address: words, port };
}

/** The destination of one message of a destination dump; `serviceFamily` is its own where the kernel says none. */
export function readDestination(
	payload: Uint8Array,
	serviceFamily: IpvsFamily,
	options: ReadOptions,
): IpvsDestinationState | null {
	const destination = attributeOf(payload, CMD_DEST);
	if (destination === null) return null;
	let family: IpvsFamily = serviceFamily;
	let address: Uint8Array | null = null;
	let port = 0;
	let method = 0;
	let weight = 0;
	let upperThreshold = 0;
	let lowerThreshold = 0;
	let activeConnections = 0;
	let inactiveConnections = 0;
	let persistentConnections = 0;
	let tunnelType = 0;
	let tunnelPort = 0;
	let tunnelFlags = 0;
	let stats: IpvsStats | null = null;
	eachAttribute(destination, 0, (type, value) => {
		switch (type) {
			case DEST_ADDR:
				address = value;
				break;
			case DEST_PORT:
				port = u16Network(value);
				break;
			case DEST_FWD_METHOD:
				method = u32(value) & IP_VS_CONN_F_FWD_MASK;
				break;
			case DEST_WEIGHT:
				weight = u32(value);
				break;
			case DEST_U_THRESH:
				upperThreshold = u32(value);
				break;
			case DEST_L_THRESH:
				lowerThreshold = u32(value);
				break;
			case DEST_ACTIVE_CONNS:
				activeConnections = u32(value);
				break;
			case DEST_INACT_CONNS:
				inactiveConnections = u32(value);
				break;
			case DEST_PERSIST_CONNS:
				persistentConnections = u32(value);
				break;
			case DEST_ADDR_FAMILY:
				family = familyOf(u16(value)) ?? family;
				break;
			case DEST_TUN_TYPE:
				tunnelType = value[0] ?? 0;
				break;
			case DEST_TUN_PORT:
				tunnelPort = u16Network(value);
				break;
			case DEST_TUN_FLAGS:
				tunnelFlags = u16(value);
				break;
			case DEST_STATS:
				if (options.stats) stats ??= readStats(value);
				break;
			case DEST_STATS64:
				if (options.stats) stats = readStats(value);
				break;
		}
	});
	const words = address === null ? null : addressText(address, family);
	const forwarding = forwardings[method];
	if (words === null || forwarding === undefined) return null;
	return {
		family,
		address: words,
		port,
		forwarding: forwarding === plainTunnel ? tunnelOf(tunnelType, tunnelPort, tunnelFlags) : forwarding,
		weight,
		limits: upperThreshold === 0 && lowerThreshold === 0 ? NO_LIMITS : { upperThreshold, lowerThreshold },
		activeConnections,
		inactiveConnections,
		persistentConnections,
		stats: stats ?? zeroStats,
	};
}

function tunnelOf(type: number, port: number, flags: number): IpvsTunnel {
	if (type === 0 && port === 0 && flags === 0) return plainTunnel;
	return {
		kind: "TUN",
		tunnel: tunnelTypes[type] ?? "ipip",
		port,
		checksum: tunnelChecksums[flags & 3] ?? "none",
	};
}

/** IPVS_STATS_ATTR_*: 32-bit in the old attribute, 64-bit in the new one; the lengths tell which. */
function readStats(bytes: Uint8Array): IpvsStats {
	const values = new Array<number>(STATS_OUTBPS + 1).fill(0);
	eachAttribute(bytes, 0, (type, value) => {
		if (type >= STATS_CONNS && type <= STATS_OUTBPS)
			values[type] = value.length >= 8 ? u32(value) + u32(value, 4) * 2 ** 32 : u32(value);
	});
	return {
		connections: values[1]!,
		inPackets: values[2]!,
		outPackets: values[3]!,
		inBytes: values[4]!,
		outBytes: values[5]!,
		connectionsPerSecond: values[6]!,
		inPacketsPerSecond: values[7]!,
		outPacketsPerSecond: values[8]!,
		inBytesPerSecond: values[9]!,
		outBytesPerSecond: values[10]!,
	};
}

/** The daemon of one message of a daemon dump. */
export function readDaemon(payload: Uint8Array): IpvsDaemon | null {
	const nested = attributeOf(payload, CMD_DAEMON);
	if (nested === null) return null;
	const attributes = Attributes.parse(nested);
	const state = attributes.u32(DAEMON_STATE);
	const group4 = attributes.bytes(DAEMON_MCAST_GROUP);
	const group6 = attributes.bytes(DAEMON_MCAST_GROUP6);
	if (state !== daemonStates.master && state !== daemonStates.backup) return null;
	return {
		state: state === daemonStates.master ? "master" : "backup",
		interface: attributes.string(DAEMON_MCAST_IFN) ?? "",
		syncId: attributes.u32(DAEMON_SYNC_ID) ?? 0,
		maxLengthBytes: attributes.u16(DAEMON_SYNC_MAXLEN) ?? 0,
		group:
			group4?.length === 4 ? formatAddress(group4) : group6?.length === 16 ? formatAddress(group6) : null,
		port: attributes.u16(DAEMON_MCAST_PORT) ?? 0,
		ttl: attributes.u8(DAEMON_MCAST_TTL) ?? 0,
	};
}

export function readInfo(payload: Uint8Array): IpvsInfo {
	const attributes = Attributes.parse(payload);
	const version = attributes.u32(INFO_VERSION) ?? 0;
	return {
		version: `${(version >> 16) & 0xff}.${(version >> 8) & 0xff}.${version & 0xff}`,
		connectionTableSize: attributes.u32(INFO_CONN_TAB_SIZE) ?? 0,
	};
}

export function readTimeouts(payload: Uint8Array): IpvsTimeouts {
	const attributes = Attributes.parse(payload);
	return {
		tcpSeconds: attributes.u32(CMD_TIMEOUT_TCP) ?? 0,
		tcpFinSeconds: attributes.u32(CMD_TIMEOUT_TCP_FIN) ?? 0,
		udpSeconds: attributes.u32(CMD_TIMEOUT_UDP) ?? 0,
	};
}

/** The last attribute of `type` at the first level. */
function attributeOf(payload: Uint8Array, type: number): Uint8Array | null {
	let found: Uint8Array | null = null;
	eachAttribute(payload, 0, (candidate, value) => {
		if (candidate === type) found = value;
	});
	return found;
}

function familyOf(number: number): IpvsFamily | null {
	return number === AF_INET ? "inet" : number === AF_INET6 ? "inet6" : null;
}

function protocolOf(number: number): IpvsProtocol | null {
	switch (number) {
		case IPPROTO_TCP:
			return "TCP";
		case IPPROTO_UDP:
			return "UDP";
		case IPPROTO_SCTP:
			return "SCTP";
		default:
			return null;
	}
}

function addressText(bytes: Uint8Array, family: IpvsFamily): string | null {
	const length = family === "inet" ? 4 : 16;
	return bytes.length < length ? null : formatAddress(bytes.subarray(0, length));
}

function u16(bytes: Uint8Array): number {
	return (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8);
}

function u16Network(bytes: Uint8Array): number {
	return ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
}

function u32(bytes: Uint8Array, at = 0): number {
	return (
		((bytes[at] ?? 0) |
			((bytes[at + 1] ?? 0) << 8) |
			((bytes[at + 2] ?? 0) << 16) |
			((bytes[at + 3] ?? 0) << 24)) >>>
		0
	);
}

function u32Network(bytes: Uint8Array): number {
	return (((bytes[0] ?? 0) << 24) | ((bytes[1] ?? 0) << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)) >>> 0;
}

/** Up to the first NUL. */
function text(bytes: Uint8Array): string {
	let end = bytes.indexOf(0);
	if (end < 0) end = bytes.length;
	let words = "";
	for (let index = 0; index < end; index++) words += String.fromCharCode(bytes[index]!);
	return words;
}
