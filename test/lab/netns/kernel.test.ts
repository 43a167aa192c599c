/** The kernel's doors against a real kernel: netlink, packet and raw sockets, settings, processes, connects. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, SO_ERROR, SOL_SOCKET } from "../../../firmware/kernel/constants.ts";
import { ECONNREFUSED, EINVAL, ENETUNREACH } from "../../../firmware/kernel/errno.ts";
import { watchFile } from "../../../firmware/kernel/inotify.ts";
import { native } from "../../../firmware/kernel/native.ts";
import { bpf, PacketSocket } from "../../../firmware/kernel/packet-socket.ts";
import {
	type ProcessEvent,
	RecentProcesses,
	watchProcesses,
} from "../../../firmware/kernel/process-events.ts";
import { type RawDatagram, RawSocket } from "../../../firmware/kernel/raw-socket.ts";
import { parseRuleWords } from "../../../firmware/kernel/route-rule.ts";
import { parseRouteWords } from "../../../firmware/kernel/route-words.ts";
import {
	type InterfaceAddress,
	interfaceIndex,
	NUD_VALID,
	parseMacAddress,
	plainAddress,
	type RouteEvent,
	RouteMonitor,
	RouteNetlink,
} from "../../../firmware/kernel/rtnetlink.ts";
import { internetAddress } from "../../../firmware/kernel/sockaddr.ts";
import { interfaceSysctl, readSysctl, SysctlChanges } from "../../../firmware/kernel/sysctl.ts";
import { systemRouteNames } from "../../../firmware/kernel/system-route-names.ts";
import { watchReadable, watchReadableOnce, watchWritable } from "../../../firmware/kernel/watch.ts";
import { decodeArp, encodeArp } from "../../../firmware/wire/arp.ts";
import { broadcastMac, decodeEthernet, encodeEthernet } from "../../../firmware/wire/ethernet.ts";
import { parseAddress } from "../../../firmware/wire/ip.ts";
import { decodeIpPacket, encodeIpPacket } from "../../../firmware/wire/ip-packet.ts";
import {
	decodeNeighbourMessage,
	encodeNeighbourMessage,
	multicastMac,
	solicitedNodeAddress,
} from "../../../firmware/wire/ndisc.ts";
import { decodeTcp, encodeTcp, TCP_ACK, TCP_RST, TCP_SYN } from "../../../firmware/wire/tcp.ts";
import { inside } from "./inside.ts";
import { type Cable, eventually, type Namespace, Network } from "./network.ts";

const address = (text: string) => parseAddress(text)!;

let network: Network;
let a: Namespace;
let b: Namespace;
let cableA: Cable;
let indexA: number;
let indexB: number;
let macA: Uint8Array;
let macB: Uint8Array;

beforeAll(() => {
	network = Network.create("kernel");
	a = network.namespace("a");
	b = network.namespace("b");
	const lan = network.segment("lan");
	cableA = lan.plug(a, "eth0", "10.0.0.1/24", "fd00::1/64");
	lan.plug(b, "eth0", "10.0.0.2/24", "fd00::2/64");
	indexA = inside(a, () => interfaceIndex("eth0"))!;
	indexB = inside(b, () => interfaceIndex("eth0"))!;
	macA = parseMacAddress(a.macAddress("eth0"))!;
	macB = parseMacAddress(b.macAddress("eth0"))!;
});

afterAll(() => network.dispose());

const vip = (text: string, more: Partial<InterfaceAddress> = {}): InterfaceAddress => ({
	...plainAddress,
	family: text.includes(":") ? "inet6" : "inet",
	interfaceIndex: indexA,
	address: text,
	prefixLength: text.includes(":") ? 128 : 32,
	...more,
});

describe("addresses", () => {
	test("what is added, ip(8) sees; what is deleted is gone; saying it twice changes nothing", () => {
		const kernel = inside(a, () => RouteNetlink.open());
		const addresses = [
			vip("10.0.0.200"),
			vip("fd00::200"),
			vip("10.0.7.1", { prefixLength: 24, label: "eth0:7" }),
		];
		expect(kernel.addAddresses(addresses).map(({ kind }) => kind)).toEqual(["done", "done", "done"]);
		expect(a.addresses("eth0")).toEqual(
			expect.arrayContaining(["10.0.0.200/32", "fd00::200/128", "10.0.7.1/24"]),
		);
		expect(kernel.addAddresses(addresses).map(({ kind }) => kind)).toEqual([
			"unchanged",
			"unchanged",
			"unchanged",
		]);
		expect(kernel.addresses().find((entry) => entry.address === "10.0.7.1")).toMatchObject({
			prefixLength: 24,
			label: "eth0:7",
			interfaceIndex: indexA,
		});
		expect(kernel.deleteAddresses(addresses).map(({ kind }) => kind)).toEqual(["done", "done", "done"]);
		expect(kernel.deleteAddresses(addresses).map(({ kind }) => kind)).toEqual([
			"unchanged",
			"unchanged",
			"unchanged",
		]);
		expect(a.addresses("eth0")).not.toContain("10.0.0.200/32");
		kernel.close();
	});

	test("600 in one call, one of them impossible: the others are there, and the one says why", () => {
		const kernel = inside(a, () => RouteNetlink.open());
		const addresses = Array.from({ length: 600 }, (_, index) =>
			vip(`10.1.${index >> 8}.${index & 255}`, index === 300 ? { interfaceIndex: 9999 } : {}),
		);
		const results = kernel.addAddresses(addresses);
		expect(results.filter(({ kind }) => kind === "done")).toHaveLength(599);
		const refused = results[300]!;
		expect(refused.kind === "refused" ? refused.error.message : refused.kind).toContain("ENODEV");
		expect(kernel.addresses("inet").filter((entry) => entry.address.startsWith("10.1."))).toHaveLength(599);
		expect(kernel.deleteAddresses(addresses).filter(({ kind }) => kind === "done")).toHaveLength(599);
		kernel.close();
	});
});

test("the monitor tells of others' changes and of our own, and who made them where the kernel says so", async () => {
	const events: RouteEvent[] = [];
	const [kernel, monitor] = inside(a, () => [
		RouteNetlink.open(),
		RouteMonitor.open(
			["link", "address", "route", "rule"],
			(event) => events.push(event),
			() => {},
		),
	]);
	kernel.addAddresses([vip("10.0.0.201")]);
	a.ip("address", "delete", "10.0.0.201/32", "dev", "eth0");
	const of = (kind: string, change: string) => (event: RouteEvent) =>
		event.kind === kind && event.change === change;
	const added = await eventually("the addition", () => events.find(of("address", "new")));
	expect(added.origin.portId).toBe(kernel.portId);
	const deleted = await eventually("the deletion", () => events.find(of("address", "delete")));
	expect(deleted.kind === "address" && deleted.address.address).toBe("10.0.0.201");
	expect(deleted.origin.portId).toBeGreaterThan(0);
	expect(deleted.origin.portId).not.toBe(kernel.portId);
	cableA.unplug();
	await eventually("carrier off", () =>
		events.some((event) => event.kind === "link" && event.link.index === indexA && !event.link.running),
	);
	cableA.plugIn();
	await eventually("carrier on", () => {
		const last = events.findLast((event) => event.kind === "link" && event.link.index === indexA);
		return last?.kind === "link" && last.link.running;
	});
	monitor.close();
	kernel.close();
});

test("macvlan: made, renamed, set up, told by ip(8), deleted", () => {
	const kernel = inside(a, () => RouteNetlink.open());
	const macAddress = parseMacAddress("00:00:5e:00:01:33")!;
	kernel.createLink({ kind: "macvlan", name: "vrrp.51", parentIndex: indexA, mode: "private", macAddress });
	const link = kernel.links().find(({ name }) => name === "vrrp.51")!;
	expect(link).toMatchObject({ kind: "macvlan", parentIndex: indexA, macAddress, running: false });
	kernel.changeLink(link.index, { up: true, linkLocalAddress: "none" });
	type Told = { linkinfo: { info_kind: string; info_data: { mode: string } }; address: string };
	const [told] = a.ipJson<Told>("-d", "link", "show", "dev", "vrrp.51");
	expect(told).toMatchObject({
		address: "00:00:5e:00:01:33",
		linkinfo: { info_kind: "macvlan", info_data: { mode: "private" } },
	});
	expect(kernel.links().find(({ index }) => index === link.index)?.running).toBe(true);
	expect(kernel.deleteLink(link.index).kind).toBe("done");
	expect(kernel.deleteLink(link.index).kind).toBe("unchanged");
	kernel.close();
});

describe("routes and rules", () => {
	const context = {
		interfaceIndex: (name: string) => inside(a, () => interfaceIndex(name)),
		names: systemRouteNames(["/usr/share/iproute2", "/etc/iproute2"]),
	};
	const route = (text: string, family: "inet" | "inet6" = "inet") => {
		const result = parseRouteWords(text.split(" "), family, context);
		if (result.kind === "error") throw new Error(result.message);
		return result.value;
	};

	test.each([
		[
			"192.168.7.0/24 via 10.0.0.2 dev eth0 src 10.0.0.1 metric 7 mtu lock 1400",
			"192.168.7.0/24 via 10.0.0.2 dev eth0 proto keepalived src 10.0.0.1 metric 7 mtu lock 1400",
			"main",
		],
		["blackhole 192.168.8.0/24 table 77", "blackhole 192.168.8.0/24 proto keepalived", "77"],
		["192.168.10.1 dev eth0", "192.168.10.1 dev eth0 proto keepalived", "main"],
		[
			"192.168.11.0/24 via inet6 fd00::2 dev eth0",
			"192.168.11.0/24 via inet6 fd00::2 dev eth0 proto keepalived",
			"main",
		],
	])("%s", (words, expected, table) => {
		const kernel = inside(a, () => RouteNetlink.open());
		const wanted = route(words);
		const told = () => a.ip("route", "show", "table", table).replace(/ +/g, " ");
		expect(kernel.addRoutes([wanted])).toEqual([{ kind: "done" }]);
		expect(told()).toContain(expected);
		expect(kernel.addRoutes([wanted])).toEqual([{ kind: "unchanged" }]);
		expect(kernel.deleteRoutes([wanted])).toEqual([{ kind: "done" }]);
		expect(kernel.deleteRoutes([wanted])).toEqual([{ kind: "unchanged" }]);
		kernel.close();
	});

	test("several next hops with weights, IPv6 too", () => {
		const kernel = inside(a, () => RouteNetlink.open());
		const routes = [
			route("192.168.9.0/24 nexthop via 10.0.0.2 dev eth0 weight 3 nexthop via 10.0.0.3 dev eth0"),
			route("2001:db8::/32 nexthop via fd00::2 dev eth0 nexthop via fd00::3 dev eth0 weight 2", "inet6"),
		];
		expect(kernel.addRoutes(routes)).toEqual([{ kind: "done" }, { kind: "done" }]);
		const stored = kernel.routes("inet").find((entry) => entry.destination?.address === "192.168.9.0");
		expect(stored?.nextHops.map(({ gateway, weight }) => [gateway, weight])).toEqual([
			["10.0.0.2", 3],
			["10.0.0.3", 1],
		]);
		expect(kernel.deleteRoutes(routes)).toEqual([{ kind: "done" }, { kind: "done" }]);
		kernel.close();
	});

	test("the kernel's own words when it refuses", () => {
		const kernel = inside(a, () => RouteNetlink.open());
		const [result] = kernel.addRoutes([route("192.168.12.0/24 via 172.31.0.1")]);
		expect(result?.kind === "refused" && result.error.text).toBe("Nexthop has invalid gateway");
		kernel.close();
	});

	test("rules: added once, found again, deleted", () => {
		const kernel = inside(a, () => RouteNetlink.open());
		const words = "not from 10.9.0.0/16 fwmark 0x7/0xff iif eth0 ipproto tcp dport 80-90 lookup 77".split(
			" ",
		);
		const parsed = parseRuleWords(words, "inet", context);
		const rule = parsed.kind === "ok" ? parsed.value : expect.unreachable(parsed.message);
		expect(kernel.addRules([rule, rule])).toEqual([{ kind: "done" }, { kind: "unchanged" }]);
		expect(a.ip("rule", "show")).toMatch(
			/not from 10\.9\.0\.0\/16 fwmark 0x7\/0xff iif eth0 ipproto tcp dport 80-90 lookup 77/,
		);
		expect(kernel.deleteRules([rule])).toEqual([{ kind: "done" }]);
		expect(kernel.deleteRules([rule])).toEqual([{ kind: "unchanged" }]);
		kernel.close();
	});

	test("the way to an address, and its MAC once it was asked for", async () => {
		const kernel = inside(a, () => RouteNetlink.open());
		expect(kernel.routeTo("10.0.0.2")).toMatchObject({
			preferredSource: "10.0.0.1",
			nextHops: [{ gateway: null, interfaceIndex: indexA }],
		});
		expect(kernel.routeTo("198.51.100.1")).toBeNull();
		for (const text of ["10.0.0.2", "fd00::2"]) {
			kernel.resolveNeighbour(indexA, text);
			const neighbour = await eventually(`the MAC of ${text}`, () => {
				const entry = kernel.neighbour(indexA, text);
				return entry !== null && (entry.state & NUD_VALID) !== 0 ? entry : null;
			});
			expect(neighbour.macAddress).toEqual(macB);
		}
		kernel.close();
	});
});

describe("packet sockets", () => {
	const arpRequest = () =>
		encodeEthernet(
			broadcastMac,
			macA,
			ETH_P_ARP,
			encodeArp({
				operation: "request",
				senderMac: macA,
				senderAddress: address("10.0.0.1"),
				targetMac: new Uint8Array(6),
				targetAddress: address("10.0.0.2"),
			}),
		);

	test("RFC 826: the other kernel answers, and again after the link was down", async () => {
		const socket = inside(a, () => PacketSocket.open({ interfaceIndex: indexA, etherType: ETH_P_ARP }));
		let answers = 0;
		const errors: number[] = [];
		socket.receive(
			(frame) => {
				const message = decodeArp(decodeEthernet(frame)?.payload ?? new Uint8Array(0));
				if (message?.operation === "reply" && Buffer.compare(message.senderMac, macB) === 0) answers++;
			},
			(errno) => errors.push(errno),
		);
		await eventually("an ARP reply", () => {
			socket.send(arpRequest());
			return answers > 0;
		});
		a.ip("link", "set", "eth0", "down");
		expect(socket.send(arpRequest())).toBeLessThan(0);
		a.ip("link", "set", "eth0", "up");
		a.ip("address", "replace", "fd00::1/64", "dev", "eth0", "nodad");
		const before = answers;
		await eventually("an ARP reply after link down and up", () => {
			socket.send(arpRequest());
			return answers > before;
		});
		expect(errors.every((errno) => errno === 100)).toBe(true); // ENETDOWN
		socket.close();
	});

	test("a classic BPF filter keeps the rest away", async () => {
		// EtherType ARP and operation 2 (reply).
		const filter = [
			bpf.loadHalf(12),
			bpf.jumpEqual(ETH_P_ARP, 0, 3),
			bpf.loadHalf(20),
			bpf.jumpEqual(2, 0, 1),
			bpf.accept(),
			bpf.refuse(),
		];
		const socket = inside(a, () => PacketSocket.open({ interfaceIndex: indexA, etherType: 3, filter }));
		const operations: (string | undefined)[] = [];
		socket.receive((frame) => operations.push(decodeArp(decodeEthernet(frame)!.payload)?.operation));
		b.try("ping", "-c1", "-W1", "10.0.0.1");
		const sender = inside(a, () => PacketSocket.open({ interfaceIndex: indexA, etherType: 0 }));
		await eventually("the reply", () => {
			sender.send(arpRequest());
			return operations.length > 0;
		});
		expect(new Set(operations)).toEqual(new Set(["reply"]));
		sender.close();
		socket.close();
	});

	test("RFC 4861: a solicitation is answered with an advertisement", async () => {
		const socket = inside(a, () => PacketSocket.open({ interfaceIndex: indexA, etherType: ETH_P_IPV6 }));
		const target = address("fd00::2");
		const source = address("fd00::1");
		const group = solicitedNodeAddress(target);
		const message = encodeNeighbourMessage({ kind: "solicitation", target, macAddress: macA }, source, group);
		const packet = encodeIpPacket(
			{ source, destination: group, hopLimit: 255, protocol: 58, trafficClass: 0, identification: 0 },
			message,
		);
		const answers: (Uint8Array | null)[] = [];
		socket.receive((frame) => {
			const ip = decodeIpPacket(decodeEthernet(frame)!.payload);
			const answer = ip === null ? null : decodeNeighbourMessage(ip);
			if (answer?.kind === "advertisement" && answer.solicited) answers.push(answer.macAddress);
		});
		await eventually("an advertisement", () => {
			socket.send(encodeEthernet(multicastMac(group), macA, ETH_P_IPV6, packet));
			return answers.length > 0;
		});
		expect(answers[0]).toEqual(macB);
		socket.close();
	});

	test("RFC 9293: a SYN to an address the host has not on this link's subnet is answered when it is the host's", async () => {
		// As the path check does it: the destination is an address on the other host's loopback, reached by MAC.
		b.ip("address", "add", "192.0.2.80/32", "dev", "lo");
		const server = Bun.spawn(
			b.command(["socat", "TCP4-LISTEN:8080,bind=192.0.2.80,fork,reuseaddr", "/dev/null"]),
			{
				stdout: "ignore",
				stderr: "ignore",
			},
		);
		const socket = inside(a, () => PacketSocket.open({ interfaceIndex: indexA, etherType: ETH_P_IP }));
		const source = address("10.0.0.1");
		const destination = address("192.0.2.80");
		const segment = (flags: number, sequence: number) =>
			encodeEthernet(
				macB,
				macA,
				ETH_P_IP,
				encodeIpPacket(
					{ source, destination, hopLimit: 64, protocol: 6, trafficClass: 0, identification: 7 },
					encodeTcp(
						{
							sourcePort: 54321,
							destinationPort: 8080,
							sequence,
							acknowledgement: 0,
							flags,
							window: 1024,
							maximumSegmentSizeBytes: flags === TCP_SYN ? 1460 : null,
							payload: new Uint8Array(0),
						},
						source,
						destination,
					),
				),
			);
		const flags: number[] = [];
		socket.receive((frame) => {
			const ip = decodeIpPacket(decodeEthernet(frame)!.payload);
			if (ip?.protocol !== 6) return;
			const answer = decodeTcp(ip.payload);
			if (answer?.sourcePort === 8080 && answer.destinationPort === 54321) flags.push(answer.flags);
		});
		await eventually("a SYN-ACK", () => {
			socket.send(segment(TCP_SYN, 1000));
			return flags.includes(TCP_SYN | TCP_ACK);
		});
		socket.send(segment(TCP_RST, 1001));
		socket.close();
		server.kill();
		await server.exited;
	});
});

describe("raw sockets", () => {
	test.each([
		["inet", "224.0.0.18", "10.0.0.1", "10.0.0.2"],
		["inet6", "ff02::12", "fd00::1", "fd00::2"],
	] as const)(
		"%s: multicast and unicast of protocol 112 arrive with source, destination, hop limit, interface and time",
		async (family, group, source, peer) => {
			const sender = inside(a, () =>
				RawSocket.open({
					family,
					protocol: 112,
					interface: "eth0",
					source,
					multicastInterfaceIndex: indexA,
					sendOnly: true,
				}),
			);
			const receiver = inside(b, () => RawSocket.open({ family, protocol: 112, interface: "eth0" }));
			receiver.joinGroup(group, indexB);
			receiver.joinGroup(group, indexB);
			const datagrams: RawDatagram[] = [];
			receiver.receive((datagram) => datagrams.push({ ...datagram, payload: datagram.payload.slice() }));
			for (const destination of [group, peer]) {
				datagrams.length = 0;
				const sentAt = native.realtimeMicros();
				await eventually(`a datagram to ${destination}`, async () => {
					expect(sender.send(Uint8Array.of(0x31, 51, 100), address(destination))).toBe(3);
					await Bun.sleep(20);
					return datagrams.length > 0;
				});
				const [datagram] = datagrams;
				expect(datagram).toMatchObject({
					source: address(source),
					destination: address(destination),
					hopLimit: 255,
					interfaceIndex: indexB,
					payload: Uint8Array.of(0x31, 51, 100),
				});
				expect(datagram!.receivedAtRealtimeMicros).toBeGreaterThan(sentAt - 1);
				expect(datagram!.receivedAtRealtimeMicros).toBeLessThan(native.realtimeMicros() + 1);
			}
			if (family === "inet") {
				expect(datagrams[0]!.header[1]).toBe(0xc0);
				expect(datagrams[0]!.header).toHaveLength(20);
			}
			receiver.leaveGroup(group, indexB);
			sender.close();
			receiver.close();
		},
	);

	test("IP_HDRINCL: the header is ours, the kernel fills length and checksum", async () => {
		const sender = inside(a, () =>
			RawSocket.open({
				family: "inet",
				protocol: 112,
				interface: "eth0",
				headerIncluded: true,
				sendOnly: true,
			}),
		);
		const receiver = inside(b, () => RawSocket.open({ family: "inet", protocol: 112 }));
		const headers: Buffer[] = [];
		receiver.receive((datagram) => headers.push(Buffer.from(datagram.header)));
		const packet = encodeIpPacket(
			{
				source: address("10.0.0.77"),
				destination: address("10.0.0.2"),
				hopLimit: 9,
				protocol: 112,
				trafficClass: 0xc0,
				identification: 4321,
			},
			Uint8Array.of(1, 2, 3, 4),
		);
		await eventually("the packet", async () => {
			expect(sender.send(packet, address("10.0.0.2"))).toBe(24);
			await Bun.sleep(20);
			return headers.length > 0;
		});
		expect(headers[0]!.readUInt16BE(4)).toBe(4321);
		expect(headers[0]![8]).toBe(9);
		expect(headers[0]!.subarray(12, 16)).toEqual(Buffer.from([10, 0, 0, 77]));
		sender.close();
		receiver.close();
	});
});

describe("settings", () => {
	test("are put back, but not over somebody else's change", () => {
		inside(a, () => {
			const ignore = interfaceSysctl("ipv4", "eth0", "arp_ignore");
			const announce = interfaceSysctl("ipv4", "eth0", "arp_announce");
			const changes = new SysctlChanges();
			expect(changes.set(ignore, 1)).toBe(true);
			expect(changes.set(ignore, 2)).toBe(true);
			expect(changes.set(announce, 2)).toBe(true);
			expect(changes.set("net/ipv4/conf/eth0/no_such_thing", 1)).toBe(false);
			expect(readSysctl(ignore)).toBe("2");
			const other = new SysctlChanges();
			other.set(announce, 1);
			expect(changes.drifted()).toEqual([announce]);
			changes.restore();
			expect([readSysctl(ignore), readSysctl(announce)]).toEqual(["0", "1"]);
			other.restore();
		});
	});

	test.each([["../../kernel"], [".."], ["a/b"]])("an interface cannot be called %s", (name) => {
		expect(() => interfaceSysctl("ipv4", name, "arp_ignore")).toThrow(RangeError);
	});
});

describe("processes and files", () => {
	test("cn_proc: a program is told when it starts and when it ends, and its name outlives it", async () => {
		const events: ProcessEvent[] = [];
		const recent = new RecentProcesses();
		const watch = watchProcesses(
			(event) => {
				recent.note(event);
				events.push(event);
			},
			() => {},
		);
		const child = Bun.spawn(["sleep", "0.3"]);
		await child.exited;
		await eventually("its end", () =>
			events.some((event) => event.kind === "exit" && event.pid === child.pid),
		);
		expect(events.some((event) => event.kind === "exec" && event.pid === child.pid)).toBe(true);
		expect(recent.name(child.pid)).toBe("sleep");
		watch.close();
	});

	test("pidfd: readable when the process ends, also when it is nobody's child here", async () => {
		const shell = Bun.spawn(["sh", "-c", "sleep 0.2 & echo $!; wait"], { stdout: "pipe" });
		const reader = shell.stdout.getReader();
		const pid = Number(new TextDecoder().decode((await reader.read()).value));
		const fd = native.processDescriptor(pid);
		expect(fd).toBeGreaterThan(0);
		await new Promise<void>((resolve) => watchReadableOnce(fd, () => resolve()));
		native.close(fd);
		await shell.exited;
		expect(native.processDescriptor(pid)).toBeLessThan(0);
	});

	test("inotify: a file that appears, is written, replaced and deleted", async () => {
		const folder = mkdtempSync(join(tmpdir(), "drover-kernel-"));
		const path = join(folder, "track");
		let calls = 0;
		const watch = watchFile(path, () => calls++);
		const told = async (what: string, work: () => void) => {
			const before = calls;
			work();
			await eventually(what, () => calls > before);
			await Bun.sleep(20);
		};
		await told("created", () => writeFileSync(path, "1"));
		await told("written", () => writeFileSync(path, "2"));
		await told("replaced", () => {
			writeFileSync(`${path}.new`, "3");
			renameSync(`${path}.new`, path);
		});
		await told("deleted", () => rmSync(path));
		const before = calls;
		writeFileSync(join(folder, "other"), "x");
		await Bun.sleep(50);
		expect(calls).toBe(before);
		watch.close();
		rmSync(folder, { recursive: true });
	});
});

describe("connects", () => {
	const connect = (text: string, port: number, device: string | null = null) =>
		inside(a, () => native.connectStart(internetAddress(text, port), null, 0, device, true));
	const outcome = (fd: number) =>
		new Promise<number>((resolve) => {
			watchWritable(fd, () => {
				resolve(native.getSocketOption(fd, SOL_SOCKET, SO_ERROR));
				native.close(fd);
			});
		});

	test("exact errors: refused, no way there", async () => {
		await eventually(
			"the other host to answer at all",
			() => a.try("ping", "-c1", "-W1", "10.0.0.2").status === 0,
		);
		const fd = connect("10.0.0.2", 9);
		expect(fd).toBeGreaterThan(0);
		expect(await outcome(fd)).toBe(ECONNREFUSED);
		expect(connect("198.51.100.1", 80)).toBe(-ENETUNREACH);
		expect(connect("10.0.0.2", 80, "nowhere")).toBeLessThan(0);
		expect(native.connectStart(new Uint8Array(1), null, 0, null, false)).toBe(-EINVAL);
	});

	test("an open port", async () => {
		const server = Bun.spawn(b.command(["socat", "TCP-LISTEN:7070,fork,reuseaddr", "/dev/null"]), {
			stdout: "ignore",
			stderr: "ignore",
		});
		await eventually("a connect", async () => (await outcome(connect("10.0.0.2", 7070, "eth0"))) === 0);
		server.kill();
		await server.exited;
	});
});

describe("readiness", () => {
	test("a descriptor's number that is used again does not get the old one's event", async () => {
		const fd = native.socket(2, 2, 0);
		const stale: number[] = [];
		const watch = watchReadable(fd, () => stale.push(fd));
		native.bind(fd, internetAddress("127.0.0.1", 0));
		native.sendTo(fd, Uint8Array.of(1), native.getSocketName(fd));
		// The event may be on its way already.
		Bun.sleepSync(20);
		watch.close();
		native.close(fd);
		const again = native.socket(2, 2, 0);
		expect(again).toBe(fd);
		const fresh: number[] = [];
		const next = watchReadable(again, () => fresh.push(again));
		await Bun.sleep(50);
		expect([stale, fresh]).toEqual([[], []]);
		next.close();
		native.close(again);
	});

	test("a watch that moves to another descriptor hears that one alone, not even what was on its way", async () => {
		const [first, second] = [native.socket(2, 2, 0), native.socket(2, 2, 0)];
		for (const fd of [first, second]) native.bind(fd, internetAddress("127.0.0.1", 0));
		const heard: string[] = [];
		const watch = watchReadableOnce(first, () => heard.push("it"));
		native.sendTo(first, Uint8Array.of(1), native.getSocketName(first));
		Bun.sleepSync(20);
		watch.move(second);
		await Bun.sleep(50);
		expect(heard).toEqual([]);
		native.sendTo(second, Uint8Array.of(1), native.getSocketName(second));
		await eventually("the second one", () => heard.length === 1);
		// Spent, it can be moved all the same; closed, it is silent.
		watch.move(first);
		await eventually("the first one again", () => heard.length === 2);
		watch.move(second);
		watch.close();
		await Bun.sleep(50);
		expect(heard).toEqual(["it", "it"]);
		for (const fd of [first, second]) native.close(fd);
	});

	test("1,000 descriptors, each told once per datagram", async () => {
		const counts = new Map<number, number>();
		const buffer = new Uint8Array(16);
		const sockets = Array.from({ length: 1000 }, () => {
			const fd = native.socket(2, 2, 0);
			native.bind(fd, internetAddress("127.0.0.1", 0));
			const watch = watchReadable(fd, () => {
				native.receiveFrom(fd, buffer, 0x40);
				counts.set(fd, (counts.get(fd) ?? 0) + 1);
			});
			return { fd, watch };
		});
		for (const { fd } of sockets) native.sendTo(fd, Uint8Array.of(1), native.getSocketName(fd));
		await eventually("all of them", () => counts.size === sockets.length);
		expect([...counts.values()].every((count) => count === 1)).toBe(true);
		for (const { fd, watch } of sockets) {
			watch.close();
			native.close(fd);
		}
	});

	test("one-shot watches of one descriptor follow each other, writable then readable; two at once are refused", async () => {
		const fd = native.socket(2, 2, 0);
		native.bind(fd, internetAddress("127.0.0.1", 0));
		const told: string[] = [];
		watchWritable(fd, () => {
			told.push("writable");
			watchReadableOnce(fd, () => told.push("readable"));
		});
		expect(() => watchReadable(fd, () => {})).toThrow("EEXIST");
		await eventually("writable", () => told.length === 1);
		native.sendTo(fd, Uint8Array.of(1), native.getSocketName(fd));
		await eventually("readable", () => told.length === 2);
		expect(told).toEqual(["writable", "readable"]);
		native.close(fd);
	});

	test("a callback that throws costs nobody else an event, and the error is not swallowed", async () => {
		// In a process of its own: the test runner takes uncaught errors for itself.
		const script = `
			const { native } = await import("${import.meta.dir}/../../../firmware/kernel/native.ts");
			const { watchReadableOnce } = await import("${import.meta.dir}/../../../firmware/kernel/watch.ts");
			const { internetAddress } = await import("${import.meta.dir}/../../../firmware/kernel/sockaddr.ts");
			const told = [];
			process.on("uncaughtException", (error) => { told.push(error.message); });
			const sockets = [0, 1].map(() => {
				const fd = native.socket(2, 2, 0);
				native.bind(fd, internetAddress("127.0.0.1", 0));
				return fd;
			});
			sockets.forEach((fd, index) => watchReadableOnce(fd, () => {
				told.push(index);
				if (index === 0) throw new Error("on purpose");
			}));
			for (const fd of sockets) native.sendTo(fd, Uint8Array.of(1), native.getSocketName(fd));
			await Bun.sleep(300);
			console.log(told.sort().join(" "));
		`;
		const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
		// It also ends by itself: closed watches do not keep a process alive.
		expect(await child.exited).toBe(0);
		expect((await child.stdout.text()).trim()).toBe("0 1 on purpose");
	});
});
