/**
 * The path check and real real servers: one with the VIP, one without, one whose port is closed on it,
 * over a switch (DR) and through tunnels (TUN), IPv4 and IPv6; the director holds the VIP itself.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Forwarding } from "../../../firmware/config/model.ts";
import { check, plainRules, realServer, target, timing, virtualServer } from "../../health/fixtures.ts";
import { Agent, type Status } from "./health-client.ts";
import { bunPath, eventually, type Namespace, Network } from "./network.ts";

/** Takes packets out of IPIP (protocol 4), GRE (47) or GUE (a UDP port) and gives them to a TUN device. */
const unpack = `
import fcntl, os, socket, struct, subprocess, sys
kind, number = sys.argv[1], int(sys.argv[2])
device = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(device, 0x400454CA, struct.pack("16sH14x", b"tun9", 0x1001))
subprocess.check_call(["ip", "link", "set", "tun9", "up"])
open("/proc/sys/net/ipv4/conf/tun9/rp_filter", "w").write("0")
if kind == "gue":
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", number))
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, number)
while True:
    packet = s.recv(65536)
    at = 0 if kind == "gue" else (packet[0] & 15) * 4
    os.write(device, packet[at + (0 if kind == "ipip" else 4):])
`;

let network: Network;
let director: Namespace;
const servers: Namespace[] = [];
const VIP = "10.7.0.100";
const VIP6 = "fd07::100";

beforeAll(() => {
	network = Network.create("path");
	const lan = network.segment("lan");
	director = network.namespace("director");
	// The director's own addresses and the VIPs, as VRRP adds them.
	lan.plug(director, "eth0", "10.7.0.1/24", "fd07::1/64", `${VIP}/32`);
	// Deprecated, as VRRP adds it: no source address for the director's own connections (RFC 6724 §5, rule 3).
	director.ip("address", "add", `${VIP6}/128`, "dev", "eth0", "nodad", "preferred_lft", "0");
	web(director);
	for (const last of [11, 12, 13]) {
		const server = network.namespace(`rs${last}`);
		servers.push(server);
		lan.plug(server, "eth0", `10.7.0.${last}/24`, `fd07::${last}/64`);
		for (const name of ["all", "eth0", "lo"]) {
			server.sysctl(`net.ipv4.conf.${name}.arp_ignore`, 1);
			server.sysctl(`net.ipv4.conf.${name}.arp_announce`, 2);
		}
		web(server);
	}
	const [good, , closed] = servers;
	for (const server of [good!, closed!]) {
		server.ip("address", "add", `${VIP}/32`, "dev", "lo");
		server.ip("address", "add", `${VIP6}/128`, "dev", "lo");
	}
	// Listens on its own address only: clients who come by the VIP are refused.
	closed!.spawn(["socat", "TCP-LISTEN:81,bind=10.7.0.13,fork,reuseaddr", "SYSTEM:true"]);
});
afterAll(() => network.dispose());

function web(server: Namespace): void {
	server.spawn(["socat", "TCP6-LISTEN:80,fork,reuseaddr,ipv6only=0", "SYSTEM:echo"]);
}

const pool = (
	vip: string,
	port: number,
	forwarding: Forwarding,
	addresses: readonly string[],
	alpha = true,
) =>
	virtualServer(
		vip,
		port,
		addresses.map((address) => {
			const family = address.includes(":") ? "inet6" : "inet";
			const to = target(port, { address, family, connectTimeoutMs: 1_000 });
			const tcp = check("TCP_CHECK", { target: to, timing: { ...timing, alpha, delayLoopMs: 500 } });
			return realServer(address, port, [tcp], { forwarding, rules: { ...plainRules, alpha } });
		}),
		{ forwarding, pathCheck: true, delayLoopMs: 500 },
	);
const checksUp = (status: Status) => status.checks.every(({ up }) => up) && status.checks.length > 0;

describe("path check", () => {
	test("DR, IPv4: the server without the VIP is out although its own address answers", async () => {
		const agent = new Agent(director);
		agent.apply([pool(VIP, 80, { kind: "DR" }, ["10.7.0.11", "10.7.0.12"])]);
		const good = await agent.until("10.7.0.11", "alive", ({ alive }) => alive);
		expect(good.path).toEqual({ ok: true, known: true, detail: `${VIP}:80 accepted` });
		const lost = await agent.until(
			"10.7.0.12",
			"out",
			({ path }) => path!.detail.includes("does not accept") && path!.known === true,
		);
		expect(lost.path).toEqual({
			ok: false,
			known: true,
			detail: `answers on its own address, does not accept the VIP: ${VIP}:80 is silent`,
		});
		expect(checksUp(lost)).toBe(true);
		expect(lost.alive).toBe(false);
		// It gets the VIP and comes back by itself.
		servers[1]!.ip("address", "add", `${VIP}/32`, "dev", "lo");
		await agent.until("10.7.0.12", "back", ({ alive }) => alive);
		// And loses it while it serves.
		servers[1]!.ip("address", "del", `${VIP}/32`, "dev", "lo");
		await agent.until("10.7.0.12", "out again", ({ alive, path }) => !alive && path!.ok === false);
		expect(agent.changes.some(({ kind, up }) => kind === "path" && !up)).toBe(true);
	}, 40_000);

	test("a server that restarts without its VIP does not serve for a moment", async () => {
		const agent = new Agent(director);
		const [server] = servers;
		agent.apply([pool(VIP, 80, { kind: "DR" }, ["10.7.0.11"])]);
		await agent.until("10.7.0.11", "alive", ({ alive }) => alive);
		server!.ip("link", "set", "eth0", "down");
		await agent.until("10.7.0.11", "gone", (status) => !checksUp(status), 20_000);
		server!.ip("address", "del", `${VIP}/32`, "dev", "lo");
		agent.changes.length = 0;
		server!.ip("link", "set", "eth0", "up");
		server!.try("ip", "address", "add", "fd07::11/64", "dev", "eth0", "nodad");
		await agent.until(
			"10.7.0.11",
			"checks up, path bad",
			(status) => checksUp(status) && status.path!.detail.includes("silent"),
		);
		expect(agent.changes.filter(({ kind, up }) => kind === "alive" && up)).toEqual([]);
		server!.ip("address", "add", `${VIP}/32`, "dev", "lo");
		await agent.until("10.7.0.11", "alive", ({ alive }) => alive);
	}, 60_000);

	test("a port that is closed on the VIP", async () => {
		const agent = new Agent(director);
		agent.apply([pool(VIP, 81, { kind: "DR" }, ["10.7.0.13"])]);
		const status = await agent.until("10.7.0.13", "refused", ({ path }) => path!.detail.includes("closed"));
		expect(status.path!.detail).toBe(`has the VIP, but ${VIP}:81 is closed there`);
		expect(status.alive).toBe(false);
	}, 20_000);

	test("DR, IPv6", async () => {
		const agent = new Agent(director);
		agent.apply([pool(VIP6, 80, { kind: "DR" }, ["fd07::13", "fd07::12"])]);
		const good = await agent.until("fd07::13", "alive", ({ alive }) => alive);
		expect(good.path).toEqual({ ok: true, known: true, detail: `[${VIP6}]:80 accepted` });
		const lost = await agent.until("fd07::12", "out", ({ path }) => path!.detail.includes("does not accept"));
		expect(lost.alive).toBe(false);
	}, 30_000);

	test.each([
		["ipip", 4],
		["gre", 47],
		["gue", 6080],
	] as const)(
		"TUN, %s: only the server that unpacks and has the VIP accepts",
		async (tunnel, number) => {
			const [good] = servers;
			good!.sysctl("net.ipv4.conf.all.rp_filter", 0);
			good!.sysctl("net.ipv4.conf.default.rp_filter", 0);
			// What the kernel's tunnel devices do, as a program: a kernel without them runs this test too.
			const unpacker = good!.spawn(["python3", "-c", unpack, tunnel, String(number)]);
			await eventually("tunnel device", () => good!.try("ip", "link", "show", "tun9").status === 0);
			try {
				const agent = new Agent(director);
				const forwarding: Forwarding = {
					kind: "TUN",
					tunnel,
					port: tunnel === "gue" ? number : 0,
					checksum: "none",
				};
				agent.apply([pool(VIP, 80, forwarding, ["10.7.0.11", "10.7.0.12"])]);
				await agent.until("10.7.0.11", "alive", ({ alive }) => alive);
				const lost = await agent.until("10.7.0.12", "out", ({ path }) =>
					path!.detail.includes("does not accept"),
				);
				expect(lost.alive).toBe(false);
			} finally {
				unpacker.kill();
				await unpacker.exited;
			}
		},
		30_000,
	);

	test("not in NAT mode, and not for the director itself", async () => {
		const agent = new Agent(director);
		agent.apply([
			pool(VIP, 80, { kind: "NAT" }, ["10.7.0.12"]),
			pool(VIP6, 80, { kind: "DR" }, ["fd07::1"], false),
		]);
		const nat = await agent.until("10.7.0.12", "alive", ({ alive }) => alive);
		expect(nat.path).toBeNull();
		const self = await agent.until("fd07::1", "asked", ({ path }) => path?.detail.includes("box") === true);
		expect(self.path).toEqual({ ok: true, known: false, detail: "the real server is this box itself" });
	}, 20_000);

	test("what was asked leaves nothing half open on the server", async () => {
		const agent = new Agent(director);
		agent.apply([pool(VIP, 80, { kind: "DR" }, ["10.7.0.13"])]);
		await agent.until("10.7.0.13", "alive", ({ alive }) => alive);
		const halfOpen = () =>
			servers[2]!.run("ss", "-Htan", "state", "syn-recv").trim().split("\n").filter(Boolean);
		await Bun.sleep(1_000);
		const before = halfOpen();
		// One that is just being opened is gone by then; a forgotten one stays for a minute.
		await Bun.sleep(1_000);
		expect(halfOpen().filter((line) => before.includes(line))).toEqual([]);
	}, 20_000);
});

describe("links", () => {
	test("when the director's cable is pulled its servers are out at once, and back when it is plugged in", async () => {
		const lan = network.segment("cable");
		const [box, server] = [network.namespace("box"), network.namespace("far")];
		const cable = lan.plug(box, "eth1", "10.6.0.1/24");
		lan.plug(server, "eth0", "10.6.0.2/24");
		web(server);
		const agent = new Agent(box);
		const to = target(80, { address: "10.6.0.2", connectTimeoutMs: 5_000 });
		const slow = { ...timing, alpha: true, delayLoopMs: 60_000, retry: 5, delayBeforeRetryMs: 10_000 };
		const tcp = check("TCP_CHECK", { target: to, timing: slow });
		agent.apply([virtualServer("10.6.0.100", 80, [realServer("10.6.0.2", 80, [tcp])])]);
		await agent.until("10.6.0.2", "alive", ({ alive }) => alive);
		const pulledAt = Date.now();
		cable.unplug();
		await agent.until("10.6.0.2", "out", ({ alive }) => !alive, 5_000);
		const change = agent.changes.find(({ kind, up }) => kind === "alive" && !up)!;
		console.log(`out ${change.atMs - pulledAt} ms after the cable was pulled: ${change.reason}`);
		expect(change.reason).toBe("TCP_CHECK [10.6.0.2]:80: eth1 has no link");
		cable.plugIn();
		await agent.until("10.6.0.2", "back", ({ alive }) => alive, 5_000);
	}, 30_000);
});

describe("who else claims the VIP", () => {
	test("a real server that answers ARP for it is named, and still serves", async () => {
		const agent = new Agent(director);
		const server = servers[2]!;
		for (const name of ["all", "eth0"]) server.sysctl(`net.ipv4.conf.${name}.arp_ignore`, 0);
		agent.apply([pool(VIP, 80, { kind: "DR" }, ["10.7.0.11", "10.7.0.13"])]);
		const [conflict] = await eventually(
			"the conflict",
			() => (agent.conflicts.length > 0 ? agent.conflicts : null),
			20_000,
		);
		expect(conflict).toMatchObject({
			vip: VIP,
			realServer: "10.7.0.13",
			interface: "eth0",
			mac: server.macAddress("eth0"),
		});
		expect(agent.conflicts.length).toBe(1);
		const status = await agent.until(
			"10.7.0.13",
			"alive",
			({ alive, path }) => alive && path!.detail.includes("answers ARP"),
		);
		expect(status.path!.detail).toStartWith(`${VIP}:80 accepted; real server 10.7.0.13 (`);
		for (const name of ["all", "eth0"]) server.sysctl(`net.ipv4.conf.${name}.arp_ignore`, 1);
	}, 40_000);

	test("a foreign host that has the same address is named while the VIP is here", async () => {
		const agent = new Agent(director);
		const stranger = servers[1]!;
		stranger.ip("address", "add", `${VIP}/24`, "dev", "eth0");
		agent.apply([pool(VIP, 80, { kind: "DR" }, ["10.7.0.11"])]);
		const [conflict] = await eventually(
			"the conflict",
			() => (agent.conflicts.length > 0 ? agent.conflicts : null),
			20_000,
		);
		expect(conflict).toMatchObject({ vip: VIP, realServer: null, mac: stranger.macAddress("eth0") });
		stranger.ip("address", "del", `${VIP}/24`, "dev", "eth0");
	}, 40_000);
});

describe("drover realserver", () => {
	const drover = (...words: string[]) => [
		bunPath,
		`${import.meta.dir}/../../../firmware/drover.ts`,
		...words,
	];
	const file = join(mkdtempSync(join(tmpdir(), "drover-realserver-")), "keepalived.conf");
	afterAll(() => rmSync(dirname(file), { recursive: true, force: true }));

	test("verify names the wrong ones; the script cures them, and takes everything back", async () => {
		const server = servers[1]!;
		for (const name of ["all", "eth0"]) server.sysctl(`net.ipv4.conf.${name}.arp_ignore`, 0);
		writeFileSync(
			file,
			`virtual_server ${VIP} 80 {
	delay_loop 6
	lb_algo wrr
	lb_kind DR
	protocol TCP
	real_server 10.7.0.11 80 {
		TCP_CHECK {
			connect_timeout 2
		}
	}
	real_server 10.7.0.12 80 {
		TCP_CHECK {
			connect_timeout 2
		}
	}
}
`,
		);
		const before = director.try(...drover("realserver", "verify", file));
		expect(before.stdout).toContain(`ok     TCP [${VIP}]:80 → [10.7.0.11]:80 (DR)  ${VIP}:80 accepted`);
		expect(before.stdout).toContain(
			`WRONG  TCP [${VIP}]:80 → [10.7.0.12]:80 (DR)  answers on its own address, does not accept the VIP: ${VIP}:80 is silent`,
		);
		expect(before.stdout).toContain("1 of 2 real servers is wrong");
		expect(before.status).toBe(1);

		const script = director.run(...drover("realserver", "DR", "--file", file));
		expect(director.run(...drover("realserver", "DR", "--vip", VIP))).toBe(script);
		const root = `${dirname(file)}/root`;
		mkdirSync(`${root}/run/systemd/system`, { recursive: true });
		writeFileSync(`${dirname(file)}/script.sh`, script);
		const run = (...words: string[]) =>
			server.run("env", `ROOT=${root}`, "sh", `${dirname(file)}/script.sh`, ...words);
		expect(run()).toContain(`accepts ${VIP}/32 and keeps quiet`);
		run(); // A second run changes nothing and fails nowhere.
		expect(server.addresses("lo")).toContain(`${VIP}/32`);
		expect(server.run("cat", "/proc/sys/net/ipv4/conf/all/arp_ignore").trim()).toBe("1");
		expect(readFileSync(`${root}/etc/sysctl.d/90-drover-realserver.conf`, "utf8")).toContain(
			"net.ipv4.conf.all.arp_announce = 2",
		);
		expect(readFileSync(`${root}/etc/systemd/network/10-drover-realserver.network`, "utf8")).toContain(
			`Address=${VIP}/32`,
		);
		const after = director.try(...drover("realserver", "verify", file));
		expect(after.stdout).toContain("2 real servers, all as they should be");
		expect(after.status).toBe(0);
		run("remove");
		expect(server.addresses("lo")).not.toContain(`${VIP}/32`);
		expect(existsSync(`${root}/usr/local/sbin/drover-realserver`)).toBe(false);
	}, 60_000);

	test("a run with other addresses takes back those of the run before, with busybox's programs alone as well", () => {
		const server = servers[1]!;
		const programs = `${dirname(file)}/busybox`;
		mkdirSync(programs);
		const busybox = Bun.which("busybox")!;
		for (const name of "ip id cat mkdir dirname chmod rm sed grep printf modprobe sh".split(" "))
			symlinkSync(busybox, join(programs, name));
		for (const path of [programs, process.env["PATH"]!]) {
			const root = mkdtempSync(join(dirname(file), "root-"));
			mkdirSync(`${root}/etc/network`, { recursive: true });
			const holds = (vips: readonly string[], ...words: string[]) => {
				const script = director.run(...drover("realserver", "DR", ...vips.map((vip) => `--vip=${vip}`)));
				writeFileSync(`${dirname(file)}/script.sh`, script);
				server.run(
					"env",
					`ROOT=${root}`,
					`PATH=${path}`,
					`${programs}/sh`,
					`${dirname(file)}/script.sh`,
					...words,
				);
				return server.addresses("lo").filter((address) => /^(10\.7\.9|fd07:9)/.test(address));
			};
			expect(holds(["10.7.9.1", "10.7.9.2", "fd07:9::1"])).toEqual([
				"10.7.9.1/32",
				"10.7.9.2/32",
				"fd07:9::1/128",
			]);
			expect(server.ip("-6", "address", "show", "dev", "lo", "tentative")).toBe("");
			expect(holds(["10.7.9.2", "fd07:9::2"])).toEqual(["10.7.9.2/32", "fd07:9::2/128"]);
			expect(holds(["10.7.9.2", "fd07:9::2"], "remove")).toEqual([]);
		}
	}, 30_000);

	test("verify asks each address of a group: one that is missing on one server is named", () => {
		for (const server of servers.slice(0, 2)) server.ip("address", "replace", VIP, "dev", "lo");
		servers[0]!.ip("address", "replace", "10.7.9.7", "dev", "lo");
		for (const name of ["all", "eth0"]) servers[1]!.sysctl(`net.ipv4.conf.${name}.arp_ignore`, 1);
		writeFileSync(
			file,
			`virtual_server_group G {\n${VIP} 80\n10.7.9.7 80\nfwmark 7\n}
virtual_server group G {
	lb_kind DR
	protocol TCP
	real_server 10.7.0.11 80 {
		weight 1
	}
	real_server 10.7.0.12 80 {
		weight 1
	}
}
`,
		);
		const { stdout, status } = director.try(...drover("realserver", "verify", file));
		expect(stdout).toContain(
			`ok     group G TCP → [10.7.0.11]:80 (DR)  ${VIP}:80 accepted; 10.7.9.7:80 accepted\n`,
		);
		expect(stdout).toContain(
			"WRONG  group G TCP → [10.7.0.12]:80 (DR)  answers on its own address, does not accept the VIP: 10.7.9.7:80 is silent\n",
		);
		expect(status).toBe(1);
		servers[1]!.ip("address", "delete", `${VIP}/32`, "dev", "lo");
		servers[0]!.ip("address", "delete", "10.7.9.7/32", "dev", "lo");
	}, 60_000);

	test("marks alone: the addresses are asked for", () => {
		writeFileSync(
			file,
			"virtual_server fwmark 7 {\ndelay_loop 6\nlb_kind DR\nreal_server 10.7.0.11 80 {\nweight 1\n}\n}\n",
		);
		const { status, stderr } = director.try(...drover("realserver", "DR", "--file", file));
		expect(stderr).toContain("has firewall marks and no addresses: name these with --vip");
		expect(status).toBe(2);
	});

	test("without systemd: ifupdown calls it; the shell finds no fault in any script", () => {
		const root = `${dirname(file)}/ifupdown`;
		mkdirSync(`${root}/etc/network`, { recursive: true });
		const server = servers[1]!;
		const script = director.run(...drover("realserver", "DR", "--vip", VIP, "--vip", VIP6));
		writeFileSync(`${dirname(file)}/script.sh`, script);
		server.run("env", `ROOT=${root}`, "sh", `${dirname(file)}/script.sh`);
		expect(existsSync(`${root}/etc/network/if-up.d/drover-realserver`)).toBe(true);
		expect(server.addresses("lo")).toContain(`${VIP6}/128`);
		server.run("env", `ROOT=${root}`, "sh", `${dirname(file)}/script.sh`, "remove");
		for (const words of [
			["--tunnel", "ipip"],
			["--tunnel", "gre"],
			["--tunnel", "gue", "--port", "6080"],
		]) {
			const tunnel = director.run(...drover("realserver", "TUN", "--vip", VIP, "--vip", VIP6, ...words));
			writeFileSync(`${dirname(file)}/script.sh`, tunnel);
			director.run("sh", "-n", `${dirname(file)}/script.sh`);
			expect(tunnel).toContain("rp_filter = 0");
		}
	}, 30_000);
});
