/**
 * The vocabulary of the kernel's IPVS table (linux/ip_vs.h): services, their destinations,
 * counters, and the keys by which the kernel tells them apart. Plain data, no codec, no socket.
 */

export type IpvsFamily = "inet" | "inet6";
export type IpvsProtocol = "TCP" | "UDP" | "SCTP";

/** IP_VS_SVC_F_*: flags of a service. */
export const serviceFlags = {
	persistent: 0x0001,
	/** The kernel's own: the service is in its hash table. Never compared, never sent. */
	hashed: 0x0002,
	onePacket: 0x0004,
	/** sh-fallback, mh-fallback. */
	scheduler1: 0x0008,
	/** sh-port, mh-port. */
	scheduler2: 0x0010,
	scheduler3: 0x0020,
} as const;

/** How the kernel finds a service: by address, port and protocol, or by firewall mark (one per family). */
export type IpvsServiceKey =
	| {
			readonly kind: "address";
			readonly family: IpvsFamily;
			readonly protocol: IpvsProtocol;
			/** Canonical text. */
			readonly address: string;
			readonly port: number;
	  }
	| { readonly kind: "fwmark"; readonly family: IpvsFamily; readonly fwmark: number };

export interface IpvsService {
	readonly key: IpvsServiceKey;
	/** Kernel name, up to 15 characters; "none" for a service without scheduler. */
	readonly scheduler: string;
	/** `serviceFlags`, without `hashed`. */
	readonly flags: number;
	/** Persistence in seconds; 0 unless persistent. */
	readonly timeoutSeconds: number;
	/** Client grouping. IPv4: the mask as a number, 0xffffffff is one client. IPv6: the prefix length, 128 is one. */
	readonly netmask: number;
	/** Such as "sip"; null is none. */
	readonly persistenceEngine: string | null;
}

/**
 * IP_VS_CONN_F_FWD_MASK, and with TUN how packets are wrapped. NAT is IP_VS_CONN_F_MASQ; "LOCAL" and "BYPASS" only ever
 * come from the kernel.
 */
export type IpvsForwarding = { readonly kind: "NAT" | "LOCAL" | "DR" | "BYPASS" } | IpvsTunnel;

export interface IpvsTunnel {
	readonly kind: "TUN";
	readonly tunnel: "ipip" | "gue" | "gre";
	/** UDP port; 0 unless gue. */
	readonly port: number;
	readonly checksum: "none" | "csum" | "remcsum";
}

export const plainTunnel: IpvsTunnel = { kind: "TUN", tunnel: "ipip", port: 0, checksum: "none" };

export interface IpvsDestination {
	/** May differ from the service's in TUN mode. */
	readonly family: IpvsFamily;
	readonly address: string;
	readonly port: number;
	readonly forwarding: IpvsForwarding;
	readonly weight: number;
	readonly limits: IpvsLimits;
}

/** Connections; 0 is no limit. */
export interface IpvsLimits {
	readonly upperThreshold: number;
	readonly lowerThreshold: number;
}

/** Nearly all destinations have it: a table has tens of thousands of them. */
export const NO_LIMITS: IpvsLimits = { upperThreshold: 0, lowerThreshold: 0 };

/** Counters since the last zeroing, and the kernel's own estimate of rates per second. */
export interface IpvsStats {
	readonly connections: number;
	readonly inPackets: number;
	readonly outPackets: number;
	readonly inBytes: number;
	readonly outBytes: number;
	readonly connectionsPerSecond: number;
	readonly inPacketsPerSecond: number;
	readonly outPacketsPerSecond: number;
	readonly inBytesPerSecond: number;
	readonly outBytesPerSecond: number;
}

export const zeroStats: IpvsStats = {
	connections: 0,
	inPackets: 0,
	outPackets: 0,
	inBytes: 0,
	outBytes: 0,
	connectionsPerSecond: 0,
	inPacketsPerSecond: 0,
	outPacketsPerSecond: 0,
	inBytesPerSecond: 0,
	outBytesPerSecond: 0,
};

/** A destination as the kernel reports it. */
export interface IpvsDestinationState extends IpvsDestination {
	readonly activeConnections: number;
	readonly inactiveConnections: number;
	readonly persistentConnections: number;
	readonly stats: IpvsStats;
}

/** A service as the kernel reports it. */
export interface IpvsServiceState extends IpvsService {
	readonly stats: IpvsStats;
}

/** Seconds until an idle connection entry goes; 0 leaves one as it is. */
export interface IpvsTimeouts {
	readonly tcpSeconds: number;
	readonly tcpFinSeconds: number;
	readonly udpSeconds: number;
}

export interface IpvsInfo {
	/** Such as "1.2.1". */
	readonly version: string;
	/** Buckets of the connection table. */
	readonly connectionTableSize: number;
}

/** One half of connection synchronisation between directors (ip_vs_sync.c). */
export interface IpvsDaemon {
	readonly state: "master" | "backup";
	readonly interface: string;
	readonly syncId: number;
	/** UDP payload; 0 is the kernel's choice. */
	readonly maxLengthBytes: number;
	/** Multicast group; null is 224.0.0.81. */
	readonly group: string | null;
	/** 0 is 8848. */
	readonly port: number;
	/** 0 is 1. */
	readonly ttl: number;
}

/** "10.0.0.1:80" or "[fd00::1]:80": how operators and ipvsadm(8) write it. */
export function endpointText({ address, port }: { readonly address: string; readonly port: number }): string {
	return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The kernel's name. */
export function forwardingName({ kind }: IpvsForwarding): string {
	return kind === "NAT" ? "MASQ" : kind;
}

/** Text that is equal exactly for equal keys. */
export function serviceKeyText(key: IpvsServiceKey): string {
	return key.kind === "fwmark"
		? `${key.family} fwmark ${key.fwmark}`
		: `${key.protocol} ${key.address} ${key.port}`;
}

/** Text that is equal exactly for destinations that the kernel holds to be the same one of a service. */
export function destinationKeyText(destination: { readonly address: string; readonly port: number }): string {
	return `${destination.address} ${destination.port}`;
}

/** The kernel's netmask of a service for a prefix length: a mask for IPv4, the length itself for IPv6. */
export function netmaskOfPrefix(family: IpvsFamily, prefixLength: number): number {
	if (family === "inet6") return prefixLength;
	return prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
}

/** True when nothing of `service` would change by setting it to `wanted`. */
export function sameService(service: IpvsService, wanted: IpvsService): boolean {
	return (
		service.scheduler === wanted.scheduler &&
		service.flags === wanted.flags &&
		service.timeoutSeconds === wanted.timeoutSeconds &&
		service.netmask === wanted.netmask &&
		service.persistenceEngine === wanted.persistenceEngine
	);
}

/** True when nothing of `destination` would change by setting it to `wanted`; they share their key. */
export function sameDestination(destination: IpvsDestination, wanted: IpvsDestination): boolean {
	return (
		destination.weight === wanted.weight &&
		sameForwarding(destination.forwarding, wanted.forwarding) &&
		sameLimits(destination.limits, wanted.limits)
	);
}

function sameLimits(one: IpvsLimits, other: IpvsLimits): boolean {
	return (
		one === other ||
		(one.upperThreshold === other.upperThreshold && one.lowerThreshold === other.lowerThreshold)
	);
}

function sameForwarding(one: IpvsForwarding, other: IpvsForwarding): boolean {
	if (one.kind !== "TUN" || other.kind !== "TUN") return one.kind === other.kind;
	return one.tunnel === other.tunnel && one.port === other.port && one.checksum === other.checksum;
}

/** One change of the table; a new service comes with its destinations. A destination's change names its service by key. */
export type IpvsOperation =
	| {
			readonly kind: "new-service";
			readonly service: IpvsService;
			readonly destinations: readonly IpvsDestination[];
	  }
	| { readonly kind: "set-service"; readonly service: IpvsService }
	| { readonly kind: "delete-service"; readonly key: IpvsServiceKey }
	| IpvsDestinationOperation;

export interface IpvsDestinationOperation {
	readonly kind: "new-destination" | "set-destination" | "delete-destination";
	readonly key: IpvsServiceKey;
	readonly destination: IpvsDestination;
}

/** What the kernel is asked for one operation: a new service, and each of its destinations, by itself. */
export function requestCount(operation: IpvsOperation): number {
	return operation.kind === "new-service" ? 1 + operation.destinations.length : 1;
}

/** A service with its destinations: one row of the table, wanted or found. */
export interface IpvsEntry {
	readonly service: IpvsService;
	readonly destinations: readonly IpvsDestination[];
}

/** By `serviceKeyText`. */
export type IpvsTable = ReadonlyMap<string, IpvsEntry>;
