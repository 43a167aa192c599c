/** Whole IPv4 and IPv6 packets: the headers around a message. Pure. RFC 791 §3.1, RFC 8200 §3. */
import { internetChecksum } from "./checksum.ts";

export const IPV4_HEADER_BYTES = 20;
export const IPV6_HEADER_BYTES = 40;

export interface IpPacket {
	readonly family: "inet" | "inet6";
	readonly source: Uint8Array;
	readonly destination: Uint8Array;
	/** TTL or hop limit. */
	readonly hopLimit: number;
	readonly protocol: number;
	/** The header with its options, as it came. */
	readonly header: Uint8Array;
	/** Cut to the length that the header gives: Ethernet padding is gone. */
	readonly payload: Uint8Array;
}

export interface IpHeaderFields {
	readonly source: Uint8Array;
	readonly destination: Uint8Array;
	readonly hopLimit: number;
	readonly protocol: number;
	readonly trafficClass: number;
	/** IPv4 only; 0 lets the kernel choose. */
	readonly identification: number;
}

/** A packet without options or fragmentation; the family follows from the addresses' length. */
export function encodeIpPacket(fields: IpHeaderFields, payload: Uint8Array): Uint8Array {
	const { source, destination } = fields;
	if (source.length === 4) {
		const packet = new Uint8Array(IPV4_HEADER_BYTES + payload.length);
		const view = new DataView(packet.buffer);
		packet[0] = 0x45;
		packet[1] = fields.trafficClass;
		view.setUint16(2, packet.length);
		view.setUint16(4, fields.identification);
		packet[8] = fields.hopLimit;
		packet[9] = fields.protocol;
		packet.set(source, 12);
		packet.set(destination, 16);
		view.setUint16(10, internetChecksum(packet.subarray(0, IPV4_HEADER_BYTES)));
		packet.set(payload, IPV4_HEADER_BYTES);
		return packet;
	}
	const packet = new Uint8Array(IPV6_HEADER_BYTES + payload.length);
	const view = new DataView(packet.buffer);
	view.setUint16(0, 0x6000 | (fields.trafficClass << 4));
	view.setUint16(4, payload.length);
	packet[6] = fields.protocol;
	packet[7] = fields.hopLimit;
	packet.set(source, 8);
	packet.set(destination, 24);
	packet.set(payload, IPV6_HEADER_BYTES);
	return packet;
}

/** Null when the bytes are no whole unfragmented packet. IPv6 extension headers are not walked. */
export function decodeIpPacket(bytes: Uint8Array): IpPacket | null {
	const version = bytes.length > 0 ? bytes[0]! >> 4 : 0;
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	if (version === 4) {
		if (bytes.length < IPV4_HEADER_BYTES) return null;
		const headerBytes = (bytes[0]! & 0x0f) * 4;
		const totalBytes = view.getUint16(2);
		if (headerBytes < IPV4_HEADER_BYTES || totalBytes < headerBytes || totalBytes > bytes.length) return null;
		// More fragments, or not the first: RFC 791 §3.1.
		if ((view.getUint16(6) & 0x3fff) !== 0) return null;
		return {
			family: "inet",
			source: bytes.subarray(12, 16),
			destination: bytes.subarray(16, 20),
			hopLimit: bytes[8]!,
			protocol: bytes[9]!,
			header: bytes.subarray(0, headerBytes),
			payload: bytes.subarray(headerBytes, totalBytes),
		};
	}
	if (version !== 6 || bytes.length < IPV6_HEADER_BYTES) return null;
	const end = IPV6_HEADER_BYTES + view.getUint16(4);
	if (end > bytes.length) return null;
	return {
		family: "inet6",
		source: bytes.subarray(8, 24),
		destination: bytes.subarray(24, 40),
		hopLimit: bytes[7]!,
		protocol: bytes[6]!,
		header: bytes.subarray(0, IPV6_HEADER_BYTES),
		payload: bytes.subarray(IPV6_HEADER_BYTES, end),
	};
}
