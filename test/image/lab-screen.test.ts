/** The lab's screen and its figures, without the lab. */
import { describe, expect, test } from "bun:test";
import { type LabSnapshot, labScreen } from "../../image/lab/lab-screen.ts";
import { type TimedOutcome, Traffic } from "../../image/lab/traffic.ts";

const answer = (atMs: number, server: string): TimedOutcome => ({
	kind: "answer",
	atMs,
	server,
	milliseconds: 2,
});
const failure = (atMs: number): TimedOutcome => ({
	kind: "failure",
	atMs,
	reason: "no answer",
	milliseconds: 1000,
});

describe("traffic", () => {
	test("rates count what was sent within the window", () => {
		const traffic = new Traffic();
		for (let at = 0; at < 4_000; at += 50) traffic.push(answer(at, at % 100 === 0 ? "web1" : "web2"));
		expect([...traffic.rates(4_000)].sort()).toEqual([
			["web1", 10],
			["web2", 10],
		]);
		expect(traffic.rates(60_000).size).toBe(0);
	});

	test("an outage lasts from the last answered request to the next one", () => {
		const traffic = new Traffic();
		expect(traffic.push(answer(1_000, "web1"))).toBeNull();
		for (let at = 1_050; at < 4_700; at += 50) expect(traffic.push(failure(at))).toBeNull();
		expect(traffic.push(answer(4_700, "web1"))).toEqual({
			milliseconds: 3_700,
			endedAtMs: 4_700,
			failures: 73,
		});
	});

	test("half of the requests failing is no outage, but counted", () => {
		const traffic = new Traffic();
		for (let at = 0; at < 2_000; at += 100) {
			expect(traffic.push(answer(at, "web2"))).toBeNull();
			expect(traffic.push(failure(at + 50))).toBeNull();
		}
		expect(traffic.rates(2_000).get("failed")).toBe(10);
	});

	test("answers that overtake each other do not look like an outage", () => {
		const traffic = new Traffic();
		traffic.push(answer(1_000, "web1"));
		traffic.push(answer(1_100, "web1"));
		expect(traffic.push(answer(1_050, "web2"))).toBeNull();
	});

	test("failures before the first answer are nobody's", () => {
		const traffic = new Traffic();
		for (let at = 0; at < 10_000; at += 50) traffic.push(failure(at));
		traffic.push(answer(10_000, "web1"));
		expect([traffic.answered, traffic.failed]).toEqual([1, 0]);
	});
});

describe("the screen", () => {
	const snapshot: LabSnapshot = {
		nowMs: 100_000,
		startedAtMs: 20_000,
		version: "0.1.0+7df1c122",
		virtualAddress: "192.168.80.200",
		directors: [
			{ name: "a", condition: "off", state: "MASTER", reason: "stale", priority: null, pool: null },
			{
				name: "b",
				condition: "running",
				state: "MASTER",
				reason: "no advert from 192.168.80.100 for 3.6 s",
				priority: 99,
				pool: "2 of 2",
			},
		],
		web: [
			{ name: "web1", alive: true, inPool: true, perSecond: 9.5 },
			{ name: "web2", alive: false, inPool: null, perSecond: 4_000 },
		],
		failedPerSecond: 0,
		answered: 1234,
		failed: 56,
		log: Array.from({ length: 100 }, (_, index) => ({
			atMs: index * 1000,
			text: `event ${index} ${"x".repeat(90)}`,
		})),
	};

	test.each([24, 32, 60])("fits a terminal of %d rows and 80 columns", (rows) => {
		const lines = labScreen(snapshot, rows);
		expect(lines.length).toBeLessThanOrEqual(rows);
		for (const line of lines) expect(line.length).toBeLessThan(80);
	});

	test("the newest events are shown, and what a director without power last said is not", () => {
		const text = labScreen(snapshot, 24).join("\n");
		expect(text).toContain("event 99");
		expect(text).not.toContain("event 1 ");
		expect(text).not.toContain("stale");
		expect(text).toContain("no advert from 192.168.80.100");
	});
});
