/** clock_gettime(2): CLOCK_MONOTONIC and CLOCK_REALTIME beside each other. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { WallClock } from "../../firmware/kernel/wall-clock.ts";

test("a moment keeps its time, however long the two looks at the clocks were apart", () => {
	fc.assert(
		fc.property(fc.array(fc.nat(9_999)), fc.nat(10 ** 12), (apart, start) => {
			const clock = new WallClock();
			const first = clock.toMs(start, 1_000_000 + start, start);
			for (const micros of apart)
				expect(clock.toMs(start, 1_000_000 + start + 7_000, start + 7_000 + micros)).toBe(first);
		}),
	);
});

test("when the wall clock is set, times of before move with it", () => {
	const clock = new WallClock();
	expect(clock.toMs(5_000_000, 100_000_000, 10_000_000)).toBe(95_000);
	expect(clock.toMs(5_000_000, 3_700_000_000, 10_000_000)).toBe(3_695_000);
	expect(clock.toMs(5_000_000, 100_020_000, 10_000_000)).toBe(95_020);
});
