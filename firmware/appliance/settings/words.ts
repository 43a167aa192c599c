/** The kinds of words that settings are made of, each with what it must look like. Pure. */
import { z } from "zod";
import { parseAddress } from "../../wire/ip.ts";
import { patterns } from "./patterns.ts";

/** In the JSON schema one definition for all settings of this kind. */
const as = (id: keyof typeof patterns) => ({ id, pattern: patterns[id] });

export const address = z
	.string()
	.refine((text) => parseAddress(text) !== null, "is not an IP address, such as 192.168.80.1 or fd00:80::1")
	.meta(as("address"));

/** An address of the box with the length of its network. */
export const addressWithPrefix = z
	.string()
	.refine((text) => {
		const [host = "", length = "", ...rest] = text.split("/");
		return rest.length === 0 && isPrefixLength(host, length);
	}, "is not an address with a prefix length, such as 192.168.80.100/24")
	.meta(as("addressWithPrefix"));

/** A network, or one address. */
export const network = z
	.string()
	.refine((text) => {
		const [base = "", length, ...rest] = text.split("/");
		return (
			rest.length === 0 && (length === undefined ? parseAddress(base) !== null : isPrefixLength(base, length))
		);
	}, "is not an address or a network, such as 192.168.80.0/24")
	.meta(as("network"));

function isPrefixLength(host: string, length: string): boolean {
	const bytes = parseAddress(host);
	return bytes !== null && /^\d{1,3}$/.test(length) && Number(length) <= bytes.length * 8;
}

const LABEL = /^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/;
const isHostName = (text: string) =>
	text.length <= 253 && text.split(".").every((label) => LABEL.test(label));

/** RFC 1123 §2.1; the box's own name has one label. */
export const hostLabel = z
	.string()
	.regex(LABEL, "is not a host name: letters, digits and hyphens, at most 63");

export const domain = z
	.string()
	.refine(isHostName, "is not a domain, such as example.net")
	.meta(as("domain"));

/** Who is asked over the network: an address, or a name that DNS knows. */
export const host = z
	.string()
	.refine(
		(text) => parseAddress(text) !== null || (isHostName(text) && !/^[\d.]+$/.test(text)),
		"is neither an IP address nor a host name",
	)
	.meta(as("host"));

export const portNumber = z.int().min(1).max(65535);

/** `ADDRESS:PORT`, `[ADDRESS]:PORT`, or `:PORT` for every address of both families. */
export const listener = z
	.string()
	.refine(
		(text) => parseListener(text) !== null,
		"is not where to listen, such as 192.168.80.200:80, [fd00::200]:80 or :80",
	)
	.meta(as("listener"));

/** `address` is null for every address. */
export function parseListener(
	text: string,
): { readonly address: string | null; readonly port: number } | null {
	const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]*)):(\d{1,5})$/.exec(text);
	if (match === null) return null;
	const port = Number(match[3]);
	const written = match[1] ?? match[2]!;
	if (port < 1 || port > 65535) return null;
	if (written === "") return { address: null, port };
	const bytes = parseAddress(written);
	return bytes === null || (match[1] !== undefined) !== (bytes.length === 16)
		? null
		: { address: written, port };
}

/** IFNAMSIZ is 16 with the closing zero. */
export const interfaceName = z.string().regex(/^[^\s/:]{1,15}$/, "is not an interface name");

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Bytes: "512M", "20G". */
export const size = z
	.string()
	.refine((text) => parseSize(text) !== null, 'is not a size: a number with K, M, G or T, such as "512M"')
	.meta(as("size"));

export function parseSize(text: string): number | null {
	const match = /^(\d{1,6})([KMGT]?)$/i.exec(text);
	if (match === null || Number(match[1]) === 0) return null;
	return Number(match[1]) * UNITS[match[2]!.toUpperCase()]!;
}

/** A file of the same revision. */
export const fileName = z
	.string()
	.regex(
		/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/,
		"is not the name of a file of this revision, such as default.vcl",
	);

/** One line of text for people. */
export const line = z
	.string()
	.max(255)
	.regex(/^[^\x00-\x1f\x7f]*$/, "must be one line without control characters");
