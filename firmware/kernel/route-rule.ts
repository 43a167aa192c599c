/** Routing policy rules: rtnetlink(7) messages (<linux/fib_rules.h>) and the words of ip-rule(8). Pure. */
import { formatAddress, parseAddress } from "../wire/ip.ts";
import {
	AF_INET,
	AF_INET6,
	IPPROTO_ICMP,
	IPPROTO_ICMPV6,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
} from "./constants.ts";
import { Attributes, MessageBuilder, NLM_F_CREATE, NLM_F_EXCL } from "./netlink-message.ts";
import { type Prefix, RT_TABLE_MAIN, RTPROT_KEEPALIVED } from "./route.ts";
import {
	parseWords,
	type WordReader,
	type WordsContext,
	WordsError,
	type WordsResult,
} from "./route-words.ts";

export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;

const FIB_RULE_HEADER_BYTES = 12;
const FIB_RULE_INVERT = 2;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_GOTO = 4;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_FLOW = 11;
const FRA_TUN_ID = 12;
const FRA_SUPPRESS_IFGROUP = 13;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FRA_OIFNAME = 17;
const FRA_L3MDEV = 19;
const FRA_UID_RANGE = 20;
const FRA_PROTOCOL = 21;
const FRA_IP_PROTO = 22;
const FRA_SPORT_RANGE = 23;
const FRA_DPORT_RANGE = 24;

/** FR_ACT_*; the index is the number. */
const ruleActions = [
	"unspec",
	"table",
	"goto",
	"nop",
	"",
	"",
	"blackhole",
	"unreachable",
	"prohibit",
] as const;
export type RuleAction = Exclude<(typeof ruleActions)[number], "">;

export interface Rule {
	readonly family: "inet" | "inet6";
	readonly action: RuleAction;
	readonly not: boolean;
	readonly from: Prefix | null;
	readonly to: Prefix | null;
	readonly tos: number;
	readonly mark: { readonly value: number; readonly mask: number } | null;
	/** Names, not indices: a rule outlives its interface. */
	readonly inputInterface: string | null;
	readonly outputInterface: string | null;
	/** null lets the kernel choose one below the lowest. */
	readonly priority: number | null;
	readonly table: number;
	readonly gotoPriority: number | null;
	readonly realms: number | null;
	readonly tunnelId: bigint | null;
	readonly suppressPrefixLength: number | null;
	readonly suppressInterfaceGroup: number | null;
	readonly l3mdev: boolean;
	readonly userRange: readonly [number, number] | null;
	readonly ipProtocol: number | null;
	readonly sourcePorts: readonly [number, number] | null;
	readonly destinationPorts: readonly [number, number] | null;
	readonly protocol: number;
}

export function decodeRule(payload: Uint8Array): Rule | null {
	if (payload.length < FIB_RULE_HEADER_BYTES) return null;
	const family = payload[0] === AF_INET ? "inet" : payload[0] === AF_INET6 ? "inet6" : null;
	if (family === null) return null;
	const attributes = Attributes.parse(payload, FIB_RULE_HEADER_BYTES);
	const prefix = (type: number, length: number): Prefix | null => {
		const bytes = attributes.bytes(type);
		return bytes === null || (bytes.length !== 4 && bytes.length !== 16)
			? null
			: { address: formatAddress(bytes), length };
	};
	const mark = attributes.u32(FRA_FWMARK);
	return {
		family,
		action: (ruleActions[payload[7]!] || "unspec") as RuleAction,
		not: (new DataView(payload.buffer, payload.byteOffset).getUint32(8, true) & FIB_RULE_INVERT) !== 0,
		to: prefix(FRA_DST, payload[1]!),
		from: prefix(FRA_SRC, payload[2]!),
		tos: payload[3]!,
		mark: mark === null ? null : { value: mark, mask: attributes.u32(FRA_FWMASK) ?? 0xffff_ffff },
		inputInterface: attributes.string(FRA_IIFNAME),
		outputInterface: attributes.string(FRA_OIFNAME),
		priority: attributes.u32(FRA_PRIORITY) ?? 0,
		table: attributes.u32(FRA_TABLE) ?? payload[4]!,
		gotoPriority: attributes.u32(FRA_GOTO),
		realms: attributes.u32(FRA_FLOW),
		tunnelId: readTunnelId(attributes),
		// The kernel tells -1 when none is set.
		suppressPrefixLength: notMinusOne(attributes.i32(FRA_SUPPRESS_PREFIXLEN)),
		suppressInterfaceGroup: notMinusOne(attributes.i32(FRA_SUPPRESS_IFGROUP)),
		l3mdev: attributes.u8(FRA_L3MDEV) === 1,
		userRange: pairOf(attributes.bytes(FRA_UID_RANGE), 4),
		ipProtocol: attributes.u8(FRA_IP_PROTO) || null,
		sourcePorts: pairOf(attributes.bytes(FRA_SPORT_RANGE), 2),
		destinationPorts: pairOf(attributes.bytes(FRA_DPORT_RANGE), 2),
		protocol: attributes.u8(FRA_PROTOCOL) ?? 0,
	};
}

const notMinusOne = (value: number | null) => (value === -1 ? null : value);

function readTunnelId(attributes: Attributes): bigint | null {
	const bytes = attributes.bytes(FRA_TUN_ID);
	return bytes === null || bytes.length < 8
		? null
		: new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
}

function pairOf(bytes: Uint8Array | null, width: 2 | 4): [number, number] | null {
	if (bytes === null || bytes.length < width * 2) return null;
	const view = new DataView(bytes.buffer, bytes.byteOffset);
	return width === 2
		? [view.getUint16(0, true), view.getUint16(2, true)]
		: [view.getUint32(0, true), view.getUint32(4, true)];
}

function ruleMessage(type: number, flags: number, rule: Rule): MessageBuilder {
	const message = new MessageBuilder(type, flags)
		.u8(rule.family === "inet" ? AF_INET : AF_INET6)
		.u8(rule.to?.length ?? 0)
		.u8(rule.from?.length ?? 0)
		.u8(rule.tos)
		.u8(rule.table < 256 ? rule.table : 0)
		.u8(0)
		.u8(0)
		.u8(ruleActions.indexOf(rule.action))
		.u32(rule.not ? FIB_RULE_INVERT : 0);
	const address = (kind: number, prefix: Prefix | null) => {
		if (prefix !== null) message.attribute(kind, parseAddress(prefix.address)!);
	};
	address(FRA_DST, rule.to);
	address(FRA_SRC, rule.from);
	if (rule.action === "table") message.u32Attribute(FRA_TABLE, rule.table);
	if (rule.priority !== null) message.u32Attribute(FRA_PRIORITY, rule.priority);
	if (rule.mark !== null)
		message.u32Attribute(FRA_FWMARK, rule.mark.value).u32Attribute(FRA_FWMASK, rule.mark.mask);
	if (rule.inputInterface !== null) message.stringAttribute(FRA_IIFNAME, rule.inputInterface);
	if (rule.outputInterface !== null) message.stringAttribute(FRA_OIFNAME, rule.outputInterface);
	if (rule.gotoPriority !== null) message.u32Attribute(FRA_GOTO, rule.gotoPriority);
	if (rule.realms !== null) message.u32Attribute(FRA_FLOW, rule.realms);
	if (rule.tunnelId !== null) {
		const bytes = new Uint8Array(8);
		new DataView(bytes.buffer).setBigUint64(0, rule.tunnelId);
		message.attribute(FRA_TUN_ID, bytes);
	}
	if (rule.suppressPrefixLength !== null)
		message.u32Attribute(FRA_SUPPRESS_PREFIXLEN, rule.suppressPrefixLength);
	if (rule.suppressInterfaceGroup !== null)
		message.u32Attribute(FRA_SUPPRESS_IFGROUP, rule.suppressInterfaceGroup);
	if (rule.l3mdev) message.u8Attribute(FRA_L3MDEV, 1);
	if (rule.userRange !== null)
		message.attribute(FRA_UID_RANGE, new Uint8Array(new Uint32Array(rule.userRange).buffer));
	if (rule.ipProtocol !== null) message.u8Attribute(FRA_IP_PROTO, rule.ipProtocol);
	if (rule.sourcePorts !== null)
		message.attribute(FRA_SPORT_RANGE, new Uint8Array(new Uint16Array(rule.sourcePorts).buffer));
	if (rule.destinationPorts !== null)
		message.attribute(FRA_DPORT_RANGE, new Uint8Array(new Uint16Array(rule.destinationPorts).buffer));
	message.u8Attribute(FRA_PROTOCOL, rule.protocol);
	return message;
}

export function addRule(rule: Rule): MessageBuilder {
	return ruleMessage(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

export function deleteRule(rule: Rule): MessageBuilder {
	return ruleMessage(RTM_DELRULE, 0, rule);
}

export function dumpRules(family: "inet" | "inet6"): MessageBuilder {
	return new MessageBuilder(RTM_GETRULE).u8(family === "inet" ? AF_INET : AF_INET6).bytes(new Uint8Array(11));
}

/** Whether `present` (as the kernel tells it) is `wanted`, priority left open where `wanted` does. */
export function sameRule(wanted: Rule, present: Rule): boolean {
	return (
		(wanted.priority === null || wanted.priority === present.priority) && ruleKey(wanted) === ruleKey(present)
	);
}

/** All that tells two rules apart, but the priority and who made it. */
function ruleKey(rule: Rule): string {
	return JSON.stringify([
		rule.family,
		rule.action,
		rule.not,
		prefixText(rule.from),
		prefixText(rule.to),
		rule.tos,
		rule.mark?.value,
		rule.mark?.mask,
		rule.inputInterface,
		rule.outputInterface,
		rule.table,
		rule.gotoPriority,
		rule.realms || null,
		rule.tunnelId === null ? null : String(rule.tunnelId),
		rule.suppressPrefixLength,
		rule.suppressInterfaceGroup,
		rule.l3mdev,
		rule.userRange,
		rule.ipProtocol,
		rule.sourcePorts,
		rule.destinationPorts,
	]);
}

function prefixText(prefix: Prefix | null): string | null {
	return prefix === null || prefix.length === 0 ? null : `${prefix.address}/${prefix.length}`;
}

const ipProtocols: Readonly<Record<string, number>> = {
	icmp: IPPROTO_ICMP,
	tcp: IPPROTO_TCP,
	udp: IPPROTO_UDP,
	"ipv6-icmp": IPPROTO_ICMPV6,
	icmpv6: IPPROTO_ICMPV6,
	sctp: IPPROTO_SCTP,
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** `from 10.0.0.0/8 to … fwmark 7/0xff iif eth0 pref 100 table 5`. */
export function parseRuleWords(
	words: readonly string[],
	family: "inet" | "inet6",
	context: WordsContext,
): WordsResult<Rule> {
	return parseWords(words, (reader) => readRule(reader, family, context));
}

function readRule(reader: WordReader, family: "inet" | "inet6", context: WordsContext): Rule {
	const rule: Mutable<Rule> = {
		family,
		action: "unspec",
		not: false,
		from: null,
		to: null,
		tos: 0,
		mark: null,
		inputInterface: null,
		outputInterface: null,
		priority: null,
		table: 0,
		gotoPriority: null,
		realms: null,
		tunnelId: null,
		suppressPrefixLength: null,
		suppressInterfaceGroup: null,
		l3mdev: false,
		userRange: null,
		ipProtocol: null,
		sourcePorts: null,
		destinationPorts: null,
		protocol: RTPROT_KEEPALIVED,
	};
	while (!reader.done) readRuleWord(reader, rule, family, context);
	if (rule.action === "unspec" && !rule.l3mdev) {
		rule.action = "table";
		rule.table = RT_TABLE_MAIN;
	}
	if (rule.l3mdev) rule.action = "table";
	return rule;
}

function readRuleWord(
	reader: WordReader,
	rule: Mutable<Rule>,
	family: "inet" | "inet6",
	context: WordsContext,
): void {
	const word = reader.next("a word");
	switch (word) {
		case "not":
			rule.not = true;
			return;
		case "from":
			rule.from = reader.prefix("from", family);
			return;
		case "to":
			rule.to = reader.prefix("to", family);
			return;
		case "tos":
		case "dsfield":
			rule.tos = reader.named(context, "trafficClass", "tos");
			return;
		case "fwmark":
			rule.mark = readMark(reader.next("fwmark"));
			return;
		case "iif":
		case "dev":
			rule.inputInterface = reader.next("an interface");
			return;
		case "oif":
			rule.outputInterface = reader.next("an interface");
			return;
		case "pref":
		case "preference":
		case "priority":
		case "order":
			rule.priority = reader.number(word, 0, 0xffff_ffff);
			return;
		case "table":
		case "lookup":
			rule.table = reader.named(context, "table", "table");
			rule.action = "table";
			return;
		case "goto":
			rule.gotoPriority = reader.number("goto", 0, 0xffff_ffff);
			rule.action = "goto";
			return;
		case "realms":
		case "realm": {
			const text = reader.next("realms");
			const parts = text.split("/").map((part) => context.names("realm", part));
			if (parts.length > 2 || parts.includes(null)) throw new WordsError(`realms: "${text}" is not known`);
			rule.realms = parts.length === 2 ? parts[0]! * 0x10000 + parts[1]! : parts[0]!;
			return;
		}
		case "tun_id": {
			const text = reader.next("tun_id");
			if (!/^\d{1,20}$/.test(text)) throw new WordsError(`tun_id: "${text}" is no number`);
			rule.tunnelId = BigInt.asUintN(64, BigInt(text));
			return;
		}
		case "suppress_prefixlength":
		case "sup_pl":
			rule.suppressPrefixLength = reader.number(word, 0, 128);
			return;
		case "suppress_ifgroup":
		case "sup_group":
			rule.suppressInterfaceGroup = reader.number(word, 0, 0x7fff_ffff);
			return;
		case "l3mdev":
			rule.l3mdev = true;
			return;
		case "uidrange":
			rule.userRange = readRange(reader.next("uidrange"), "uidrange", 0xffff_ffff);
			return;
		case "ipproto":
			rule.ipProtocol = readIpProtocol(reader.next("ipproto"));
			return;
		case "sport":
			rule.sourcePorts = readRange(reader.next("sport"), "sport", 0xffff);
			return;
		case "dport":
			rule.destinationPorts = readRange(reader.next("dport"), "dport", 0xffff);
			return;
		case "protocol":
		case "proto":
			rule.protocol = reader.named(context, "protocol", "protocol");
			return;
		case "blackhole":
		case "unreachable":
		case "prohibit":
		case "nop":
			rule.action = word;
			return;
		case "type": {
			const action = reader.next("type");
			if (action !== "blackhole" && action !== "unreachable" && action !== "prohibit" && action !== "nop")
				throw new WordsError(`type: "${action}" is not blackhole, unreachable, prohibit or nop`);
			rule.action = action;
			return;
		}
		case "unicast":
			return;
		default:
			throw new WordsError(`"${word}" is not understood here`);
	}
}

function readMark(text: string): { value: number; mask: number } {
	const [value, mask, more] = text
		.split("/")
		.map((part) => (/^(0x[0-9a-fA-F]{1,8}|\d{1,10})$/.test(part) ? Number(part) : Number.NaN));
	const fits = (number: number) => number <= 0xffff_ffff;
	if (more !== undefined || !fits(value!) || (mask !== undefined && !fits(mask)))
		throw new WordsError(`fwmark: "${text}" is no MARK or MARK/MASK`);
	return { value: value!, mask: mask ?? 0xffff_ffff };
}

function readRange(text: string, what: string, high: number): [number, number] {
	const match = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(text);
	const first = Number(match?.[1] ?? Number.NaN);
	const last = Number(match?.[2] ?? first);
	if (!(first <= last && last <= high))
		throw new WordsError(`${what}: "${text}" is no number or range up to ${high}`);
	return [first, last];
}

function readIpProtocol(word: string): number {
	const value = Object.hasOwn(ipProtocols, word)
		? ipProtocols[word]!
		: /^\d{1,3}$/.test(word)
			? Number(word)
			: 256;
	if (value > 255) throw new WordsError(`ipproto: "${word}" is not known`);
	return value;
}
