/** strtol(3) with base 0, which keepalived 2.2.7 reads tracked files with: values observed in its VRRP process. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { leadingNumber } from "../../firmware/config/keepalived/numbers.ts";

test.each([
	["7 dwarfs\n", 7],
	["7x\n", 7],
	[" 7\n", 7],
	["\n7\n", 7],
	["7\n8\n", 7],
	["+7\n", 7],
	["-3\n", -3],
	["-0\n", 0],
	["0x10\n", 16],
	["-0X1f", -31],
	["0x\n", 0],
	["010\n", 8],
	["09\n", 0],
	["0\n", 0],
	["many\n", 0],
	["", 0],
	["2147483648\n", 2 ** 31],
	["-2147483648\n", -(2 ** 31)],
	["2147483649\n", null],
	["-99999999999\n", null],
	["0xffffffffffffffffffff", null],
])("%p is %p", (text, number) => {
	expect(leadingNumber(text)).toBe(number);
});

test("whatever stands in the file, it is a number or says nothing", () => {
	const says = (text: string) => leadingNumber(text) ?? 0;
	fc.assert(fc.property(fc.string(), (text) => Number.isFinite(says(text))));
	fc.assert(fc.property(fc.integer(), (number) => leadingNumber(`${number}\n`) === number));
});
