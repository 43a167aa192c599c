/** rtnetlink(7) messages about links: <linux/rtnetlink.h>, <linux/if_link.h>, <linux/if.h>. Pure. */
import { AF_INET6, AF_UNSPEC } from "./constants.ts";
import { Attributes, MessageBuilder, NLM_F_CREATE, NLM_F_EXCL } from "./netlink-message.ts";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;

const IFINFOMSG_BYTES = 16;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_CARRIER = 33;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;
const IFLA_VRF_TABLE = 1;
const IFLA_INET6_ADDR_GEN_MODE = 8;

export const IFF_UP = 0x1;
export const IFF_BROADCAST = 0x2;
export const IFF_LOOPBACK = 0x8;
export const IFF_POINTOPOINT = 0x10;
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_MULTICAST = 0x1000;

/** RFC 2863 operational states, in the order of <linux/if.h>. */
const operationalStates = [
	"unknown",
	"not-present",
	"down",
	"lower-layer-down",
	"testing",
	"dormant",
	"up",
] as const;
export type OperationalState = (typeof operationalStates)[number];

/** ARPHRD_ETHER, <linux/if_arp.h>. */
export const ARPHRD_ETHER = 1;

export interface Link {
	readonly index: number;
	readonly name: string;
	/** ARPHRD_*. */
	readonly hardwareType: number;
	/** IFF_* bits. */
	readonly flags: number;
	/** IFF_UP and IFF_RUNNING: frames can pass. What keepalived calls "up". */
	readonly running: boolean;
	readonly operationalState: OperationalState;
	/** null when the link has none (tunnels). */
	readonly macAddress: Uint8Array | null;
	readonly mtuBytes: number;
	/** "macvlan", "bridge", "veth" …; null for plain hardware. */
	readonly kind: string | null;
	/** Bridge, bond or VRF that it belongs to. */
	readonly masterIndex: number | null;
	/** What a macvlan or VLAN sits on. */
	readonly parentIndex: number | null;
	/** Routing table of a VRF. */
	readonly vrfTable: number | null;
}

export function decodeLink(payload: Uint8Array): Link | null {
	if (payload.length < IFINFOMSG_BYTES) return null;
	const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
	// A bridge tells of its ports with AF_BRIDGE messages of the same type.
	if (payload[0] !== AF_UNSPEC) return null;
	const attributes = Attributes.parse(payload, IFINFOMSG_BYTES);
	const flags = view.getUint32(8, true);
	const info = attributes.nested(IFLA_LINKINFO);
	const kind = info?.string(IFLA_INFO_KIND) ?? null;
	return {
		index: view.getInt32(4, true),
		name: attributes.string(IFLA_IFNAME) ?? "",
		hardwareType: view.getUint16(2, true),
		flags,
		running: (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0,
		operationalState: operationalStates[attributes.u8(IFLA_OPERSTATE) ?? 0] ?? "unknown",
		macAddress: attributes.bytes(IFLA_ADDRESS)?.slice() ?? null,
		mtuBytes: attributes.u32(IFLA_MTU) ?? 0,
		kind,
		masterIndex: attributes.u32(IFLA_MASTER),
		parentIndex: attributes.u32(IFLA_LINK),
		vrfTable: kind === "vrf" ? (info?.nested(IFLA_INFO_DATA)?.u32(IFLA_VRF_TABLE) ?? null) : null,
	};
}

function linkMessage(type: number, index: number, flags = 0, changed = 0, messageFlags = 0): MessageBuilder {
	// struct ifinfomsg: family, pad, type, index, flags, change
	return new MessageBuilder(type, messageFlags).u8(AF_UNSPEC).u8(0).u16(0).u32(index).u32(flags).u32(changed);
}

export function dumpLinks(): MessageBuilder {
	return linkMessage(RTM_GETLINK, 0);
}

/** <linux/if_link.h> MACVLAN_MODE_*. */
const macvlanModes = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
/** IPVLAN_MODE_L2, with IPVLAN_F_PRIVATE and IPVLAN_F_VEPA. */
const ipvlanFlags = { bridge: 0, private: 1, vepa: 2 } as const;

export type NewLink =
	| {
			readonly kind: "macvlan";
			readonly name: string;
			readonly parentIndex: number;
			readonly mode: keyof typeof macvlanModes;
			readonly macAddress: Uint8Array;
	  }
	| {
			readonly kind: "ipvlan";
			readonly name: string;
			readonly parentIndex: number;
			readonly mode: keyof typeof ipvlanFlags;
	  }
	| { readonly kind: "dummy"; readonly name: string }
	| { readonly kind: "ipip"; readonly name: string };

/** The link comes up down, without an automatic IPv6 link-local address. */
export function createLink(link: NewLink): MessageBuilder {
	const message = linkMessage(RTM_NEWLINK, 0, 0, 0, NLM_F_CREATE | NLM_F_EXCL);
	message.stringAttribute(IFLA_IFNAME, link.name);
	if (link.kind === "macvlan" || link.kind === "ipvlan") message.u32Attribute(IFLA_LINK, link.parentIndex);
	if (link.kind === "macvlan") message.attribute(IFLA_ADDRESS, link.macAddress);
	return message.nest(IFLA_LINKINFO, (info) => {
		info.stringAttribute(IFLA_INFO_KIND, link.kind);
		switch (link.kind) {
			case "macvlan":
				info.nest(IFLA_INFO_DATA, (data) => data.u32Attribute(IFLA_MACVLAN_MODE, macvlanModes[link.mode]));
				break;
			case "ipvlan":
				info.nest(IFLA_INFO_DATA, (data) =>
					data.u16Attribute(IFLA_IPVLAN_MODE, 0).u16Attribute(IFLA_IPVLAN_FLAGS, ipvlanFlags[link.mode]),
				);
				break;
			case "dummy":
			case "ipip":
				break;
		}
	});
}

export function deleteLink(index: number): MessageBuilder {
	return linkMessage(RTM_DELLINK, index);
}

export interface LinkChange {
	readonly up?: boolean;
	readonly macAddress?: Uint8Array;
	readonly mtuBytes?: number;
	readonly name?: string;
	readonly masterIndex?: number;
	/** Whether the kernel makes an IPv6 link-local address by itself (IN6_ADDR_GEN_MODE_*). */
	readonly linkLocalAddress?: "eui64" | "none";
	/** Carrier of links whose driver lets it be set (dummy, bridge). */
	readonly carrier?: boolean;
}

export function changeLink(index: number, change: LinkChange): MessageBuilder {
	const message = linkMessage(
		RTM_NEWLINK,
		index,
		change.up === true ? IFF_UP : 0,
		change.up === undefined ? 0 : IFF_UP,
	);
	if (change.macAddress !== undefined) message.attribute(IFLA_ADDRESS, change.macAddress);
	if (change.mtuBytes !== undefined) message.u32Attribute(IFLA_MTU, change.mtuBytes);
	if (change.name !== undefined) message.stringAttribute(IFLA_IFNAME, change.name);
	if (change.masterIndex !== undefined) message.u32Attribute(IFLA_MASTER, change.masterIndex);
	if (change.carrier !== undefined) message.u8Attribute(IFLA_CARRIER, change.carrier ? 1 : 0);
	if (change.linkLocalAddress !== undefined) {
		const mode = change.linkLocalAddress === "none" ? 1 : 0;
		message.nest(IFLA_AF_SPEC, (families) =>
			families.nest(AF_INET6, (inet6) => inet6.u8Attribute(IFLA_INET6_ADDR_GEN_MODE, mode)),
		);
	}
	return message;
}

/** "00:00:5e:00:01:33" both ways. */
export function formatMacAddress(bytes: Uint8Array): string {
	return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** Six bytes, or null. */
export function parseMacAddress(text: string): Uint8Array | null {
	const parts = text.split(/[:-]/);
	if (parts.length !== 6 || !parts.every((part) => /^[0-9a-fA-F]{1,2}$/.test(part))) return null;
	return Uint8Array.from(parts, (part) => Number.parseInt(part, 16));
}
