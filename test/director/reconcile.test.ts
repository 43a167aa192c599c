import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { applyOperations, reconcileTable } from "../../firmware/director/reconcile.ts";
import {
	destinationKeyText,
	type IpvsDestination,
	type IpvsEntry,
	type IpvsForwarding,
	type IpvsOperation,
	type IpvsService,
	type IpvsTable,
	plainTunnel,
	serviceKeyText,
} from "../../firmware/wire/ipvs.ts";

const destination: fc.Arbitrary<IpvsDestination> = fc.record({
	family: fc.constant("inet" as const),
	address: fc.nat(6).map((host) => `10.0.0.${host}`),
	port: fc.constantFrom(80, 81),
	forwarding: fc.constantFrom<IpvsForwarding>({ kind: "NAT" }, { kind: "DR" }, plainTunnel, {
		kind: "TUN",
		tunnel: "gue",
		port: 6080,
		checksum: "csum",
	}),
	weight: fc.nat(3),
	limits: fc.record({ upperThreshold: fc.nat(1), lowerThreshold: fc.nat(1) }),
});
const service: fc.Arbitrary<IpvsService> = fc.record({
	key: fc.oneof(
		fc.record({
			kind: fc.constant("address" as const),
			family: fc.constant("inet" as const),
			protocol: fc.constantFrom("TCP" as const, "UDP" as const),
			address: fc.nat(3).map((host) => `192.168.0.${host}`),
			port: fc.constant(80),
		}),
		fc.record({
			kind: fc.constant("fwmark" as const),
			family: fc.constantFrom("inet" as const, "inet6" as const),
			fwmark: fc.integer({ min: 1, max: 3 }),
		}),
	),
	scheduler: fc.constantFrom("rr", "wlc"),
	flags: fc.constantFrom(0, 1),
	timeoutSeconds: fc.constantFrom(0, 300),
	netmask: fc.constant(0xffffffff),
	persistenceEngine: fc.constantFrom(null, "sip"),
});
const entry: fc.Arbitrary<IpvsEntry> = fc.record({
	service,
	destinations: fc.uniqueArray(destination, { selector: destinationKeyText, maxLength: 6 }),
});
const table: fc.Arbitrary<IpvsTable> = fc
	.array(entry, { maxLength: 6 })
	.map((entries) => new Map(entries.map((row) => [serviceKeyText(row.service.key), row])));

/** A table without regard to the order of destinations. */
const plain = (rows: IpvsTable) =>
	Object.fromEntries(
		[...rows].map(([key, { service, destinations }]) => [
			key,
			{
				service,
				destinations: destinations.toSorted((a, b) =>
					destinationKeyText(a).localeCompare(destinationKeyText(b)),
				),
			},
		]),
	);
const nothingOwned = { owned: new Set<string>(), removeForeign: false };

describe("reconcile", () => {
	test("applying the changes yields what is wanted; a reconciled table needs no further change", () => {
		fc.assert(
			fc.property(table, table, (desired, actual) => {
				const ownership = { owned: new Set<string>(), removeForeign: true };
				const after = applyOperations(actual, reconcileTable(desired, actual, ownership));
				expect(plain(after)).toEqual(plain(desired));
				expect(reconcileTable(desired, after, ownership)).toEqual([]);
			}),
		);
	});

	test("foreign services stay; our own that are no longer wanted go", () => {
		fc.assert(
			fc.property(table, table, fc.infiniteStream(fc.boolean()), (desired, actual, coins) => {
				const owned = new Set([...actual.keys()].filter(() => coins.next().value === true));
				const after = applyOperations(
					actual,
					reconcileTable(desired, actual, { owned, removeForeign: false }),
				);
				const expected = new Map(desired);
				for (const [key, row] of actual) if (!desired.has(key) && !owned.has(key)) expected.set(key, row);
				expect(plain(after)).toEqual(plain(expected));
			}),
		);
	});

	test("every change is one that the kernel accepts at its place, and none touches what is as wanted", () => {
		fc.assert(
			fc.property(table, table, (desired, actual) => {
				const present = new Map(
					[...actual].map(([key, row]) => [key, new Set(row.destinations.map(destinationKeyText))]),
				);
				for (const operation of reconcileTable(desired, actual, nothingOwned))
					applyStrictly(present, operation, desired, actual);
			}),
		);
	});

	test("a destination whose weight, forwarding or thresholds differ is edited in place", () => {
		fc.assert(
			fc.property(table, table, (desired, actual) => {
				const deleted = new Set<string>();
				for (const operation of reconcileTable(desired, actual, nothingOwned)) {
					if (operation.kind === "delete-destination")
						deleted.add(`${serviceKeyText(operation.key)} ${destinationKeyText(operation.destination)}`);
					if (operation.kind === "new-destination")
						expect(
							deleted.has(`${serviceKeyText(operation.key)} ${destinationKeyText(operation.destination)}`),
						).toBe(false);
				}
			}),
		);
	});
});

function applyStrictly(
	present: Map<string, Set<string>>,
	operation: IpvsOperation,
	desired: IpvsTable,
	actual: IpvsTable,
): void {
	switch (operation.kind) {
		case "new-service": {
			const key = serviceKeyText(operation.service.key);
			expect(present.has(key)).toBe(false);
			present.set(key, new Set(operation.destinations.map(destinationKeyText)));
			return;
		}
		case "set-service": {
			const key = serviceKeyText(operation.service.key);
			expect(present.has(key)).toBe(true);
			expect(actual.get(key)!.service).not.toEqual(desired.get(key)!.service);
			return;
		}
		case "delete-service":
			throw new Error("nothing is owned here");
		default: {
			const rows = present.get(serviceKeyText(operation.key));
			expect(rows).toBeDefined();
			const name = destinationKeyText(operation.destination);
			expect(rows!.has(name)).toBe(operation.kind !== "new-destination");
			if (operation.kind === "delete-destination") rows!.delete(name);
			else rows!.add(name);
			if (operation.kind === "set-destination") {
				const before = actual
					.get(serviceKeyText(operation.key))!
					.destinations.find((row) => destinationKeyText(row) === name);
				expect(before).not.toEqual(operation.destination);
			}
		}
	}
}
