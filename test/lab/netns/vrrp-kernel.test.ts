/** What the kernel holds while we are master, next to what it holds for the real keepalived and the same file. */
import { describe, expect, test } from "bun:test";
import { eventually } from "./network.ts";
import { type Box, Lab } from "./vrrp-lab.ts";
import { both, fast, kinds, secondCable } from "./vrrp-tables.ts";

describe.concurrent("the kernel's tables are keepalived's", () => {
	test("static_ipaddress, static_routes, static_rules, virtual_routes, virtual_rules, labels, scopes", async () => {
		const text = `static_ipaddress {
	192.0.2.50/24 brd + dev eth0 scope global
	198.51.100.7/32 dev eth1 label eth1:s
}
static_routes {
	203.0.113.0/25 via 192.0.2.3 dev eth0
	blackhole 203.0.113.128/26
	198.18.0.0/24 dev eth1
}
static_rules {
	from 192.0.2.50/32 lookup 50 priority 1500
}
vrrp_instance VI_1 {
	interface eth0
	${fast}
	virtual_router_id 51
	virtual_ipaddress {
		192.0.2.200/24 brd 192.0.2.255 dev eth0 label eth0:1
		198.51.100.200/25 dev eth1 scope link
	}
	virtual_ipaddress_excluded {
		2001:db8::200/64
	}
	virtual_routes {
		src 192.0.2.200 to 203.0.113.192/27 via 192.0.2.3 dev eth0 metric 5 mtu 1400
		203.0.113.224/27 dev eth1 scope link table 50
		unreachable 203.0.113.64/27
		198.18.1.1 dev eth0
		2001:db8:1::/48 via 2001:db8::3 dev eth0 metric 7
	}
	virtual_rules {
		from 192.0.2.200/32 table 50 priority 1600
		to 203.0.113.9/32 fwmark 7 lookup 50 priority 1601
		iif eth1 from 2001:db8::/32 lookup 50 priority 1602
	}
}
`;
		await both(text, secondCable, (seen) => {
			expect(seen.drover.addresses).toEqual(seen.keepalived.addresses);
			expect(seen.drover.routes).toEqual(seen.keepalived.routes);
			expect(seen.drover.rules).toEqual(seen.keepalived.rules);
			expect(seen.drover.routes.join("\n")).toContain("203.0.113.192/27 via 192.0.2.3");
			expect(seen.drover.rules.join("\n")).toContain("fwmark 0x7");
		});
	}, 60_000);

	test("use_vmac, use_vmac_addr: a virtual MAC on each interface", async () => {
		const text = `vrrp_instance VI_1 {
	interface eth0
	use_vmac
	use_vmac_addr
	${fast}
	virtual_router_id 51
	virtual_ipaddress {
		192.0.2.200/24
		198.51.100.200/24 dev eth1
	}
	virtual_ipaddress_excluded {
		2001:db8::200/64
		2001:db8:1::200/64 dev eth1
	}
}
`;
		await both(text, secondCable, (seen) => {
			expect(seen.drover.links).toEqual(seen.keepalived.links);
			expect(seen.drover.addresses).toEqual(seen.keepalived.addresses);
			expect(seen.drover.links.length).toBe(4);
		});
	}, 60_000);

	test("use_vmac: names where one is taken, IPv4 and IPv6 with one number", async () => {
		const text = ["192.0.2.200/24", "fe80::200"]
			.map(
				(address, index) => `vrrp_instance VI_${index} {
	interface eth0
	use_vmac
	${fast}
	virtual_router_id 51
	virtual_ipaddress {
		${address}
	}
}
`,
			)
			.join("");
		const taken = (box: Box) => {
			box.namespace.ip("link", "add", "vrrp.51", "type", "veth", "peer", "name", "far");
		};
		await both(text, taken, (seen) => {
			expect(seen.drover.links).toEqual(seen.keepalived.links);
			expect(seen.drover.links.join()).toMatch(/vrrp1\.51.*vrrp6\.51/);
		});
	}, 60_000);

	test("use_ipvlan; where the kernel has none, the router stays out", async () => {
		const text = `vrrp_instance VI_1 {
	interface eth0
	use_ipvlan 192.0.2.61/24
	${fast}
	virtual_router_id 51
	virtual_ipaddress {
		192.0.2.200/24
	}
}
`;
		using probe = new Lab("ipvlan");
		const { namespace } = probe.box("box", 1);
		const known =
			namespace.try("ip", "link", "add", "link", "eth0", "name", "probe", "type", "ipvlan").status === 0;
		if (known)
			await both(
				text,
				() => {},
				(seen) => {
					expect(seen.drover.links).toEqual(seen.keepalived.links);
					expect(seen.drover.addresses).toEqual(seen.keepalived.addresses);
				},
			);
		else {
			using drover = new Lab("ipvlan-a");
			using keepalived = new Lab("ipvlan-b");
			const ours = drover.box("box", 1);
			const theirs = keepalived.box("box", 1);
			const running = [ours.drover(text, "--no-standby"), theirs.keepalived(text)];
			for (const { log } of running)
				await eventually("FAULT", () => /entering FAULT state/i.test(log()), 20_000);
			expect((await ours.instance())?.reason).toContain("cannot be made");
			await Bun.sleep(1_000);
			expect([ours.has("192.0.2.200"), theirs.has("192.0.2.200")]).toEqual([false, false]);
		}
	}, 60_000);

	test("no_accept: the address is announced and answers neither ping nor TCP, neighbour discovery does", async () => {
		const text = `vrrp_instance VI_1 {
	interface eth0
	no_accept
	${fast}
	virtual_router_id 51
	virtual_ipaddress {
		192.0.2.200/24
	}
}
vrrp_instance VI_6 {
	interface eth0
	no_accept
	${fast}
	virtual_router_id 52
	virtual_ipaddress {
		fe80::200/64
		2001:db8::200/64
	}
}
vrrp_instance VI_2 {
	interface eth0
	${fast}
	virtual_router_id 53
	virtual_ipaddress {
		192.0.2.201/24
	}
}
`;
		await both(
			text,
			() => {},
			(seen, boxes) => {
				expect(seen.drover.addresses).toEqual(seen.keepalived.addresses);
				for (const kind of kinds) {
					const client = boxes[`${kind}Client`]!.namespace;
					const answers = (address: string) =>
						client.try("ping", "-c1", "-W1", address).stdout.includes("1 received");
					expect(kinds.includes(kind) && answers("192.0.2.201")).toBe(true);
					expect(answers("192.0.2.200")).toBe(false);
					expect(answers("2001:db8::200")).toBe(false);
					expect(answers("fe80::200%eth0")).toBe(false);
					// Who asks for its MAC gets one.
					expect(client.run("ip", "neigh", "show")).toMatch(/2001:db8::200 dev eth0 lladdr/);
				}
			},
		);
	}, 60_000);
});
