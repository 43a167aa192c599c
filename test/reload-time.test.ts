/** keepalived.conf(5), global_defs, "reload_time_file": the permitted formats, precisely. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { reloadTime } from "../firmware/reload-time.ts";

const now = Date.UTC(2030, 1, 28, 12, 0, 0);
const utc = (text: string) => {
	const time = reloadTime(text, now);
	return time === null ? null : `${new Date(time.atMs).toISOString()}${time.daily ? " daily" : ""}`;
};

describe("with Z, the time is UTC", () => {
	test.each([
		["12:00:01Z", "2030-02-28T12:00:01.000Z daily"],
		["12:00:00Z", "2030-03-01T12:00:00.000Z daily"],
		["00:00:00Z\n", "2030-03-01T00:00:00.000Z daily"],
		["30-12-31 23:59:59Z", "2030-12-31T23:59:59.000Z"],
		["2031-01-02 03:04:05Z\nwhatever follows", "2031-01-02T03:04:05.000Z"],
	])("%j", (text, expected) => {
		expect(utc(text)).toBe(expected);
	});
});

test("without Z it is local time", () => {
	expect(reloadTime("2031-01-02 03:04:05", now)).toEqual({
		atMs: new Date(2031, 0, 2, 3, 4, 5).getTime(),
		daily: false,
	});
});

describe("what has passed, or does not exist, or is written otherwise, is no time", () => {
	test.each([
		"",
		"2030-02-28 12:00:00Z",
		"29-12-31 00:00:00Z",
		"2031-02-29 00:00:00Z",
		"2031-13-01 00:00:00Z",
		"2031-00-01 00:00:00Z",
		"2031-01-01  00:00:00Z",
		" 12:30:00",
		"12:30:00 ",
		"12:30",
		"24:00:00",
		"12:60:00",
		"2031-1-1 00:00:00",
		"031-01-01 00:00:00",
	])("%j", (text) => {
		expect(reloadTime(text, now)).toBeNull();
	});
});

test("whatever it holds: a time to come within a day, or a date", () => {
	fc.assert(
		fc.property(fc.stringMatching(/^[0-9: Z\n-]{0,24}$/), (text) => {
			const time = reloadTime(text, now);
			if (time === null) return;
			expect(time.atMs).toBeGreaterThan(now);
			if (time.daily) expect(time.atMs - now).toBeLessThanOrEqual(25 * 3_600_000);
		}),
		{ numRuns: 300 },
	);
});
