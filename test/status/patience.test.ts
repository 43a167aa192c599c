/** When silence counts, and how patience grows. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import {
	listening,
	look,
	noRestarts,
	patience,
	type Restarts,
	restarted,
} from "../../firmware/status/patience.ts";

test("looks on time: silence is the time since the last sign", () => {
	let silence = listening(1_000);
	for (const at of [1_100, 1_200, 1_300]) silence = look(silence, at, false, 100);
	expect(silence.silent).toBe(300);
	expect(look(silence, 1_400, true, 100).silent).toBe(0);
});

test("a listener that was late by N does not count N against the other", () => {
	const silence = look(look(listening(0), 100, false, 100), 60_100, false, 100);
	expect(silence.silent).toBe(200);
});

test("whatever the delays: never more than looks, never more than time, and one sign ends it", () => {
	fc.assert(
		fc.property(fc.array(fc.nat(10_000), { minLength: 1, maxLength: 100 }), (gaps) => {
			let now = 0;
			let silence = listening(now);
			for (const gap of gaps) {
				now += gap;
				silence = look(silence, now, false, 100);
			}
			expect(silence.silent).toBeLessThanOrEqual(Math.min(now, gaps.length * 100));
			expect(look(silence, now + 1, true, 100).silent).toBe(0);
		}),
	);
});

test("each restart doubles the limit, up to sixteen times; a calm time forgets them", () => {
	const calm = 60;
	let restarts: Restarts = noRestarts;
	const factors: number[] = [patience(restarts, 1_000, calm)];
	for (let at = 1_000; at < 1_006; at++) {
		restarts = restarted(restarts, at, calm);
		factors.push(patience(restarts, at, calm));
	}
	expect(factors).toEqual([1, 2, 4, 8, 16, 16, 16]);
	expect(patience(restarts, 1_005 + calm + 1, calm)).toBe(1);
	expect(restarted(restarts, 1_005 + calm + 1, calm).count).toBe(1);
});
