/** virtual_server_group: addresses, ranges and fwmarks that virtual servers share, as written and spread out. */
import { familyOf, formatAddress, parseIpv4, parseIpv6 } from "../../../wire/ip.ts";
import type { AddressFamily, ServerGroupConfig, ServiceAddress, ServiceRange } from "../../model.ts";
import { parseWhole } from "../numbers.ts";
import type { DataLine, Statement } from "../statement.ts";
import { readAddress, readPrefix } from "./address.ts";
import type { BuildContext } from "./context.ts";

/** Services that one line may stand for. */
const RANGE_LIMIT = 65_536;

export interface ServerGroup extends ServerGroupConfig {
	/** One for each address and mark. */
	readonly services: readonly ServiceAddress[];
}

/** One line: what is written, and what it stands for. */
interface Member {
	readonly member: ServiceAddress | ServiceRange;
	readonly services: readonly ServiceAddress[];
}

/** By name, in the file's order. */
export function buildServerGroups(
	context: BuildContext,
	root: readonly Statement[],
): Map<string, ServerGroup> {
	const groups = new Map<string, ServerGroup>();
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
		const lines = statement.lines!;
		const isMark = ({ words }: DataLine) => words[0] === "fwmark";
		const families = new Set(lines.filter((line) => !isMark(line)).map(({ words }) => familyOf(words[0]!)));
		// A fwmark is of the family of the addresses beside it.
		const family = families.has("inet6") ? "inet6" : "inet";
		const undecided = lines.find((line) => isMark(line) && line.words[2] === undefined);
		if (families.size === 2 && undecided !== undefined)
			context.error(
				undecided,
				"ambiguous-mark",
				`virtual_server_group ${name} has IPv4 and IPv6 addresses, and a fwmark that does not say of which it is`,
				"its virtual servers",
				{ suggestion: `write "${undecided.words.join(" ")} inet" or "... inet6"` },
			);
		const members = lines.flatMap((line) => readMember(context, line, name, family));
		const services = members.flatMap((each) => each.services);
		if (services.length === 0)
			context.error(statement, "empty-group", `virtual_server_group ${name} is empty`, "its virtual servers");
		groups.set(name, { name, members: members.map(({ member }) => member), services });
	}
	return groups;
}

function readMember(context: BuildContext, line: DataLine, group: string, family: AddressFamily): Member[] {
	const [first, second, third] = line.words;
	const bad = (why: string): Member[] => {
		context.error(line, "bad-member", `virtual_server_group ${group}: ${why}`, "the line");
		return [];
	};
	if (first === "fwmark") {
		const fwmark = parseWhole(second ?? "");
		if (!(fwmark >= 1 && fwmark <= 4_294_967_295))
			return bad(`fwmark "${second ?? ""}" is not a number from 1 to 4294967295`);
		if (third !== undefined && third !== "inet" && third !== "inet6")
			return bad(`"${third}" is neither inet nor inet6`);
		const member: ServiceAddress = { kind: "fwmark", fwmark, family: third ?? family };
		return [{ member, services: [member] }];
	}
	const port = second === undefined ? 0 : parseWhole(second);
	if (!(port >= 0 && port <= 65_535)) return bad(`"${second}" is no port`);
	const range = spread(first!);
	if (typeof range === "string") return bad(range);
	const { addresses } = range;
	const of = { family: range.family, port };
	const services = addresses.map((address): ServiceAddress => ({ kind: "address", address, ...of }));
	const member: ServiceAddress | ServiceRange =
		services.length === 1
			? services[0]!
			: { kind: "range", first: addresses[0]!, last: addresses.at(-1)!, ...of };
	return [{ member, services }];
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
