/** What the kernel holds while we are master, next to what it holds for the real keepalived and the same file. */
import { describe, expect, test } from "bun:test";
import { eventually } from "./network.ts";
import { type Box, Lab, type Running } from "./vrrp-lab.ts";

const kinds = ["drover", "keepalived"] as const;

interface Seen {
	readonly addresses: string[];
	readonly routes: string[];
	readonly rules: string[];
	readonly links: string[];
	readonly filter: string;
}

/** Order, indexes and times left out. */
function look(box: Box): Seen {
	const lines = (...words: string[]) =>
		box.namespace
			.ip(...words)
			.split("\n")
			.map((line) => line.replace(/\s+/g, " ").trim())
			.filter(Boolean)
			.sort();
	interface Link {
		readonly ifname: string;
		readonly link?: string;
		readonly address: string;
		readonly addr_info: readonly {
			local: string;
			prefixlen: number;
			scope: string;
			label?: string;
			broadcast?: string;
		}[];
		readonly linkinfo?: { readonly info_kind: string; readonly info_data?: unknown };
	}
	const links = box.namespace
		.ipJson<Link>("-d", "address", "show")
		.filter(({ ifname, linkinfo }) => ifname !== "lo" && (linkinfo?.info_kind ?? "") !== "");
	const routes = ["-4", "-6"].flatMap((family) =>
		lines(family, "route", "show", "table", "all").filter(
			(line) => !/table local|proto kernel|^(ff00::|multicast|anycast|local) /.test(line),
		),
	);
	return {
		addresses: links
			.flatMap(({ ifname, addr_info }) =>
				addr_info
					.filter(({ local }) => !local.startsWith("fe80::") || local === "fe80::200")
					.map((one) =>
						[ifname, `${one.local}/${one.prefixlen}`, one.scope, one.broadcast ?? "-", one.label ?? ""].join(
							" ",
						),
					),
			)
			.sort(),
		routes,
		rules: ["-4", "-6"].flatMap((family) => lines(family, "rule", "show")),
		links: links
			.filter(({ linkinfo }) => /vlan/.test(linkinfo?.info_kind ?? ""))
			.map(({ ifname, link, address, linkinfo }) =>
				JSON.stringify([
					ifname,
					link,
					linkinfo?.info_kind === "macvlan" ? address : "",
					linkinfo?.info_kind,
					(linkinfo?.info_data as { mode?: string } | undefined)?.mode,
				]),
			)
			.sort(),
		filter: box.namespace.run("nft", "list", "ruleset"),
	};
}

/** Each on a segment of its own, so that both are masters. */
async function both(
	text: string,
	prepare: (box: Box) => void,
	check: (seen: Record<(typeof kinds)[number], Seen>, boxes: Record<string, Box>) => void | Promise<void>,
): Promise<void> {
	using drover = new Lab("kernel-a");
	using keepalived = new Lab("kernel-b");
	const boxes = { drover: drover.box("box", 1), keepalived: keepalived.box("box", 1) };
	const clients = { drover: drover.box("client", 3), keepalived: keepalived.box("client", 3) };
	const before = {} as Record<(typeof kinds)[number], Seen>;
	for (const kind of kinds) {
		prepare(boxes[kind]);
		before[kind] = look(boxes[kind]);
	}
	const running: Record<string, Running> = {
		drover: boxes.drover.drover(text, "--no-standby"),
		keepalived: boxes.keepalived.keepalived(text),
	};
	const seen = {} as Record<(typeof kinds)[number], Seen>;
	for (const kind of kinds) {
		const wanted = text.split("vrrp_instance ").length - 1;
		await eventually(
			`${kind} is master`,
			() => running[kind]!.log().split("Entering MASTER STATE").length > wanted,
			20_000,
		);
	}
	// The last instance's routes and rules follow its log line.
	await eventually("both kernels are alike", () => {
		for (const kind of kinds) seen[kind] = look(boxes[kind]);
		return Bun.deepEquals(seen.drover.routes.length, seen.keepalived.routes.length);
	});
	await Bun.sleep(300);
	for (const kind of kinds) seen[kind] = look(boxes[kind]);
	await check(seen, { ...boxes, droverClient: clients.drover, keepalivedClient: clients.keepalived });
	for (const kind of kinds) await running[kind]!.stop();
	const after = look(boxes.drover);
	expect({ ...after, filter: "" }).toEqual({ ...before.drover, filter: "" });
	expect(after.filter).toBe("");
}

const fast = "state MASTER\n\tversion 3\n\tadvert_int 0.2\n\tpriority 100";

function secondCable(box: Box): void {
	box.namespace.ip("link", "add", "eth1", "type", "veth", "peer", "name", "far1");
	for (const name of ["eth1", "far1"]) {
		box.namespace.ip("link", "set", name, "addrgenmode", "none");
		box.namespace.ip("link", "set", name, "up");
	}
	box.namespace.ip("address", "add", "198.51.100.1/24", "dev", "eth1");
}

describe.concurrent("the kernel's tables are keepalived's", () => {
	test("static_ipaddress, static_routes, static_rules, virtual_routes, virtual_rules, labels, scopes", async () => {
		const text = `static_ipaddress {
	192.0.2.50/24 brd + dev eth0 scope global
	198.51.100.7/32 dev eth1 label eth1:s
}
static_routes {
	203.0.113.0/25 via 192.0.2.3 dev eth0
	blackhole 203.0.113.128/26
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

	test("routes and rules that somebody deletes, or that go with their link, are back, as with keepalived", async () => {
		const text = `static_routes {
	203.0.113.0/25 via 198.51.100.9 dev eth1
	203.0.113.128/26 dev eth1 scope link
	2001:db8:2::/48 dev eth1
}
static_rules {
	from 198.51.100.1/32 lookup 50 priority 1500
}
vrrp_instance VI_1 {
	interface eth0
	${fast}
	virtual_router_id 51
	virtual_ipaddress {
		192.0.2.200/24
	}
	virtual_routes {
		203.0.113.192/27 via 192.0.2.3 dev eth0
	}
	virtual_rules {
		from 192.0.2.200/32 table 50 priority 1600
	}
}
`;
		await both(text, secondCable, async (seen, boxes) => {
			expect(seen.drover.routes).toEqual(seen.keepalived.routes);
			for (const kind of kinds) {
				const box = boxes[kind]!;
				const { routes, rules } = seen[kind];
				const isBack = (what: string) =>
					eventually(`${kind}: ${what}`, () =>
						Bun.deepEquals([look(box).routes, look(box).rules], [routes, rules]),
					);
				box.namespace.ip("rule", "del", "priority", "1500");
				await isBack("a rule somebody deleted");
				box.namespace.ip("route", "del", "203.0.113.192/27");
				await isBack("a virtual route somebody deleted");
				box.namespace.ip("route", "del", "203.0.113.0/25");
				await isBack("a static route somebody deleted");
				box.namespace.ip("link", "set", "eth1", "down");
				expect(look(box).routes.join("\n")).not.toContain("203.0.113.0/25");
				box.namespace.ip("link", "set", "eth1", "up");
				await isBack("those of a link that was down");
			}
			// keepalived gives mastership up for a moment each time.
			expect((await boxes["drover"]!.instance())?.counters["becameMaster"]).toBe(1);
		});
	}, 60_000);

	test("no_track: what somebody deletes is gone until the router is master anew", async () => {
		using lab = new Lab("kernel-a");
		const box = lab.box("box", 1);
		const drover = box.drover(
			`vrrp_instance VI_1 {
	interface eth0
	${fast}
	virtual_router_id 51
	virtual_ipaddress {
		192.0.2.200/24
		192.0.2.201/24 no_track
	}
	virtual_routes {
		203.0.113.0/25 via 192.0.2.3 dev eth0 no_track
		203.0.113.128/25 via 192.0.2.3 dev eth0
	}
}
`,
			"--no-standby",
		);
		await box.becomes("MASTER");
		const routes = () => look(box).routes.join("\n");
		await eventually("its routes", () => routes().includes("203.0.113.128/25"));
		box.namespace.ip("route", "del", "203.0.113.0/25");
		box.namespace.ip("address", "del", "192.0.2.201/24", "dev", "eth0");
		// Both were deleted before these, which are back.
		box.namespace.ip("route", "del", "203.0.113.128/25");
		box.namespace.ip("address", "del", "192.0.2.200/24", "dev", "eth0");
		await box.holds("192.0.2.200");
		await eventually("the other route", () => routes().includes("203.0.113.128/25"));
		expect(routes()).not.toContain("203.0.113.0/25");
		expect(box.has("192.0.2.201")).toBe(false);
		box.namespace.ip("link", "set", "eth0", "down");
		await box.becomes("FAULT");
		box.namespace.ip("link", "set", "eth0", "up");
		await box.becomes("MASTER");
		await box.holds("192.0.2.201");
		await eventually("both routes", () => routes().includes("203.0.113.0/25"));
		await drover.stop();
	}, 60_000);

	test("static_ipaddress, static_routes: of an interface that comes late, and comes back under another number", async () => {
		using lab = new Lab("kernel-a");
		const box = lab.box("box", 1);
		const drover = box.drover(
			`static_ipaddress {
	198.51.100.7/24 dev eth1
}
static_routes {
	203.0.113.0/25 via 198.51.100.9 dev eth1
}
vrrp_instance VI_1 {
	interface eth0
	${fast}
	virtual_router_id 51
	virtual_ipaddress {
		192.0.2.200/24
	}
}
`,
			"--no-standby",
		);
		await box.becomes("MASTER");
		const routes = () => look(box).routes.join("\n");
		for (const _ of ["late", "again"]) {
			expect(routes()).not.toContain("203.0.113.0/25");
			secondCable(box);
			await eventually("the static address", () => box.has("198.51.100.7", "eth1"));
			await eventually("the static route", () => routes().includes("203.0.113.0/25"));
			box.namespace.ip("link", "del", "eth1");
		}
		await drover.stop();
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
