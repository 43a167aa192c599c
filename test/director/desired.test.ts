import { describe, expect, test } from "bun:test";
import type { VirtualServerConfig } from "../../firmware/config/model.ts";
import { desiredEntries, desiredTable } from "../../firmware/director/desired.ts";
import { protocolName, realServerName, virtualServerName } from "../../firmware/director/names.ts";
import { openPool } from "../../firmware/director/pool.ts";
import { asConfigured, realServer, virtualServer } from "./samples.ts";

const entriesOf = (config: ReturnType<typeof virtualServer>) =>
	desiredEntries(openPool(config, asConfigured(config)).pool);

describe("services", () => {
	test("defaults: one client a mask, no flags, no persistence", () => {
		const [entry] = entriesOf(virtualServer([realServer("10.0.0.1")]));
		expect(entry!.service).toEqual({
			key: { kind: "address", family: "inet", protocol: "TCP", address: "192.168.80.200", port: 80 },
			scheduler: "wrr",
			flags: 0,
			timeoutSeconds: 0,
			netmask: 0xffffffff,
			persistenceEngine: null,
		});
	});

	test("persistence with granularity, engine, one-packet and scheduler flags", () => {
		const [entry] = entriesOf(
			virtualServer([realServer("10.0.0.1")], {
				protocol: "UDP",
				persistenceTimeoutSeconds: 360,
				persistenceGranularity: 24,
				persistenceEngine: "sip",
				onePacket: true,
				schedulerFlags: { flag1: true, flag2: true, flag3: false },
			}),
		);
		expect(entry!.service).toMatchObject({
			flags: 0x1 | 0x4 | 0x8 | 0x10,
			timeoutSeconds: 360,
			netmask: 0xffffff00,
			persistenceEngine: "sip",
		});
	});

	test("IPv6: the netmask is a prefix length", () => {
		const services = [{ kind: "address", address: "fd00::1", family: "inet6", port: 80 }] as const;
		const netmaskOf = (granularity: number | null) =>
			entriesOf(
				virtualServer([realServer("fd00::2")], {
					services,
					persistenceTimeoutSeconds: 60,
					persistenceGranularity: granularity,
				}),
			)[0]!.service.netmask;
		expect([netmaskOf(null), netmaskOf(64)]).toEqual([128, 64]);
	});

	test("a group is one service for each of its members, all with every real server", () => {
		const config = virtualServer([realServer("10.0.0.1"), realServer("10.0.0.2")], {
			name: { kind: "group", group: "web" },
			services: [
				{ kind: "address", address: "192.168.80.200", family: "inet", port: 80 },
				{ kind: "address", address: "192.168.80.201", family: "inet", port: 443 },
				{ kind: "fwmark", fwmark: 7, family: "inet" },
			],
		});
		const table = desiredTable([openPool(config, asConfigured(config)).pool]);
		expect([...table.keys()]).toEqual(["TCP 192.168.80.200 80", "TCP 192.168.80.201 443", "inet fwmark 7"]);
		for (const entry of table.values()) expect(entry.destinations.length).toBe(2);
	});

	test("ports: NAT has the real server's own, DR and TUN the service's, a firewall mark none", () => {
		const config = virtualServer(
			[
				realServer("10.0.0.1", { port: 8080 }),
				realServer("10.0.0.2", { port: 8080, forwarding: { kind: "DR" } }),
				realServer("10.0.0.3", {
					port: 8080,
					forwarding: { kind: "TUN", tunnel: "ipip", port: 0, checksum: "none" },
				}),
			],
			{
				name: { kind: "group", group: "web" },
				services: [
					{ kind: "address", address: "192.168.80.201", family: "inet", port: 443 },
					{ kind: "fwmark", fwmark: 7, family: "inet" },
				],
			},
		);
		expect(entriesOf(config).map(({ destinations }) => destinations.map(({ port }) => port))).toEqual([
			[8080, 443, 443],
			[8080, 0, 0],
		]);
	});

	test("two virtual servers with one service: the first keeps it", () => {
		const first = virtualServer([realServer("10.0.0.1")]);
		const second = virtualServer([realServer("10.0.0.2")]);
		const table = desiredTable([first, second].map((config) => openPool(config, asConfigured(config)).pool));
		expect([...table.values()].map(({ destinations }) => destinations[0]!.address)).toEqual(["10.0.0.1"]);
	});
});

describe("destinations", () => {
	test("forwarding is each real server's own, thresholds and tunnel with it", () => {
		const [entry] = entriesOf(
			virtualServer([
				realServer("10.0.0.1", { limits: { upperThreshold: 100, lowerThreshold: 50 } }),
				realServer("10.0.0.2", { forwarding: { kind: "DR" } }),
				realServer("10.0.0.3", { forwarding: { kind: "TUN", tunnel: "ipip", port: 9, checksum: "csum" } }),
				realServer("fd00::4", {
					forwarding: { kind: "TUN", tunnel: "gue", port: 6080, checksum: "remcsum" },
				}),
				realServer("10.0.0.5", { forwarding: { kind: "TUN", tunnel: "gre", port: 0, checksum: "csum" } }),
			]),
		);
		expect(
			entry!.destinations.map(({ forwarding, limits }) => [
				forwarding,
				`${limits.upperThreshold}/${limits.lowerThreshold}`,
			]),
		).toEqual([
			[{ kind: "NAT" }, "100/50"],
			[{ kind: "DR" }, "0/0"],
			[{ kind: "TUN", tunnel: "ipip", port: 0, checksum: "none" }, "0/0"],
			[{ kind: "TUN", tunnel: "gue", port: 6080, checksum: "remcsum" }, "0/0"],
			[{ kind: "TUN", tunnel: "gre", port: 0, checksum: "csum" }, "0/0"],
		]);
	});
});

test("a real server that serves as it is configured is its own row; with another weight or port it is not", () => {
	const config = virtualServer([realServer("10.0.0.1"), realServer("10.0.0.2"), realServer("10.0.0.3")]);
	const { pool } = openPool(config, (member) => ({ alive: true, weight: member === 1 ? 9 : 1 }));
	const [entry] = [...desiredTable([pool]).values()];
	expect(entry!.destinations.map((row, index) => row === config.realServers[index])).toEqual([
		true,
		false,
		true,
	]);
	expect(entry!.destinations.map(({ weight }) => weight)).toEqual([1, 9, 1]);
});

test("where all serve as they are configured, their list is the rows; one that does not is left out of it", () => {
	const config = virtualServer([realServer("10.0.0.1"), realServer("10.0.0.2")]);
	const rowsOf = (isAlive: (member: number) => boolean) =>
		desiredEntries(openPool(config, (member) => ({ alive: isAlive(member), weight: 1 })).pool)[0]!
			.destinations;
	expect(rowsOf(() => true)).toBe(config.realServers);
	expect(rowsOf((member) => member === 1)).toEqual([config.realServers[1]!]);
});

describe("names, as keepalived writes them", () => {
	test.each([
		[{ kind: "address", address: "192.168.80.200", port: 80 }, "[192.168.80.200]:tcp:80"],
		[{ kind: "address", address: "fd00::1", port: 80 }, "[fd00::1]:tcp:80"],
		[{ kind: "fwmark", fwmark: 3 }, "FWM 3"],
		[{ kind: "group", group: "web" }, "[web]:0"],
	] as const)("%j", (name, expected) => {
		expect(virtualServerName({ name, protocol: "TCP" })).toBe(expected);
	});
	test("real servers", () => {
		const byMark = { kind: "fwmark", fwmark: 7, family: "inet" } as const;
		const byAddress = { kind: "address", address: "10.9.0.1", family: "inet", port: 80 } as const;
		const of = (...services: VirtualServerConfig["services"][number][]) =>
			realServerName({ address: "10.0.0.1", port: 80 }, protocolName({ protocol: "UDP", services }));
		expect(of(byAddress)).toBe("[10.0.0.1]:udp:80");
		expect(of(byMark, byMark)).toBe("[10.0.0.1]:none:80");
		expect(of(byMark, byAddress)).toBe("[10.0.0.1]:udp:80");
		expect(of()).toBe("[10.0.0.1]:udp:80");
	});
});
