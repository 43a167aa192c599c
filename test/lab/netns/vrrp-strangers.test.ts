/** What others do to the kernel's tables while we keep them: the same is there again, or is left alone when the file says so. */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { eventually } from "./network.ts";
import { type Box, Lab } from "./vrrp-lab.ts";
import { both, fast, kinds, look, secondCable } from "./vrrp-tables.ts";

describe.concurrent("strangers' hands", () => {
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

	test("use_vmac: another MAC address by a reload, and one that was left behind by another file", async () => {
		const text = (mac: string) => `vrrp_instance VI_1 {
	interface eth0
	use_vmac vip0 ${mac}
	version 3
	advert_int 0.2
	priority 100
	virtual_router_id 51
	virtual_ipaddress {
		192.0.2.200/24
	}
}
`;
		using lab = new Lab("kernel-mac");
		const box = lab.box("box", 1);
		const client = lab.box("client", 3).namespace;
		box.namespace.ip(
			..."link add vip0 link eth0 address 02:00:00:00:00:09 type macvlan mode private".split(" "),
		);
		const drover = box.drover(text(""), "--no-standby");
		await box.becomes("MASTER");
		await box.holds("192.0.2.200", 5_000, "vip0");
		const link = () => box.namespace.ip("-br", "link", "show", "vip0");
		expect(link()).toMatch(/ UP +00:00:5e:00:01:33 /);
		expect(box.namespace.run("cat", "/proc/sys/net/ipv4/conf/eth0/arp_ignore").trim()).toBe("1");
		client.ip(..."neighbor replace 192.0.2.200 lladdr 00:00:5e:00:01:33 nud stale dev eth0".split(" "));
		writeFileSync(box.configFile, text("02:00:00:00:00:07"));
		drover.process.kill("SIGHUP");
		// Told by announcements: the entry of before would stand for long.
		await eventually("the client knows the new one", () =>
			client.ip("neighbor", "show", "192.0.2.200").includes("02:00:00:00:00:07"),
		);
		expect(link()).toMatch(/ UP +02:00:00:00:00:07 /);
		expect(box.has("192.0.2.200", "vip0")).toBe(true);
		await drover.stop();
		expect(box.namespace.ip("link")).not.toContain("vip0");
	}, 60_000);

	test("use_vmac: an interface that somebody deletes or sets down is back with its address, on the backup as well", async () => {
		const text = (priority: number) => `vrrp_instance VI_1 {
	interface eth0
	use_vmac
	version 3
	advert_int 1
	priority ${priority}
	virtual_router_id 51
	virtual_ipaddress {
		192.0.2.200/24
	}
}
`;
		using lab = new Lab("kernel-a");
		const boxes = [lab.box("master", 1), lab.box("backup", 2)] as const;
		const [master, backup] = boxes;
		// One after the other: a backup whose process is sooner there would be master for a moment.
		const first = master.drover(text(200), "--no-standby");
		await master.becomes("MASTER");
		const running = [first, backup.drover(text(100), "--no-standby")] as const;
		await backup.becomes("BACKUP");
		const client = lab.box("client", 3).namespace;
		const isUp = (box: Box) => box.namespace.ip("-br", "link", "show", "vrrp.51").includes(" UP ");
		for (const disturbance of [
			["link", "del", "vrrp.51"],
			["link", "set", "vrrp.51", "down"],
		])
			for (const box of boxes) {
				const { length } = running[boxes.indexOf(box)]!.log();
				box.namespace.ip(...disturbance);
				await eventually("it is told", () =>
					running[boxes.indexOf(box)]!.log().slice(length).includes("by somebody; it is back"),
				);
				await eventually("the interface", () => isUp(box));
				if (box === master) await eventually("the address", () => master.has("192.0.2.200", "vrrp.51"));
			}
		await eventually("an answer", () =>
			client.try("ping", "-c1", "-W1", "192.0.2.200").stdout.includes("1 received"),
		);
		// Nobody gave anything up, and the backup heard the master all the time.
		for (const [index, times] of [1, 0].entries())
			expect((await boxes[index]!.instance())?.counters["becameMaster"]).toBe(times);
		await running[0].stop();
		await backup.becomes("MASTER");
		await backup.holds("192.0.2.200", 5_000, "vrrp.51");
		await running[1].stop();
	}, 60_000);
});
