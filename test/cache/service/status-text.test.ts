/** `drover cache status` on a terminal of 80 columns. */
import { expect, test } from "bun:test";
import { statusText } from "../../../firmware/cache/service/status-text.ts";
import type { CacheStatus } from "../../../firmware/status/cache.ts";

const figures = {
	requests: 1_234_567_890,
	hits: 1_111_111_111,
	misses: 123_456_789,
	passes: 12_345_678,
	synthetic: 0,
	failedFetches: 1_234_567,
	hitRatio: 0.9,
};
const status: CacheStatus = {
	startedAtMs: 0,
	state: "running",
	vcl: { name: "boot", file: "default.vcl" },
	reload: null,
	listeners: [],
	storages: [],
	workerPids: [1, 2],
	panic: null,
	total: figures,
	recent: { ...figures, requests: 123_456, seconds: 1 },
	objects: 0,
	usedBytes: 0,
	freeBytes: 0,
	evicted: 0,
	expired: 0,
	sessions: 0,
	bans: 0,
	backends: [],
};

test("the table's columns stand apart, large figures too, and no line of it is broken", () => {
	const lines = statusText(status, 0).split("\n");
	const at = lines.findIndex((line) => line.includes("requests/s"));
	const table = lines.slice(at, at + 3);
	expect(Math.max(...table.map(({ length }) => length))).toBeLessThanOrEqual(79);
	expect(table[0]!.trim().split(/ +/)).toEqual([
		"requests/s",
		"hit",
		"rate",
		"hits",
		"misses",
		"passes",
		"failed",
		"fetches",
	]);
	expect(table[1]!.slice(12).trim().split(/ +/)).toEqual([
		"123456.0",
		"90.0",
		"%",
		"1111111111",
		"123456789",
		"12345678",
		"1234567",
	]);
});
