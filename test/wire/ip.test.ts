/** Addresses: RFC 4291 §2.2 text in, RFC 5952 text out. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { canonicalAddress, compareAddresses, formatAddress, parseAddress } from "../../firmware/wire/ip.ts";

describe("RFC 5952 §4", () => {
	test.each([
		["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
		["2001:0db8::0001", "2001:db8::1"],
		["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
		["2001:DB8::A", "2001:db8::a"],
		["::", "::"],
		["::1", "::1"],
		["1::", "1::"],
		["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
		["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
		["192.0.2.1", "192.0.2.1"],
	])("%s → %s", (text, canonical) => {
		expect(canonicalAddress(text)).toBe(canonical);
	});
});

describe("inet_pton(3) refuses", () => {
	test.each([
		"",
		"1.2.3",
		"1.2.3.4.5",
		"256.1.1.1",
		"01.2.3.4",
		"1.2.3.4 ",
		"1..2.3",
		":::",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"1::2::3",
		"12345::",
		"::g",
		"::1.2.3",
		"1:2:3:4:5:6:7::8",
		":1",
		"1:",
		"1.2.3.4::",
	])("%p", (text) => {
		expect(parseAddress(text)).toBeNull();
	});
});

test("parse after format is identity", () => {
	const bytes = fc.oneof(
		fc.uint8Array({ minLength: 4, maxLength: 4 }),
		fc.uint8Array({ minLength: 16, maxLength: 16 }),
		fc
			.array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
			.map((list) => Uint8Array.from(list)),
	);
	fc.assert(fc.property(bytes, (address) => expect(parseAddress(formatAddress(address))).toEqual(address)));
});

test("order is numeric", () => {
	expect(compareAddresses(parseAddress("10.0.0.2")!, parseAddress("10.0.0.10")!)).toBeLessThan(0);
});
