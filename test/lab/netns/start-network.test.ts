/** A start from the plan that a commit left gives the same box as `drover network apply` does. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseSettings } from "../../../firmware/appliance/settings.ts";
import { BATCH_FILE, HOST_NAME_FILE } from "../../../firmware/appliance/start-files.ts";
import { storeStartPlan } from "../../../firmware/appliance/start-plan.ts";
import { Network } from "./network.ts";

const project = join(import.meta.dir, "../../..");
const settings = `hostname = "gate-7"
dns = ["10.1.0.53", "fd00:1::53"]
search = ["example.net"]

[[port]]
name = "eth0"
role = "outside"
mtu = 1400
addresses = ["10.1.0.2/24", "fd00:1::2/64"]
gateways = ["10.1.0.1", "fd00:1::1"]

[[port]]
name = "eth9"
role = "inside"
addresses = ["10.9.0.1/24"]

[[port]]
name = "eth1"
role = "inside"
addresses = ["10.2.0.1/24"]

[[route]]
to = "10.3.0.0/16"
via = "10.2.0.254"

[ntp]
servers = ["10.1.0.9"]

[metrics]
enabled = true

[[syslog.receivers]]
host = "10.2.0.9"
`;
let network: Network;
let directory: string;

beforeAll(() => {
	network = Network.create("start");
	directory = mkdtempSync(join(tmpdir(), "drover-start-"));
	writeFileSync(join(directory, "appliance.toml"), settings);
	const boundTo = new Map([[join(directory, "appliance.toml"), settings]]);
	storeStartPlan(parseSettings(settings), boundTo, join(directory, "plan"));
});
afterAll(() => {
	network[Symbol.dispose]();
	rmSync(directory, { recursive: true });
});

/** A box with two ports of three, after `command`: its name, what the kernel has, what the services find. */
function boxAfter(label: string, command: string) {
	const box = network.namespace(label);
	box.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1");
	// Neither the tester's name nor its /run are touched.
	const script = `mount -t tmpfs run /run && mkdir /run/drover && ${command}; echo "status $?"; hostname
		cd /run/drover && rm -f ${HOST_NAME_FILE} ${BATCH_FILE} && find . | sort | while read -r name; do stat -c '%n %a' "$name"; [ -d "$name" ] || cat "$name"; done`;
	const lines = box.run("unshare", "--uts", "--mount", "sh", "-c", script);
	const kernel = (...words: string[]) =>
		(JSON.parse(box.run("ip", "-j", ...words)) as Record<string, unknown>[]).map(
			// Random, counted, or not yet settled.
			({ address: _a, link_index: _i, cache: _c, ...rest }) => rest,
		);
	return {
		lines,
		ports: kernel("addr").map(({ ifname, mtu, flags, addr_info }) => ({
			ifname,
			mtu,
			flags,
			addresses: (addr_info as { local: string; prefixlen: number; scope: string }[])
				.filter(({ scope }) => scope === "global")
				.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
		})),
		routes: [...kernel("-4", "route"), ...kernel("-6", "route").filter(({ dst }) => dst !== "fe80::/64")],
	};
}

test("addresses, routes, name, resolver, marks of services; a port that is missing costs no other", () => {
	const planned = boxAfter(
		"planned",
		`${project}/rootfs/usr/lib/drover/start-network ${directory}/plan /run/drover`,
	);
	const live = boxAfter(
		"live",
		`${process.execPath} ${project}/firmware/drover.ts network apply -f ${directory}/appliance.toml`,
	);
	expect(planned.lines.replace("status 0", "")).toBe(live.lines.replace("status 1", ""));
	expect(planned.lines).toContain("gate-7\n");
	expect(planned.lines).toContain("./wanted/metrics 600\n");
	expect({ ports: planned.ports, routes: planned.routes }).toEqual({
		ports: live.ports,
		routes: live.routes,
	});
	expect(planned.ports.find(({ ifname }) => ifname === "eth0")).toMatchObject({
		mtu: 1400,
		addresses: ["10.1.0.2/24", "fd00:1::2/64"],
	});
	expect(planned.routes).toContainEqual(
		expect.objectContaining({ dst: "10.3.0.0/16", gateway: "10.2.0.254" }),
	);
});
