/** Which addresses a network holds. Pure. */
import { parseAddress } from "./ip.ts";

/** True when `address` lies in `network` ("192.0.2.0/24", or one address); an IPv4 address may come mapped into IPv6. */
export function inNetwork(address: string, network: string): boolean {
	const [base, length] = network.split("/");
	const a = parseAddress(address.replace(/^::ffff:(?=\d+\.)/, ""));
	const b = parseAddress(base!);
	if (a === null || b === null || a.length !== b.length) return false;
	let bits = length === undefined ? a.length * 8 : Number(length);
	for (let index = 0; index < a.length && bits > 0; index++, bits -= 8) {
		const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
		if ((a[index]! & mask) !== (b[index]! & mask)) return false;
	}
	return true;
}
