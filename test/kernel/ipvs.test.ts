import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { GENERIC_HEADER_BYTES } from "../../firmware/kernel/genetlink.ts";
import {
	addDaemon,
	addTimeouts,
	putDestinationChange,
	putServiceChange,
	readDaemon,
	readDestination,
	readInfo,
	readService,
	readTimeouts,
	repeatDestinationChange,
	type WrittenDestination,
} from "../../firmware/kernel/ipvs.ts";
import { RequestBatch } from "../../firmware/kernel/netlink-batch.ts";
import { MessageBuilder, parseMessages } from "../../firmware/kernel/netlink-message.ts";
import { formatAddress } from "../../firmware/wire/ip.ts";
import {
	type IpvsDaemon,
	type IpvsDestination,
	type IpvsFamily,
	type IpvsForwarding,
	type IpvsOperation,
	type IpvsService,
	NO_LIMITS,
	plainTunnel,
	zeroStats,
} from "../../firmware/wire/ipvs.ts";

const withStats = { stats: true };
const emptyMessage = () => new MessageBuilder(0x20).u8(1).u8(1).u16(0);
/** What the kernel would find in a message: its payload after both headers. */
const payloadOf = (message: MessageBuilder) =>
	parseMessages(message.finish(1).slice())[0]!.payload.subarray(GENERIC_HEADER_BYTES);

/** The payloads of a batch of changes. */
function payloadsOf(...operations: IpvsOperation[]): Uint8Array[] {
	const batch = new RequestBatch();
	let written: WrittenDestination | null = null;
	for (const operation of operations) {
		if ("destination" in operation) {
			const { kind, key, destination } = operation;
			if (written !== null && repeatDestinationChange(batch, kind, key, destination, written)) continue;
			batch.beginGeneric(0x20, 1, 1);
			written = putDestinationChange(batch, kind, key, destination, written);
		} else {
			batch.beginGeneric(0x20, 1, 1);
			putServiceChange(batch, operation);
			written = null;
		}
		batch.end();
	}
	return parseMessages(batch.finish(7, 1, 4).slice()).map(({ payload }) =>
		payload.subarray(GENERIC_HEADER_BYTES),
	);
}
const servicePayload = (wanted: IpvsService) => payloadsOf({ kind: "set-service", service: wanted })[0]!;
const anyKey = { kind: "fwmark", family: "inet", fwmark: 1 } as const;

const address = (family: IpvsFamily) =>
	fc
		.uint8Array({ minLength: family === "inet" ? 4 : 16, maxLength: family === "inet" ? 4 : 16 })
		.map(formatAddress);
const u32 = fc.nat(0xffffffff);
const port = fc.nat(0xffff);
const family = fc.constantFrom<IpvsFamily>("inet", "inet6");
const name = fc.stringMatching(/^[a-z_]{1,15}$/);

const service: fc.Arbitrary<IpvsService> = family.chain((af) =>
	fc.record({
		key: fc.oneof(
			fc.record({
				kind: fc.constant("address" as const),
				family: fc.constant(af),
				protocol: fc.constantFrom("TCP" as const, "UDP" as const, "SCTP" as const),
				address: address(af),
				port,
			}),
			fc.record({
				kind: fc.constant("fwmark" as const),
				family: fc.constant(af),
				fwmark: fc.integer({ min: 1, max: 0xffffffff }),
			}),
		),
		scheduler: name,
		flags: fc.nat(0x3f).map((flags) => flags & ~2),
		timeoutSeconds: u32,
		netmask: u32,
		persistenceEngine: fc.option(name),
	}),
);

const destination: fc.Arbitrary<IpvsDestination> = family.chain((af) =>
	fc.record({
		family: fc.constant(af),
		address: address(af),
		port,
		forwarding: fc.oneof(
			fc.record({ kind: fc.constantFrom("NAT" as const, "LOCAL" as const, "DR" as const) }),
			fc.record({
				kind: fc.constant("TUN" as const),
				tunnel: fc.constantFrom("ipip" as const, "gue" as const, "gre" as const),
				port,
				checksum: fc.constantFrom("none" as const, "csum" as const, "remcsum" as const),
			}),
		),
		weight: fc.nat(0x7fffffff),
		limits: fc.record({ upperThreshold: u32, lowerThreshold: u32 }),
	}),
);

describe("changes of destinations that repeat one another within a batch", () => {
	// So few values that neighbours are alike in everything, in all but one thing, or in nothing.
	const near: fc.Arbitrary<IpvsOperation> = fc
		.record({
			kind: fc.constantFrom(
				"new-destination" as const,
				"set-destination" as const,
				"delete-destination" as const,
			),
			key: fc.constantFrom(anyKey, { ...anyKey, fwmark: 2 }),
			address: fc.constantFrom("10.0.0.1", "10.0.0.2", "255.255.255.255", "0.0.0.0", "fd00::1", "fd00::2"),
			port: fc.constantFrom(80, 81),
			forwarding: fc.constantFrom<IpvsForwarding>({ kind: "NAT" }, plainTunnel),
			weight: fc.constantFrom(1, 2),
			limits: fc.constantFrom(NO_LIMITS, { upperThreshold: 7, lowerThreshold: 7 }),
		})
		.map(({ kind, key, address: where, ...row }) => ({
			kind,
			key,
			destination: {
				...row,
				family: where.includes(":") ? ("inet6" as const) : ("inet" as const),
				address: where,
			},
		}));

	test("each is what it is alone", () => {
		fc.assert(
			fc.property(fc.array(near, { minLength: 2, maxLength: 12 }), (operations) => {
				const alone = operations.map((operation) => payloadsOf(operation)[0]);
				expect(payloadsOf(...operations)).toEqual(alone as Uint8Array[]);
			}),
			{ numRuns: 1000 },
		);
	});
});

describe("linux/ip_vs.h: decode after encode is identity", () => {
	test("IPVS_SVC_ATTR_*", () => {
		fc.assert(
			fc.property(service, (wanted) => {
				const read = readService(servicePayload(wanted), withStats);
				expect(read).toEqual({ ...wanted, stats: zeroStats });
			}),
		);
	});

	test("IPVS_DEST_ATTR_*", () => {
		fc.assert(
			fc.property(destination, (wanted) => {
				const [payload] = payloadsOf({ kind: "set-destination", key: anyKey, destination: wanted });
				expect(readDestination(payload!, "inet", withStats)).toEqual({
					...wanted,
					activeConnections: 0,
					inactiveConnections: 0,
					persistentConnections: 0,
					stats: zeroStats,
				});
			}),
		);
	});

	test("a batch: services and destinations after each other, each with its own service's key", () => {
		const rows = fc.array(fc.tuple(service, fc.array(destination, { minLength: 1, maxLength: 4 })), {
			minLength: 1,
			maxLength: 5,
		});
		fc.assert(
			fc.property(rows, (table) => {
				const operations = table.flatMap(([wanted, destinations]): IpvsOperation[] => [
					{ kind: "new-service", service: wanted, destinations: [] },
					...destinations.map(
						(row): IpvsOperation => ({ kind: "new-destination", key: wanted.key, destination: row }),
					),
				]);
				const payloads = payloadsOf(...operations);
				expect(payloads.length).toBe(operations.length);
				operations.forEach((operation, index) => {
					const key = "service" in operation ? operation.service.key : operation.key;
					expect(readService(payloads[index]!, withStats)?.key).toEqual(key);
					if (operation.kind === "new-destination")
						expect(readDestination(payloads[index]!, "inet", withStats)).toMatchObject(operation.destination);
				});
			}),
		);
	});

	test("IPVS_DAEMON_ATTR_*", () => {
		const daemon: fc.Arbitrary<IpvsDaemon> = fc.record({
			state: fc.constantFrom("master" as const, "backup" as const),
			interface: name,
			syncId: fc.nat(255),
			maxLengthBytes: port,
			group: fc.oneof(fc.constant(null), address("inet"), address("inet6")),
			port,
			ttl: fc.nat(255),
		});
		fc.assert(
			fc.property(daemon, (wanted) => {
				expect(readDaemon(payloadOf(addDaemon(emptyMessage(), wanted)))).toEqual(wanted);
			}),
		);
	});

	test("IPVS_CMD_ATTR_TIMEOUT_*", () => {
		const timeouts = { tcpSeconds: 900, tcpFinSeconds: 120, udpSeconds: 300 };
		expect(readTimeouts(payloadOf(addTimeouts(emptyMessage(), timeouts)))).toEqual(timeouts);
	});
});

describe("numbers on the wire", () => {
	test("an IPv4 mask is in network order, an IPv6 prefix length in host order", () => {
		const of = (af: IpvsFamily, netmask: number) =>
			servicePayload({
				key: { kind: "fwmark", family: af, fwmark: 1 },
				scheduler: "rr",
				flags: 1,
				timeoutSeconds: 1,
				netmask,
				persistenceEngine: null,
			}).slice(-4);
		expect([...of("inet", 0xffffff00)]).toEqual([255, 255, 255, 0]);
		expect([...of("inet6", 64)]).toEqual([64, 0, 0, 0]);
	});

	test("64-bit counters win over the 32-bit ones, whatever their order", () => {
		const stats = (message: MessageBuilder, wide: boolean) =>
			message.nest(wide ? 12 : 10, (inner) => {
				for (let type = 1; type <= 10; type++)
					if (wide || type === 4 || type === 5) inner.u64Attribute(type, 2n ** 40n + BigInt(type));
					else inner.u32Attribute(type, type);
			});
		for (const order of [
			[false, true],
			[true, false],
		]) {
			const message = emptyMessage().nest(2, (dest) => {
				dest
					.u16Attribute(11, 2)
					.attribute(1, Uint8Array.of(10, 0, 0, 1))
					.u32Attribute(3, 0);
				for (const wide of order) stats(dest, wide);
			});
			const read = readDestination(payloadOf(message), "inet", withStats);
			expect(read?.stats.connections).toBe(2 ** 40 + 1);
			expect(read?.stats.outBytesPerSecond).toBe(2 ** 40 + 10);
		}
	});

	test("IPVS_INFO_ATTR_VERSION", () => {
		expect(readInfo(payloadOf(emptyMessage().u32Attribute(1, 0x010201).u32Attribute(2, 4096)))).toEqual({
			version: "1.2.1",
			connectionTableSize: 4096,
		});
	});
});

describe("whatever the bytes, reading ends and throws nothing", () => {
	const readers = [
		(bytes: Uint8Array) => readService(bytes, withStats),
		(bytes: Uint8Array) => readDestination(bytes, "inet6", withStats),
		readDaemon,
		readInfo,
		readTimeouts,
	];
	test("random bytes", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
				for (const read of readers) read(bytes);
			}),
			{ numRuns: 500 },
		);
	});

	test("messages with bytes changed, and cut short", () => {
		const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 });
		fc.assert(
			fc.property(service, destination, changes, fc.nat(), (wanted, row, edits, cut) => {
				const bytes = Buffer.concat([
					servicePayload(wanted),
					payloadsOf({ kind: "new-destination", key: wanted.key, destination: row })[0]!,
				]);
				for (const [at, value] of edits) bytes[at % bytes.length] = value;
				for (const read of readers) read(bytes.subarray(0, cut % (bytes.length + 1)));
			}),
			{ numRuns: 500 },
		);
	});
});
