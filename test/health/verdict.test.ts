/** keepalived's checker engine (check_api.c, check_tcp.c, check_http.c), as tables of events and what follows. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { CheckConfig, CheckTarget, CheckTiming } from "../../firmware/config/model.ts";
import {
	type Check,
	type CheckEvent,
	type CheckRules,
	effectiveWeight,
	newCheck,
	rulesOf,
	step,
} from "../../firmware/health/verdict.ts";

const timing: CheckTiming = {
	delayLoopMs: 6_000,
	retry: 2,
	delayBeforeRetryMs: 1_000,
	warmupMs: 6_000,
	alpha: false,
	logAllFailures: false,
};
const rules = (change: Partial<CheckRules> = {}, timingChange: Partial<CheckTiming> = {}): CheckRules => ({
	timing: { ...timing, ...timingChange },
	urlCount: 1,
	fastRecovery: false,
	slowWhileDown: false,
	eventDriven: false,
	...change,
});

/** Plays "+" (passed) and "-" (failed) answers, each the moment it was asked for; returns one line per answer. */
function play(check: Check, script: string): string[] {
	const lines: string[] = [];
	let at = 100_000;
	for (const answer of script) {
		const event: CheckEvent =
			answer === "+"
				? { kind: "passed", atMs: at, detail: "good", effect: null, phase: 1 }
				: { kind: "failed", atMs: at, detail: "bad", phase: 1 };
		const result = step(check, event);
		const probe = result.actions.find((action) => action.kind === "probe");
		if (probe?.kind !== "probe") throw new Error("no next probe");
		const change = result.transition === undefined ? "" : result.transition.up ? " goes up" : " goes down";
		lines.push(`${answer} next in ${(probe.atMs - at) / 1000} s url ${probe.url}${change}`);
		check = result.check;
		at = probe.atMs;
	}
	return lines;
}

describe("up to down: retry extra failures, delay_before_retry apart", () => {
	test("retry 2: the third failure in a row is the end", () => {
		expect(play(newCheck(rules()), "+--+---")).toEqual([
			"+ next in 6 s url 0",
			"- next in 1 s url 0",
			"- next in 1 s url 0",
			"+ next in 6 s url 0",
			"- next in 1 s url 0",
			"- next in 1 s url 0",
			"- next in 6 s url 0 goes down",
		]);
	});
	test("retry 0: the first failure", () => {
		expect(play(newCheck(rules({}, { retry: 0 })), "+-").at(-1)).toBe("- next in 6 s url 0 goes down");
	});
	test("the very first answer is decisive, whatever retry says", () => {
		expect(play(newCheck(rules()), "-")[0]).toBe("- next in 1 s url 0 goes down");
	});
});

describe("down to up: the first success, every delay_loop", () => {
	test("rise is 1, and there are no retries while down", () => {
		expect(play(newCheck(rules({}, { retry: 0 })), "+---+")).toEqual([
			"+ next in 6 s url 0",
			"- next in 6 s url 0 goes down",
			"- next in 6 s url 0",
			"- next in 6 s url 0",
			"+ next in 6 s url 0 goes up",
		]);
	});
	test("alpha: down until the first success", () => {
		const check = newCheck(rules({}, { alpha: true }));
		expect(check.up).toBe(false);
		expect(play(check, "+")).toEqual(["+ next in 6 s url 0 goes up"]);
	});
	test("a server that never answered is asked again soon, with doubling gaps up to delay_loop", () => {
		expect(play(newCheck(rules({}, { alpha: true })), "-----+")).toEqual([
			"- next in 1 s url 0",
			"- next in 2 s url 0",
			"- next in 4 s url 0",
			"- next in 6 s url 0",
			"- next in 6 s url 0",
			"+ next in 6 s url 0 goes up",
		]);
	});
	test("HTTP_GET: while down at least delay_before_retry", () => {
		const http = rules({ slowWhileDown: true }, { retry: 0, delayBeforeRetryMs: 9_000 });
		expect(play(newCheck(http), "+--")).toEqual([
			"+ next in 6 s url 0",
			"- next in 9 s url 0 goes down",
			"- next in 9 s url 0",
		]);
	});
});

describe("HTTP_GET with several URLs: one per delay_loop", () => {
	const http = (change: Partial<CheckRules> = {}) =>
		rules({ urlCount: 3, slowWhileDown: true, ...change }, { retry: 1 });
	test("each success moves on to the next URL", () => {
		expect(play(newCheck(http()), "++++")).toEqual([
			"+ next in 6 s url 1",
			"+ next in 6 s url 2",
			"+ next in 6 s url 0",
			"+ next in 6 s url 1",
		]);
	});
	test("the URL that fails is tried again alone; then all must pass in turn", () => {
		expect(play(newCheck(http()), "++++---+++").slice(3)).toEqual([
			"+ next in 6 s url 1",
			"- next in 1 s url 1",
			"- next in 6 s url 1 goes down",
			"- next in 6 s url 1",
			"+ next in 6 s url 2",
			"+ next in 6 s url 0",
			"+ next in 6 s url 1 goes up",
		]);
	});
	test("a failure in the first round of all is decisive, whichever URL it is", () => {
		expect(play(newCheck(http()), "++-").at(-1)).toBe("- next in 1 s url 2 goes down");
		expect(play(newCheck(http()), "+++-").at(-1)).toBe("- next in 1 s url 0");
	});
	test("on the way back a URL that passes is followed after delay_loop, however long delay_before_retry is", () => {
		const slow = rules({ urlCount: 2, slowWhileDown: true }, { retry: 0, delayBeforeRetryMs: 9_000 });
		expect(play(newCheck(slow), "++-++").slice(2)).toEqual([
			"- next in 9 s url 0 goes down",
			"+ next in 6 s url 1",
			"+ next in 6 s url 0 goes up",
		]);
	});
	test("another URL that fails on the way back begins the count again", () => {
		expect(play(newCheck(http()), "+--++-+++").at(-1)).toBe("+ next in 6 s url 0 goes up");
		expect(play(newCheck(http()), "+--++-++").at(-1)).toBe("+ next in 6 s url 2");
	});
	test("fast_recovery does not wait between them", () => {
		expect(play(newCheck(http({ fastRecovery: true })), "++++--+++")).toEqual([
			"+ next in 0 s url 1",
			"+ next in 0 s url 2",
			"+ next in 6 s url 0",
			"+ next in 6 s url 1",
			"- next in 1 s url 1",
			"- next in 6 s url 1 goes down",
			"+ next in 0 s url 2",
			"+ next in 0 s url 0",
			"+ next in 6 s url 1 goes up",
		]);
	});
});

describe("warm-up and rhythm", () => {
	test("the first probe is spread over the warm-up, but comes within a second", () => {
		for (const [warmupMs, phase, expected] of [
			[6_000, 0, 0],
			[6_000, 0.5, 500],
			[400, 0.5, 200],
			[0, 0.9, 0],
		] as const) {
			const { actions } = step(newCheck(rules({}, { warmupMs })), { kind: "start", atMs: 50, phase });
			expect(actions).toEqual([{ kind: "probe", atMs: 50 + expected, url: 0 }]);
		}
	});
	test("after its first answer a check takes its place in the period", () => {
		const { actions } = step(newCheck(rules()), {
			kind: "passed",
			atMs: 0,
			detail: "",
			effect: null,
			phase: 0.5,
		});
		expect(actions).toEqual([{ kind: "probe", atMs: 4_500, url: 0 }]);
	});
	test("MISC_CHECK: the period counts from the start of the run, never into the past", () => {
		const up = step(newCheck(rules()), {
			kind: "passed",
			atMs: 0,
			detail: "",
			effect: null,
			phase: 1,
		}).check;
		const event = { kind: "passed", detail: "", effect: null, phase: 1 } as const;
		expect(step(up, { ...event, startedAtMs: 1_000, atMs: 3_000 }).actions).toEqual([
			{ kind: "probe", atMs: 7_000, url: 0 },
		]);
		expect(step(up, { ...event, startedAtMs: 1_000, atMs: 30_000 }).actions).toEqual([
			{ kind: "probe", atMs: 30_000, url: 0 },
		]);
	});
	test("an answer that says what the last one said makes no new record", () => {
		const event = { atMs: 0, phase: 1, effect: null, kind: "passed", detail: "connected" } as const;
		const again = (check: Check) => step(check, event).check;
		const settled = again(again(newCheck(rules({}, { retry: 3 }))));
		expect(again(settled)).toBe(settled);
		expect(step(settled, { ...event, detail: "HTTP 204" }).check).toEqual({ ...settled, detail: "HTTP 204" });
		const effect = { kind: "replace", weight: 3 } as const;
		expect(step(settled, { ...event, effect })).toMatchObject({ check: { effect }, effectChanged: true });
		const failing = step(settled, { ...event, kind: "failed", detail: "timeout" }).check;
		expect(again(failing)).toEqual(settled);
		const several = newCheck(rules({ urlCount: 2 }));
		expect(again(again(again(several))).url).toBe(1);
	});
	test("checks of which nothing bad was heard share their record, those of one timing their rules", () => {
		const event = { atMs: 0, phase: 1, effect: null, kind: "passed", detail: "connected" } as const;
		const same = rules();
		const fresh = newCheck(same);
		expect(newCheck(same)).toBe(fresh);
		const again = (check: Check, change: object = {}) => step(check, { ...event, ...change }).check;
		const settled = again(again(fresh));
		expect(again(again(fresh))).toBe(settled);
		const effect = { kind: "replace", weight: 3 } as const;
		for (const change of [{ detail: "HTTP 204" }, { effect }])
			expect(again(settled, change)).toEqual({ ...settled, ...change });
		// Down, and up again: as if nothing had been.
		const down = play(fresh, "++---");
		expect(down.at(-1)).toEndWith("goes down");
		const other = newCheck(rules({}, { retry: 5 }));
		expect(again(again(other))).toEqual({ ...settled, rules: other.rules });

		const target = { address: "127.0.0.1" } as CheckTarget;
		const tcp = { kind: "TCP_CHECK", target, timing } as CheckConfig;
		const http = (urls: number, fastRecovery: boolean) =>
			({
				kind: "HTTP_GET",
				target,
				timing,
				urls: new Array(urls).fill({}),
				fastRecovery,
			}) as unknown as CheckConfig;
		const all = [tcp, http(1, false), http(2, false), http(1, true)];
		expect(all.map((check) => rulesOf({ ...check }))).toEqual([
			rules(),
			rules({ slowWhileDown: true }),
			rules({ slowWhileDown: true, urlCount: 2 }),
			rules({ slowWhileDown: true, fastRecovery: true }),
		]);
		for (const check of all) expect(rulesOf({ ...check })).toBe(rulesOf(check));
	});
	test("a lost link is decisive: no retries", () => {
		const event = { atMs: 0, phase: 1 } as const;
		const up = step(newCheck(rules()), { ...event, kind: "passed", detail: "", effect: null }).check;
		const lost = { ...event, kind: "failed", detail: "eth1 has no link" } as const;
		expect(step(up, lost).transition).toBeUndefined();
		expect(step(up, { ...lost, decisive: true }).transition).toEqual({
			up: false,
			reason: "eth1 has no link",
		});
	});
	test("a probe that could not be made leaves the verdict alone", () => {
		const { check, transition, actions } = step(newCheck(rules()), {
			kind: "postponed",
			atMs: 0,
			detail: "bindto 10.9.9.9: address not available",
		});
		expect(check.up).toBe(true);
		expect(transition).toBeUndefined();
		expect(actions).toEqual([{ kind: "probe", atMs: 1_000, url: 0 }]);
	});
	test("log_all_failures: a tolerated failure is told, and only then", () => {
		const told = (logAllFailures: boolean) => {
			const up = step(newCheck(rules({}, { logAllFailures })), {
				kind: "passed",
				atMs: 0,
				detail: "",
				effect: null,
				phase: 1,
			}).check;
			return step(up, { kind: "failed", atMs: 0, detail: "bad", phase: 1 }).actions.filter(
				({ kind }) => kind === "log",
			).length;
		};
		expect(told(true)).toBe(1);
		expect(told(false)).toBe(0);
	});
});

describe("properties", () => {
	const anyRules = fc.record({
		retry: fc.nat(4),
		urls: fc.integer({ min: 1, max: 4 }),
		alpha: fc.boolean(),
		fastRecovery: fc.boolean(),
	});
	test("down only after retry + 1 failures in a row, up only after every URL passed in a row", () => {
		fc.assert(
			fc.property(anyRules, fc.array(fc.boolean(), { maxLength: 60 }), (shape, answers) => {
				let check = newCheck(
					rules(
						{ urlCount: shape.urls, fastRecovery: shape.fastRecovery },
						{ retry: shape.retry, alpha: shape.alpha },
					),
				);
				let failures = 0;
				let successes = 0;
				let proved = false;
				let at = 0;
				answers.forEach((good) => {
					failures = good ? 0 : failures + 1;
					successes = good ? successes + 1 : 0;
					const before = check.up;
					const result = good
						? step(check, { kind: "passed", atMs: at, detail: "", effect: null, phase: 0 })
						: step(check, { kind: "failed", atMs: at, detail: "", phase: 0 });
					const probes = result.actions.filter(({ kind }) => kind === "probe");
					expect(probes.length).toBe(1);
					const [probe] = probes;
					if (probe?.kind !== "probe") throw new Error("unreachable");
					expect(probe.atMs).toBeGreaterThanOrEqual(at);
					expect(probe.url).toBeLessThan(shape.urls);
					expect(result.transition !== undefined).toBe(before !== result.check.up);
					if (before && !result.check.up) expect(failures).toBe(proved ? shape.retry + 1 : 1);
					if (before && result.check.up) expect(failures).toBeLessThanOrEqual(proved ? shape.retry : 0);
					proved ||= successes >= shape.urls;
					if (!before && result.check.up) expect(successes).toBeGreaterThanOrEqual(shape.urls);
					if (!before && !result.check.up) expect(successes).toBeLessThan(shape.urls);
					check = result.check;
					at = probe.atMs;
				});
			}),
		);
	});
});

describe("weights (misc_dynamic, FILE_CHECK)", () => {
	test.each([
		[100, [], 100],
		[100, [null, null], 100],
		[100, [{ kind: "replace", weight: 0 }], 0],
		[100, [{ kind: "replace", weight: 253 }], 253],
		[1, [{ kind: "add", amount: 9 }], 10],
		[1, [{ kind: "add", amount: -9 }], 0],
		[1, [{ kind: "add", amount: 2 ** 40 }], 2 ** 31 - 1],
		// Each dynamic check moves the weight by its own difference.
		[
			10,
			[
				{ kind: "replace", weight: 4 },
				{ kind: "replace", weight: 7 },
			],
			1,
		],
		[
			10,
			[
				{ kind: "replace", weight: 20 },
				{ kind: "add", amount: 5 },
			],
			25,
		],
	] as const)("configured %p with %p is %p", (configured, effects, expected) => {
		expect(effectiveWeight(configured, effects)).toBe(expected);
	});
});
