/** The packets of the path check: a SYN to the VIP as IPVS would forward it, and what counts as its answer. Pure. */
import type { Forwarding } from "../config/model.ts";
import { internetChecksum } from "../wire/checksum.ts";
import { decodeIpPacket, encodeIpPacket } from "../wire/ip-packet.ts";
import { decodeTcp, encodeTcp, TCP_ACK, TCP_RST, TCP_SYN } from "../wire/tcp.ts";

const PROTOCOL_TCP = 6;
const HOP_LIMIT = 64;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;

/** One question: from our address and port to the VIP. The sequence number tells the answers apart. */
export interface PathQuestion {
	readonly source: Uint8Array;
	readonly sourcePort: number;
	readonly vip: Uint8Array;
	readonly port: number;
	readonly sequence: number;
}

/** The IP packet with the SYN. */
export function synPacket(question: PathQuestion): Uint8Array {
	return packet(question, question.sequence, TCP_SYN, 1460);
}

/** Closes what the SYN-ACK opened on the server, which would repeat it for a minute otherwise. */
export function resetPacket(question: PathQuestion): Uint8Array {
	return packet(question, (question.sequence + 1) >>> 0, TCP_RST, null);
}

function packet(
	question: PathQuestion,
	sequence: number,
	flags: number,
	segmentBytes: number | null,
): Uint8Array {
	const segment = encodeTcp(
		{
			sourcePort: question.sourcePort,
			destinationPort: question.port,
			sequence,
			acknowledgement: 0,
			flags,
			window: flags === TCP_SYN ? 65_535 : 0,
			maximumSegmentSizeBytes: segmentBytes,
			payload: new Uint8Array(0),
		},
		question.source,
		question.vip,
	);
	return encodeIpPacket(
		{
			source: question.source,
			destination: question.vip,
			hopLimit: HOP_LIMIT,
			protocol: PROTOCOL_TCP,
			trafficClass: 0,
			identification: 0,
		},
		segment,
	);
}

export interface PathReply {
	readonly kind: "accepted" | "refused";
	/** Where it came from. */
	readonly vip: Uint8Array;
	readonly port: number;
	readonly destinationPort: number;
	/** The question's sequence number. */
	readonly sequence: number;
}

/** What an IP packet answers; null for everything else. The checksum is not asked: hardware may have left it out. */
export function readReply(bytes: Uint8Array): PathReply | null {
	const ip = decodeIpPacket(bytes);
	if (ip === null || ip.protocol !== PROTOCOL_TCP) return null;
	const tcp = decodeTcp(ip.payload);
	if (tcp === null || (tcp.flags & TCP_ACK) === 0) return null;
	const reset = (tcp.flags & TCP_RST) !== 0;
	if (!reset && (tcp.flags & TCP_SYN) === 0) return null;
	return {
		kind: reset ? "refused" : "accepted",
		vip: ip.source.slice(),
		port: tcp.sourcePort,
		destinationPort: tcp.destinationPort,
		sequence: (tcp.acknowledgement - 1) >>> 0,
	};
}

/** How an inner packet travels to the real server in TUN mode. */
export interface Encapsulation {
	/** IP protocol of a raw socket, or the UDP port for GUE. */
	readonly carrier:
		| { readonly kind: "ip"; readonly protocol: number }
		| { readonly kind: "udp"; readonly port: number };
	readonly payload: Uint8Array;
}

const IPPROTO_IPIP = 4;
const IPPROTO_IPV6 = 41;
const IPPROTO_GRE = 47;

/** ip_vs_xmit.c: IPIP and its IPv6 forms, GRE (RFC 2784), GUE variant 0. */
export function encapsulate(inner: Uint8Array, tunnel: Extract<Forwarding, { kind: "TUN" }>): Encapsulation {
	const v4 = inner[0]! >> 4 === 4;
	const protocol = v4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	switch (tunnel.tunnel) {
		case "ipip":
			return { carrier: { kind: "ip", protocol }, payload: inner };
		case "gre": {
			const summed = tunnel.checksum === "csum";
			const payload = new Uint8Array((summed ? 8 : 4) + inner.length);
			const view = new DataView(payload.buffer);
			view.setUint16(0, summed ? 0x8000 : 0);
			view.setUint16(2, v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
			payload.set(inner, summed ? 8 : 4);
			if (summed) view.setUint16(4, internetChecksum(payload));
			return { carrier: { kind: "ip", protocol: IPPROTO_GRE }, payload };
		}
		case "gue": {
			// Version 0, no control, no optional fields; remote checksum offload needs none for a packet with its sum.
			const payload = new Uint8Array(4 + inner.length);
			payload[1] = protocol;
			payload.set(inner, 4);
			return { carrier: { kind: "udp", port: tunnel.port }, payload };
		}
	}
}
