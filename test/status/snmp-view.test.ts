/** The view: GET and GETNEXT by RFC 3416 §4.2, numbers by RFC 2578 §7.1, indices by RFC 2863 §3.1.5. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { assignIndices, GONE_PORTS_LIMIT } from "../../firmware/status/box/interface-index.ts";
import { dateAndTime } from "../../firmware/status/snmp/tree/host.ts";
import {
	compareOids,
	counter32,
	gauge,
	integer,
	type Oid,
	type Part,
	scalar,
	table,
	ticks,
	View,
} from "../../firmware/status/snmp/view.ts";
import { inNetwork } from "../../firmware/wire/ip-network.ts";

const oids = fc.uniqueArray(fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 6 }), {
	selector: (oid) => oid.join("."),
	maxLength: 60,
});

describe("RFC 2578 §7.1.12", () => {
	test("of rows with the same index the first is taken; an OID of two trees is a mistake", () => {
		const rows = [
			{ at: 2, value: 1 },
			{ at: 1, value: 2 },
			{ at: 2, value: 3 },
		];
		const view = new View(
			table("1.2", rows, ({ at }) => [at], [[1, ({ value }: (typeof rows)[number]) => integer(value)]]),
		);
		expect([view.size, view.get([1, 2, 1, 2])?.value]).toEqual([2, integer(1)]);
		expect(() => new View([scalar("1.2", integer(1)), scalar("1.2", integer(2))])).toThrow("1.2.0");
	});
});

describe("RFC 3416 §4.2.1 GET", () => {
	test.each([
		["1.1", true, "a scalar's name"],
		["1.1.0", true, "its instance"],
		["1.1.0.1", true, "and what lies behind that"],
		["1.1.7", true, "another instance of it"],
		["1.2", false, "nothing"],
		["1", false, "what both lie below"],
		["1.3.1", false, "the entry of a table"],
		["1.3.1.2", true, "a column"],
		["1.3.1.2.9", true, "a row that it lacks"],
		["1.3.1.3", false, "a column that the table lacks"],
		["1.4.1.1", true, "a column without rows"],
		["1.4.1.1.5", true, "a row of it"],
		["1.5", false, "behind all"],
		["0", false, "before all"],
	] as const)("%s is of an object: %p, %s", (oid, expected) => {
		const column: [number, () => ReturnType<typeof integer>][] = [[2, () => integer(1)]];
		const view = new View([
			scalar("1.1", integer(1)),
			...table("1.3.1", [1, 2], (row) => [row], column),
			...table("1.4.1", [], () => [], [[1, () => integer(1)]]),
		]);
		expect(view.hasObject(oid.split(".").map(Number))).toBe(expected);
	});
});

describe("RFC 3416 §4.2.2 GETNEXT", () => {
	test("a walk meets every instance once, in lexicographic order, and ends", () => {
		fc.assert(
			fc.property(oids, (list) => {
				const view = new View(list.map((oid, index) => ({ oid, value: integer(index) })));
				const walked: Oid[] = [];
				for (let at = view.next([0]); at !== null; at = view.next(at.oid)) walked.push(at.oid);
				const expected = list.filter((oid) => compareOids(oid, [0]) > 0).sort(compareOids);
				expect(walked).toEqual(expected);
			}),
		);
	});
	test("a table's cells, read when they are asked for, are met as if they lay there", () => {
		const rows = fc.uniqueArray(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 3 }), {
			selector: (index) => index.join("."),
			maxLength: 12,
		});
		const columns = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 4 });
		const tables = fc.uniqueArray(fc.record({ entry: fc.integer({ min: 1, max: 5 }), rows, columns }), {
			selector: ({ entry }) => entry,
			maxLength: 3,
		});
		fc.assert(
			fc.property(tables, oids, fc.nat(4), (made, asked, gap) => {
				const value = (row: Oid, column: number) =>
					(row[0]! + column) % 5 === gap ? null : integer(row.length * 100 + column);
				const parts: Part[] = made.flatMap(({ entry, rows: list, columns: numbers }) =>
					table(
						`1.${entry}`,
						list,
						(row) => row,
						numbers.map((number) => [number, (row) => value(row, number)]),
					),
				);
				const plain: Part[] = made.flatMap(({ entry, rows: list, columns: numbers }) =>
					numbers.flatMap((number) =>
						list.flatMap((row) => {
							const cell = value(row, number);
							return cell === null ? [] : [{ oid: [1, entry, number, ...row], value: cell }];
						}),
					),
				);
				// Among a table's cells, and none of them.
				const more = scalar("1.3.7.77", integer(7));
				const [view, expected] = [new View([...parts, more]), new View([...plain, more])];
				expect(view.size).toBe(expected.size);
				for (let at = expected.next([0]); at !== null; at = expected.next(at.oid)) {
					expect(view.get(at.oid)).toEqual(at);
					expect(view.next(at.oid)).toEqual(expected.next(at.oid));
				}
				const heads = made.flatMap(({ entry, columns: numbers }) => [
					[1, entry],
					...numbers.map((number) => [1, entry, number]),
				]);
				for (const oid of [...asked, ...asked.map((each) => [1, ...each]), ...heads]) {
					expect(view.get(oid)).toEqual(expected.get(oid));
					expect(view.next(oid)).toEqual(expected.next(oid));
				}
			}),
		);
	});
});

describe("RFC 2578 §7.1", () => {
	test("counters wrap, gauges stop at their end, ticks are hundredths", () => {
		expect(counter32(0x1_0000_0005n)).toEqual({ type: "Counter32", value: 5 });
		expect(gauge(5e9)).toEqual({ type: "Unsigned32", value: 0xffffffff });
		expect(gauge(-1)).toEqual({ type: "Unsigned32", value: 0 });
		expect(ticks(12_345)).toEqual({ type: "TimeTicks", value: 1234 });
	});
	test("DateAndTime (RFC 2579)", () => {
		expect([...dateAndTime(Date.UTC(2026, 1, 3, 4, 5, 6, 789))]).toEqual([
			7, 234, 2, 3, 4, 5, 6, 7, 43, 0, 0,
		]);
	});
});

describe("RFC 2863 §3.1.5: a port keeps its number", () => {
	test("known names keep theirs, new ones take the next", () => {
		expect(assignIndices({ eth0: 2, eth1: 3 }, ["eth1", "lo", "eth0"])).toEqual({ eth0: 2, eth1: 3, lo: 4 });
	});
	test("a port that comes back gets its number back", () => {
		const table = assignIndices(assignIndices({}, ["a", "b"]), ["b", "c"]);
		expect(assignIndices(table, ["a"])["a"]).toBe(1);
	});
	test("of ports that come and go for years the last ones are known; those that stay keep their numbers", () => {
		let table = assignIndices({}, ["eth0", "constructor"]);
		const count = 2 * GONE_PORTS_LIMIT;
		for (let port = 0; port < count; port++)
			table = assignIndices(table, ["eth0", "constructor", `vlan${port}`]);
		table = assignIndices(table, ["eth0", "constructor"]);
		expect(Object.keys(table)).toHaveLength(2 + GONE_PORTS_LIMIT);
		expect([table["eth0"], table["constructor"]]).toEqual([1, 2]);
		expect(assignIndices(table, [`vlan${count - GONE_PORTS_LIMIT}`])).toMatchObject({
			[`vlan${count - GONE_PORTS_LIMIT}`]: 3 + count - GONE_PORTS_LIMIT,
		});
		// A number is not given to another port while its own may come back.
		expect(assignIndices(table, ["vlan0"])["vlan0"]).toBe(3 + count);
	});
});

describe("sources", () => {
	test.each([
		["192.0.2.7", "192.0.2.0/24", true],
		["192.0.3.7", "192.0.2.0/24", false],
		["192.0.3.7", "192.0.2.0/23", true],
		["192.0.2.7", "192.0.2.7", true],
		["192.0.2.8", "192.0.2.7", false],
		["::ffff:192.0.2.7", "192.0.2.0/24", true],
		["2001:db8::1", "2001:db8::/32", true],
		["2001:db9::1", "2001:db8::/32", false],
		["192.0.2.7", "::/0", false],
		["192.0.2.7", "0.0.0.0/0", true],
	])("%s in %s: %p", (address, network, expected) => {
		expect(inNetwork(address, network)).toBe(expected);
	});
});
