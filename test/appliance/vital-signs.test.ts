/** When the watchdog is fed, and which service is restarted. */
import { describe, expect, test } from "bun:test";
import {
	diagnose,
	PROGRAM_LIMIT_MS,
	SERVICE_LIMIT_MS,
	SERVICE_START_MS,
	type ServiceSign,
} from "../../firmware/appliance/vital-signs.ts";

const NOW = 1_000_000;
const service = (runsForMs: number | null, answeredMsAgo: number | null): ServiceSign => ({
	name: "director",
	runsSinceMs: runsForMs === null ? null : NOW - runsForMs,
	answeredAtMs: answeredMsAgo === null ? null : NOW - answeredMsAgo,
});
const hanging = (sign: ServiceSign) =>
	diagnose({ nowMs: NOW, programAtMs: NOW, services: [sign] }).hanging.length > 0;

describe("the watchdog is fed while programs start", () => {
	test.each([
		[0, true],
		[PROGRAM_LIMIT_MS, true],
		[PROGRAM_LIMIT_MS + 1, false],
	])("the last one %d ms ago: %p", (ago, fed) => {
		expect(diagnose({ nowMs: NOW, programAtMs: NOW - ago, services: [] }).feed).toBe(fed);
	});
	test("a hanging service does not stop it: the service is restarted, not the box", () => {
		expect(diagnose({ nowMs: NOW, programAtMs: NOW, services: [service(1e6, 1e6 - 1)] }).feed).toBe(true);
	});
});

describe("a service hangs", () => {
	test.each<[string, ServiceSign, boolean]>([
		["one that is down", service(null, null), false],
		["one that answers", service(500_000, 100), false],
		["one that has just stopped answering", service(500_000, SERVICE_LIMIT_MS), false],
		["one that has not answered for too long", service(500_000, SERVICE_LIMIT_MS + 1), true],
		["one that is still starting", service(SERVICE_START_MS, null), false],
		["one that never answered", service(SERVICE_START_MS + SERVICE_LIMIT_MS + 1, null), true],
		["one that was restarted: its predecessor's answers do not count", service(1_000, 2_000), false],
	])("%s", (_title, sign, expected) => {
		expect(hanging(sign)).toBe(expected);
	});
});
