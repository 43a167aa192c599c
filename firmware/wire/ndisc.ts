/** Neighbour discovery (RFC 4861 §4.3, §4.4): solicitations and advertisements, as ICMPv6 messages. Pure. */
import { internetChecksum, onesComplementSum, pseudoHeaderSum } from "./checksum.ts";

export const ICMPV6_NEIGHBOUR_SOLICITATION = 135;
export const ICMPV6_NEIGHBOUR_ADVERTISEMENT = 136;
const PROTOCOL_ICMPV6 = 58;
const OPTION_SOURCE_LINK_LAYER = 1;
const OPTION_TARGET_LINK_LAYER = 2;
const MESSAGE_BYTES = 24;
const LINK_LAYER_OPTION_BYTES = 8;

export type NeighbourMessage =
	| {
			readonly kind: "solicitation";
			/** 16 bytes. */
			readonly target: Uint8Array;
			/** The sender's MAC; null in duplicate address detection. */
			readonly macAddress: Uint8Array | null;
	  }
	| {
			readonly kind: "advertisement";
			readonly target: Uint8Array;
			/** The target's MAC. */
			readonly macAddress: Uint8Array | null;
			readonly router: boolean;
			readonly solicited: boolean;
			readonly override: boolean;
	  };

/** The ICMPv6 message with its checksum; to be sent with hop limit 255. */
export function encodeNeighbourMessage(
	message: NeighbourMessage,
	source: Uint8Array,
	destination: Uint8Array,
): Uint8Array {
	const bytes = new Uint8Array(MESSAGE_BYTES + (message.macAddress === null ? 0 : LINK_LAYER_OPTION_BYTES));
	const solicitation = message.kind === "solicitation";
	bytes[0] = solicitation ? ICMPV6_NEIGHBOUR_SOLICITATION : ICMPV6_NEIGHBOUR_ADVERTISEMENT;
	if (message.kind === "advertisement")
		bytes[4] = (message.router ? 0x80 : 0) | (message.solicited ? 0x40 : 0) | (message.override ? 0x20 : 0);
	bytes.set(message.target, 8);
	if (message.macAddress !== null) {
		bytes[24] = solicitation ? OPTION_SOURCE_LINK_LAYER : OPTION_TARGET_LINK_LAYER;
		bytes[25] = 1; // in units of eight bytes
		bytes.set(message.macAddress, 26);
	}
	const seed = pseudoHeaderSum(source, destination, PROTOCOL_ICMPV6, bytes.length);
	new DataView(bytes.buffer).setUint16(2, internetChecksum(bytes, seed));
	return bytes;
}

/**
 * Null unless it passes the checks of RFC 4861 §7.1: hop limit 255, checksum, code 0, length, a target that is no
 * multicast address, and options of non-zero length.
 */
export function decodeNeighbourMessage(packet: {
	readonly source: Uint8Array;
	readonly destination: Uint8Array;
	readonly hopLimit: number;
	readonly payload: Uint8Array;
}): NeighbourMessage | null {
	const { payload } = packet;
	const kind = payload[0];
	if (kind !== ICMPV6_NEIGHBOUR_SOLICITATION && kind !== ICMPV6_NEIGHBOUR_ADVERTISEMENT) return null;
	if (packet.hopLimit !== 255 || payload.length < MESSAGE_BYTES || payload[1] !== 0 || payload[8] === 0xff)
		return null;
	const seed = pseudoHeaderSum(packet.source, packet.destination, PROTOCOL_ICMPV6, payload.length);
	if (onesComplementSum(payload, seed) !== 0xffff) return null;
	const wanted = kind === ICMPV6_NEIGHBOUR_SOLICITATION ? OPTION_SOURCE_LINK_LAYER : OPTION_TARGET_LINK_LAYER;
	let macAddress: Uint8Array | null = null;
	for (let at = MESSAGE_BYTES; at < payload.length; ) {
		const length = (payload[at + 1] ?? 0) * 8;
		if (length === 0 || at + length > payload.length) return null;
		if (payload[at] === wanted && length === LINK_LAYER_OPTION_BYTES)
			macAddress = payload.slice(at + 2, at + 8);
		at += length;
	}
	const target = payload.slice(8, 24);
	if (kind === ICMPV6_NEIGHBOUR_SOLICITATION) return { kind: "solicitation", target, macAddress };
	const flags = payload[4]!;
	return {
		kind: "advertisement",
		target,
		macAddress,
		router: (flags & 0x80) !== 0,
		solicited: (flags & 0x40) !== 0,
		override: (flags & 0x20) !== 0,
	};
}

/** ff02::1:ffXX:XXXX (RFC 4291 §2.7.1) for an address. */
export function solicitedNodeAddress(address: Uint8Array): Uint8Array {
	const group = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0);
	group.set(address.subarray(13, 16), 13);
	return group;
}

/** The MAC that an IPv6 (RFC 2464 §7) or IPv4 (RFC 1112 §6.4) multicast group is sent to. */
export function multicastMac(group: Uint8Array): Uint8Array {
	if (group.length === 16) return Uint8Array.of(0x33, 0x33, group[12]!, group[13]!, group[14]!, group[15]!);
	return Uint8Array.of(0x01, 0x00, 0x5e, group[1]! & 0x7f, group[2]!, group[3]!);
}
