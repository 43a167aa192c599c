/** virtual_server_group: addresses, ranges and fwmarks that virtual servers share, spread out. */
import { formatAddress, parseIpv4, parseIpv6 } from "../../../wire/ip.ts";
import type { AddressFamily, ServiceAddress } from "../../model.ts";
import { parseWhole } from "../numbers.ts";
import type { DataLine, Statement } from "../statement.ts";
import { readAddress, readPrefix } from "./address.ts";
import type { BuildContext } from "./context.ts";

/** Services that one line may stand for. */
const RANGE_LIMIT = 65_536;

export function buildServerGroups(
	context: BuildContext,
	root: readonly Statement[],
): Map<string, readonly ServiceAddress[]> {
	const groups = new Map<string, readonly ServiceAddress[]>();
	for (const statement of root) {
		if (statement.keyword.name !== "virtual_server_group") continue;
		const name = statement.words[0]!;
		if (groups.has(name)) {
			context.error(
				statement,
				"duplicate-name",
				`virtual_server_group ${name} is defined twice`,
				"the second one",
			);
			continue;
		}
		const services: ServiceAddress[] = [];
		// A fwmark is of the family of the addresses beside it.
		const family = statement.lines!.some(({ words }) => words[0]!.includes(":")) ? "inet6" : "inet";
		for (const line of statement.lines!) services.push(...readMember(context, line, name, family));
		if (services.length === 0)
			context.error(statement, "empty-group", `virtual_server_group ${name} is empty`, "its virtual servers");
		groups.set(name, services);
	}
	return groups;
}

function readMember(
	context: BuildContext,
	line: DataLine,
	group: string,
	family: AddressFamily,
): ServiceAddress[] {
	const [first, second, third] = line.words;
	const bad = (why: string): ServiceAddress[] => {
		context.error(line, "bad-member", `virtual_server_group ${group}: ${why}`, "the line");
		return [];
	};
	if (first === "fwmark") {
		const fwmark = parseWhole(second ?? "");
		if (!(fwmark >= 1 && fwmark <= 4_294_967_295))
			return bad(`fwmark "${second ?? ""}" is not a number from 1 to 4294967295`);
		if (third !== undefined && third !== "inet" && third !== "inet6")
			return bad(`"${third}" is neither inet nor inet6`);
		return [{ kind: "fwmark", fwmark, family: third ?? family }];
	}
	const port = second === undefined ? 0 : parseWhole(second);
	if (!(port >= 0 && port <= 65_535)) return bad(`"${second}" is no port`);
	const range = spread(first!);
	if (typeof range === "string") return bad(range);
	return range.addresses.map((address) => ({ kind: "address", address, family: range.family, port }));
}

/** `A`, `A-E`, `A-B` or `NET/LEN`; a text says what is wrong. */
function spread(text: string): { addresses: string[]; family: AddressFamily } | string {
	const dash = text.indexOf("-");
	const slash = text.indexOf("/");
	if (dash < 0 && slash < 0) {
		const address = readAddress(text);
		return address === null
			? `"${text}" is no IP address`
			: { addresses: [address.address], family: address.family };
	}
	if (slash >= 0) {
		const prefix = readPrefix(text);
		if (prefix === null || prefix.prefixLength === null || Number.isNaN(prefix.prefixLength))
			return `"${text}" is no network`;
		const bits = (prefix.family === "inet" ? 32 : 128) - prefix.prefixLength;
		if (bits > 16) return `"${text}" has more than ${RANGE_LIMIT} addresses`;
		const first = toNumber(prefix.address);
		const base = (first >> BigInt(bits)) << BigInt(bits);
		return enumerate(base, base + (1n << BigInt(bits)) - 1n, prefix.family, text);
	}
	const start = readAddress(text.slice(0, dash));
	if (start === null) return `"${text}" is no range of addresses`;
	const tail = text.slice(dash + 1);
	const first = toNumber(start.address);
	const other = readAddress(tail);
	let last: bigint;
	if (other !== null && other.family === start.family) last = toNumber(other.address);
	else if (start.family === "inet") {
		const octet = parseWhole(tail);
		if (!(octet >= 0 && octet <= 255)) return `"${text}" is no range of addresses`;
		last = (first & ~0xffn) | BigInt(octet);
	} else {
		if (!/^[0-9a-fA-F]{1,4}$/.test(tail)) return `"${text}" is no range of addresses`;
		last = (first & ~0xffffn) | BigInt(Number.parseInt(tail, 16));
	}
	if (last < first) return `"${text}" ends before it begins`;
	return enumerate(first, last, start.family, text);
}

function toNumber(address: string): bigint {
	const bytes = parseIpv4(address) ?? parseIpv6(address)!;
	let value = 0n;
	for (const byte of bytes) value = (value << 8n) | BigInt(byte);
	return value;
}

function enumerate(
	first: bigint,
	last: bigint,
	family: AddressFamily,
	text: string,
): { addresses: string[]; family: AddressFamily } | string {
	if (last - first >= BigInt(RANGE_LIMIT)) return `"${text}" has more than ${RANGE_LIMIT} addresses`;
	const addresses: string[] = [];
	const size = family === "inet" ? 4 : 16;
	for (let value = first; value <= last; value++) {
		const bytes = new Uint8Array(size);
		let rest = value;
		for (let index = size - 1; index >= 0; index--) {
			bytes[index] = Number(rest & 0xffn);
			rest >>= 8n;
		}
		addresses.push(formatAddress(bytes));
	}
	return { addresses, family };
}
