/**
 * "This address is here now": gratuitous ARP (RFC 5227 §3, RFC 9568 §8.2) and unsolicited neighbour
 * advertisements (RFC 4861 §7.2.6), as whole Ethernet frames. Pure.
 */
import { internetChecksum, onesComplementSum } from "./checksum.ts";
import { encodeIpPacket } from "./ip-packet.ts";

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const PROTOCOL_ICMPV6 = 58;
const NEIGHBOR_ADVERTISEMENT = 136;
const OPTION_TARGET_LINK_LAYER_ADDRESS = 2;
/** RFC 4861 §4.4. */
const FLAG_ROUTER = 0x80;
const FLAG_OVERRIDE = 0x20;

const broadcastMac = new Uint8Array(6).fill(0xff);
/** ff02::1 */
const allNodes = new Uint8Array([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const allNodesMac = new Uint8Array([0x33, 0x33, 0, 0, 0, 1]);

function ethernet(
	destination: Uint8Array,
	source: Uint8Array,
	etherType: number,
	payload: Uint8Array,
): Uint8Array {
	const frame = new Uint8Array(14 + payload.length);
	frame.set(destination, 0);
	frame.set(source, 6);
	new DataView(frame.buffer).setUint16(12, etherType);
	frame.set(payload, 14);
	return frame;
}

/** An ARP request for the address that one has, to everybody. `address` has 4 bytes. */
export function gratuitousArp(mac: Uint8Array, address: Uint8Array): Uint8Array {
	const arp = new Uint8Array(28);
	const view = new DataView(arp.buffer);
	view.setUint16(0, 1); // Ethernet
	view.setUint16(2, ETHERTYPE_IPV4);
	arp[4] = 6;
	arp[5] = 4;
	view.setUint16(6, 1); // request
	arp.set(mac, 8);
	arp.set(address, 14);
	arp.set(broadcastMac, 18);
	arp.set(address, 24);
	return ethernet(broadcastMac, mac, ETHERTYPE_ARP, arp);
}

/** To all nodes, overriding what they remember. `address` has 16 bytes. */
export function unsolicitedNeighborAdvertisement(
	mac: Uint8Array,
	address: Uint8Array,
	isRouter: boolean,
): Uint8Array {
	const message = new Uint8Array(32);
	const view = new DataView(message.buffer);
	message[0] = NEIGHBOR_ADVERTISEMENT;
	message[4] = FLAG_OVERRIDE | (isRouter ? FLAG_ROUTER : 0);
	message.set(address, 8);
	message[24] = OPTION_TARGET_LINK_LAYER_ADDRESS;
	message[25] = 1; // in units of eight bytes
	message.set(mac, 26);
	const pseudo = onesComplementSum(allNodes, onesComplementSum(address, PROTOCOL_ICMPV6 + message.length));
	view.setUint16(2, internetChecksum(message, pseudo));
	const packet = encodeIpPacket(
		{
			source: address,
			destination: allNodes,
			hopLimit: 255,
			protocol: PROTOCOL_ICMPV6,
			trafficClass: 0,
			identification: 0,
		},
		message,
	);
	return ethernet(allNodesMac, mac, ETHERTYPE_IPV6, packet);
}
