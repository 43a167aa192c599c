/** When the watchdog is fed, and which service is restarted. */
import { describe, expect, test } from "bun:test";
import {
	diagnose,
	firstHistory,
	INTERVAL_MS,
	PROGRAM_LIMIT_MS,
	SERVICE_LIMIT_MS,
	SERVICE_START_MS,
	type VitalHistory,
} from "../../firmware/appliance/vital-signs.ts";

/** A box that is looked at again and again. */
class Box {
	nowMs = 1_000_000;
	run: string | null = "1";
	answers = true;
	programs = true;
	/** What came of each look so far: the seconds when a service was restarted. */
	restartsAtMs: number[] = [];
	feed = true;
	#history: VitalHistory = firstHistory(this.nowMs);

	/** One look, late by `lateMs`. */
	look(lateMs = 0): this {
		this.nowMs += INTERVAL_MS + lateMs;
		const services = [{ name: "director", run: this.run, answered: this.answers && this.run !== null }];
		const { history, feed, hanging } = diagnose(this.#history, {
			nowMs: this.nowMs,
			programEnded: this.programs,
			services,
		});
		this.#history = history;
		this.feed = feed;
		if (hanging.length > 0) {
			this.restartsAtMs.push(this.nowMs);
			this.run = String(Number(this.run) + 1);
		}
		return this;
	}

	looks(count: number, lateMs = 0): this {
		for (let turn = 0; turn < count; turn++) this.look(lateMs);
		return this;
	}
}

const looksIn = (ms: number) => Math.floor(ms / INTERVAL_MS);

describe("the watchdog is fed while programs start", () => {
	test("until none has ended for too long, and again when one does", () => {
		const box = new Box();
		box.programs = false;
		expect(box.looks(looksIn(PROGRAM_LIMIT_MS)).feed).toBe(true);
		expect(box.look().feed).toBe(false);
		box.programs = true;
		expect(box.look().feed).toBe(true);
	});
	test("a hanging service does not stop it: the service is restarted, not the box", () => {
		const box = new Box().looks(5);
		box.answers = false;
		expect(box.looks(looksIn(SERVICE_LIMIT_MS) + 1)).toMatchObject({ feed: true, run: "2" });
	});
});

describe("a service hangs", () => {
	test("when it runs and has not answered for too long, and not before", () => {
		const box = new Box().looks(5);
		box.answers = false;
		expect(box.looks(looksIn(SERVICE_LIMIT_MS)).restartsAtMs).toEqual([]);
		expect(box.look().restartsAtMs.length).toBe(1);
	});
	test("not while it is down", () => {
		const box = new Box();
		box.run = null;
		expect(box.looks(1_000).restartsAtMs).toEqual([]);
	});
	test("it has longer for its first answer", () => {
		const box = new Box();
		box.answers = false;
		box.looks(looksIn(SERVICE_START_MS + SERVICE_LIMIT_MS));
		expect(box.restartsAtMs).toEqual([]);
		expect(box.looks(2).restartsAtMs.length).toBe(1);
	});
	test("another run of it begins anew", () => {
		const box = new Box().looks(5);
		box.answers = false;
		box.looks(looksIn(SERVICE_LIMIT_MS));
		box.run = "9";
		expect(box.looks(10).restartsAtMs).toEqual([]);
	});
});

describe("a starved box", () => {
	test("a monitor that is late itself does not hold it against a service", () => {
		const box = new Box().looks(5);
		box.answers = false;
		// A minute of silence, of which the monitor was there for three looks.
		expect(box.looks(3, 20_000).restartsAtMs).toEqual([]);
		expect(box.feed).toBe(true);
	});
	test("a service that never answers in time is restarted ever more seldom", () => {
		const box = new Box();
		box.answers = false;
		box.looks(2_000);
		const gaps = box.restartsAtMs.map((at, index) => at - (box.restartsAtMs[index - 1] ?? 1_000_000));
		expect(gaps.length).toBeGreaterThan(3);
		for (const [index, gap] of gaps.entries())
			if (index > 0 && index < 4) expect(gap).toBeGreaterThan(1.8 * gaps[index - 1]!);
		expect(Math.max(...gaps)).toBeLessThan(17 * gaps[0]!);
	});
});
