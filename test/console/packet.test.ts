/** Packets on the console and in capture files. The oracle for files is tcpdump. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { lookAt, parseFilter } from "../../firmware/console/tools/packet.ts";
import { encodeArp } from "../../firmware/wire/arp.ts";
import { broadcastMac, encodeEthernet } from "../../firmware/wire/ethernet.ts";
import { parseAddress } from "../../firmware/wire/ip.ts";
import { encodeIpPacket } from "../../firmware/wire/ip-packet.ts";
import { pcapHeader, pcapRecord } from "../../firmware/wire/pcap.ts";
import { encodeTcp } from "../../firmware/wire/tcp.ts";
import { encodeAdvertisement } from "../../firmware/wire/vrrp.ts";

const mac = Uint8Array.of(0x52, 0x54, 0, 0x80, 1, 0);
const address = (text: string) => parseAddress(text)!;

function frameOf(protocol: number, source: string, destination: string, payload: Uint8Array): Uint8Array {
	const fields = {
		source: address(source),
		destination: address(destination),
		protocol,
		hopLimit: 255,
		trafficClass: 0xc0,
		identification: 1,
	};
	const etherType = source.includes(":") ? 0x86dd : 0x0800;
	return encodeEthernet(broadcastMac, mac, etherType, encodeIpPacket(fields, payload));
}

const advert = encodeAdvertisement(
	{
		version: 2,
		virtualRouterId: 51,
		priority: 100,
		intervalMicros: 1_000_000,
		authenticationType: 0,
		addresses: ["192.168.80.200"],
	},
	"inet",
	{ kind: "message" },
);
const syn = encodeTcp(
	{
		sourcePort: 40_000,
		destinationPort: 80,
		sequence: 1,
		acknowledgement: 0,
		flags: 0x02,
		window: 1_000,

		maximumSegmentSizeBytes: 1_460,
		payload: new Uint8Array(0),
	},
	address("fd00::7"),
	address("fd00::4"),
);
const arp = encodeArp({
	operation: "request",
	senderMac: mac,
	senderAddress: address("10.0.0.1"),
	targetMac: new Uint8Array(6),
	targetAddress: address("10.0.0.4"),
});
const frames = {
	vrrp: frameOf(112, "192.168.80.100", "224.0.0.18", advert),
	tcp: frameOf(6, "fd00::7", "fd00::4", syn),
	arp: encodeEthernet(broadcastMac, mac, 0x0806, arp),
};

test("each in a line", () => {
	expect(Object.values(frames).map((frame) => lookAt(frame).text)).toEqual([
		"vrrp 192.168.80.100 > 224.0.0.18 v2 VRID 51 priority 100: 192.168.80.200",
		"tcp [fd00::7]:40000 > [fd00::4]:80 SYN",
		"arp who has 10.0.0.4? tell 10.0.0.1",
	]);
});

test("no bytes make it throw", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => typeof lookAt(bytes).text === "string"),
		{ numRuns: 2_000 },
	);
	fc.assert(
		fc.property(fc.constantFrom(...Object.values(frames)), fc.nat(200), (frame, length) => {
			expect(lookAt(frame.subarray(0, length)).text).toBeString();
		}),
	);
});

describe("filters", () => {
	test.each([
		["", ["vrrp", "tcp", "arp"]],
		["vrrp", ["vrrp"]],
		["host 192.168.80.100", ["vrrp"]],
		["host fd00::0:4 and tcp and port 80", ["tcp"]],
		["port 443", []],
		["not arp and not vrrp", ["tcp"]],
		["ip6", ["tcp"]],
		["ip", ["vrrp"]],
	] as const)("%p", (text, passing) => {
		const filter = parseFilter(text);
		expect(Object.entries(frames).flatMap(([name, frame]) => (filter(lookAt(frame)) ? [name] : []))).toEqual([
			...passing,
		]);
	});
	test.each([
		["host web1", '"host" takes an address'],
		["port http", '"port" takes a number'],
		["tcp udp", 'join the parts of a filter with "and": tcp udp'],
		["greater 500", "a filter knows host ADDRESS"],
		["not", "a filter knows host ADDRESS"],
	])("%p is refused", (text, message) => {
		expect(() => parseFilter(text)).toThrow(message);
	});
});

test("pcap-savefile(5): tcpdump reads it", async () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-capture-"));
	try {
		const path = join(directory, "test.pcap");
		const records = Object.values(frames).map((frame, index) =>
			pcapRecord(frame, 1_700_000_000_000_000 + index * 1_500_000),
		);
		await Bun.write(path, Buffer.concat([pcapHeader(), ...records]));
		const { stdout } = Bun.spawnSync(["tcpdump", "-n", "-tt", "-r", path], { stderr: "ignore" });
		const lines = stdout.toString().trim().split("\n");
		expect(lines).toHaveLength(3);
		expect(lines[0]).toMatch(
			/^1700000000\.000000 IP 192\.168\.80\.100 > 224\.0\.0\.18: VRRPv2.*vrid 51, prio 100/,
		);
		expect(lines[1]).toMatch(/^1700000001\.500000 IP6 fd00::7\.40000 > fd00::4\.80: Flags \[S\]/);
		expect(lines[2]).toMatch(/^1700000003\.000000 ARP, Request who-has 10\.0\.0\.4/);
	} finally {
		rmSync(directory, { recursive: true });
	}
});
