/** rtnetlink(7) messages about routes: <linux/rtnetlink.h>. Pure. */
import { formatAddress, parseAddress } from "../wire/ip.ts";
import { AF_INET, AF_INET6 } from "./constants.ts";
import {
	Attributes,
	MessageBuilder,
	NLM_F_APPEND,
	NLM_F_CREATE,
	NLM_F_EXCL,
	NLM_F_REPLACE,
} from "./netlink-message.ts";

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

const RTMSG_BYTES = 12;
const RTNEXTHOP_BYTES = 8;

const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_FLOW = 11;
const RTA_TABLE = 15;
const RTA_MARK = 16;
const RTA_VIA = 18;
const RTA_PREF = 20;
const RTA_EXPIRES = 23;
const RTA_TTL_PROPAGATE = 26;
const RTNH_F_ONLINK = 4;
export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;
/** RTPROT_KEEPALIVED: what keepalived marks its routes and rules with. */
export const RTPROT_KEEPALIVED = 18;

/** RTN_*, <linux/rtnetlink.h>; the index is the number. */
export const routeTypes = [
	"unspec",
	"unicast",
	"local",
	"broadcast",
	"anycast",
	"multicast",
	"blackhole",
	"unreachable",
	"prohibit",
	"throw",
	"nat",
] as const;
export type RouteType = (typeof routeTypes)[number];

export interface Prefix {
	/** Canonical text. */
	readonly address: string;
	readonly length: number;
}

export interface NextHop {
	/** Canonical text, either family (RTA_VIA carries an IPv6 gateway of an IPv4 route); null: on the link. */
	readonly gateway: string | null;
	readonly interfaceIndex: number | null;
	/** 1–256. */
	readonly weight: number;
	readonly onLink: boolean;
	readonly realm: number | null;
}

/** RTAX_*, <linux/rtnetlink.h>: name to number. Values are the kernel's (times in its own units). */
export const routeMetrics = {
	lock: 1,
	mtu: 2,
	window: 3,
	rtt: 4,
	rttvar: 5,
	ssthresh: 6,
	cwnd: 7,
	advmss: 8,
	reordering: 9,
	hoplimit: 10,
	initcwnd: 11,
	features: 12,
	rto_min: 13,
	initrwnd: 14,
	quickack: 15,
	fastopen_no_cookie: 17,
} as const;
const RTAX_CC_ALGO = 16;
export type RouteMetric = keyof typeof routeMetrics;

export interface Route {
	readonly family: "inet" | "inet6";
	readonly type: RouteType;
	/** null is the default route. */
	readonly destination: Prefix | null;
	/** `from`, IPv6 only. */
	readonly source: Prefix | null;
	readonly tos: number;
	readonly table: number;
	readonly protocol: number;
	readonly scope: number;
	readonly preferredSource: string | null;
	/** One is the plain case; more share the load; none for blackhole and its like. */
	readonly nextHops: readonly NextHop[];
	/** RTA_PRIORITY; null lets the kernel choose (0 for IPv4, 1024 for IPv6). */
	readonly metric: number | null;
	readonly metrics: Readonly<Partial<Record<RouteMetric, number>>>;
	readonly congestionControl: string | null;
	readonly realm: number | null;
	/** IPv6: low 3, medium 0, high 1 (RFC 4191). */
	readonly preference: number | null;
	/** IPv6. */
	readonly expiresSeconds: number | null;
	readonly ttlPropagate: boolean | null;
	/** Found by the kernel when a route is asked for one destination with a mark; never sent. */
	readonly mark?: number;
}

export function decodeRoute(payload: Uint8Array): Route | null {
	if (payload.length < RTMSG_BYTES) return null;
	const family = payload[0] === AF_INET ? "inet" : payload[0] === AF_INET6 ? "inet6" : null;
	if (family === null) return null;
	const width = family === "inet" ? 4 : 16;
	const attributes = Attributes.parse(payload, RTMSG_BYTES);
	const prefix = (type: number, length: number): Prefix | null => {
		const bytes = attributes.bytes(type);
		if (bytes === null || bytes.length !== width) return null;
		return { address: formatAddress(bytes), length };
	};
	const metrics: Partial<Record<RouteMetric, number>> = {};
	const nested = attributes.nested(RTA_METRICS);
	for (const [name, number] of Object.entries(routeMetrics)) {
		const value = nested?.u32(number) ?? null;
		if (value !== null) metrics[name as RouteMetric] = value;
	}
	const preferred = attributes.bytes(RTA_PREFSRC);
	const propagate = attributes.u8(RTA_TTL_PROPAGATE);
	const mark = attributes.u32(RTA_MARK);
	return {
		family,
		type: routeTypes[payload[7]!] ?? "unspec",
		destination: prefix(RTA_DST, payload[1]!),
		source: prefix(RTA_SRC, payload[2]!),
		tos: payload[3]!,
		table: attributes.u32(RTA_TABLE) ?? payload[4]!,
		protocol: payload[5]!,
		scope: payload[6]!,
		preferredSource: preferred === null ? null : addressText(preferred),
		nextHops: decodeNextHops(payload, attributes),
		metric: attributes.u32(RTA_PRIORITY),
		metrics,
		congestionControl: nested?.string(RTAX_CC_ALGO) ?? null,
		realm: attributes.u32(RTA_FLOW),
		preference: attributes.u8(RTA_PREF),
		expiresSeconds: attributes.u32(RTA_EXPIRES),
		ttlPropagate: propagate === null ? null : propagate !== 0,
		...(mark === null ? {} : { mark }),
	};
}

function addressText(bytes: Uint8Array): string | null {
	return bytes.length === 4 || bytes.length === 16 ? formatAddress(bytes) : null;
}

function gatewayOf(attributes: Attributes): string | null {
	const gateway = attributes.bytes(RTA_GATEWAY);
	if (gateway !== null) return addressText(gateway);
	// struct rtvia: family (2 bytes), address
	const via = attributes.bytes(RTA_VIA);
	return via === null ? null : addressText(via.subarray(2));
}

function decodeNextHops(payload: Uint8Array, attributes: Attributes): NextHop[] {
	const flags = new DataView(payload.buffer, payload.byteOffset, payload.length).getUint32(8, true);
	const multipath = attributes.bytes(RTA_MULTIPATH);
	if (multipath === null) {
		const gateway = gatewayOf(attributes);
		const interfaceIndex = attributes.u32(RTA_OIF);
		if (gateway === null && interfaceIndex === null) return [];
		return [{ gateway, interfaceIndex, weight: 1, onLink: (flags & RTNH_F_ONLINK) !== 0, realm: null }];
	}
	const hops: NextHop[] = [];
	const view = new DataView(multipath.buffer, multipath.byteOffset, multipath.length);
	for (let at = 0; at + RTNEXTHOP_BYTES <= multipath.length; ) {
		const length = view.getUint16(at, true);
		if (length < RTNEXTHOP_BYTES || length > multipath.length - at) break;
		const inner = Attributes.parse(multipath.subarray(at, at + length), RTNEXTHOP_BYTES);
		hops.push({
			gateway: gatewayOf(inner),
			interfaceIndex: view.getInt32(at + 4, true) || null,
			weight: multipath[at + 3]! + 1,
			onLink: (multipath[at + 2]! & RTNH_F_ONLINK) !== 0,
			realm: inner.u32(RTA_FLOW),
		});
		at += (length + 3) & ~3;
	}
	return hops;
}

const familyNumber = (family: "inet" | "inet6") => (family === "inet" ? AF_INET : AF_INET6);

function bytesOf(text: string): Uint8Array {
	const bytes = parseAddress(text);
	if (bytes === null) throw new RangeError(`no IP address: "${text}"`);
	return bytes;
}

function routeMessage(type: number, flags: number, route: Route): MessageBuilder {
	const single = route.nextHops.length === 1 ? route.nextHops[0]! : null;
	const message = new MessageBuilder(type, flags)
		.u8(familyNumber(route.family))
		.u8(route.destination?.length ?? 0)
		.u8(route.source?.length ?? 0)
		.u8(route.tos)
		.u8(route.table < 256 ? route.table : 0)
		.u8(route.protocol)
		.u8(route.scope)
		.u8(routeTypes.indexOf(route.type))
		.u32(single?.onLink ? RTNH_F_ONLINK : 0);
	if (route.destination !== null) message.attribute(RTA_DST, bytesOf(route.destination.address));
	if (route.source !== null) message.attribute(RTA_SRC, bytesOf(route.source.address));
	message.u32Attribute(RTA_TABLE, route.table);
	if (route.preferredSource !== null) message.attribute(RTA_PREFSRC, bytesOf(route.preferredSource));
	if (route.metric !== null) message.u32Attribute(RTA_PRIORITY, route.metric);
	if (route.realm !== null) message.u32Attribute(RTA_FLOW, route.realm);
	if (route.preference !== null) message.u8Attribute(RTA_PREF, route.preference);
	if (route.expiresSeconds !== null) message.u32Attribute(RTA_EXPIRES, route.expiresSeconds);
	if (route.ttlPropagate !== null) message.u8Attribute(RTA_TTL_PROPAGATE, route.ttlPropagate ? 1 : 0);
	if (single !== null) {
		if (single.interfaceIndex !== null) message.u32Attribute(RTA_OIF, single.interfaceIndex);
		gatewayAttribute(message, single, route.family);
	} else if (route.nextHops.length > 1)
		message.attribute(RTA_MULTIPATH, encodeNextHops(route.nextHops, route.family));
	const metrics = Object.entries(route.metrics) as [RouteMetric, number][];
	if (metrics.length > 0 || route.congestionControl !== null)
		message.nest(RTA_METRICS, (nested) => {
			for (const [name, value] of metrics) nested.u32Attribute(routeMetrics[name], value);
			if (route.congestionControl !== null) nested.stringAttribute(RTAX_CC_ALGO, route.congestionControl);
		});
	return message;
}

function gatewayAttribute(message: MessageBuilder, hop: NextHop, family: "inet" | "inet6"): void {
	if (hop.gateway === null) return;
	const gateway = bytesOf(hop.gateway);
	if ((gateway.length === 4) === (family === "inet")) message.attribute(RTA_GATEWAY, gateway);
	else {
		const via = new Uint8Array(2 + gateway.length);
		via[0] = gateway.length === 4 ? AF_INET : AF_INET6;
		via.set(gateway, 2);
		message.attribute(RTA_VIA, via);
	}
}

/** Each hop is a struct rtnexthop with attributes; a message builder lays the attributes out. */
function encodeNextHops(hops: readonly NextHop[], family: "inet" | "inet6"): Uint8Array {
	const parts = hops.map((hop) => {
		const builder = new MessageBuilder(0);
		gatewayAttribute(builder, hop, family);
		if (hop.realm !== null) builder.u32Attribute(RTA_FLOW, hop.realm);
		const attributes = builder.finish(0).subarray(16);
		const part = new Uint8Array(RTNEXTHOP_BYTES + attributes.length);
		const view = new DataView(part.buffer);
		view.setUint16(0, part.length, true);
		part[2] = hop.onLink ? RTNH_F_ONLINK : 0;
		part[3] = hop.weight - 1;
		view.setInt32(4, hop.interfaceIndex ?? 0, true);
		part.set(attributes, RTNEXTHOP_BYTES);
		return part;
	});
	return Buffer.concat(parts);
}

/** `exclusive`: EEXIST when it is there; `replace`: takes the place of one with the same key; `append`: beside it. */
export function addRoute(
	route: Route,
	mode: "exclusive" | "replace" | "append" = "exclusive",
): MessageBuilder {
	const flags = { exclusive: NLM_F_EXCL, replace: NLM_F_REPLACE, append: NLM_F_APPEND }[mode];
	return routeMessage(RTM_NEWROUTE, NLM_F_CREATE | flags, route);
}

export function deleteRoute(route: Route): MessageBuilder {
	return routeMessage(RTM_DELROUTE, 0, route);
}

export function dumpRoutes(family: "inet" | "inet6"): MessageBuilder {
	return new MessageBuilder(RTM_GETROUTE).bytes(
		Uint8Array.of(familyNumber(family), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	);
}

/** How the kernel would send to `address`. */
export function lookUpRoute(
	address: string,
	options: { readonly mark?: number; readonly interfaceIndex?: number } = {},
): MessageBuilder {
	const bytes = bytesOf(address);
	const message = new MessageBuilder(RTM_GETROUTE)
		.u8(bytes.length === 4 ? AF_INET : AF_INET6)
		.u8(bytes.length * 8)
		.bytes(new Uint8Array(10));
	message.attribute(RTA_DST, bytes);
	if (options.mark !== undefined) message.u32Attribute(RTA_MARK, options.mark);
	if (options.interfaceIndex !== undefined) message.u32Attribute(RTA_OIF, options.interfaceIndex);
	return message;
}

const samePrefix = (a: Prefix | null, b: Prefix | null) => prefixKey(a) === prefixKey(b);
const prefixKey = (prefix: Prefix | null) =>
	prefix === null || prefix.length === 0 ? "default" : `${prefix.address}/${prefix.length}`;

/** The kernel's key of a route: what decides whether adding one collides with the other. */
export function sameRoute(a: Route, b: Route): boolean {
	const metric = (route: Route) => route.metric ?? (route.family === "inet6" ? 1024 : 0);
	return (
		a.family === b.family &&
		a.table === b.table &&
		a.tos === b.tos &&
		metric(a) === metric(b) &&
		samePrefix(a.destination, b.destination) &&
		samePrefix(a.source, b.source)
	);
}
