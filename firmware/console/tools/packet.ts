/** A frame as an operator reads it, in one line, and whether a filter lets it through. Pure; never throws. */
import { decodeArp } from "../../wire/arp.ts";
import { decodeEthernet } from "../../wire/ethernet.ts";
import { canonicalAddress, formatAddress } from "../../wire/ip.ts";
import { decodeIpPacket, type IpPacket } from "../../wire/ip-packet.ts";
import { decodeAdvertisement, PROTOCOL_VRRP } from "../../wire/vrrp.ts";
import { UsageError } from "../usage-error.ts";

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const protocols: Readonly<Record<number, string>> = {
	1: "icmp",
	4: "ipip",
	6: "tcp",
	17: "udp",
	47: "gre",
	51: "ah",
	58: "icmp6",
	112: "vrrp",
	132: "sctp",
};
const icmpKinds: Readonly<Record<number, string>> = {
	0: "echo reply",
	3: "unreachable",
	5: "redirect",
	8: "echo request",
	11: "time exceeded",
};
const icmp6Kinds: Readonly<Record<number, string>> = {
	1: "unreachable",
	2: "packet too big",
	3: "time exceeded",
	128: "echo request",
	129: "echo reply",
	133: "router solicitation",
	134: "router advertisement",
	135: "neighbour solicitation",
	136: "neighbour advertisement",
	143: "multicast listener report",
};

/** What is seen of a frame at a glance. */
export interface Sight {
	/** "arp", "tcp", "vrrp", … or "0x88cc" for another EtherType. */
	readonly protocol: string;
	readonly hosts: readonly string[];
	readonly ports: readonly number[];
	readonly text: string;
}

export function lookAt(frame: Uint8Array): Sight {
	const ethernet = decodeEthernet(frame);
	if (ethernet === null) return other("short", `${frame.length} bytes, no Ethernet frame`);
	if (ethernet.etherType === ETHERTYPE_ARP) {
		const arp = decodeArp(ethernet.payload);
		if (arp === null) return other("arp", "arp, cut off");
		const [sender, target] = [formatAddress(arp.senderAddress), formatAddress(arp.targetAddress)];
		const mac = Array.from(arp.senderMac, (byte) => byte.toString(16).padStart(2, "0")).join(":");
		const text =
			arp.operation === "reply"
				? `arp ${sender} is at ${mac}`
				: sender === target
					? `arp ${sender} announces itself at ${mac}`
					: `arp who has ${target}? tell ${sender}`;
		return { protocol: "arp", hosts: [sender, target], ports: [], text };
	}
	if (ethernet.etherType !== ETHERTYPE_IPV4 && ethernet.etherType !== ETHERTYPE_IPV6) {
		const type = `0x${ethernet.etherType.toString(16).padStart(4, "0")}`;
		return other(type, `${type}, ${ethernet.payload.length} bytes`);
	}
	const packet = decodeIpPacket(ethernet.payload);
	return packet === null ? other("ip", "ip, cut off or damaged") : lookAtPacket(packet);
}

function other(protocol: string, text: string): Sight {
	return { protocol, hosts: [], ports: [], text };
}

function lookAtPacket(packet: IpPacket): Sight {
	const source = formatAddress(packet.source);
	const destination = formatAddress(packet.destination);
	const protocol = protocols[packet.protocol] ?? `proto-${packet.protocol}`;
	const { payload } = packet;
	const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
	const hosts = [source, destination];
	const plain = (text: string): Sight => ({
		protocol,
		hosts,
		ports: [],
		text: `${protocol} ${source} > ${destination} ${text}`.trimEnd(),
	});
	switch (protocol) {
		case "tcp":
		case "udp":
		case "sctp": {
			if (payload.length < (protocol === "tcp" ? 20 : 8)) return plain("cut off");
			const ports = [view.getUint16(0), view.getUint16(2)];
			const place = (address: string, port: number) =>
				address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
			const head = `${protocol} ${place(source, ports[0]!)} > ${place(destination, ports[1]!)}`;
			const detail =
				protocol === "tcp"
					? tcpWords(payload)
					: `${Math.max(0, payload.length - (protocol === "udp" ? 8 : 12))} bytes`;
			return { protocol, hosts, ports, text: `${head} ${detail}` };
		}
		case "icmp":
			return plain(icmpKinds[payload[0] ?? -1] ?? `type ${payload[0]}`);
		case "icmp6":
			return plain(icmp6Kinds[payload[0] ?? -1] ?? `type ${payload[0]}`);
		case "vrrp":
			return plain(vrrpWords(packet));
		default:
			return plain(`${payload.length} bytes`);
	}
}

function tcpWords(segment: Uint8Array): string {
	const flags = segment[13]!;
	const names = [
		[0x02, "SYN"],
		[0x10, "ACK"],
		[0x08, "PSH"],
		[0x01, "FIN"],
		[0x04, "RST"],
	] as const;
	const set = names.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
	const length = Math.max(0, segment.length - (segment[12]! >> 4) * 4);
	return `${set.join(",") || "-"}${length > 0 ? ` ${length} bytes` : ""}`;
}

function vrrpWords(packet: IpPacket): string {
	if (packet.protocol !== PROTOCOL_VRRP) return "";
	const decoded = decodeAdvertisement(packet.payload, packet.family);
	if (decoded.kind !== "advertisement") return decoded.detail;
	const { version, virtualRouterId, priority, addresses } = decoded.advertisement;
	return `v${version} VRID ${virtualRouterId} priority ${priority}: ${addresses.join(" ")}`;
}

export type PacketFilter = (sight: Sight) => boolean;

/**
 * Words as tcpdump has them, joined by "and": `arp`, `tcp`, `udp`, `icmp`, `icmp6`, `vrrp`, `ip`, `ip6`,
 * `host ADDRESS`, `port N`, each with `not` before it. Throws a UsageError.
 */
export function parseFilter(text: string): PacketFilter {
	const words = text
		.toLowerCase()
		.split(/\s+/)
		.filter((word) => word !== "");
	const conditions: PacketFilter[] = [];
	while (words.length > 0) {
		if (conditions.length > 0 && words.shift() !== "and")
			throw new UsageError(`join the parts of a filter with "and": ${text}`);
		const negated = words[0] === "not";
		if (negated) words.shift();
		const condition = readCondition(words);
		conditions.push(negated ? (sight) => !condition(sight) : condition);
	}
	return (sight) => conditions.every((condition) => condition(sight));
}

function readCondition(words: string[]): PacketFilter {
	const word = words.shift();
	switch (word) {
		case "host": {
			const address = canonicalAddress(words.shift() ?? "");
			if (address === null) throw new UsageError('"host" takes an address');
			return ({ hosts }) => hosts.includes(address);
		}
		case "port": {
			const port = Number(words.shift());
			if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new UsageError('"port" takes a number');
			return ({ ports }) => ports.includes(port);
		}
		case "ip":
			return ({ hosts, protocol }) => protocol !== "arp" && (hosts[0] ?? "").includes(".");
		case "ip6":
			return ({ hosts }) => (hosts[0] ?? "").includes(":");
		case "arp":
		case "tcp":
		case "udp":
		case "icmp":
		case "icmp6":
		case "vrrp":
		case "sctp":
		case "gre":
		case "ipip":
			return ({ protocol }) => protocol === word;
		default:
			throw new UsageError(
				`a filter knows host ADDRESS, port N, arp, tcp, udp, sctp, icmp, icmp6, vrrp, gre, ipip, ip and ip6, not "${word ?? ""}"`,
			);
	}
}
