/** ARP for IPv4 over Ethernet (RFC 826, RFC 5227). Pure. */

export const ARP_BYTES = 28;

export interface ArpMessage {
	readonly operation: "request" | "reply";
	readonly senderMac: Uint8Array;
	/** 4 bytes; all zero in a probe (RFC 5227 §2.1). */
	readonly senderAddress: Uint8Array;
	readonly targetMac: Uint8Array;
	readonly targetAddress: Uint8Array;
}

export function encodeArp(message: ArpMessage): Uint8Array {
	const bytes = new Uint8Array(ARP_BYTES);
	const view = new DataView(bytes.buffer);
	view.setUint16(0, 1); // Ethernet
	view.setUint16(2, 0x0800);
	bytes[4] = 6;
	bytes[5] = 4;
	view.setUint16(6, message.operation === "request" ? 1 : 2);
	bytes.set(message.senderMac, 8);
	bytes.set(message.senderAddress, 14);
	bytes.set(message.targetMac, 18);
	bytes.set(message.targetAddress, 24);
	return bytes;
}

/** Null when it is no ARP for IPv4 over Ethernet, or neither a request nor a reply. */
export function decodeArp(bytes: Uint8Array): ArpMessage | null {
	if (bytes.length < ARP_BYTES) return null;
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	if (view.getUint16(0) !== 1 || view.getUint16(2) !== 0x0800 || bytes[4] !== 6 || bytes[5] !== 4)
		return null;
	const operation = view.getUint16(6);
	if (operation !== 1 && operation !== 2) return null;
	return {
		operation: operation === 1 ? "request" : "reply",
		senderMac: bytes.slice(8, 14),
		senderAddress: bytes.slice(14, 18),
		targetMac: bytes.slice(18, 24),
		targetAddress: bytes.slice(24, 28),
	};
}
