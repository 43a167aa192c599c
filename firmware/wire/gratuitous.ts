/**
 * "This address is here now": gratuitous ARP (RFC 5227 §3, RFC 9568 §8.2) and unsolicited neighbour
 * advertisements (RFC 4861 §7.2.6), as whole Ethernet frames. Pure.
 */
import { encodeArp } from "./arp.ts";
import { broadcastMac, encodeEthernet } from "./ethernet.ts";
import { encodeIpPacket } from "./ip-packet.ts";
import { encodeNeighbourMessage, multicastMac } from "./ndisc.ts";

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const PROTOCOL_ICMPV6 = 58;

/** ff02::1 */
const allNodes = new Uint8Array([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/** An ARP request for the address that one has, to everybody. `address` has 4 bytes. */
export function gratuitousArp(mac: Uint8Array, address: Uint8Array): Uint8Array {
	const arp = encodeArp({
		operation: "request",
		senderMac: mac,
		senderAddress: address,
		targetMac: broadcastMac,
		targetAddress: address,
	});
	return encodeEthernet(broadcastMac, mac, ETHERTYPE_ARP, arp);
}

/** To all nodes, overriding what they remember. `address` has 16 bytes. */
export function unsolicitedNeighborAdvertisement(
	mac: Uint8Array,
	address: Uint8Array,
	isRouter: boolean,
): Uint8Array {
	const message = encodeNeighbourMessage(
		{
			kind: "advertisement",
			target: address,
			macAddress: mac,
			router: isRouter,
			solicited: false,
			override: true,
		},
		address,
		allNodes,
	);
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
	return encodeEthernet(multicastMac(allNodes), mac, ETHERTYPE_IPV6, packet);
}
