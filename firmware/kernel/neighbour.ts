/** rtnetlink(7) messages about neighbours (ARP and ND tables): <linux/neighbour.h>. Pure. */
import { formatAddress, parseAddress } from "../wire/ip.ts";
import { AF_INET, AF_INET6 } from "./constants.ts";
import { Attributes, MessageBuilder, NLM_F_CREATE, NLM_F_REPLACE } from "./netlink-message.ts";

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

const NDMSG_BYTES = 12;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_IFINDEX = 8;

const NTF_USE = 0x01;
export const NUD_INCOMPLETE = 0x01;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_DELAY = 0x08;
export const NUD_PROBE = 0x10;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
/** NUD_VALID, <net/neighbour.h>: the hardware address may be used. */
export const NUD_VALID = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;

export interface Neighbour {
	readonly interfaceIndex: number;
	/** Canonical text. */
	readonly address: string;
	/** NUD_* bits. */
	readonly state: number;
	/** null while it is not known. */
	readonly macAddress: Uint8Array | null;
}

export function decodeNeighbour(payload: Uint8Array): Neighbour | null {
	if (payload.length < NDMSG_BYTES) return null;
	const attributes = Attributes.parse(payload, NDMSG_BYTES);
	const address = attributes.bytes(NDA_DST);
	if (address === null || (address.length !== 4 && address.length !== 16)) return null;
	const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
	return {
		interfaceIndex: view.getInt32(4, true),
		address: formatAddress(address),
		state: view.getUint16(8, true),
		macAddress: attributes.bytes(NDA_LLADDR)?.slice() ?? null,
	};
}

function neighbourMessage(
	type: number,
	messageFlags: number,
	interfaceIndex: number,
	address: string,
	state: number,
	flags: number,
): MessageBuilder {
	const bytes = parseAddress(address);
	if (bytes === null) throw new RangeError(`no IP address: "${address}"`);
	return new MessageBuilder(type, messageFlags)
		.u8(bytes.length === 4 ? AF_INET : AF_INET6)
		.u8(0)
		.u16(0)
		.u32(interfaceIndex)
		.u16(state)
		.u8(flags)
		.u8(0)
		.attribute(NDA_DST, bytes);
}

export function lookUpNeighbour(interfaceIndex: number, address: string): MessageBuilder {
	return neighbourMessage(RTM_GETNEIGH, 0, interfaceIndex, address, 0, 0);
}

/** Has the kernel resolve the address now (`ip neighbour … use`), as if something were sent to it. */
export function resolveNeighbour(interfaceIndex: number, address: string): MessageBuilder {
	return neighbourMessage(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, interfaceIndex, address, 0, NTF_USE);
}

export function deleteNeighbour(interfaceIndex: number, address: string): MessageBuilder {
	return neighbourMessage(RTM_DELNEIGH, 0, interfaceIndex, address, 0, 0);
}

export function dumpNeighbours(family: "inet" | "inet6", interfaceIndex = 0): MessageBuilder {
	const message = new MessageBuilder(RTM_GETNEIGH)
		.u8(family === "inet" ? AF_INET : AF_INET6)
		.u8(0)
		.u16(0)
		.u32(0)
		.u32(0);
	return interfaceIndex === 0 ? message : message.u32Attribute(NDA_IFINDEX, interfaceIndex);
}
