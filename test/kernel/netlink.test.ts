/** Netlink messages (RFC 3549 §2.3): known bytes, properties, arbitrary bytes; route messages both ways. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseInotifyEvents } from "../../firmware/kernel/inotify.ts";
import { decodeNeighbour } from "../../firmware/kernel/neighbour.ts";
import {
	Attributes,
	MessageBuilder,
	NLM_F_ACK_TLVS,
	NLM_F_CAPPED,
	NLMSG_ERROR,
	parseAcknowledgement,
	parseMessages,
} from "../../firmware/kernel/netlink-message.ts";
import { encodeFilter } from "../../firmware/kernel/packet-socket.ts";
import { decodeProcessEvent } from "../../firmware/kernel/process-events.ts";
import { decodeRawDatagram } from "../../firmware/kernel/raw-socket.ts";
import { addRoute, decodeRoute, type Route, routeMetrics, routeTypes } from "../../firmware/kernel/route.ts";
import {
	addAddress,
	decodeInterfaceAddress,
	type InterfaceAddress,
} from "../../firmware/kernel/route-address.ts";
import {
	createLink,
	decodeLink,
	formatMacAddress,
	parseMacAddress,
} from "../../firmware/kernel/route-link.ts";
import { addRule, decodeRule, type Rule } from "../../firmware/kernel/route-rule.ts";
import { formatAddress } from "../../firmware/wire/ip.ts";

const u8 = fc.nat(255);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => formatAddress(bytes));
const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => formatAddress(bytes));
const payloadOf = (builder: MessageBuilder) => parseMessages(builder.finish(1))[0]!.payload;

describe("messages and attributes", () => {
	test("RTM_NEWADDR of 10.0.0.1/24 on interface 2, byte for byte as ip(8) sends it", () => {
		const bytes = new MessageBuilder(20, 0x600)
			.u8(2)
			.u8(24)
			.u8(0)
			.u8(0)
			.u32(2)
			.attribute(2, Uint8Array.of(10, 0, 0, 1))
			.attribute(1, Uint8Array.of(10, 0, 0, 1))
			.finish(0x11223344, 0x5);
		expect(Buffer.from(bytes).toString("hex")).toBe(
			"28000000" +
				"1400" +
				"0506" +
				"44332211" +
				"00000000" +
				"0218000002000000" +
				"080002000a000001" +
				"080001000a000001",
		);
	});

	test("attributes of every width come back, nested ones too", () => {
		fc.assert(
			fc.property(
				u8,
				u16,
				u32,
				fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
				fc.stringMatching(/^[a-z0-9.]{0,15}$/),
				fc.uint8Array({ maxLength: 300 }),
				(a, b, c, d, name, bytes) => {
					const payload = payloadOf(
						new MessageBuilder(1)
							.u8Attribute(1, a)
							.u16Attribute(2, b)
							.u16NetworkAttribute(3, b)
							.u32Attribute(4, c)
							.u32NetworkAttribute(5, c)
							.u64Attribute(6, d)
							.stringAttribute(7, name)
							.attribute(8, bytes)
							.flagAttribute(9)
							.nest(10, (inner) => inner.u32Attribute(1, c).nest(2, (deep) => deep.stringAttribute(1, name))),
					);
					const attributes = Attributes.parse(payload);
					expect([attributes.u8(1), attributes.u16(2), attributes.u16Network(3)]).toEqual([a, b, b]);
					expect([attributes.u32(4), attributes.u32Network(5), attributes.u64(6)]).toEqual([c, c, d]);
					expect([attributes.string(7), attributes.bytes(8), attributes.has(9), attributes.has(11)]).toEqual([
						name,
						bytes,
						true,
						false,
					]);
					expect(attributes.nested(10)?.u32(1)).toBe(c);
					expect(attributes.nested(10)?.nested(2)?.string(1)).toBe(name);
				},
			),
		);
	});

	test("several messages of one datagram", () => {
		const one = new MessageBuilder(5).u8(1).finish(1);
		const two = new MessageBuilder(6).u32(2).finish(2, 0x2, 77);
		const messages = parseMessages(Buffer.concat([one, two]));
		expect(messages.map(({ type, sequence, portId }) => [type, sequence, portId])).toEqual([
			[5, 1, 0],
			[6, 2, 77],
		]);
	});

	test("a message over its limit is refused while it is built", () => {
		expect(() => new MessageBuilder(1).bytes(new Uint8Array(70_000))).toThrow(RangeError);
	});

	test("extended acknowledgement: the kernel's words, capped and not", () => {
		const attributes = payloadOf(
			new MessageBuilder(0).stringAttribute(1, "Device not found").u32Attribute(2, 20),
		);
		const header = new Uint8Array(16);
		header[0] = 16;
		const refused = Uint8Array.of(237, 255, 255, 255); // -19
		const acknowledge = (flags: number, ...parts: Uint8Array[]) =>
			parseAcknowledgement({
				type: NLMSG_ERROR,
				flags,
				sequence: 1,
				portId: 0,
				payload: Buffer.concat(parts),
			});
		const expected = { errno: 19, text: "Device not found", offset: 20 };
		expect(acknowledge(NLM_F_ACK_TLVS | NLM_F_CAPPED, refused, header, attributes)).toEqual(expected);
		expect(acknowledge(NLM_F_ACK_TLVS, refused, header, attributes)).toEqual(expected);
		expect(acknowledge(0, refused, header)).toEqual({ errno: 19, text: null, offset: null });
	});
});

describe("decode after encode is identity", () => {
	const address: fc.Arbitrary<InterfaceAddress> = fc.oneof(
		...(["inet", "inet6"] as const).map((family) =>
			fc.record({
				family: fc.constant(family),
				interfaceIndex: fc.nat(0x7fff_ffff),
				address: family === "inet" ? v4 : v6,
				prefixLength: fc.nat(family === "inet" ? 32 : 128),
				peer: fc.constant(null),
				broadcast: family === "inet" ? fc.option(v4) : fc.constant(null),
				scope: u8,
				label: family === "inet" ? fc.option(fc.stringMatching(/^[a-z0-9:]{1,15}$/)) : fc.constant(null),
				flags: fc.nat(0x7ff),
				preferredLifetimeSeconds: fc.option(fc.nat(0xffff_fffe)),
				validLifetimeSeconds: fc.option(fc.nat(0xffff_fffe)),
			}),
		),
	);
	test("addresses", () => {
		fc.assert(
			fc.property(address, (value) =>
				expect(decodeInterfaceAddress(payloadOf(addAddress(value)))).toEqual(value),
			),
		);
	});

	test("an address with a peer", () => {
		const value: InterfaceAddress = {
			family: "inet",
			interfaceIndex: 3,
			address: "10.0.0.1",
			prefixLength: 32,
			peer: "10.0.0.2",
			broadcast: null,
			scope: 0,
			label: null,
			flags: 0,
			preferredLifetimeSeconds: null,
			validLifetimeSeconds: null,
		};
		expect(decodeInterfaceAddress(payloadOf(addAddress(value)))).toEqual(value);
	});

	test.each([
		["+", "10.1.2.3", 24, "10.1.2.255"],
		["+", "10.1.2.3", 30, "10.1.2.3"],
		["-", "10.1.2.3", 24, "10.1.2.0"],
		["10.9.9.9", "10.1.2.3", 24, "10.9.9.9"],
	])("ip-address(8) broadcast %s of %s/%i is %s", (broadcast, text, prefixLength, expected) => {
		const value = decodeInterfaceAddress(
			payloadOf(
				addAddress({
					family: "inet",
					interfaceIndex: 1,
					address: text,
					prefixLength,
					peer: null,
					broadcast,
					scope: 0,
					label: null,
					flags: 0,
					preferredLifetimeSeconds: null,
					validLifetimeSeconds: null,
				}),
			),
		);
		expect(value?.broadcast).toBe(expected);
	});

	const hop = (gateway: fc.Arbitrary<string>) =>
		fc.record({
			gateway,
			interfaceIndex: fc.integer({ min: 1, max: 0x7fff_ffff }),
			weight: fc.constant(1),
			onLink: fc.boolean(),
			realm: fc.constant(null),
		});
	const route: fc.Arbitrary<Route> = fc.oneof(
		...(["inet", "inet6"] as const).map((family) => {
			const text = family === "inet" ? v4 : v6;
			const width = family === "inet" ? 32 : 128;
			const prefix = fc.option(fc.record({ address: text, length: fc.nat(width) }));
			const gateway = fc.oneof(v4, v6);
			return fc.record({
				family: fc.constant(family),
				type: fc.constantFrom(...routeTypes),
				destination: prefix,
				source: fc.constant(null),
				tos: u8,
				table: u32,
				protocol: u8,
				scope: u8,
				preferredSource: fc.option(text),
				nextHops: fc.oneof(
					fc.constant([]),
					fc.tuple(hop(gateway)),
					fc.array(
						hop(gateway).chain((value) =>
							fc
								.record({ weight: fc.integer({ min: 1, max: 256 }), realm: fc.option(u32) })
								.map((more) => ({ ...value, ...more })),
						),
						{ minLength: 2, maxLength: 4 },
					),
				),
				metric: fc.option(u32),
				metrics: fc.dictionary(
					fc.constantFrom(...(Object.keys(routeMetrics) as (keyof typeof routeMetrics)[])),
					u32,
				) as fc.Arbitrary<Route["metrics"]>,
				congestionControl: fc.option(fc.stringMatching(/^[a-z]{1,12}$/)),
				realm: fc.option(u32),
				preference: fc.option(fc.nat(3)),
				expiresSeconds: fc.option(u32),
				ttlPropagate: fc.option(fc.boolean()),
			});
		}),
	);
	test("routes", () => {
		fc.assert(
			fc.property(route, (value) => {
				const decoded = decodeRoute(payloadOf(addRoute(value)))!;
				// fast-check's dictionaries have no prototype.
				expect({ ...decoded, metrics: { ...decoded.metrics } }).toEqual({
					...value,
					metrics: { ...value.metrics },
				});
			}),
		);
	});

	const range = (high: number) =>
		fc.option(
			fc.tuple(fc.nat(high), fc.nat(high)).map(([a, b]): [number, number] => (a < b ? [a, b] : [b, a])),
		);
	const rule: fc.Arbitrary<Rule> = fc.record({
		family: fc.constant("inet" as const),
		action: fc.constantFrom("table", "unreachable", "prohibit", "blackhole", "nop"),
		not: fc.boolean(),
		from: fc.option(fc.record({ address: v4, length: fc.nat(32) })),
		to: fc.option(fc.record({ address: v4, length: fc.nat(32) })),
		tos: u8,
		mark: fc.option(fc.record({ value: u32, mask: u32 })),
		inputInterface: fc.option(fc.stringMatching(/^[a-z0-9.]{1,15}$/)),
		outputInterface: fc.option(fc.stringMatching(/^[a-z0-9.]{1,15}$/)),
		priority: u32,
		table: u8,
		gotoPriority: fc.option(u32),
		realms: fc.option(u32),
		tunnelId: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
		suppressPrefixLength: fc.option(fc.nat(128)),
		suppressInterfaceGroup: fc.option(fc.nat(1000)),
		l3mdev: fc.boolean(),
		userRange: range(0xffff_ffff),
		ipProtocol: fc.option(fc.integer({ min: 1, max: 255 })),
		sourcePorts: range(0xffff),
		destinationPorts: range(0xffff),
		protocol: u8,
	});
	test("rules", () => {
		fc.assert(fc.property(rule, (value) => expect(decodeRule(payloadOf(addRule(value)))).toEqual(value)));
	});

	test("MAC addresses", () => {
		fc.assert(
			fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (mac) =>
				expect(parseMacAddress(formatMacAddress(mac))).toEqual(mac),
			),
		);
		expect(parseMacAddress("00:00:5e:00:01")).toBeNull();
		expect(parseMacAddress("00:00:5e:00:01:gg")).toBeNull();
	});

	test("a macvlan's message names its kind and parent", () => {
		const macAddress = Uint8Array.of(0, 0, 0x5e, 0, 1, 51);
		const link = decodeLink(
			payloadOf(
				createLink({ kind: "macvlan", name: "vrrp.51", parentIndex: 7, mode: "private", macAddress }),
			),
		);
		expect(link).toMatchObject({ name: "vrrp.51", parentIndex: 7, kind: "macvlan", macAddress });
	});
});

test("arbitrary bytes, and messages cut or changed anywhere, are decoded or refused, never thrown at", () => {
	const decoders = [
		decodeLink,
		decodeInterfaceAddress,
		decodeRoute,
		decodeRule,
		decodeNeighbour,
		decodeProcessEvent,
		parseInotifyEvents,
	];
	const decodeAll = (bytes: Uint8Array) => {
		for (const message of parseMessages(bytes)) {
			parseAcknowledgement(message);
			for (const decode of decoders) decode(message.payload);
		}
		for (const decode of decoders) decode(bytes);
		decodeRawDatagram("inet", bytes, bytes, bytes);
		decodeRawDatagram("inet6", bytes, bytes, bytes);
	};
	fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decodeAll), { numRuns: 2000 });
	const good = Buffer.concat([
		createLink({
			kind: "macvlan",
			name: "v",
			parentIndex: 1,
			mode: "private",
			macAddress: new Uint8Array(6),
		}).finish(1),
		addRoute({
			family: "inet6",
			type: "unicast",
			destination: { address: "fd00::", length: 64 },
			source: null,
			tos: 0,
			table: 254,
			protocol: 18,
			scope: 0,
			preferredSource: "fd00::1",
			nextHops: [
				{ gateway: "fe80::1", interfaceIndex: 2, weight: 3, onLink: true, realm: null },
				{ gateway: "fe80::2", interfaceIndex: 3, weight: 1, onLink: false, realm: null },
			],
			metric: 5,
			metrics: { mtu: 1400 },
			congestionControl: "cubic",
			realm: null,
			preference: 1,
			expiresSeconds: 9,
			ttlPropagate: true,
		}).finish(2),
	]);
	fc.assert(
		fc.property(fc.nat(good.length - 1), u8, fc.nat(good.length), (at, value, length) => {
			const bytes = Uint8Array.from(good.subarray(0, length));
			if (at < bytes.length) bytes[at] = value;
			decodeAll(bytes);
		}),
		{ numRuns: 3000 },
	);
});

test("a classic BPF program has 1 to 4,096 instructions", () => {
	expect(() => encodeFilter([])).toThrow(RangeError);
});
