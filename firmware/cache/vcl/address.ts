/** Addresses in VCL: IP constants, and the `host`, `host:port`, `[v6]:port` and `host port` forms of backends. */
import { formatAddress, parseAddress } from "../../wire/ip.ts";
import type { Compilation, Resolution } from "./compilation.ts";
import type { IpAddress } from "./runtime.ts";
import type { Token } from "./token.ts";

export interface HostAndPort {
	readonly host: string;
	readonly port: string | null;
}

/** Splits as the stock resolver does; the error is its words. */
export function splitHostAndPort(text: string): HostAndPort | { readonly error: string } {
	if (text.startsWith("[")) {
		const close = text.indexOf("]");
		if (close < 0) return { error: "IPv6 address lacks ']'" };
		const host = text.slice(1, close);
		if (host === "") return { error: "IPv6 address empty" };
		if (close + 1 === text.length) return { host, port: null };
		const separator = text[close + 1];
		if (separator !== ":" && separator !== " ") return { error: "IPv6 address has wrong port separator" };
		return { host, port: text.slice(close + 2).trim() };
	}
	const space = text.indexOf(" ");
	if (space >= 0) return { host: text.slice(0, space), port: text.slice(space + 1).trim() };
	const colon = text.indexOf(":");
	if (colon >= 0 && text.indexOf(":", colon + 1) < 0)
		return { host: text.slice(0, colon), port: text.slice(colon + 1) };
	return { host: text, port: null };
}

export function isPort(text: string): boolean {
	return /^\d{1,9}$/.test(text) || /^[a-z][a-z0-9+.-]*$/i.test(text);
}

/** The bytes of an address literal, or null. The link that an IPv6 address may name ("fe80::1%eth0") is none of them. */
export function literalBytes(text: string): Uint8Array | null {
	const { address, zone } = splitZone(text);
	const bytes = parseAddress(address);
	if (bytes === null || zone === "") return bytes;
	if (bytes.length === 4) return null;
	// RFC 4007 §11: of a link's own addresses it is a name or a number, of others a number only.
	const isLinkLocal =
		(bytes[0] === 0xfe && bytes[1]! >> 6 === 2) || (bytes[0] === 0xff && bytes[1]! % 16 === 2);
	return (isLinkLocal ? /^%[\w.-]+$/ : /^%\d+$/).test(zone) ? bytes : null;
}

function splitZone(text: string): { readonly address: string; readonly zone: string } {
	const at = text.indexOf("%");
	return at < 0 ? { address: text, zone: "" } : { address: text.slice(0, at), zone: text.slice(at) };
}

/** An address literal as VCL's IP, or null. */
export function ipLiteral(text: string, port: number): IpAddress | null {
	const bytes = literalBytes(text);
	if (bytes === null) return null;
	// An IPv4 address in an IPv6 socket is shown as what it is, though it matches as IPv6.
	const address = formatAddress(bytes).replace(/^::ffff:(?=\d+\.)/, "");
	return { text: address + splitZone(text).zone, port, bytes };
}

/** Addresses of a host: itself when it is a literal; "localhost" without asking anyone. */
export function resolveHost(c: Compilation, host: string): Resolution {
	const literal = literalBytes(host);
	if (literal !== null) return { ok: true, addresses: [formatAddress(literal) + splitZone(host).zone] };
	if (c.settings.resolve !== null) return c.settings.resolve(host);
	if (/^localhost$/i.test(host)) return { ok: true, addresses: ["127.0.0.1"] };
	return { ok: true, addresses: [] };
}

/** A string where an IP is wanted: an address, or a name with exactly one. */
export function acceptAddress(c: Compilation, token: Token): IpAddress {
	if (token.value.startsWith("/"))
		c.diagnostics.fail(`Cannot convert to an IP address: '${token.text}'`, token);
	const split = splitHostAndPort(token.value);
	const fail = (error: string) =>
		c.diagnostics.fail(
			`IP constant '${token.text}' could not be resolved to an IP address:\n\t${error}\n(Sorry if that error message is gibberish.)\n`,
			token,
		);
	if ("error" in split) return fail(split.error);
	const port = split.port ?? "80";
	if (!/^\d+$/.test(port)) return fail("Servname not supported for ai_socktype");
	const resolution = resolveHost(c, split.host);
	if (!resolution.ok) return fail(resolution.error);
	if (resolution.addresses.length > 1)
		return c.diagnostics.fail(tooMany("IP constant", token, resolution.addresses, port, 1), token);
	const address = resolution.addresses[0];
	if (address === undefined) return fail("Name or service not known");
	return ipLiteral(address, Number(port)) ?? fail("Name or service not known");
}

export function tooMany(
	what: string,
	token: Token,
	addresses: readonly string[],
	port: string,
	limit: number,
): string {
	return `${what} ${token.text}: resolves to too many addresses.\nOnly one IPv4 ${limit > 1 ? "and one" : "or"} IPv6 are allowed.\nPlease specify which exact address you want to use, we found all of these:\n${addresses.map((address) => `\t${address}:${port}\n`).join("")}`;
}
