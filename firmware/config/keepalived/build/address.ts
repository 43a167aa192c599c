/** Addresses as the configuration writes them. Pure. */
import { formatAddress, parseIpv4, parseIpv6 } from "../../../wire/ip.ts";
import type { AddressFamily } from "../../model.ts";

export interface Address {
	/** Canonical text. */
	readonly address: string;
	readonly family: AddressFamily;
}

/** An address, or null. IPv4 first, by hand: a large file has tens of thousands of them. */
export function readAddress(text: string): Address | null {
	if (isDottedQuad(text)) return { address: text, family: "inet" };
	const bytes = text.includes(":") ? parseIpv6(text) : null;
	return bytes === null ? null : { address: formatAddress(bytes), family: "inet6" };
}

/** Whether `text` is a dotted quad as inet_pton(3) takes it; such text is canonical already. */
export function isDottedQuad(text: string): boolean {
	const length = text.length;
	if (length < 7 || length > 15) return false;
	let parts = 0;
	let value = -1;
	for (let index = 0; index <= length; index++) {
		const code = index < length ? text.charCodeAt(index) : 46;
		if (code === 46) {
			if (value < 0) return false;
			parts++;
			value = -1;
		} else if (code >= 48 && code <= 57) {
			if (value === 0) return false;
			value = value < 0 ? code - 48 : value * 10 + code - 48;
			if (value > 255) return false;
		} else return false;
	}
	return parts === 4;
}

/** `ADDRESS[/LENGTH]`; `prefixLength` is null when it is not written, NaN when it is wrong. */
export function readPrefix(text: string): (Address & { readonly prefixLength: number | null }) | null {
	const slash = text.indexOf("/");
	const address = readAddress(slash < 0 ? text : text.slice(0, slash));
	if (address === null) return null;
	if (slash < 0) return { ...address, prefixLength: null };
	const length = /^\d{1,3}$/.test(text.slice(slash + 1)) ? Number(text.slice(slash + 1)) : Number.NaN;
	const bound = address.family === "inet" ? 32 : 128;
	return { ...address, prefixLength: length <= bound ? length : Number.NaN };
}

/** Length of a dotted netmask, or null. */
export function netmaskLength(text: string): number | null {
	const bytes = parseIpv4(text);
	if (bytes === null) return null;
	const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
	const length = bits.indexOf("0") < 0 ? 32 : bits.indexOf("0");
	return bits.slice(length).includes("1") ? null : length;
}
