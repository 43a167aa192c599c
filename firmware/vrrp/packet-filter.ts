/**
 * What the kernel's packet filter has to drop: packets to and from addresses that a router holds but does not accept
 * (`no_accept`, strict mode; RFC 9568 §6.1 Accept_Mode), neighbour discovery excepted. The rules name all such
 * addresses whoever is master: a backup has none of them, so nothing changes there at a transition. Pure.
 */
import type { DroverConfig, PacketFilterConfig } from "../config/model.ts";
import { instanceKey } from "./instance-key.ts";

/** An address whose packets are dropped, on the interface where it is put. */
export interface Dropped {
	readonly family: "inet" | "inet6";
	readonly address: string;
	readonly device: string;
}

/** The addresses of routers that neither accept nor own; `deviceOf` is the interface that an address is put on. */
export function droppedAddresses(
	config: DroverConfig,
	addressesOf: (key: string) => readonly Dropped[],
): Dropped[] {
	return config.vrrpInstances
		.filter(({ accept, priority }) => !accept && priority !== 255)
		.flatMap((instance) => addressesOf(instanceKey(instance)));
}

/** nft(8) script that makes our tables these and no others; one transaction. Pure. */
export function filterText(settings: PacketFilterConfig, dropped: readonly Dropped[]): string {
	const text: string[] = [];
	const counter = settings.counters ? "counter " : "";
	for (const family of ["ip", "ip6"] as const) {
		const mine = dropped.filter((one) => (one.family === "inet6") === (family === "ip6"));
		// Declared first so that deleting it is no error.
		text.push(`table ${family} ${settings.table}`, `delete table ${family} ${settings.table}`);
		if (mine.length === 0) continue;
		const type = family === "ip" ? "ipv4_addr" : "ipv6_addr";
		const local = mine.filter(({ address }) => family === "ip6" && isLinkLocal(address));
		const wide = mine.filter((one) => !local.includes(one));
		const device = settings.byInterfaceIndex ? "iface_index" : "ifname";
		const [incoming, outgoing] = settings.byInterfaceIndex ? ["iif", "oif"] : ["iifname", "oifname"];
		text.push(`table ${family} ${settings.table} {`);
		text.push(...setText("vips", type, [...new Set(wide.map(({ address }) => address))]));
		if (local.length > 0)
			text.push(
				...setText(
					"vips_link_local",
					`${type} . ${device}`,
					local.map((one) => `${one.address} . "${one.device}"`),
				),
			);
		for (const [chain, hook, side, interfaceWord] of [
			["in", "input", "daddr", incoming],
			["out", "output", "saddr", outgoing],
		] as const) {
			text.push(`\tchain ${chain} {`);
			text.push(`\t\ttype filter hook ${hook} priority ${settings.priority}; policy accept;`);
			if (family === "ip6") text.push("\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept");
			if (local.length > 0)
				text.push(`\t\t${family} ${side} . ${interfaceWord} @vips_link_local ${counter}drop`);
			text.push(`\t\t${family} ${side} @vips ${counter}drop`, "\t}");
		}
		text.push("}");
	}
	return `${text.join("\n")}\n`;
}

function setText(name: string, type: string, elements: readonly string[]): string[] {
	const held = elements.length === 0 ? [] : [`\t\telements = { ${elements.join(", ")} }`];
	return [`\tset ${name} {`, `\t\ttype ${type}`, ...held, "\t}"];
}

function isLinkLocal(address: string): boolean {
	return /^fe[89ab]/i.test(address);
}
