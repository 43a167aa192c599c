/** INET-ADDRESS-MIB (RFC 4001): addresses as SNMP has them. Pure. */
import { parseAddress } from "../../wire/ip.ts";
import { bytes, integer, type Oid, type Value } from "./view.ts";

/** InetAddressType: unknown(0), ipv4(1), ipv6(2). */
export function addressType(address: string | null): Value {
	const parsed = address === null ? null : parseAddress(address);
	return integer(parsed === null ? 0 : parsed.length === 4 ? 1 : 2);
}

/** InetAddress: 4 or 16 octets; empty for none. */
export function addressOctets(address: string | null): Value {
	return bytes((address === null ? null : parseAddress(address)) ?? new Uint8Array(0));
}

/** An InetAddressType and InetAddress as index parts: the type, the length, the octets. */
export function addressIndex(address: string): Oid {
	const octets = parseAddress(address) ?? new Uint8Array(0);
	return [octets.length === 4 ? 1 : 2, octets.length, ...octets];
}
