/** rtnetlink(7) messages about addresses: <linux/if_addr.h>. Pure. */
import { formatAddress, parseAddress } from "../wire/ip.ts";
import { AF_INET, AF_INET6 } from "./constants.ts";
import { Attributes, MessageBuilder, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "./netlink-message.ts";

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

const IFADDRMSG_BYTES = 8;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_LABEL = 3;
const IFA_BROADCAST = 4;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;

export const IFA_F_SECONDARY = 0x01;
export const IFA_F_NODAD = 0x02;
export const IFA_F_DADFAILED = 0x08;
export const IFA_F_HOMEADDRESS = 0x10;
export const IFA_F_DEPRECATED = 0x20;
export const IFA_F_TENTATIVE = 0x40;
export const IFA_F_PERMANENT = 0x80;
export const IFA_F_MANAGETEMPADDR = 0x100;
export const IFA_F_NOPREFIXROUTE = 0x200;
export const IFA_F_MCAUTOJOIN = 0x400;

/** <linux/rtnetlink.h> rt_scope_t. */
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_SITE = 200;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RT_SCOPE_NOWHERE = 255;

/** INFINITY_LIFE_TIME, <net/addrconf.h>. */
const FOREVER = 0xffff_ffff;

/** An address of an interface: as the kernel tells it, or as it shall be. */
export interface InterfaceAddress {
	readonly family: "inet" | "inet6";
	readonly interfaceIndex: number;
	/** Canonical text. */
	readonly address: string;
	readonly prefixLength: number;
	readonly peer: string | null;
	/** IPv4: canonical text. When adding also "+" (all ones) and "-" (none set: all zeros), as ip-address(8). */
	readonly broadcast: string | null;
	/** RT_SCOPE_*; the kernel ignores it for IPv6. */
	readonly scope: number;
	/** IPv4 only. */
	readonly label: string | null;
	/** IFA_F_*. */
	readonly flags: number;
	/** null is forever. */
	readonly preferredLifetimeSeconds: number | null;
	readonly validLifetimeSeconds: number | null;
}

/** The rest of an address that is only `address/prefixLength` on an interface. */
export const plainAddress = {
	peer: null,
	broadcast: null,
	scope: RT_SCOPE_UNIVERSE,
	label: null,
	flags: 0,
	preferredLifetimeSeconds: null,
	validLifetimeSeconds: null,
} as const;

/** What the kernel takes for one and the same address. */
export function sameAddress(a: InterfaceAddress, b: InterfaceAddress): boolean {
	return (
		a.interfaceIndex === b.interfaceIndex && a.address === b.address && a.prefixLength === b.prefixLength
	);
}

export function decodeInterfaceAddress(payload: Uint8Array): InterfaceAddress | null {
	if (payload.length < IFADDRMSG_BYTES) return null;
	const family = payload[0] === AF_INET ? "inet" : payload[0] === AF_INET6 ? "inet6" : null;
	if (family === null) return null;
	const width = family === "inet" ? 4 : 16;
	const attributes = Attributes.parse(payload, IFADDRMSG_BYTES);
	const address = (type: number) => {
		const bytes = attributes.bytes(type);
		return bytes === null || bytes.length !== width ? null : formatAddress(bytes);
	};
	const prefix = address(IFA_ADDRESS);
	const local = address(IFA_LOCAL) ?? prefix;
	if (local === null) return null;
	const cache = attributes.bytes(IFA_CACHEINFO);
	const lifetime = (offset: number) => {
		if (cache === null || cache.length < 8) return null;
		const seconds = new DataView(cache.buffer, cache.byteOffset, cache.length).getUint32(offset, true);
		return seconds === FOREVER ? null : seconds;
	};
	return {
		family,
		interfaceIndex: new DataView(payload.buffer, payload.byteOffset, payload.length).getUint32(4, true),
		address: local,
		prefixLength: payload[1]!,
		peer: prefix !== null && prefix !== local ? prefix : null,
		broadcast: address(IFA_BROADCAST),
		scope: payload[3]!,
		label: attributes.string(IFA_LABEL),
		flags: attributes.u32(IFA_FLAGS) ?? payload[2]!,
		preferredLifetimeSeconds: lifetime(0),
		validLifetimeSeconds: lifetime(4),
	};
}

function addressMessage(type: number, flags: number, address: InterfaceAddress): MessageBuilder {
	const local = bytesOf(address.address, address.family);
	const peer = address.peer === null ? local : bytesOf(address.peer, address.family);
	const message = new MessageBuilder(type, flags)
		.u8(address.family === "inet" ? AF_INET : AF_INET6)
		.u8(address.prefixLength)
		.u8(address.flags & 0xff)
		.u8(address.scope)
		.u32(address.interfaceIndex);
	message.attribute(IFA_LOCAL, local).attribute(IFA_ADDRESS, peer);
	return message;
}

/** `replace` updates an address that is there; without it the kernel answers EEXIST. */
export function addAddress(address: InterfaceAddress, replace = false): MessageBuilder {
	const message = addressMessage(RTM_NEWADDR, NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL), address);
	const broadcast = broadcastBytes(address);
	if (broadcast !== null) message.attribute(IFA_BROADCAST, broadcast);
	if (address.label !== null) message.stringAttribute(IFA_LABEL, address.label);
	message.u32Attribute(IFA_FLAGS, address.flags);
	if (address.preferredLifetimeSeconds !== null || address.validLifetimeSeconds !== null) {
		// struct ifa_cacheinfo: preferred, valid, created, updated
		const cache = new Uint8Array(16);
		const view = new DataView(cache.buffer);
		view.setUint32(0, address.preferredLifetimeSeconds ?? FOREVER, true);
		view.setUint32(4, address.validLifetimeSeconds ?? FOREVER, true);
		message.attribute(IFA_CACHEINFO, cache);
	}
	return message;
}

export function deleteAddress(address: InterfaceAddress): MessageBuilder {
	return addressMessage(RTM_DELADDR, 0, address);
}

export function dumpAddresses(family: "inet" | "inet6" | null, interfaceIndex = 0): MessageBuilder {
	const number = family === null ? 0 : family === "inet" ? AF_INET : AF_INET6;
	return new MessageBuilder(RTM_GETADDR).u8(number).u8(0).u8(0).u8(0).u32(interfaceIndex);
}

function broadcastBytes(address: InterfaceAddress): Uint8Array | null {
	if (address.broadcast === null || address.family === "inet6") return null;
	if (address.broadcast !== "+" && address.broadcast !== "-") return bytesOf(address.broadcast, "inet");
	const bytes = bytesOf(address.address, "inet");
	for (let bit = address.prefixLength; bit < 32; bit++)
		if (address.broadcast === "+") bytes[bit >> 3]! |= 0x80 >> (bit & 7);
		else bytes[bit >> 3]! &= ~(0x80 >> (bit & 7));
	return bytes;
}

function bytesOf(text: string, family: "inet" | "inet6"): Uint8Array {
	const bytes = parseAddress(text);
	if (bytes === null || bytes.length !== (family === "inet" ? 4 : 16))
		throw new RangeError(`no ${family === "inet" ? "IPv4" : "IPv6"} address: "${text}"`);
	return bytes;
}
