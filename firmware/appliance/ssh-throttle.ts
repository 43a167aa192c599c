/**
 * Where passwords open a box over the network, who tries many has to wait for minutes: of each address (IPv6: each /64,
 * which one host can have whole) only so many connections are taken in a row, and then one in so many minutes; the rest
 * are refused at once. sshd itself allows each of them three passwords and knows no wait. Nobody is shut out for good,
 * and a session that is open is left alone. The kernel counts, so it holds whoever is killed. Pure.
 */
import type { ApplianceSettings } from "./settings/schema.ts";

export interface Pace {
	/** Connections that need no wait. */
	readonly free: number;
	/** As nft(8) writes a rate: how often one more is allowed. */
	readonly refill: string;
}

/** One connection in two minutes. */
const PACE: Pace = { free: 10, refill: "30/hour" };
/** Addresses that are remembered; beyond them nobody new is slowed down. */
const ADDRESSES = 65_535;
/** Behind this time all of `PACE.free` are there again. */
const FORGOTTEN_AFTER = "30m";
const TABLE = "inet drover_ssh";
/**
 * Behind IPVS, which takes what belongs to a virtual server out of this hook (NF_IP_PRI_NAT_SRC - 1, 99 in
 * linux/netfilter_ipv4.h): what is balanced on sshd's port is not for sshd.
 */
const PRIORITY = 110;

/** nft(8) script: the table as these settings want it, or none. */
export function throttleText({ enabled, passwords, port }: ApplianceSettings["ssh"], pace = PACE): string {
	// Declared first, so that deleting it is no error.
	const none = `table ${TABLE}\ndelete table ${TABLE}\n`;
	if (!enabled || !passwords) return none;
	const set = (name: string, type: string) =>
		`\tset ${name} { type ${type}; size ${ADDRESSES}; flags dynamic, timeout; timeout ${FORGOTTEN_AFTER}; }\n`;
	// By its flags, not by the state of a connection: for that the kernel would track all that passes through the box.
	const rule = (name: string, key: string) =>
		`\t\ttcp dport ${port} tcp flags & (syn | ack) == syn update @${name} { ${key} limit rate over ${pace.refill} burst ${pace.free} packets } reject with tcp reset\n`;
	return `${none}table ${TABLE} {
${set("tries", "ipv4_addr")}${set("tries6", "ipv6_addr")}	chain in {
		type filter hook input priority ${PRIORITY}; policy accept;
${rule("tries", "ip saddr")}${rule("tries6", "ip6 saddr & ffff:ffff:ffff:ffff::")}	}
}
`;
}
