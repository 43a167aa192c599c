import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatAddress, parseAddress } from "../../firmware/wire/ip.ts";
import { decodeIpPacket, encodeIpPacket } from "../../firmware/wire/ip-packet.ts";
import {
	AH_HEADER_BYTES,
	decodeAuthenticationHeader,
	encodeAuthenticationHeader,
	integrityCheckValue,
	PROTOCOL_AH,
	sealPacket,
} from "../../firmware/wire/ipsec-ah.ts";
import {
	type Advertisement,
	type ChecksumScope,
	checksumIsRight,
	decodeAdvertisement,
	encodeAdvertisement,
	PROTOCOL_VRRP,
	simplePassword,
	TRAFFIC_CLASS,
} from "../../firmware/wire/vrrp.ts";

const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

interface Vector {
	readonly title: string;
	readonly packet: string;
	readonly advertisement: Advertisement;
	readonly password?: string;
	readonly authenticated?: {
		readonly key: string;
		readonly sequenceNumber: number;
		readonly routed: boolean;
	};
}

/** What keepalived 2.2.7 put on the wire, IP header included. */
const vectors: readonly Vector[] = [
	{
		title: "version 2, no authentication",
		packet: "45c0002c00010000ff70188dc0000201e00000122101c8020001922ec0000265c00002660000000000000000",
		advertisement: {
			version: 2,
			virtualRouterId: 1,
			priority: 200,
			intervalMicros: 1_000_000,
			authenticationType: 0,
			addresses: ["192.0.2.101", "192.0.2.102"],
		},
	},
	{
		title: "version 2, PASS",
		packet: "45c0002800010000ff701891c0000201e000001221336401010154d0c00002973131313100000000",
		password: "1111",
		advertisement: {
			version: 2,
			virtualRouterId: 51,
			priority: 100,
			intervalMicros: 1_000_000,
			authenticationType: 1,
			addresses: ["192.0.2.151"],
		},
	},
	{
		title: "version 2, AH",
		packet:
			"45c0004000050000ff3318b2c0000201e000001270040000c00002010000000596156b3a800d084ef0c1a7ff2134960102018430c00002980000000000000000",
		authenticated: { key: "secret12", sequenceNumber: 5, routed: false },
		advertisement: {
			version: 2,
			virtualRouterId: 52,
			priority: 150,
			intervalMicros: 1_000_000,
			authenticationType: 2,
			addresses: ["192.0.2.152"],
		},
	},
	{
		title: "version 2, AH, unicast",
		packet:
			"45c0004000010000ff3336c6c0000201c000020270040000c0000201000000018ec9760ba93bb656f74a2b7a213796010201842ac000029b0000000000000000",
		authenticated: { key: "secret12", sequenceNumber: 1, routed: true },
		advertisement: {
			version: 2,
			virtualRouterId: 55,
			priority: 150,
			intervalMicros: 1_000_000,
			authenticationType: 2,
			addresses: ["192.0.2.155"],
		},
	},
	{
		title: "version 3 over IPv4",
		packet: "45c0002000010000ff701899c0000201e0000012313565010032046dc0000299",
		advertisement: {
			version: 3,
			virtualRouterId: 53,
			priority: 101,
			intervalMicros: 500_000,
			authenticationType: 0,
			addresses: ["192.0.2.153"],
		},
	},
	{
		title: "version 3 over IPv4, unicast",
		packet: "45c0002000010000ff7036a9c0000201c00002023136660100192194c000029a",
		advertisement: {
			version: 3,
			virtualRouterId: 54,
			priority: 102,
			intervalMicros: 250_000,
			authenticationType: 0,
			addresses: ["192.0.2.154"],
		},
	},
	{
		title: "version 3 over IPv6",
		packet:
			"6c046f4e002870fffe800000000000000000000000000001ff0200000000000000000000000000123138670200643c4cfe80000000000000000000000000005620010db8000000000000000000000056",
		advertisement: {
			version: 3,
			virtualRouterId: 56,
			priority: 103,
			intervalMicros: 1_000_000,
			authenticationType: 0,
			addresses: ["fe80::56", "2001:db8::56"],
		},
	},
];

function scopeOf(vector: Vector, source: Uint8Array, destination: Uint8Array): ChecksumScope {
	return vector.advertisement.version === 2
		? { kind: "message" }
		: { kind: "pseudo-header", source, destination };
}

describe("RFC 3768 §5, RFC 5798 §5: as keepalived 2.2.7 writes it", () => {
	for (const vector of vectors) {
		test(`${vector.title}: decoded`, () => {
			const packet = decodeIpPacket(bytesOf(vector.packet))!;
			const message =
				packet.protocol === PROTOCOL_AH ? packet.payload.subarray(AH_HEADER_BYTES) : packet.payload;
			expect(decodeAdvertisement(message, packet.family)).toEqual({
				kind: "advertisement",
				advertisement: vector.advertisement,
			});
			expect(checksumIsRight(message, scopeOf(vector, packet.source, packet.destination))).toBe(true);
		});

		test(`${vector.title}: encoded to the same bytes`, () => {
			const wanted = bytesOf(vector.packet);
			const { source, destination, family } = decodeIpPacket(wanted)!;
			const message = encodeAdvertisement(
				vector.advertisement,
				family,
				scopeOf(vector, source, destination),
				vector.password === undefined ? null : simplePassword(vector.password),
			);
			const fields = {
				source,
				destination,
				hopLimit: 255,
				trafficClass: TRAFFIC_CLASS,
				identification: family === "inet" ? (wanted[4]! << 8) | wanted[5]! : 0,
			};
			let packet: Uint8Array;
			if (vector.authenticated === undefined)
				packet = encodeIpPacket({ ...fields, protocol: PROTOCOL_VRRP }, message);
			else {
				const { key, sequenceNumber, routed } = vector.authenticated;
				const header = encodeAuthenticationHeader(PROTOCOL_VRRP, source, sequenceNumber);
				packet = encodeIpPacket(
					{ ...fields, protocol: PROTOCOL_AH },
					new Uint8Array([...header, ...message]),
				);
				sealPacket(packet, simplePassword(key), routed);
			}
			if (family === "inet6") wanted.fill(0, 1, 4); // the flow label is the kernel's
			if (family === "inet6") packet.fill(0, 1, 4);
			expect(hexOf(packet)).toBe(hexOf(wanted));
		});
	}
});

const advertisements = (family: "inet" | "inet6"): fc.Arbitrary<Advertisement> =>
	fc
		.record({
			version: fc.constantFrom(2 as const, 3 as const),
			virtualRouterId: fc.integer({ min: 1, max: 255 }),
			priority: fc.integer({ min: 0, max: 255 }),
			ticks: fc.integer({ min: 1, max: 255 }),
			authenticationType: fc.constantFrom(0, 1, 2),
			addresses: fc.array(
				fc
					.uint8Array({
						minLength: family === "inet" ? 4 : 16,
						maxLength: family === "inet" ? 4 : 16,
					})
					.map(formatAddress),
				{ maxLength: 255 },
			),
		})
		.map(({ ticks, authenticationType, ...rest }) => ({
			...rest,
			intervalMicros: ticks * (rest.version === 2 ? 1_000_000 : 10_000),
			authenticationType: rest.version === 2 ? authenticationType : 0,
		}));

describe("properties", () => {
	for (const family of ["inet", "inet6"] as const)
		test(`decode after encode is identity, ${family}`, () => {
			const source = parseAddress(family === "inet" ? "192.0.2.1" : "fe80::1")!;
			const destination = parseAddress(family === "inet" ? "224.0.0.18" : "ff02::12")!;
			fc.assert(
				fc.property(advertisements(family), fc.boolean(), (advertisement, pseudo) => {
					const scope: ChecksumScope = pseudo
						? { kind: "pseudo-header", source, destination }
						: { kind: "message" };
					const message = encodeAdvertisement(advertisement, family, scope);
					expect(decodeAdvertisement(message, family)).toEqual({ kind: "advertisement", advertisement });
					expect(checksumIsRight(message, scope)).toBe(true);
					// Any one flipped bit is noticed (RFC 1071).
					const place = advertisement.priority % message.length;
					message[place]! ^= 1 << (advertisement.virtualRouterId % 8);
					expect(checksumIsRight(message, scope)).toBe(false);
				}),
				{ numRuns: 100 },
			);
		});

	test("no bytes make the decoders throw or read beyond their end", () => {
		fc.assert(
			fc.property(
				fc.uint8Array({ maxLength: 2000 }),
				fc.constantFrom("inet" as const, "inet6" as const),
				(bytes, family) => {
					decodeAdvertisement(bytes, family);
					decodeAuthenticationHeader(bytes);
					const packet = decodeIpPacket(bytes);
					if (packet !== null) expect(packet.payload.length).toBeLessThan(bytes.length);
				},
			),
			{ numRuns: 2000 },
		);
	});

	test("IP packets: decode after encode is identity; a cut packet is none", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (payload, six) => {
				const fields = {
					source: parseAddress(six ? "fe80::1" : "192.0.2.1")!,
					destination: parseAddress(six ? "ff02::12" : "224.0.0.18")!,
					hopLimit: 255,
					protocol: 112,
					trafficClass: 0xc0,
					identification: 7,
				};
				const packet = encodeIpPacket(fields, payload);
				const decoded = decodeIpPacket(packet)!;
				expect(hexOf(decoded.payload)).toBe(hexOf(payload));
				expect(decoded.hopLimit).toBe(255);
				expect(formatAddress(decoded.source)).toBe(formatAddress(fields.source));
				expect(decodeIpPacket(packet.subarray(0, packet.length - 1))).toBeNull();
				// Ethernet pads short packets.
				expect(hexOf(decodeIpPacket(new Uint8Array([...packet, 0, 0]))!.payload)).toBe(hexOf(payload));
			}),
			{ numRuns: 100 },
		);
	});

	test("RFC 2402 §3.3.3: the check value covers all but the mutable fields", () => {
		const packet = bytesOf(vectors[2]!.packet);
		const key = simplePassword("secret12");
		const value = hexOf(integrityCheckValue(packet, key, false));
		for (let place = 0; place < packet.length; place++) {
			const changed = packet.slice();
			changed[place]! ^= 0x10;
			const mutable =
				place === 1 ||
				(place >= 6 && place < 8) ||
				(place >= 10 && place < 12) ||
				(place >= 32 && place < 44);
			expect([place, hexOf(integrityCheckValue(changed, key, false)) === value]).toEqual([place, mutable]);
		}
	});
});
