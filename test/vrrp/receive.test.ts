import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { VrrpInstanceConfig } from "../../firmware/config/model.ts";
import { emptyMemory, type RefusalKind, receive } from "../../firmware/vrrp/receive.ts";
import { rivalOf } from "../../firmware/vrrp/rival.ts";
import { parseAddress } from "../../firmware/wire/ip.ts";
import { decodeIpPacket, encodeIpPacket, type IpPacket } from "../../firmware/wire/ip-packet.ts";
import { encodeAuthenticationHeader, sealPacket } from "../../firmware/wire/ipsec-ah.ts";
import { type Advertisement, encodeAdvertisement, simplePassword } from "../../firmware/wire/vrrp.ts";
import { addressOf, instanceOf } from "./config.ts";

const GROUP = "224.0.0.18";

interface Sent {
	readonly advertisement?: Partial<Advertisement>;
	readonly source?: string;
	readonly destination?: string;
	readonly hopLimit?: number;
	readonly password?: string;
	readonly pseudoHeader?: boolean | string;
	readonly ah?: { readonly key: string; readonly sequenceNumber: number; readonly spi?: string };
	/** Changes the VRRP message after its checksum was made. */
	readonly spoil?: (message: Uint8Array) => Uint8Array;
}

function packetOf(sent: Sent): IpPacket {
	const source = parseAddress(sent.source ?? "192.0.2.9")!;
	const destination = parseAddress(sent.destination ?? GROUP)!;
	const family = source.length === 4 ? "inet" : "inet6";
	const advertisement: Advertisement = {
		version: 2,
		virtualRouterId: 51,
		priority: 90,
		intervalMicros: 1_000_000,
		authenticationType: sent.ah !== undefined ? 2 : sent.password !== undefined ? 1 : 0,
		addresses: [family === "inet" ? "192.0.2.200" : "fe80::200"],
		...sent.advertisement,
	};
	const pseudo = sent.pseudoHeader ?? advertisement.version === 3;
	const scope =
		pseudo === false
			? ({ kind: "message" } as const)
			: ({
					kind: "pseudo-header",
					source,
					destination: typeof pseudo === "string" ? parseAddress(pseudo)! : destination,
				} as const);
	let message = encodeAdvertisement(
		advertisement,
		family,
		scope,
		sent.password === undefined ? null : simplePassword(sent.password),
	);
	message = sent.spoil?.(message) ?? message;
	const fields = {
		source,
		destination,
		hopLimit: sent.hopLimit ?? 255,
		trafficClass: 0xc0,
		identification: 1,
	};
	if (sent.ah === undefined) return decodeIpPacket(encodeIpPacket({ ...fields, protocol: 112 }, message))!;
	const spi = parseAddress(sent.ah.spi ?? "192.0.2.9")!;
	const header = encodeAuthenticationHeader(112, spi, sent.ah.sequenceNumber);
	const packet = encodeIpPacket({ ...fields, protocol: 51 }, new Uint8Array([...header, ...message]));
	sealPacket(packet, simplePassword(sent.ah.key), destination[0]! >> 4 !== 0xe);
	return decodeIpPacket(packet)!;
}

const v3 = { version: 3 } as const;
const peers = [{ address: "192.0.2.9", minTtl: null, maxTtl: null }];
const pass = { type: "PASS", password: "1111" } as const;
const ah = { type: "AH", password: "secret12" } as const;

interface Row {
	readonly title: string;
	readonly config?: Partial<VrrpInstanceConfig>;
	readonly sent: Sent;
	readonly refusal: RefusalKind | null;
	readonly detail?: string;
}

const rows: readonly Row[] = [
	{ title: "version 2 as it should be", sent: {}, refusal: null },
	{ title: "version 2, PASS", config: { authentication: pass }, sent: { password: "1111" }, refusal: null },
	{
		title: "version 2, PASS, longer than eight bytes: the rest does not count",
		config: { authentication: { type: "PASS", password: "12345678abc" } },
		sent: { password: "12345678xyz" },
		refusal: null,
	},
	{
		title: "version 2, AH",
		config: { authentication: ah },
		sent: { ah: { key: "secret12", sequenceNumber: 1 } },
		refusal: null,
	},
	{ title: "version 3", config: v3, sent: { advertisement: v3 }, refusal: null },
	{
		title: "version 3 over IPv6",
		config: { ...v3, family: "inet6", virtualAddresses: [addressOf("fe80::200")] },
		sent: { advertisement: v3, source: "fe80::9", destination: "ff02::12" },
		refusal: null,
	},
	{
		title: "RFC 9568 §5.2.8: version 3 over IPv4 without pseudo header",
		config: v3,
		sent: { advertisement: v3, pseudoHeader: false },
		refusal: null,
	},
	{
		title: "keepalived up to 1.3.6: unicast, summed with the group",
		config: { ...v3, unicastPeers: peers },
		sent: { advertisement: v3, destination: "192.0.2.1", pseudoHeader: GROUP },
		refusal: null,
	},
	{
		title: "the same when it is switched off",
		config: { ...v3, unicastPeers: peers, oldUnicastChecksum: "never" },
		sent: { advertisement: v3, destination: "192.0.2.1", pseudoHeader: GROUP },
		refusal: "checksum",
	},
	{
		title: "1: AH, but we have none",
		sent: { ah: { key: "secret12", sequenceNumber: 1 } },
		refusal: "authentication-mismatch",
		detail: "IPsec authentication header, ours has none",
	},
	{
		title: "1: no AH, but we want it",
		config: { authentication: ah },
		sent: {},
		refusal: "authentication-mismatch",
	},
	{
		title: "2: shorter than a header",
		sent: { spoil: (message) => message.subarray(0, 7) },
		refusal: "length",
		detail: "7 bytes, a header has 8",
	},
	{
		title: "2: shorter than its addresses",
		sent: { spoil: (message) => message.subarray(0, message.length - 1) },
		refusal: "length",
		detail: "19 bytes, 1 addresses need 20",
	},
	{
		title: "3: it was routed",
		sent: { hopLimit: 254 },
		refusal: "hop-limit",
		detail: "TTL 254, must be 255",
	},
	{
		title: "3: unicast may be routed",
		config: { unicastPeers: peers },
		sent: { hopLimit: 60, destination: "192.0.2.1" },
		refusal: null,
	},
	{
		title: "4: another version",
		sent: { advertisement: v3 },
		refusal: "version",
		detail: "version 3, ours is 2",
	},
	{
		title: "6: an unknown authentication type",
		sent: { advertisement: { authenticationType: 9 } },
		refusal: "authentication-type",
	},
	{
		title: "6: PASS, but we have none",
		sent: { password: "1111" },
		refusal: "authentication-mismatch",
		detail: "authentication PASS, ours is none",
	},
	{
		title: "6: another password",
		config: { authentication: pass },
		sent: { password: "2222" },
		refusal: "authentication-failure",
	},
	{
		title: "6: another AH key",
		config: { authentication: ah },
		sent: { ah: { key: "other", sequenceNumber: 1 } },
		refusal: "authentication-failure",
	},
	{
		title: "6: an AH index that is not the sender",
		config: { authentication: ah },
		sent: { ah: { key: "secret12", sequenceNumber: 1, spi: "192.0.2.8" } },
		refusal: "authentication-failure",
	},
	{
		title: "7: version 2, another interval",
		sent: { advertisement: { intervalMicros: 2_000_000 } },
		refusal: "interval",
		detail: "interval 2 s, ours is 1 s",
	},
	{ title: "8: not an advertisement", sent: { spoil: (message) => message.with(0, 0x22) }, refusal: "type" },
	{
		title: "11: a flipped bit",
		sent: { spoil: (message) => message.with(9, message[9]! ^ 1) },
		refusal: "checksum",
	},
	{
		title: "12: unicast, but ours is multicast",
		sent: { destination: "192.0.2.1" },
		refusal: "destination",
	},
	{
		title: "12: multicast, but ours is unicast",
		config: { unicastPeers: peers },
		sent: {},
		refusal: "destination",
	},
	{
		title: "13: the owner listens to nobody",
		config: { priority: 255, ownerIgnoreAdverts: true },
		sent: {},
		refusal: "owner",
	},
	{
		title: "15: a stranger",
		config: { unicastPeers: peers, checkUnicastSource: true },
		sent: { source: "192.0.2.7", destination: "192.0.2.1" },
		refusal: "unicast-source",
	},
	{
		title: "15: from too far",
		config: { unicastPeers: [{ address: "192.0.2.9", minTtl: 250, maxTtl: null }], checkUnicastSource: true },
		sent: { hopLimit: 249, destination: "192.0.2.1" },
		refusal: "hop-limit",
		detail: "TTL 249, at least 250",
	},
];

describe("keepalived's checks in their order", () => {
	test.each(rows.map((row) => [row.title, row] as const))(
		"%s",
		(_title, { config, sent, refusal, detail }) => {
			const verdict = receive(packetOf(sent), instanceOf(config), emptyMemory);
			if (refusal === null) expect(verdict.kind).toBe("accepted");
			else expect(verdict).toMatchObject({ kind: "refused", refusal });
			if (detail !== undefined) expect(verdict).toMatchObject({ detail });
		},
	);

	test("14: another address list is remarked upon, and obeyed", () => {
		const packet = packetOf({ advertisement: { addresses: ["192.0.2.201"] } });
		const verdict = receive(packet, instanceOf(), emptyMemory);
		expect(verdict).toMatchObject({
			kind: "accepted",
			remarks: [
				{
					kind: "addresses",
					detail: "an address list that lacks 192.0.2.200 and has 192.0.2.201 that we have not",
				},
			],
		});
	});

	test("14: skip_check_adv_addr looks once per sender", () => {
		const config = instanceOf({ skipCheckAddresses: true });
		const first = receive(packetOf({}), config, emptyMemory);
		if (first.kind !== "accepted") throw new Error("refused");
		const other = packetOf({ advertisement: { addresses: [] } });
		expect(receive(other, config, first.memory)).toMatchObject({ remarks: [] });
	});

	test("RFC 2402 §3.4.3: a replayed sequence number", () => {
		const config = instanceOf({ authentication: ah });
		const packet = (sequenceNumber: number) => packetOf({ ah: { key: "secret12", sequenceNumber } });
		const first = receive(packet(7), config, emptyMemory);
		if (first.kind !== "accepted") throw new Error("refused");
		expect(receive(packet(7), config, first.memory)).toMatchObject({ refusal: "authentication-failure" });
		expect(receive(packet(8), config, first.memory).kind).toBe("accepted");
	});

	test("version 3 obeys another interval and remarks upon it", () => {
		const packet = packetOf({ advertisement: { version: 3, intervalMicros: 500_000 } });
		expect(receive(packet, instanceOf(v3), emptyMemory)).toMatchObject({
			kind: "accepted",
			remarks: [{ kind: "interval", detail: "interval 0.5 s, ours is 1 s" }],
		});
	});

	test("no bytes make it throw", () => {
		const configs = [
			instanceOf(),
			instanceOf(v3),
			instanceOf({ authentication: ah }),
			instanceOf({ unicastPeers: peers, checkUnicastSource: true }),
		];
		fc.assert(
			fc.property(
				fc.uint8Array({ maxLength: 120 }),
				fc.constantFrom(...configs),
				fc.constantFrom(51, 112),
				fc.integer({ min: 0, max: 255 }),
				(payload, config, protocol, hopLimit) => {
					const bytes = encodeIpPacket(
						{
							source: parseAddress("192.0.2.9")!,
							destination: parseAddress(GROUP)!,
							hopLimit,
							protocol,
							trafficClass: 0,
							identification: 0,
						},
						payload,
					);
					receive(decodeIpPacket(bytes)!, config, emptyMemory);
				},
			),
			{ numRuns: 3000 },
		);
	});
});

describe("an advert that the election does not get", () => {
	const detail = (sent: Sent, config: Partial<VrrpInstanceConfig> = {}) =>
		rivalOf(packetOf(sent), instanceOf(config))?.detail ?? null;
	const sealed: Sent = { ah: { key: "secret12", sequenceNumber: 1 } };
	test("AH beside none or PASS, and the other way round", () => {
		expect(detail(sealed)).toBe("IPsec authentication header, ours has none");
		expect(detail(sealed, { authentication: pass })).toBe("IPsec authentication header, ours has none");
		expect(detail({}, { authentication: ah })).toBe("no IPsec authentication header, ours is AH");
	});
	test("another virtual router is one only with an address of ours", () => {
		const other: Sent = { advertisement: { virtualRouterId: 52 } };
		expect(detail(other)).toBe("virtual router 52, ours is 51");
		expect(detail({ ...sealed, ...other })).toBe("virtual router 52, ours is 51");
		expect(detail({ advertisement: { virtualRouterId: 52, addresses: ["192.0.2.77"] } })).toBeNull();
	});
	test("the election's own, and what else comes with an authentication header, are not looked at", () => {
		expect(detail({})).toBeNull();
		expect(detail({ advertisement: { intervalMicros: 2_000_000 } })).toBeNull();
		expect(detail(sealed, { authentication: ah })).toBeNull();
		const tunnel = packetOf(sealed);
		tunnel.payload[0] = 50;
		expect(rivalOf(tunnel, instanceOf({}))).toBeNull();
	});
});
