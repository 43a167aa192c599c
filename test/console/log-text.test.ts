/** The services' logs on the console. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parseLogQuery, readLog } from "../../firmware/console/log.ts";
import { formatLogLine, mergeLogs, parseLogLine } from "../../firmware/console/log-text.ts";
import { WIDTH_COLUMNS } from "../../firmware/console/wrap.ts";

const entry = (time: string, msg: string, rest: object = {}) =>
	JSON.stringify({ level: "info", time, name: "vrrp", service: "vrrp", msg, ...rest });

describe("one line", () => {
	test("pino's JSON becomes time, service, text and fields", () => {
		const line = parseLogLine(
			entry("2026-01-01T12:03:44.120Z", "VI_1 is MASTER", { reason: "no advert" }),
			"vrrp",
		);
		expect(formatLogLine(line)).toEqual(["12:03:44.120 vrrp     VI_1 is MASTER reason=no advert"]);
	});
	test("anything above info says so", () => {
		const line = parseLogLine(JSON.stringify({ level: "warn", time: 0, msg: "late" }), "director");
		expect(formatLogLine(line)).toEqual(["00:00:00.000 director warn: late"]);
	});
	test("what is not JSON is text", () => {
		expect(parseLogLine("{broken", "vrrp").text).toBe("{broken");
		expect(parseLogLine("panic: no such file", "vrrp").text).toBe("panic: no such file");
		expect(parseLogLine("Accepted password for root\r", "sshd").text).toBe("Accepted password for root");
	});
	test("whatever a service writes, the terminal stays whole", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary", maxLength: 300 }), fc.json(), (raw, json) => {
				for (const text of [raw, json, entry(raw, raw, { [raw]: raw })])
					for (const line of formatLogLine(parseLogLine(text, "vrrp"))) {
						expect(line.length).toBeLessThanOrEqual(WIDTH_COLUMNS);
						expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
					}
			}),
			{ numRuns: 300 },
		);
	});
});

describe("all services together", () => {
	const lines = (service: string, ...times: (number | null)[]) =>
		times.map((timeMs, index) => ({ timeMs, service, level: "info", text: `${service}${index}` }));
	test("in order of time, the newest kept", () => {
		const merged = mergeLogs([lines("a", 1, 5, 9), lines("b", 2, 6)], 4);
		expect(merged.map((line) => line.text)).toEqual(["b0", "a1", "b1", "a2"]);
	});
	test("what was said before the clock was set back comes first, also of a service that is silent since", () => {
		const [early, late] = [Date.UTC(2001), Date.UTC(2026)];
		const logs = [lines("a", late, late + 2, early, early + 2), lines("b", late + 1), lines("c", early + 1)];
		const merged = mergeLogs(logs, 10, early + 3);
		expect(merged.map((line) => line.text)).toEqual(["a0", "b0", "a1", "a2", "c0", "a3"]);
	});
	test("a line without a time stays by its neighbour", () => {
		const merged = mergeLogs([lines("a", 5, null, 9), lines("b", 6)], 10);
		expect(merged.map((line) => line.text)).toEqual(["a0", "a1", "b0", "a2"]);
	});
});

describe("drover log", () => {
	test.each<[string, ReturnType<typeof parseLogQuery>]>([
		["", { count: 20, service: null, warningsOnly: false }],
		["50", { count: 50, service: null, warningsOnly: false }],
		["50 vrrp", { count: 50, service: "vrrp", warningsOnly: false }],
		["vrrp 50", { count: 50, service: "vrrp", warningsOnly: false }],
		["0", { count: 1, service: null, warningsOnly: false }],
		["999999", { count: 10_000, service: null, warningsOnly: false }],
		["50 warn", { count: 50, service: null, warningsOnly: true }],
		["../etc", null],
		["a b", null],
		["--help", null],
	])("%p", (words, expected) => {
		expect(parseLogQuery(words.split(" ").filter((word) => word !== ""))).toEqual(expected);
	});

	test("svlogd's rotated files come first", () => {
		const directory = mkdtempSync(join(tmpdir(), "drover-log-"));
		try {
			const warning = JSON.stringify({ level: "warn", time: "2026-01-01T00:00:04Z", msg: "late" });
			mkdirSync(join(directory, "vrrp"));
			writeFileSync(join(directory, "vrrp/@4000000000000001.s"), `${entry("2026-01-01T00:00:01Z", "one")}\n`);
			writeFileSync(join(directory, "vrrp/@4000000000000002.s"), `${entry("2026-01-01T00:00:02Z", "two")}\n`);
			writeFileSync(join(directory, "vrrp/current"), `${entry("2026-01-01T00:00:03Z", "three")}\n`);
			writeFileSync(join(directory, "vrrp/current"), `${warning}\n`, { flag: "a" });
			const texts = (count: number, warningsOnly: boolean) => {
				const found = readLog({ count, service: null, warningsOnly }, directory);
				return typeof found === "string" ? found : found.map(({ text }) => text);
			};
			expect(texts(3, false)).toEqual(["two", "three", "late"]);
			expect(texts(3, true)).toEqual(["late"]);
			expect(readLog({ count: 9, service: "no", warningsOnly: false }, directory)).toBe(
				'there is no log of "no": there are vrrp',
			);
		} finally {
			rmSync(directory, { recursive: true });
		}
	});
});
