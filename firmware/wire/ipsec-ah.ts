/**
 * The IP authentication header (RFC 2402 §2) with HMAC-MD5-96 (RFC 2403), as VRRP version 2
 * uses it (RFC 2338 §5.3.6.3): a fixed key, and the sender's address as SPI. IPv4 only. Pure.
 */
import { IPV4_HEADER_BYTES } from "./ip-packet.ts";

export const PROTOCOL_AH = 51;
export const AH_HEADER_BYTES = 24;
const ICV_OFFSET = 12;
const ICV_BYTES = 12;
/** Length in 32-bit words, minus two (RFC 2402 §2.2). */
const PAYLOAD_LENGTH = AH_HEADER_BYTES / 4 - 2;

export interface AuthenticationHeader {
	readonly nextHeader: number;
	/** The sender's address, by VRRP's convention. */
	readonly securityParametersIndex: Uint8Array;
	readonly sequenceNumber: number;
	readonly integrityCheckValue: Uint8Array;
}

/** The header with its check value still zero. */
export function encodeAuthenticationHeader(
	nextHeader: number,
	securityParametersIndex: Uint8Array,
	sequenceNumber: number,
): Uint8Array {
	const bytes = new Uint8Array(AH_HEADER_BYTES);
	bytes[0] = nextHeader;
	bytes[1] = PAYLOAD_LENGTH;
	bytes.set(securityParametersIndex.subarray(0, 4), 4);
	new DataView(bytes.buffer).setUint32(8, sequenceNumber >>> 0);
	return bytes;
}

/** Null when the bytes hold no header of this form. */
export function decodeAuthenticationHeader(bytes: Uint8Array): AuthenticationHeader | null {
	if (bytes.length < AH_HEADER_BYTES || bytes[1] !== PAYLOAD_LENGTH) return null;
	return {
		nextHeader: bytes[0]!,
		securityParametersIndex: bytes.subarray(4, 8),
		sequenceNumber: new DataView(bytes.buffer, bytes.byteOffset).getUint32(8),
		integrityCheckValue: bytes.subarray(ICV_OFFSET, ICV_OFFSET + ICV_BYTES),
	};
}

/**
 * The check value of an IPv4 packet (without options) whose payload begins with this header. Mutable
 * header fields count as zero (RFC 2402 §3.3.3.1.1.1); the TTL too when the packet may be routed.
 */
export function integrityCheckValue(packet: Uint8Array, key: Uint8Array, routed: boolean): Uint8Array {
	const covered = packet.slice();
	covered[1] = 0;
	covered.fill(0, 6, 8);
	covered.fill(0, 10, 12);
	if (routed) covered[8] = 0;
	const start = IPV4_HEADER_BYTES + ICV_OFFSET;
	covered.fill(0, start, start + ICV_BYTES);
	return new Uint8Array(new Bun.CryptoHasher("md5", key).update(covered).digest()).slice(0, ICV_BYTES);
}

/** Writes the check value into `packet`. */
export function sealPacket(packet: Uint8Array, key: Uint8Array, routed: boolean): void {
	packet.set(integrityCheckValue(packet, key, routed), IPV4_HEADER_BYTES + ICV_OFFSET);
}
