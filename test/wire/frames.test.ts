/** Ethernet, ARP, neighbour discovery, TCP and ICMP: known bytes, properties, and arbitrary bytes. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeArp, encodeArp } from "../../firmware/wire/arp.ts";
import { internetChecksum, onesComplementSum, pseudoHeaderSum } from "../../firmware/wire/checksum.ts";
import { broadcastMac, decodeEthernet, encodeEthernet } from "../../firmware/wire/ethernet.ts";
import { gratuitousArp, unsolicitedNeighborAdvertisement } from "../../firmware/wire/gratuitous.ts";
import { decodeIcmp, encodeEcho } from "../../firmware/wire/icmp.ts";
import { parseAddress } from "../../firmware/wire/ip.ts";
import { decodeIpPacket } from "../../firmware/wire/ip-packet.ts";
import {
	decodeNeighbourMessage,
	encodeNeighbourMessage,
	multicastMac,
	type NeighbourMessage,
	solicitedNodeAddress,
} from "../../firmware/wire/ndisc.ts";
import { decodeTcp, encodeTcp, TCP_ACK, TCP_SYN } from "../../firmware/wire/tcp.ts";

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/\s+/g, ""), "hex"));
const address = (text: string) => parseAddress(text)!;
const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });
const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const anyBytes = fc.uint8Array({ maxLength: 120 });

describe("RFC 1071 checksum", () => {
	test("§3 example: 0001 f203 f4f5 f6f7 sums to ddf2", () => {
		expect(onesComplementSum(hex("0001f203f4f5f6f7"))).toBe(0xddf2);
	});
	test("§1: data with its checksum sums to ffff", () => {
		fc.assert(
			fc.property(fc.uint8Array({ minLength: 2, maxLength: 64 }), (bytes) => {
				const even = bytes.subarray(0, bytes.length & ~1);
				const sum = internetChecksum(even);
				expect(onesComplementSum(Uint8Array.of(sum >> 8, sum & 255), onesComplementSum(even))).toBe(0xffff);
			}),
		);
	});
});

describe("RFC 894 Ethernet, IEEE 802.1Q", () => {
	test("decode after encode is identity", () => {
		fc.assert(
			fc.property(
				mac,
				mac,
				fc.integer({ min: 0x600, max: 0xffff }),
				anyBytes,
				(to, from, etherType, payload) => {
					fc.pre(etherType !== 0x8100 && etherType !== 0x88a8);
					expect(decodeEthernet(encodeEthernet(to, from, etherType, payload))).toEqual({
						destination: to,
						source: from,
						etherType,
						vlans: [],
						payload,
					});
				},
			),
		);
	});
	test("VLAN tags are stepped over, outermost first", () => {
		const frame = decodeEthernet(hex("ffffffffffff 020000000001 88a8 2064 8100 0007 0806 aa"));
		expect(frame?.vlans).toEqual([100, 7]);
		expect(frame?.etherType).toBe(0x0806);
		expect(frame?.payload).toEqual(hex("aa"));
	});
	test.each([
		["13 bytes", "ffffffffffff 020000000001 08"],
		["802.3 length", "ffffffffffff 020000000001 0020 aaaa"],
		["three tags", "ffffffffffff 020000000001 8100 0001 8100 0001 8100 0001 0800"],
		["a tag cut off", "ffffffffffff 020000000001 8100 00"],
	])("refuses %s", (_, text) => {
		expect(decodeEthernet(hex(text))).toBeNull();
	});
});

describe("RFC 826 ARP", () => {
	test("a gratuitous request, byte for byte", () => {
		const bytes = encodeArp({
			operation: "request",
			senderMac: hex("00005e000133"),
			senderAddress: address("192.168.80.200"),
			targetMac: broadcastMac,
			targetAddress: address("192.168.80.200"),
		});
		expect(Buffer.from(bytes).toString("hex")).toBe(
			"0001080006040001" + "00005e000133c0a850c8" + "ffffffffffffc0a850c8",
		);
	});
	test("decode after encode is identity, padding ignored", () => {
		fc.assert(
			fc.property(
				mac,
				v4,
				mac,
				v4,
				fc.constantFrom("request" as const, "reply" as const),
				(a, b, c, d, operation) => {
					const message = { operation, senderMac: a, senderAddress: b, targetMac: c, targetAddress: d };
					expect(decodeArp(Buffer.concat([encodeArp(message), new Uint8Array(18)]))).toEqual(message);
				},
			),
		);
	});
	test.each([
		["27 bytes", "0001080006040001 000000000000 00000000 000000000000 000000"],
		["RARP", "0001080006040003 000000000000 00000000 000000000000 00000000"],
		["another protocol", "000186dd06040001 000000000000 00000000 000000000000 00000000"],
	])("refuses %s", (_, text) => {
		expect(decodeArp(hex(text))).toBeNull();
	});
});

describe("RFC 4861 neighbour discovery", () => {
	const message: fc.Arbitrary<NeighbourMessage> = fc.oneof(
		fc.record({ kind: fc.constant("solicitation" as const), target: v6, macAddress: fc.option(mac) }),
		fc.record({
			kind: fc.constant("advertisement" as const),
			target: v6,
			macAddress: fc.option(mac),
			router: fc.boolean(),
			solicited: fc.boolean(),
			override: fc.boolean(),
		}),
	);
	test("decode after encode is identity", () => {
		fc.assert(
			fc.property(message, v6, v6, (wanted, source, destination) => {
				wanted.target[0] = 0x20;
				const payload = encodeNeighbourMessage(wanted, source, destination);
				expect(decodeNeighbourMessage({ source, destination, hopLimit: 255, payload })).toEqual(wanted);
			}),
		);
	});
	const source = address("fe80::1");
	const destination = address("ff02::1");
	const good = encodeNeighbourMessage(
		{
			kind: "advertisement",
			target: source,
			macAddress: hex("00005e000233"),
			router: true,
			solicited: false,
			override: true,
		},
		source,
		destination,
	);
	const decode = (payload: Uint8Array, hopLimit = 255) =>
		decodeNeighbourMessage({ source, destination, hopLimit, payload });
	test("§7.1 checks: hop limit, checksum, length, option of length 0", () => {
		expect(decode(good)).not.toBeNull();
		expect(decode(good, 254)).toBeNull();
		expect(decode(Uint8Array.from(good, (byte, index) => (index === 12 ? byte ^ 1 : byte)))).toBeNull();
		expect(decode(good.subarray(0, 20))).toBeNull();
		const broken = good.slice();
		broken[25] = 0;
		broken[2] = 0;
		broken[3] = 0;
		const sum = internetChecksum(broken, pseudoHeaderSum(source, destination, 58, broken.length));
		broken[2] = sum >> 8;
		broken[3] = sum & 255;
		expect(decode(broken)).toBeNull();
	});
	test("RFC 4291 §2.7.1, RFC 2464 §7, RFC 1112 §6.4: groups and their MACs", () => {
		expect(solicitedNodeAddress(address("2001:db8::1:800:200e:8c6c"))).toEqual(address("ff02::1:ff0e:8c6c"));
		expect(multicastMac(address("ff02::12"))).toEqual(hex("333300000012"));
		expect(multicastMac(address("224.0.0.18"))).toEqual(hex("01005e000012"));
		expect(multicastMac(address("239.255.1.2"))).toEqual(hex("01005e7f0102"));
	});
});

describe("RFC 9293 TCP", () => {
	test("decode after encode is identity and the checksum holds, over both families", () => {
		const port = fc.nat(0xffff);
		const word = fc.nat(0xffff_ffff);
		const addresses = fc.oneof(fc.tuple(v4, v4), fc.tuple(v6, v6));
		fc.assert(
			fc.property(
				addresses,
				fc.record({
					sourcePort: port,
					destinationPort: port,
					sequence: word,
					acknowledgement: word,
					flags: fc.nat(0x3f),
					window: port,
					maximumSegmentSizeBytes: fc.option(port),
					payload: fc.uint8Array({ maxLength: 30 }),
				}),
				([source, destination], segment) => {
					const bytes = encodeTcp(segment, source, destination);
					expect(decodeTcp(bytes, { source, destination })).toEqual(segment);
					const other = bytes.slice();
					other[4]! ^= 0x10;
					expect(decodeTcp(other, { source, destination })).toBeNull();
				},
			),
		);
	});
	test("a captured SYN-ACK of Linux: options, MSS 1460", () => {
		const segment = decodeTcp(
			hex(
				"0050 c1a4 12345678 9abcdef1 a012 fe88 0000 0000 0204 05b4 0402 080a 00000001 00000002 01 03 03 07",
			),
		);
		expect(segment?.flags).toBe(TCP_SYN | TCP_ACK);
		expect(segment?.maximumSegmentSizeBytes).toBe(1460);
		expect(segment?.acknowledgement).toBe(0x9abcdef1);
	});
});

describe("RFC 792, RFC 4443 ICMP", () => {
	test("echo: decode after encode is identity", () => {
		fc.assert(
			fc.property(
				fc.nat(0xffff),
				fc.nat(0xffff),
				anyBytes,
				v6,
				v6,
				(identifier, sequence, data, source, destination) => {
					const message = { kind: "echo-request" as const, identifier, sequence, data };
					expect(decodeIcmp("inet", encodeEcho("inet", message))).toEqual(message);
					expect(decodeIcmp("inet6", encodeEcho("inet6", message, { source, destination }))).toEqual(message);
				},
			),
		);
	});
	test("a wrong checksum is no ICMP", () => {
		const bytes = encodeEcho("inet", {
			kind: "echo-request",
			identifier: 1,
			sequence: 2,
			data: new Uint8Array(4),
		});
		bytes[6]! ^= 1;
		expect(decodeIcmp("inet", bytes)).toBeNull();
	});
});

describe("RFC 5227 §3, RFC 4861 §7.2.6: announcements, whole frames", () => {
	test("gratuitous ARP", () => {
		const frame = decodeEthernet(gratuitousArp(hex("00005e000133"), address("192.0.2.1")))!;
		expect([frame.destination, frame.source, frame.etherType]).toEqual([
			broadcastMac,
			hex("00005e000133"),
			0x0806,
		]);
		expect(decodeArp(frame.payload)).toMatchObject({
			operation: "request",
			senderAddress: address("192.0.2.1"),
			targetAddress: address("192.0.2.1"),
		});
	});
	test("unsolicited advertisement", () => {
		const mac = hex("00005e000233");
		const frame = decodeEthernet(unsolicitedNeighborAdvertisement(mac, address("2001:db8::1"), true))!;
		expect([frame.destination, frame.etherType]).toEqual([hex("333300000001"), 0x86dd]);
		const packet = decodeIpPacket(frame.payload)!;
		expect([packet.source, packet.destination]).toEqual([address("2001:db8::1"), address("ff02::1")]);
		expect(decodeNeighbourMessage(packet)).toEqual({
			kind: "advertisement",
			target: address("2001:db8::1"),
			macAddress: mac,
			router: true,
			solicited: false,
			override: true,
		});
	});
});

test("arbitrary bytes are decoded or refused, never thrown at", () => {
	fc.assert(
		fc.property(anyBytes, (bytes) => {
			decodeEthernet(bytes);
			decodeArp(bytes);
			decodeTcp(bytes);
			decodeIcmp("inet", bytes);
			decodeIcmp("inet6", bytes);
			decodeNeighbourMessage({
				source: new Uint8Array(16),
				destination: new Uint8Array(16),
				hopLimit: 255,
				payload: bytes,
			});
		}),
		{ numRuns: 2000 },
	);
});
