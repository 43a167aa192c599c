/** Addresses as the configuration writes them. Pure. */
import { canonicalAddress, familyOf, parseIpv4 } from "../../../wire/ip.ts";
import type { AddressFamily } from "../../model.ts";

export interface Address {
	/** Canonical text. */
	readonly address: string;
	readonly family: AddressFamily;
}

/** An address, or null. */
export function readAddress(text: string): Address | null {
	const address = canonicalAddress(text);
	return address === null ? null : { address, family: familyOf(address) };
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
