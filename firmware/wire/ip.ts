/**
 * IP addresses as text and bytes. Pure.
 * Text in: what inet_pton(3) takes. Text out: dotted quad, or RFC 5952.
 */

export type AddressBytes = Uint8Array;

/**
 * The address as one number, its first byte the highest, or -1 when `text` is no dotted quad (inet_pton: no leading
 * zeros beyond one digit, four parts). A table has tens of thousands of them: nothing is made on the way.
 */
export function ipv4Number(text: string): number {
	const { length } = text;
	let parts = 0;
	let number = 0;
	let value = -1;
	for (let index = 0; index <= length; index++) {
		const code = index < length ? text.charCodeAt(index) : 46;
		if (code === 46) {
			if (value < 0 || parts > 3) return -1;
			parts++;
			number = (number << 8) | value;
			value = -1;
		} else if (code >= 48 && code <= 57) {
			if (value === 0) return -1;
			value = value < 0 ? code - 48 : value * 10 + code - 48;
			if (value > 255) return -1;
		} else return -1;
	}
	return parts === 4 ? number >>> 0 : -1;
}

/** 4 bytes, or null when `text` is no dotted quad. */
export function parseIpv4(text: string): Uint8Array | null {
	const number = ipv4Number(text);
	if (number < 0) return null;
	const bytes = new Uint8Array(4);
	for (let index = 0; index < 4; index++) bytes[index] = number >>> (24 - 8 * index);
	return bytes;
}

/** 16 bytes, or null when `text` is no IPv6 address (RFC 4291 §2.2); zone indices are not part of it. */
export function parseIpv6(text: string): Uint8Array | null {
	const bytes = new Uint8Array(16);
	const halves = text.split("::");
	if (halves.length > 2) return null;
	const head = groupsOf(halves[0]!, halves.length === 1);
	const tail = halves.length === 2 ? groupsOf(halves[1]!, true) : [];
	if (head === null || tail === null) return null;
	const count = head.length + tail.length;
	if (halves.length === 1 ? count !== 8 : count > 7) return null;
	const groups = [...head, ...new Array<number>(8 - count).fill(0), ...tail];
	groups.forEach((group, index) => {
		bytes[index * 2] = group >> 8;
		bytes[index * 2 + 1] = group & 0xff;
	});
	return bytes;
}

function groupsOf(text: string, mayEndInIpv4: boolean): number[] | null {
	if (text === "") return [];
	const groups: number[] = [];
	const parts = text.split(":");
	for (let index = 0; index < parts.length; index++) {
		const part = parts[index]!;
		if (mayEndInIpv4 && index === parts.length - 1 && part.includes(".")) {
			const quad = parseIpv4(part);
			if (quad === null) return null;
			groups.push((quad[0]! << 8) | quad[1]!, (quad[2]! << 8) | quad[3]!);
		} else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
		else return null;
	}
	return groups;
}

/** 4 or 16 bytes, or null. */
export function parseAddress(text: string): Uint8Array | null {
	return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Dotted quad for 4 bytes; RFC 5952 text for 16. */
export function formatAddress(bytes: Uint8Array): string {
	if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
	if (bytes.length !== 16) throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`);
	const groups: number[] = [];
	for (let index = 0; index < 16; index += 2) groups.push((bytes[index]! << 8) | bytes[index + 1]!);
	// RFC 5952 §5: ::ffff:0:0/96 keeps its dotted quad.
	if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
		return `::ffff:${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`;
	let bestStart = -1;
	let bestLength = 1;
	for (let start = 0; start < 8; ) {
		let end = start;
		while (end < 8 && groups[end] === 0) end++;
		if (end - start > bestLength) {
			bestStart = start;
			bestLength = end - start;
		}
		start = end + 1;
	}
	const hex = groups.map((group) => group.toString(16));
	if (bestStart < 0) return hex.join(":");
	return `${hex.slice(0, bestStart).join(":")}::${hex.slice(bestStart + bestLength).join(":")}`;
}

/** Canonical text of an address, or null when it is none. */
export function canonicalAddress(text: string): string | null {
	// A dotted quad is canonical already.
	if (ipv4Number(text) >= 0) return text;
	const bytes = text.includes(":") ? parseIpv6(text) : null;
	return bytes === null ? null : formatAddress(bytes);
}

/** Of the text of an address. */
export const familyOf = (address: string): "inet" | "inet6" => (address.includes(":") ? "inet6" : "inet");

/** Numeric order of two addresses of one family, as RFC 5798 §6.4.3 compares primary addresses. */
export function compareAddresses(a: Uint8Array, b: Uint8Array): number {
	for (let index = 0; index < a.length && index < b.length; index++)
		if (a[index] !== b[index]) return a[index]! < b[index]! ? -1 : 1;
	return a.length - b.length;
}
