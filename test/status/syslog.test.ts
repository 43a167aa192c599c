/** The log as syslog messages: RFC 5424 by its sections, and what waits for a receiver that is slow. */
import { describe, expect, test } from "bun:test";
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { BACKLOG_LIMIT, BACKLOG_LIMIT_BYTES, Backlog } from "../../firmware/status/syslog/backlog.ts";
import {
	formatMessage,
	frameMessage,
	type LogEntry,
	MESSAGE_LIMIT_BYTES,
	parseKernelRecord,
	parseLogLine,
} from "../../firmware/status/syslog/message.ts";
import { LogFollower } from "../../firmware/status/syslog/tail.ts";

const options = { hostname: "director-a", facility: "daemon", nowMs: Date.UTC(2026, 10, 28, 13, 0, 0, 5) };
const message = (entry: LogEntry) =>
	new TextDecoder("utf-8", { ignoreBOM: true }).decode(formatMessage(entry, options));

/** RFC 5424 §6, the ABNF as one expression. */
const SYSLOG_MESSAGE =
	/^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([\x21-\x7e]{1,255}) ([\x21-\x7e]{1,48}) ([\x21-\x7e]{1,128}) ([\x21-\x7e]{1,32}) (-|(?:\[[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}(?: [\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\])+)(?: (?:\ufeff[\s\S]*|[\x20-\x7e]*))?$/;

describe("RFC 5424 §6", () => {
	const line = (rest: object) =>
		JSON.stringify({
			level: "warn",
			time: "2026-11-28T12:00:00.123Z",
			name: "vrrp",
			service: "vrrp",
			...rest,
		});
	test.each<[string, string, string]>([
		[
			"§6.2.1 PRI, §6.2.3 TIMESTAMP, APP-NAME",
			line({ msg: "no advert" }),
			"<28>1 2026-11-28T12:00:00.123Z director-a drover-vrrp - - - no advert",
		],
		[
			"§6.3 STRUCTURED-DATA, with what must be escaped",
			line({ msg: "x", from: '10.0.0.1 "]\\', count: 3 }),
			'<28>1 2026-11-28T12:00:00.123Z director-a drover-vrrp - - [drover@8072.9999.9999.7068 from="10.0.0.1 \\"\\]\\\\" count="3"] x',
		],
		[
			"§6.4 MSG in UTF-8 begins with a byte order mark",
			line({ msg: "Grüße" }),
			"<28>1 2026-11-28T12:00:00.123Z director-a drover-vrrp - - - \ufeffGrüße",
		],
		[
			"a program's own words",
			"panic: out of memory",
			"<29>1 2026-11-28T13:00:00.005Z director-a drover-vrrp - - - panic: out of memory",
		],
		[
			"a level that only looks like one",
			JSON.stringify({ level: "valueOf", time: "2026-11-28T12:00:00.123Z", service: "vrrp", msg: "x" }),
			"<29>1 2026-11-28T12:00:00.123Z director-a drover-vrrp - - - x",
		],
		["no text at all", line({}), "<28>1 2026-11-28T12:00:00.123Z director-a drover-vrrp - - -"],
	])("%s", (_section, text, expected) => {
		expect(message(parseLogLine("vrrp", text))).toBe(expected);
	});
	test("the kernel's records, and not what user space wrote among them", () => {
		expect(message(parseKernelRecord("4,339,5140900,-;eth0: link down\n SUBSYSTEM=net\n")!)).toBe(
			"<4>1 2026-11-28T13:00:00.005Z director-a kernel - - - eth0: link down",
		);
		expect(parseKernelRecord("30,339,5140900,-;systemd: started\n")).toBeNull();
		expect(parseKernelRecord("garbage")).toBeNull();
	});
	test("whatever a service writes: a message by the ABNF, within the limit", () => {
		const text = fc.string({ unit: "binary", maxLength: 200 });
		const entry = fc.oneof(
			text,
			fc
				.record({ msg: text, level: text, service: text, time: text, from: text })
				.map((record) => JSON.stringify(record)),
			fc.dictionary(text, fc.jsonValue()).map((record) => JSON.stringify(record)),
			fc.nat(20_000).map((length) => "ä".repeat(length)),
		);
		fc.assert(
			fc.property(entry, (written) => {
				const bytes = formatMessage(parseLogLine("vrrp", written), options);
				expect(bytes.length).toBeLessThanOrEqual(MESSAGE_LIMIT_BYTES);
				expect(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)).toMatch(
					SYSLOG_MESSAGE,
				);
			}),
			{ numRuns: 2_000 },
		);
	});
	test("RFC 6587 §3.4.1 octet counting", () => {
		expect(new TextDecoder().decode(frameMessage(new TextEncoder().encode("ä!")))).toBe("3 ä!");
	});
});

describe("what waits for a receiver", () => {
	test("the oldest goes first, and is counted", () => {
		const backlog = new Backlog();
		const sizeBytes = 100;
		for (let index = 0; index < BACKLOG_LIMIT + 5; index++)
			backlog.add(new Uint8Array(sizeBytes).fill(index));
		expect([backlog.length, backlog.lost, backlog.peek()![0]]).toEqual([BACKLOG_LIMIT, 5, 5]);
	});
	test("large ones are bounded by their bytes", () => {
		const backlog = new Backlog();
		for (let index = 0; index < 1_000; index++) backlog.add(new Uint8Array(MESSAGE_LIMIT_BYTES));
		expect(backlog.length).toBe(BACKLOG_LIMIT_BYTES / MESSAGE_LIMIT_BYTES);
		expect(backlog.length + backlog.lost).toBe(1_000);
	});
});

describe("the ring that svlogd writes", () => {
	function withLogs(work: (directory: string) => void): void {
		const directory = mkdtempSync(join(tmpdir(), "drover-logs-"));
		try {
			mkdirSync(join(directory, "vrrp"));
			work(directory);
		} finally {
			rmSync(directory, { recursive: true });
		}
	}
	const readAll = (follower: LogFollower) => {
		const lines: string[] = [];
		follower.read((service, text) => lines.push(`${service}: ${text}`));
		return lines;
	};
	test("whole lines only, over a change of the file", () =>
		withLogs((directory) => {
			const current = join(directory, "vrrp/current");
			const follower = new LogFollower(directory, {});
			expect(readAll(follower)).toEqual([]);
			writeFileSync(current, "one\ntw");
			expect(readAll(follower)).toEqual(["vrrp: one"]);
			appendFileSync(current, "o\nthree\n");
			renameSync(current, join(directory, "vrrp/@400000005f.s"));
			writeFileSync(current, "four\n");
			expect(readAll(follower)).toEqual(["vrrp: two", "vrrp: three", "vrrp: four"]);
			follower.close();
		}));
	test("a file beside the rings is none", () =>
		withLogs((directory) => {
			writeFileSync(join(directory, "lastlog"), "");
			writeFileSync(join(directory, "vrrp/current"), "one\n");
			const follower = new LogFollower(directory, {});
			expect(readAll(follower)).toEqual(["vrrp: one"]);
			follower.close();
		}));
	test("a new start goes on where the last one ended", () =>
		withLogs((directory) => {
			const current = join(directory, "vrrp/current");
			writeFileSync(current, "one\ntwo\nthr");
			const first = new LogFollower(directory, {});
			expect(readAll(first)).toEqual(["vrrp: one", "vrrp: two"]);
			const second = new LogFollower(directory, first.positions());
			appendFileSync(current, "ee\n");
			expect(readAll(second)).toEqual(["vrrp: three"]);
			first.close();
			second.close();
		}));
});
