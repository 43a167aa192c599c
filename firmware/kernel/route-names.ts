/** Names for the numbers of routes and rules, as iproute2 has them. Pure; system-route-names.ts reads its files. */

export type RouteNameKind = "table" | "protocol" | "scope" | "realm" | "trafficClass";

/** A number, or null when the word is neither a number in range nor a known name. */
export type LookUpRouteName = (kind: RouteNameKind, word: string) => number | null;

/** What is known without any file; <linux/rtnetlink.h>. */
const builtIn: Readonly<Record<RouteNameKind, Readonly<Record<string, number>>>> = {
	table: { unspec: 0, default: 253, main: 254, local: 255, all: 0 },
	protocol: {
		unspec: 0,
		redirect: 1,
		kernel: 2,
		boot: 3,
		static: 4,
		gated: 8,
		ra: 9,
		mrt: 10,
		zebra: 11,
		bird: 12,
		dnrouted: 13,
		xorp: 14,
		ntk: 15,
		dhcp: 16,
		keepalived: 18,
		babel: 42,
		bgp: 186,
		isis: 187,
		ospf: 188,
		rip: 189,
		eigrp: 192,
	},
	scope: { global: 0, universe: 0, site: 200, link: 253, host: 254, nowhere: 255 },
	realm: { cosmos: 0 },
	trafficClass: {},
};

const largest: Readonly<Record<RouteNameKind, number>> = {
	table: 0xffff_ffff,
	protocol: 255,
	scope: 255,
	realm: 0xffff,
	trafficClass: 255,
};

/** `number name` per line, `#` begins a comment. Pure. */
export function parseNames(text: string): Map<string, number> {
	const names = new Map<string, number>();
	for (const line of text.split("\n")) {
		const match = /^\s*(0x[0-9a-fA-F]+|\d+)\s+([^\s#]+)/.exec(line);
		if (match) names.set(match[2]!, Number(match[1]));
	}
	return names;
}

/** A look-up over the built-in names and `extra` (by kind). Pure. */
export function routeNames(extra: (kind: RouteNameKind) => ReadonlyMap<string, number>): LookUpRouteName {
	return (kind, word) => {
		if (/^(0x[0-9a-fA-F]{1,8}|\d{1,10})$/.test(word)) {
			// rt_dsfield values and tos are hexadecimal in iproute2, with or without 0x.
			const value = kind === "trafficClass" ? Number.parseInt(word.replace(/^0x/, ""), 16) : Number(word);
			return value <= largest[kind] ? value : null;
		}
		if (kind === "trafficClass" && /^[0-9a-fA-F]{1,2}$/.test(word)) return Number.parseInt(word, 16);
		return extra(kind).get(word) ?? (Object.hasOwn(builtIn[kind], word) ? builtIn[kind][word]! : null);
	};
}
