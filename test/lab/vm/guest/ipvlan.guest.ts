/** keepalived.conf(5) use_ipvlan, on a kernel that has it: addresses and adverts are where keepalived 2.2.7 has them. */
import { afterAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { createLan, Host, until } from "./box.ts";

const instance = (name: string, vrid: number, ipvlan: string, address: string) => `vrrp_instance ${name} {
	interface eth0
	version 3
	virtual_router_id ${vrid}
	priority 100
	advert_int 0.2
	use_ipvlan ${ipvlan}
	virtual_ipaddress {
		${address}
	}
}
`;

createLan("192.0.2.254/24");
const box = new Host("box", "192.0.2.1/24", "fe80::1/64");
const peer = new Host("peer", "192.0.2.2/24", "fe80::2/64");
writeFileSync(
	"/tmp/ipvlan.conf",
	instance("FOUR", 51, "192.0.2.11", "192.0.2.200/24") +
		instance("SIX", 52, "six0 fe80::11 private", "fe80::200"),
);
const vrrp = Bun.spawn(
	["ip", "netns", "exec", box.name, process.execPath, "firmware/drover.ts", "vrrp", "--no-standby"].concat(
		"-f",
		"/tmp/ipvlan.conf",
	),
	{ env: { ...process.env, DROVER_RUN_DIR: "/tmp/ipvlan" }, stdout: "ignore", stderr: "ignore" },
);
afterAll(() => vrrp.kill("SIGKILL"));

const addresses = (device: string) =>
	[...box.sh(`ip -o address show dev ${device}`).matchAll(/inet6? (\S+)/g)].map((match) => match[1]!);

test("the ipvlan interface holds its own address, the parent the virtual ones", async () => {
	await until("both virtual addresses", () => {
		const held = addresses("eth0");
		return held.includes("192.0.2.200/24") && held.includes("fe80::200/128");
	});
	expect(addresses("vrrp.51")).toEqual(["192.0.2.11/32"]);
	expect(addresses("six0")).toEqual(["fe80::11/128"]);
	expect(box.sh("ip -d -o link show six0")).toMatch(/ipvlan +mode l2 private/);
});

test("adverts come from the ipvlan's own address", () => {
	const heard = (filter: string) => peer.sh(`timeout 20 tcpdump -i eth0 -nn -v -c 1 '${filter}' 2>/dev/null`);
	expect(heard("src 192.0.2.11 and proto 112")).toMatch(/vrid 51, prio 100, .*addrs: 192\.0\.2\.200/);
	expect(heard("src fe80::11 and ip6[6] == 112")).toMatch(/vrid 52, prio 100, .*addrs: fe80::200/);
});

test("at the end the interfaces go, and with them their addresses", async () => {
	vrrp.kill("SIGTERM");
	await vrrp.exited;
	const links = box.sh("ip -o link");
	expect(links).not.toContain("vrrp.51");
	expect(links).not.toContain("six0");
	expect(addresses("eth0")).not.toContain("192.0.2.200/24");
});
