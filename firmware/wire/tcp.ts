/** TCP segments (RFC 9293 §3.1), as far as a handshake needs them. Pure. */
import { internetChecksum, onesComplementSum, pseudoHeaderSum } from "./checksum.ts";

const PROTOCOL_TCP = 6;
const HEADER_BYTES = 20;
const OPTION_END = 0;
const OPTION_NO_OPERATION = 1;
const OPTION_MAXIMUM_SEGMENT_SIZE = 2;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_ACK = 0x10;

export interface TcpSegment {
	readonly sourcePort: number;
	readonly destinationPort: number;
	readonly sequence: number;
	readonly acknowledgement: number;
	/** TCP_* bits. */
	readonly flags: number;
	readonly window: number;
	readonly maximumSegmentSizeBytes: number | null;
	readonly payload: Uint8Array;
}

/** The segment with its checksum. */
export function encodeTcp(segment: TcpSegment, source: Uint8Array, destination: Uint8Array): Uint8Array {
	const headerBytes = HEADER_BYTES + (segment.maximumSegmentSizeBytes === null ? 0 : 4);
	const bytes = new Uint8Array(headerBytes + segment.payload.length);
	const view = new DataView(bytes.buffer);
	view.setUint16(0, segment.sourcePort);
	view.setUint16(2, segment.destinationPort);
	view.setUint32(4, segment.sequence);
	view.setUint32(8, segment.acknowledgement);
	bytes[12] = (headerBytes / 4) << 4;
	bytes[13] = segment.flags;
	view.setUint16(14, segment.window);
	if (segment.maximumSegmentSizeBytes !== null) {
		bytes[20] = OPTION_MAXIMUM_SEGMENT_SIZE;
		bytes[21] = 4;
		view.setUint16(22, segment.maximumSegmentSizeBytes);
	}
	bytes.set(segment.payload, headerBytes);
	const seed = pseudoHeaderSum(source, destination, PROTOCOL_TCP, bytes.length);
	view.setUint16(16, internetChecksum(bytes, seed));
	return bytes;
}

/**
 * Null when the bytes are no whole segment. `checksum: "verify"` needs the addresses and refuses a wrong sum; a
 * frame captured on the host that sent it (or over veth) may carry a sum that the hardware was to fill in.
 */
export function decodeTcp(
	bytes: Uint8Array,
	verify: { readonly source: Uint8Array; readonly destination: Uint8Array } | null = null,
): TcpSegment | null {
	if (bytes.length < HEADER_BYTES) return null;
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const headerBytes = (bytes[12]! >> 4) * 4;
	if (headerBytes < HEADER_BYTES || headerBytes > bytes.length) return null;
	if (verify !== null) {
		const seed = pseudoHeaderSum(verify.source, verify.destination, PROTOCOL_TCP, bytes.length);
		if (onesComplementSum(bytes, seed) !== 0xffff) return null;
	}
	return {
		sourcePort: view.getUint16(0),
		destinationPort: view.getUint16(2),
		sequence: view.getUint32(4),
		acknowledgement: view.getUint32(8),
		flags: bytes[13]! & 0x3f,
		window: view.getUint16(14),
		maximumSegmentSizeBytes: maximumSegmentSize(bytes.subarray(HEADER_BYTES, headerBytes)),
		payload: bytes.subarray(headerBytes),
	};
}

function maximumSegmentSize(options: Uint8Array): number | null {
	for (let at = 0; at < options.length; ) {
		const kind = options[at]!;
		if (kind === OPTION_END) return null;
		if (kind === OPTION_NO_OPERATION) {
			at++;
			continue;
		}
		const length = options[at + 1] ?? 0;
		if (length < 2 || at + length > options.length) return null;
		if (kind === OPTION_MAXIMUM_SEGMENT_SIZE && length === 4)
			return (options[at + 2]! << 8) | options[at + 3]!;
		at += length;
	}
	return null;
}
