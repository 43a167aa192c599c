import { describe, expect, test } from "bun:test";
import { type Dropped, droppedAddresses, filterText } from "../../firmware/vrrp/packet-filter.ts";
import { configOf, globalDefaults, instanceOf } from "./config.ts";

const settings = globalDefaults.packetFilter;
const v4: Dropped = { family: "inet", address: "192.0.2.200", device: "eth0" };
const v6: Dropped = { family: "inet6", address: "2001:db8::200", device: "eth0" };
const local: Dropped = { family: "inet6", address: "fe80::200", device: "eth0" };

describe("RFC 9568 §6.1 Accept_Mode: the filter's text", () => {
	test("nothing to drop: both tables go", () => {
		expect(filterText(settings, [])).toBe(
			"table ip keepalived\ndelete table ip keepalived\ntable ip6 keepalived\ndelete table ip6 keepalived\n",
		);
	});
	test("a link-local address counts on its interface only, neighbour discovery passes", () => {
		const text = filterText(settings, [v4, v6, local]);
		expect(text).toContain('elements = { fe80::200 . "eth0" }');
		expect(text).toContain("ip6 daddr . iifname @vips_link_local drop");
		expect(text).toContain("icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept");
		expect(text).toContain("\t\tip daddr @vips drop");
		expect(text).toContain("\t\tip6 saddr @vips drop");
	});
	test("nftables, nftables_priority, nftables_ifindex, nftables_counters", () => {
		const other = { table: "mine", priority: -7, byInterfaceIndex: true, counters: true };
		const text = filterText(other, [local]);
		expect(text).toContain("table ip6 mine {");
		expect(text).toContain("hook input priority -7;");
		expect(text).toContain("ip6 daddr . iif @vips_link_local counter drop");
	});
	test("only routers that neither accept nor own", () => {
		const config = configOf([
			instanceOf({ name: "closed", virtualRouterId: 1, accept: false }),
			instanceOf({ name: "open", virtualRouterId: 2 }),
			instanceOf({ name: "owner", virtualRouterId: 3, accept: false, priority: 255 }),
		]);
		const asked: string[] = [];
		const dropped = droppedAddresses(config, (key) => {
			asked.push(key);
			return [v4];
		});
		expect(dropped).toEqual([v4]);
		expect(asked.length).toBe(1);
	});
});
