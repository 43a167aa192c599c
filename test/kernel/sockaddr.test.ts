/** Socket addresses and control messages as the kernel lays them out. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { controlMessage, eachControlMessage } from "../../firmware/kernel/control-message.ts";
import {
	decodeSocketAddress,
	encodeSocketAddress,
	internetAddress,
	packetAddress,
	type SocketAddress,
	unixAddress,
} from "../../firmware/kernel/sockaddr.ts";
import { formatAddress } from "../../firmware/wire/ip.ts";

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
const text = (bytes: number) =>
	fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((a) => formatAddress(a));

const address: fc.Arbitrary<Exclude<SocketAddress, { kind: "other" }>> = fc.oneof(
	fc.record({ kind: fc.constant("inet" as const), address: text(4), port: u16 }),
	fc.record({
		kind: fc.constant("inet6" as const),
		address: text(16),
		port: u16,
		flowInfo: u32,
		scopeId: u32,
	}),
	fc.record({
		kind: fc.constant("packet" as const),
		protocol: u16,
		interfaceIndex: fc.nat(0x7fff_ffff),
		hardwareType: u16,
		packetType: fc.nat(255),
		hardwareAddress: fc.uint8Array({ maxLength: 8 }),
	}),
	fc.record({ kind: fc.constant("netlink" as const), portId: u32, groups: u32 }),
	fc.record({
		kind: fc.constant("unix" as const),
		path: fc.oneof(
			fc.stringMatching(/^[a-z/.]{1,100}$/),
			fc.stringMatching(/^[a-z]{1,100}$/).map((name) => `\0${name}`),
		),
	}),
);

describe("struct sockaddr", () => {
	test.each([
		["sockaddr_in, ip(7)", internetAddress("192.0.2.1", 80), "02000050c00002010000000000000000"],
		[
			"sockaddr_in6, ipv6(7)",
			internetAddress("fe80::1", 443, 3),
			"0a0001bb00000000fe80000000000000000000000000000103000000",
		],
		[
			"sockaddr_ll, packet(7)",
			packetAddress(2, 0x0806, Uint8Array.of(1, 2, 3, 4, 5, 6)),
			"1100080602000000000000060102030405060000",
		],
		["sockaddr_un, unix(7)", unixAddress("/run/x"), "01002f72756e2f7800"],
		["sockaddr_un, abstract", unixAddress("\0ab"), "0100006162"],
	])("%s", (_, bytes, expected) => {
		expect(Buffer.from(bytes).toString("hex")).toBe(expected);
	});

	test("decode after encode is identity", () => {
		fc.assert(
			fc.property(address, (value) => expect(decodeSocketAddress(encodeSocketAddress(value))).toEqual(value)),
		);
	});

	test("arbitrary bytes decode to something", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 130 }), (bytes) =>
				expect(decodeSocketAddress(bytes).kind).toBeString(),
			),
		);
	});

	test.each([
		["a port over 65535", () => internetAddress("192.0.2.1", 65536)],
		["no address", () => internetAddress("192.0.2", 1)],
		["a path of 108 bytes", () => unixAddress("a".repeat(108))],
		["a hardware address of 9 bytes", () => packetAddress(1, 0, new Uint8Array(9))],
	])("refuses %s", (_, build) => {
		expect(build).toThrow(RangeError);
	});
});

describe("cmsg(3)", () => {
	const message = fc.record({
		level: fc.nat(300),
		kind: fc.nat(300),
		data: fc.uint8Array({ maxLength: 40 }),
	});

	test("each message of a list comes back in order", () => {
		fc.assert(
			fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
				const bytes = Buffer.concat(
					messages.map(({ level, kind, data }) => controlMessage(level, kind, data)),
				);
				const seen: typeof messages = [];
				eachControlMessage(bytes, (level, kind, view) =>
					seen.push({
						level,
						kind,
						data: new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice(),
					}),
				);
				expect(seen).toEqual(messages);
			}),
		);
	});

	test("arbitrary bytes end, whatever their lengths claim", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
				let count = 0;
				eachControlMessage(bytes, () => count++);
				expect(count).toBeLessThanOrEqual(bytes.length / 16);
			}),
		);
	});
});
