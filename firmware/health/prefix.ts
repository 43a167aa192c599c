/** Whether an address belongs to a network. Pure. */

/** Both 4 or both 16 bytes; false when they differ in that, or in one of the first `bits` bits. */
export function inPrefix(address: Uint8Array, network: Uint8Array, bits: number): boolean {
	if (address.length !== network.length) return false;
	for (let bit = 0; bit < bits; bit += 8) {
		const mask = bits - bit >= 8 ? 0xff : 0xff << (8 - (bits - bit));
		if ((address[bit / 8]! & mask) !== (network[bit / 8]! & mask)) return false;
	}
	return true;
}
