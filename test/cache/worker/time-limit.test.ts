/** A limit that is set again and again passes once, when nothing has set it anew. */
import { expect, spyOn, test } from "bun:test";
import { TimeLimit } from "../../../firmware/cache/worker/time-limit.ts";

async function passed(limit: (onPast: () => void) => void): Promise<number> {
	const { promise, resolve } = Promise.withResolvers<void>();
	const begin = performance.now();
	limit(resolve);
	await promise;
	return performance.now() - begin;
}

test("passes when its time is over, not before", async () => {
	expect(await passed((onPast) => new TimeLimit(onPast).set(0.05))).toBeGreaterThanOrEqual(49);
});

test("a later limit in place of an earlier one counts from when it was set", async () => {
	const took = await passed((onPast) => {
		const limit = new TimeLimit(onPast);
		limit.set(0.02);
		limit.set(0.08);
	});
	expect(took).toBeGreaterThanOrEqual(79);
});

test("a shorter limit does not wait for the timer of a longer one", async () => {
	const took = await passed((onPast) => {
		const limit = new TimeLimit(onPast);
		limit.set(60);
		limit.lift();
		limit.set(0.02);
	});
	expect(took).toBeLessThan(30_000);
});

test("one that was lifted, ended or set to nothing never passes", async () => {
	let past = 0;
	const limits = Array.from({ length: 3 }, () => new TimeLimit(() => past++));
	for (const limit of limits) limit.set(0.02);
	limits[0]!.lift();
	limits[1]!.end();
	limits[2]!.set(0);
	await passed((onPast) => new TimeLimit(onPast).set(0.1));
	expect(past).toBe(0);
});

test("a limit of forty days neither passes nor looks again all the time", async () => {
	const timers = spyOn(globalThis, "setTimeout");
	let past = 0;
	const limit = new TimeLimit(() => past++);
	try {
		limit.set(40 * 86_400);
		await Bun.sleep(50);
		expect(past).toBe(0);
		expect(timers).toHaveBeenCalledTimes(1);
	} finally {
		limit.end();
		timers.mockRestore();
	}
});
