/**
 * VRRP advertisements on the wire: version 2 (RFC 3768 §5, with the authentication of RFC 2338 §5.3.6)
 * and version 3 (RFC 5798 §5, RFC 9568 §5), over IPv4 and IPv6. Pure: bytes in, records out.
 */
import { internetChecksum, onesComplementSum } from "./checksum.ts";
import { formatAddress, parseAddress } from "./ip.ts";

export const PROTOCOL_VRRP = 112;
/** TTL and hop limit of every multicast advertisement (RFC 9568 §5.1.1.3): it was never routed. */
export const VRRP_HOP_LIMIT = 255;
/** RFC 3768 §5.3.10: eight bytes that close every version 2 advertisement over IPv4. */
export const AUTHENTICATION_LENGTH_BYTES = 8;
export const HEADER_LENGTH_BYTES = 8;
/** The count field has eight bits. */
export const ADDRESS_LIMIT = 255;
/** No advertisement is longer: 255 IPv6 addresses. */
export const ADVERTISEMENT_LIMIT_BYTES = HEADER_LENGTH_BYTES + ADDRESS_LIMIT * 16;

const TYPE_ADVERTISEMENT = 1;
/** Internetwork control, as keepalived and RFC 2474 §4.2.2.2 mark routing protocols. */
export const TRAFFIC_CLASS = 0xc0;

export type IpFamily = "inet" | "inet6";

/** RFC 2338 §5.3.6: 0 none, 1 simple text password, 2 IP authentication header. Always 0 in version 3. */
export type AuthenticationType = 0 | 1 | 2;

export interface Advertisement {
	readonly version: 2 | 3;
	readonly virtualRouterId: number;
	/** 0 is "I stop", 255 the owner of the addresses. */
	readonly priority: number;
	/** A whole number of seconds in version 2, of centiseconds in version 3. */
	readonly intervalMicros: number;
	/** As the byte says it; a peer may send anything. */
	readonly authenticationType: number;
	/** Canonical text, in the sender's order. */
	readonly addresses: readonly string[];
}

/**
 * What the checksum covers besides the message: nothing (version 2; RFC 9568 §5.2.8 for IPv4), or the
 * pseudo header with these addresses (IPv6 always; version 3 over IPv4 as RFC 5798 was mostly read).
 */
export type ChecksumScope =
	| { readonly kind: "message" }
	| { readonly kind: "pseudo-header"; readonly source: Uint8Array; readonly destination: Uint8Array };

/** RFC 8200 §8.1 for 16-byte addresses; RFC 793's layout for 4-byte ones. */
export function pseudoHeaderSum(scope: ChecksumScope, lengthBytes: number): number {
	if (scope.kind === "message") return 0;
	return onesComplementSum(scope.destination, onesComplementSum(scope.source, PROTOCOL_VRRP + lengthBytes));
}

/**
 * The VRRP message of an advertisement with its checksum. `authenticationData` are the eight closing
 * bytes of version 2 over IPv4 (null there means zeros); it must be null otherwise.
 */
export function encodeAdvertisement(
	advertisement: Advertisement,
	family: IpFamily,
	scope: ChecksumScope,
	authenticationData: Uint8Array | null = null,
): Uint8Array {
	const { version, addresses } = advertisement;
	const width = family === "inet" ? 4 : 16;
	const closing = version === 2 && family === "inet" ? AUTHENTICATION_LENGTH_BYTES : 0;
	const bytes = new Uint8Array(HEADER_LENGTH_BYTES + addresses.length * width + closing);
	const view = new DataView(bytes.buffer);
	bytes[0] = (version << 4) | TYPE_ADVERTISEMENT;
	bytes[1] = advertisement.virtualRouterId;
	bytes[2] = advertisement.priority;
	bytes[3] = addresses.length;
	if (version === 2) {
		bytes[4] = advertisement.authenticationType;
		bytes[5] = Math.round(advertisement.intervalMicros / 1_000_000);
	} else view.setUint16(4, Math.round(advertisement.intervalMicros / 10_000) & 0x0fff);
	addresses.forEach((text, index) => {
		const address = parseAddress(text);
		if (address === null || address.length !== width)
			throw new RangeError(`${text} is no address of ${family}`);
		bytes.set(address, HEADER_LENGTH_BYTES + index * width);
	});
	if (closing > 0 && authenticationData !== null)
		bytes.set(authenticationData.subarray(0, closing), bytes.length - closing);
	view.setUint16(6, internetChecksum(bytes, pseudoHeaderSum(scope, bytes.length)));
	return bytes;
}

/** True when the checksum field of `message` is right for `scope`. */
export function checksumIsRight(message: Uint8Array, scope: ChecksumScope): boolean {
	return onesComplementSum(message, pseudoHeaderSum(scope, message.length)) === 0xffff;
}

/** The length that the header's count promises, without an authentication trailer of any later draft. */
export function expectedLength(message: Uint8Array, family: IpFamily): number {
	const version = message[0]! >> 4;
	const closing = version === 2 && family === "inet" ? AUTHENTICATION_LENGTH_BYTES : 0;
	return HEADER_LENGTH_BYTES + message[3]! * (family === "inet" ? 4 : 16) + closing;
}

export type Decoded =
	| { readonly kind: "advertisement"; readonly advertisement: Advertisement }
	| { readonly kind: "too-short"; readonly detail: string }
	| { readonly kind: "bad-version"; readonly detail: string }
	| { readonly kind: "bad-type"; readonly detail: string };

/** Reads a message's fields; checks only what reading needs. Bytes past the expected length are ignored. */
export function decodeAdvertisement(message: Uint8Array, family: IpFamily): Decoded {
	if (message.length < HEADER_LENGTH_BYTES)
		return { kind: "too-short", detail: `${message.length} bytes, a header has ${HEADER_LENGTH_BYTES}` };
	const version = message[0]! >> 4;
	if (version !== 2 && version !== 3) return { kind: "bad-version", detail: `version ${version}` };
	const type = message[0]! & 0x0f;
	if (type !== TYPE_ADVERTISEMENT) return { kind: "bad-type", detail: `type ${type}` };
	const expected = expectedLength(message, family);
	if (message.length < expected)
		return {
			kind: "too-short",
			detail: `${message.length} bytes, ${message[3]} addresses need ${expected}`,
		};
	const width = family === "inet" ? 4 : 16;
	const addresses: string[] = [];
	for (let index = 0; index < message[3]!; index++) {
		const start = HEADER_LENGTH_BYTES + index * width;
		addresses.push(formatAddress(message.subarray(start, start + width)));
	}
	return {
		kind: "advertisement",
		advertisement: {
			version,
			virtualRouterId: message[1]!,
			priority: message[2]!,
			intervalMicros:
				version === 2 ? message[5]! * 1_000_000 : (((message[4]! & 0x0f) << 8) | message[5]!) * 10_000,
			authenticationType: version === 2 ? message[4]! : 0,
			addresses,
		},
	};
}

/** RFC 2338 §5.3.6.2: the first eight bytes of the password, filled with zeros. */
export function simplePassword(password: string): Uint8Array {
	const bytes = new Uint8Array(AUTHENTICATION_LENGTH_BYTES);
	bytes.set(new TextEncoder().encode(password).subarray(0, AUTHENTICATION_LENGTH_BYTES));
	return bytes;
}

/** The eight closing bytes of a version 2 message over IPv4. */
export function authenticationData(message: Uint8Array): Uint8Array {
	const end = expectedLength(message, "inet");
	return message.subarray(end - AUTHENTICATION_LENGTH_BYTES, end);
}
