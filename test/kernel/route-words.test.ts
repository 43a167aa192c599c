/** Routes and rules in the words of ip-route(8) and ip-rule(8). */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parseNames, routeNames } from "../../firmware/kernel/route-names.ts";
import { parseRuleWords } from "../../firmware/kernel/route-rule.ts";
import { parseRouteWords } from "../../firmware/kernel/route-words.ts";
import { systemRouteNames } from "../../firmware/kernel/system-route-names.ts";

const context = {
	interfaceIndex: (name: string) => ({ eth0: 2, eth1: 3 })[name] ?? null,
	names: routeNames((kind) =>
		parseNames(kind === "table" ? "# reserved\n100 uplink\n0x20\tbackup # x\n" : ""),
	),
};
const route = (text: string, family: "inet" | "inet6" = "inet") =>
	parseRouteWords(text.split(" "), family, context);
const rule = (text: string, family: "inet" | "inet6" = "inet") =>
	parseRuleWords(text.split(" "), family, context);

const hop = { gateway: null, interfaceIndex: null, weight: 1, onLink: false, realm: null };

describe("ip-route(8)", () => {
	test.each([
		[
			"default via 10.0.0.1",
			{ destination: null, nextHops: [{ ...hop, gateway: "10.0.0.1" }], scope: 0, table: 254 },
		],
		[
			"10.1/16 dev eth0",
			{
				destination: { address: "10.1.0.0", length: 16 },
				nextHops: [{ ...hop, interfaceIndex: 2 }],
				scope: 0,
			},
		],
		[
			"to 192.0.2.1 gw 10.0.0.1 dev eth1 src 10.0.0.9 table uplink",
			{ destination: { address: "192.0.2.1", length: 32 }, preferredSource: "10.0.0.9", table: 100 },
		],
		[
			"192.0.2.0/24 via inet6 fe80::1 dev eth0 onlink",
			{ nextHops: [{ ...hop, gateway: "fe80::1", interfaceIndex: 2, onLink: true }] },
		],
		["blackhole 192.0.2.0/24 metric 7", { type: "blackhole", metric: 7, nextHops: [], scope: 0 }],
		["local 192.0.2.7 dev eth0", { type: "local", table: 255, scope: 254 }],
		[
			"192.0.2.0/24 via 10.0.0.1 or 10.0.0.2",
			{
				nextHops: [
					{ ...hop, gateway: "10.0.0.1" },
					{ ...hop, gateway: "10.0.0.2" },
				],
			},
		],
		[
			"192.0.2.0/24 nexthop via 10.0.0.1 weight 3 nexthop dev eth1",
			{
				nextHops: [
					{ ...hop, gateway: "10.0.0.1", weight: 3 },
					{ ...hop, interfaceIndex: 3 },
				],
			},
		],
		[
			"192.0.2.0/24 dev eth0 mtu lock 1400 advmss 1360 rtt 20ms rto_min 1s hoplimit 9",
			{ metrics: { lock: 4, mtu: 1400, advmss: 1360, rtt: 160, rto_min: 1000, hoplimit: 9 } },
		],
		[
			"192.0.2.0/24 dev eth0 tos 0x10 proto static scope host realms 3/4 congctl bbr",
			{ tos: 16, protocol: 4, scope: 254, realm: 0x30004, congestionControl: "bbr" },
		],
		["192.0.2.0/24 dev eth0 table backup", { table: 32 }],
	])("%s", (text, expected) => {
		const result = route(text);
		expect(result.kind === "ok" ? result.value : result.message).toMatchObject(expected);
	});

	test.each([
		[
			"2001:db8::/32 via fe80::1 dev eth0 pref high expires 60",
			{ destination: { address: "2001:db8::", length: 32 }, preference: 1, expiresSeconds: 60, scope: 0 },
		],
		[
			"unreachable 2001:db8:1::/48 from 2001:db8::/32",
			{ type: "unreachable", source: { address: "2001:db8::", length: 32 } },
		],
	])("IPv6: %s", (text, expected) => {
		const result = route(text, "inet6");
		expect(result.kind === "ok" ? result.value : result.message).toMatchObject(expected);
	});

	test.each([
		["via 10.0.0.1", "a route needs a destination"],
		["10.0.0.0/33 dev eth0", 'the destination: "10.0.0.0/33" has no prefix length from 0 to 32'],
		["10.0.0.0/8 dev eth7", 'there is no interface "eth7"'],
		["10.0.0.0/8 via 10.0.0", 'via: "10.0.0" is no IP address'],
		["10.0.0.0/8 table nowhere", 'table: "nowhere" is neither a number nor a known name'],
		["10.0.0.0/8 metric x", 'metric: "x" is no number from 0 to 4294967295'],
		["10.0.0.0/8 10.0.0.1", '"10.0.0.1" is not understood here'],
		["10.0.0.0/8 dev", 'an interface is missing at the end of "10.0.0.0/8 dev"'],
		["10.0.0.0/8 nexthop weight 3", "a nexthop needs via or dev"],
		["2001:db8::/32 dev eth0", 'the destination: "2001:db8::/32" is no IPv4 prefix'],
	])("%s: %s", (text, message) => {
		expect(route(text)).toEqual({ kind: "error", message });
	});
});

describe("ip-rule(8)", () => {
	test.each([
		[
			"from 10.0.0.0/8 lookup 77 pref 100",
			{ from: { address: "10.0.0.0", length: 8 }, action: "table", table: 77, priority: 100 },
		],
		[
			"to 192.0.2.1",
			{ to: { address: "192.0.2.1", length: 32 }, action: "table", table: 254, priority: null },
		],
		[
			"not fwmark 0x7/0xff iif eth0 table uplink",
			{ not: true, mark: { value: 7, mask: 255 }, inputInterface: "eth0", table: 100 },
		],
		[
			"from all unreachable ipproto udp dport 53 sport 1000-2000",
			{ action: "unreachable", ipProtocol: 17, destinationPorts: [53, 53], sourcePorts: [1000, 2000] },
		],
		["from all goto 200 uidrange 5-6", { action: "goto", gotoPriority: 200, userRange: [5, 6] }],
		["from all table main suppress_prefixlength 0", { table: 254, suppressPrefixLength: 0 }],
		["l3mdev pref 1000", { l3mdev: true, action: "table", table: 0 }],
		["from all realms 1/2 tun_id 9 nop", { realms: 0x10002, tunnelId: 9n, action: "nop" }],
	])("%s", (text, expected) => {
		const result = rule(text);
		expect(result.kind === "ok" ? result.value : result.message).toMatchObject(expected);
	});

	test.each([
		["from 10.0.0.0/8 lookup", 'table is missing at the end of "from 10.0.0.0/8 lookup"'],
		["fwmark 1/2/3", 'fwmark: "1/2/3" is no MARK or MARK/MASK'],
		["dport 9-3", 'dport: "9-3" is no number or range up to 65535'],
		["sideways", '"sideways" is not understood here'],
	])("%s: %s", (text, message) => {
		expect(rule(text)).toEqual({ kind: "error", message });
	});
});

test("arbitrary words are understood or refused, never thrown at", () => {
	const word = fc.oneof(
		fc.constantFrom(
			"via",
			"dev",
			"eth0",
			"nexthop",
			"weight",
			"table",
			"10.0.0.0/8",
			"or",
			"mtu",
			"lock",
			"src",
			"features",
			"ecn",
			"from",
			"fwmark",
			"type",
			"realms",
			"1/2",
			"to",
			"default",
			"3",
			"tos",
			"constructor",
			"__proto__",
		),
		fc.string({ maxLength: 8 }),
	);
	fc.assert(
		fc.property(fc.array(word, { maxLength: 10 }), (words) => {
			for (const family of ["inet", "inet6"] as const) {
				expect(parseRouteWords(words, family, context).kind).toBeString();
				expect(parseRuleWords(words, family, context).kind).toBeString();
			}
		}),
		{ numRuns: 3000 },
	);
});

test("keepalived.conf(5), iproute_usr_dir and iproute_etc_dir: names of tables in their files; the second counts more", () => {
	const folder = mkdtempSync(join(tmpdir(), "drover-iproute-"));
	const [usr, etc] = [join(folder, "usr"), join(folder, "etc")];
	for (const place of [usr, join(etc, "rt_tables.d")]) mkdirSync(place, { recursive: true });
	writeFileSync(join(usr, "rt_tables"), "7 seven\n8 moved\n");
	writeFileSync(join(etc, "rt_tables"), "9 moved\n");
	writeFileSync(join(etc, "rt_tables.d", "more.conf"), "10 ten\n");
	const names = systemRouteNames([usr, etc]);
	expect(["seven", "moved", "ten", "none"].map((word) => names("table", word))).toEqual([7, 9, 10, null]);
	rmSync(folder, { recursive: true });
});
