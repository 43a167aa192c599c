/** The Internet checksum (RFC 1071). Pure. */

/** Ones' complement sum over `bytes`, to be continued with `seed` from an earlier part of even length. */
export function onesComplementSum(bytes: Uint8Array, seed = 0): number {
	let sum = seed;
	const even = bytes.length & ~1;
	for (let index = 0; index < even; index += 2) sum += (bytes[index]! << 8) | bytes[index + 1]!;
	if (even !== bytes.length) sum += bytes[even]! << 8;
	while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
	return sum;
}

/** The 16-bit checksum field for `bytes` (with the field itself zero), after an optional pseudo header's sum. */
export function internetChecksum(bytes: Uint8Array, seed = 0): number {
	return ~onesComplementSum(bytes, seed) & 0xffff;
}

/** The pseudo header's sum for the `seed` of TCP, UDP, ICMPv6 and VRRPv3 (RFC 9293 §3.1, RFC 8200 §8.1). */
export function pseudoHeaderSum(
	source: Uint8Array,
	destination: Uint8Array,
	protocol: number,
	lengthBytes: number,
): number {
	return onesComplementSum(destination, onesComplementSum(source, protocol + lengthBytes));
}
