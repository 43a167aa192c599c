import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
	digitsOf,
	putDigits,
	putMicros,
	putSeconds,
	putSixDigits,
} from "../../../firmware/cache/log/digits.ts";

/** What `put` writes, behind a byte that it must leave alone. */
function written(length: number, put: (bytes: Uint8Array, at: number) => void): string {
	const bytes = Buffer.alloc(length + 2, "-");
	put(bytes, 1);
	const text = bytes.toString("latin1");
	expect(text[0]).toBe("-");
	expect(text.at(-1)).toBe("-");
	return text.slice(1, -1);
}

describe("numbers as digits", () => {
	test("with exactly as many as they have, or more", () => {
		fc.assert(
			fc.property(fc.nat(2 ** 31 - 1), fc.integer({ min: 0, max: 3 }), (value, more) => {
				const count = digitsOf(value) + more;
				expect(written(count, (bytes, at) => putDigits(bytes, at, value, count))).toBe(
					String(value).padStart(count, "0"),
				);
			}),
		);
	});

	test("six of them", () => {
		fc.assert(
			fc.property(fc.nat(999_999), (value) => {
				expect(written(6, (bytes, at) => putSixDigits(bytes, at, value))).toBe(
					String(value).padStart(6, "0"),
				);
			}),
		);
	});

	test("Unix seconds, also the same second again", () => {
		fc.assert(
			fc.property(fc.integer({ min: 1_000_000_000, max: 9_999_999_999 }), (seconds) => {
				for (let again = 0; again < 2; again++)
					expect(written(10, (bytes, at) => putSeconds(bytes, at, seconds))).toBe(String(seconds));
			}),
		);
	});

	test("microseconds as seconds with six decimals", () => {
		fc.assert(
			fc.property(
				fc.maxSafeNat().filter((micros) => micros < 9e15),
				(micros) => {
					const whole = String(Math.floor(micros / 1e6));
					const text = `${whole}.${String(micros % 1e6).padStart(6, "0")}`;
					expect(
						written(text.length, (bytes, at) => expect(putMicros(bytes, at, micros)).toBe(at + text.length)),
					).toBe(text);
				},
			),
		);
	});
});
