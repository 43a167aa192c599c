/** ICMP (RFC 792) and ICMPv6 (RFC 4443): echo, and the errors that say why a packet did not arrive. Pure. */
import { internetChecksum, onesComplementSum, pseudoHeaderSum } from "./checksum.ts";

const PROTOCOL_ICMPV6 = 58;
const HEADER_BYTES = 8;

export type IcmpFamily = "inet" | "inet6";

const types = {
	inet: { echoReply: 0, unreachable: 3, echoRequest: 8, timeExceeded: 11 },
	inet6: { echoReply: 129, unreachable: 1, echoRequest: 128, timeExceeded: 3 },
} as const;

export type IcmpMessage =
	| {
			readonly kind: "echo-request" | "echo-reply";
			readonly identifier: number;
			readonly sequence: number;
			readonly data: Uint8Array;
	  }
	| {
			readonly kind: "unreachable" | "time-exceeded";
			readonly code: number;
			/** The beginning of the packet that could not be delivered, from its IP header on. */
			readonly original: Uint8Array;
	  }
	| { readonly kind: "other"; readonly type: number; readonly code: number };

/** An echo message with its checksum; IPv6 needs the addresses for it (null: the kernel fills it in). */
export function encodeEcho(
	family: IcmpFamily,
	message: Extract<IcmpMessage, { kind: "echo-request" | "echo-reply" }>,
	addresses: { readonly source: Uint8Array; readonly destination: Uint8Array } | null = null,
): Uint8Array {
	const bytes = new Uint8Array(HEADER_BYTES + message.data.length);
	const view = new DataView(bytes.buffer);
	bytes[0] = types[family][message.kind === "echo-request" ? "echoRequest" : "echoReply"];
	view.setUint16(4, message.identifier);
	view.setUint16(6, message.sequence);
	bytes.set(message.data, HEADER_BYTES);
	if (family === "inet") view.setUint16(2, internetChecksum(bytes));
	else if (addresses !== null) {
		const seed = pseudoHeaderSum(addresses.source, addresses.destination, PROTOCOL_ICMPV6, bytes.length);
		view.setUint16(2, internetChecksum(bytes, seed));
	}
	return bytes;
}

/** Null when it is too short or, for IPv4, its checksum is wrong (for IPv6 the kernel has checked it). */
export function decodeIcmp(family: IcmpFamily, bytes: Uint8Array): IcmpMessage | null {
	if (bytes.length < HEADER_BYTES) return null;
	if (family === "inet" && onesComplementSum(bytes) !== 0xffff) return null;
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const type = bytes[0]!;
	const code = bytes[1]!;
	const known = types[family];
	if (type === known.echoRequest || type === known.echoReply)
		return {
			kind: type === known.echoRequest ? "echo-request" : "echo-reply",
			identifier: view.getUint16(4),
			sequence: view.getUint16(6),
			data: bytes.subarray(HEADER_BYTES),
		};
	if (type === known.unreachable || type === known.timeExceeded)
		return {
			kind: type === known.unreachable ? "unreachable" : "time-exceeded",
			code,
			original: bytes.subarray(HEADER_BYTES),
		};
	return { kind: "other", type, code };
}
