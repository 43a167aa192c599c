/**
 * One check over time: is it up, when is it probed next, and with which URL. Pure: time comes in
 * with each event, and the answer says what is to be done.
 *
 * The rules are keepalived's:
 *   - a check fails for good after `retry` extra attempts, spaced `delay_before_retry`;
 *   - while it is down it is probed every `delay_loop`, and its first success brings it back;
 *   - until it has passed once it is not trusted: the first failure is decisive, without retries;
 *   - HTTP_GET probes one URL per `delay_loop`; a URL that fails is probed alone, and after it
 *     every other URL must pass in turn before the check is up. `fast_recovery` does not wait between them,
 *     nor in the first round of all.
 * One is added: a check that never passed yet is probed with growing gaps (1 s, 2 s, 4 s … `delay_loop`),
 * so that a director that boots before its network does not leave every server out for a whole period.
 */
import type { CheckConfig, CheckTiming } from "../config/model.ts";

/** First gap for a check that never passed; it doubles up to `delay_loop`. */
export const FIRST_LOOK_GAP_MS = 1_000;
/** Whether it is the first or a later one is all that is asked of an answer's number. */
const ANSWERS_COUNTED = 2;
/** The first probe comes within this, however long the warm-up: later ones spread over the period. */
export const FIRST_PROBE_WITHIN_MS = 1_000;

/** The part of a check's configuration that bears on its verdict. */
export interface CheckRules {
	readonly timing: CheckTiming;
	/** 1 for everything but HTTP_GET and SSL_GET. */
	readonly urlCount: number;
	readonly fastRecovery: boolean;
	/** While down, wait at least `delay_before_retry` (HTTP_GET and SSL_GET). */
	readonly slowWhileDown: boolean;
	/** BFD_CHECK and FILE_CHECK: answers come by themselves, nothing is probed in between. */
	readonly eventDriven: boolean;
}

/** What a passing check does to its real server's weight. */
export type WeightEffect =
	/** MISC_CHECK with misc_dynamic: exit status − 2 instead of the configured weight. */
	| { readonly kind: "replace"; readonly weight: number }
	/** FILE_CHECK: value × weight on top of the configured weight. */
	| { readonly kind: "add"; readonly amount: number };

export interface Check {
	readonly rules: CheckRules;
	readonly up: boolean;
	/** Answers so far that told something, counted up to ANSWERS_COUNTED. */
	readonly answers: number;
	/** Every URL has passed in turn since the check began. */
	readonly everPassed: boolean;
	/** Failures in a row: against `retry` while up, for the growing gap before the first success. */
	readonly failures: number;
	/** The URL probed next. */
	readonly url: number;
	/** While down, and until it has passed once: URLs that passed in a row. */
	readonly urlsPassed: number;
	readonly effect: WeightEffect | null;
	/** The last answer in words. */
	readonly detail: string;
}

export type CheckEvent =
	/** Begins; `phase` is this check's place in the warm-up: below 1, or more when very many begin together. */
	| { readonly kind: "start"; readonly atMs: number; readonly phase: number }
	| {
			readonly kind: "passed";
			readonly atMs: number;
			readonly detail: string;
			readonly effect: WeightEffect | null;
			/** When the probe was started: MISC_CHECK's period counts from there. */
			readonly startedAtMs?: number;
			readonly phase: number;
	  }
	| {
			readonly kind: "failed";
			readonly atMs: number;
			readonly detail: string;
			readonly startedAtMs?: number;
			readonly phase: number;
			/** No retry can change it: the interface towards the server has lost its link. */
			readonly decisive?: boolean;
	  }
	/** The probe could not be made for a reason of our own (no descriptor, address not ours yet). */
	| { readonly kind: "postponed"; readonly atMs: number; readonly detail: string };

export type CheckAction =
	/** Probe URL number `url` at `atMs` (monotonic). */
	| { readonly kind: "probe"; readonly atMs: number; readonly url: number }
	| { readonly kind: "log"; readonly level: "info" | "warn"; readonly text: string };

export interface StepResult {
	/** The same record where nothing changed: most answers say again what the last one said. */
	readonly check: Check;
	readonly actions: readonly CheckAction[];
	/** Set when the check went up or down. */
	readonly transition?: { readonly up: boolean; readonly reason: string };
	/** Set when the weight effect differs from before. */
	readonly effectChanged?: boolean;
}

/** Rules, and states, are values: tens of thousands of checks have few of them between them. Those of each timing. */
const commonRules = new WeakMap<CheckTiming, readonly CheckRules[]>();

export function rulesOf(check: CheckConfig): CheckRules {
	const { timing } = check;
	const http = check.kind === "HTTP_GET" || check.kind === "SSL_GET";
	const urlCount = http ? Math.max(1, check.urls.length) : 1;
	const fastRecovery = http && check.fastRecovery;
	const eventDriven = check.kind === "FILE_CHECK" || check.kind === "BFD_CHECK";
	const common = commonRules.get(timing) ?? [];
	for (const rules of common)
		if (
			rules.urlCount === urlCount &&
			rules.fastRecovery === fastRecovery &&
			rules.slowWhileDown === http &&
			rules.eventDriven === eventDriven
		)
			return rules;
	const rules: CheckRules = { timing, urlCount, fastRecovery, slowWhileDown: http, eventDriven };
	commonRules.set(timing, [...common, rules]);
	return rules;
}

/** The states that most checks are in: nothing heard yet, or nothing but good. */
const newChecks = new WeakMap<CheckRules, Check>();
const settledChecks = new WeakMap<CheckRules, Check>();

/** A check before its first probe: down with `alpha`, else up. */
export function newCheck(rules: CheckRules): Check {
	let check = newChecks.get(rules);
	if (check === undefined) {
		check = unprobed(rules);
		newChecks.set(rules, check);
	}
	return check;
}

function unprobed(rules: CheckRules): Check {
	return {
		rules,
		up: !rules.timing.alpha,
		answers: 0,
		everPassed: false,
		failures: 0,
		url: 0,
		urlsPassed: 0,
		effect: null,
		detail: "not probed yet",
	};
}

/**
 * A check that a reload brings to a real server that was there before. `before`: the state of one that asked the same in
 * another rhythm; it goes on from there. Another question begins with what the old ones said of the server (`serverUp`):
 * neither does `alpha`, which is for servers of which nothing is known, take away one that serves, nor is a dead one
 * tried on clients.
 */
export function succeedingCheck(rules: CheckRules, before: Check | null, serverUp: boolean): Check {
	const fresh = newCheck(rules);
	if (before === null) return { ...fresh, up: serverUp };
	const { up, everPassed, effect, detail } = before;
	return { ...fresh, up, everPassed, effect, detail };
}

/** What one check does with one event. */
export function step(check: Check, event: CheckEvent): StepResult {
	switch (event.kind) {
		case "start": {
			const spreadMs = Math.min(check.rules.timing.warmupMs, FIRST_PROBE_WITHIN_MS);
			return { check, actions: probeIn(check, event.atMs, spreadMs * event.phase) };
		}
		case "postponed": {
			const next: Check = { ...check, detail: event.detail };
			const waitMs = Math.min(
				check.rules.timing.delayLoopMs,
				check.everPassed ? Number.POSITIVE_INFINITY : FIRST_LOOK_GAP_MS,
			);
			return { check: next, actions: probeIn(next, event.atMs, waitMs) };
		}
		case "passed":
			return passed(check, event);
		case "failed":
			return failed(check, event);
	}
}

function passed(check: Check, event: Extract<CheckEvent, { kind: "passed" }>): StepResult {
	const { rules } = check;
	const first = check.answers === 0;
	const url = (check.url + 1) % rules.urlCount;
	const settled = check.up && check.everPassed;
	const urlsPassed = settled ? 0 : check.urlsPassed + 1;
	const whole = urlsPassed >= rules.urlCount;
	const comesUp = !check.up && whole;
	const effectChanged = !sameEffect(check.effect, event.effect);
	const same =
		settled &&
		!effectChanged &&
		check.answers === ANSWERS_COUNTED &&
		check.failures === 0 &&
		check.url === url &&
		check.urlsPassed === 0 &&
		check.detail === event.detail;
	// A record for each of thousands of answers a second would outlive the collector's first look, and pile up.
	const next: Check = same
		? check
		: shared({
				rules,
				up: check.up || comesUp,
				answers: Math.min(ANSWERS_COUNTED, check.answers + 1),
				everPassed: check.everPassed || whole,
				failures: 0,
				url,
				urlsPassed: whole ? 0 : urlsPassed,
				effect: event.effect,
				detail: event.detail,
			});
	const waitMs =
		rules.fastRecovery && !settled && !whole ? 0 : steadyWaitMs(rules, false, first, event.phase);
	const actions = probeIn(next, event.startedAtMs ?? event.atMs, waitMs, event.atMs);
	if (!comesUp && !effectChanged) return { check: next, actions };
	return {
		check: next,
		actions,
		...(comesUp ? { transition: { up: true, reason: event.detail } } : {}),
		...(effectChanged ? { effectChanged } : {}),
	};
}

/** The record that another check of these rules is in already, where both are settled and say the same. */
function shared(check: Check): Check {
	if (!check.up || !check.everPassed || check.answers < ANSWERS_COUNTED) return check;
	const other = settledChecks.get(check.rules);
	if (
		other !== undefined &&
		other.url === check.url &&
		other.detail === check.detail &&
		sameEffect(other.effect, check.effect)
	)
		return other;
	settledChecks.set(check.rules, check);
	return check;
}

function failed(check: Check, event: Extract<CheckEvent, { kind: "failed" }>): StepResult {
	const { rules } = check;
	const { timing } = rules;
	const first = check.answers === 0;
	const seen = {
		answers: Math.min(ANSWERS_COUNTED, check.answers + 1),
		detail: event.detail,
	};
	const base = event.startedAtMs ?? event.atMs;
	const mayRetry = check.up && check.everPassed && event.decisive !== true && !rules.eventDriven;
	if (mayRetry && check.failures < timing.retry) {
		const next: Check = { ...check, ...seen, failures: check.failures + 1 };
		return {
			check: next,
			actions: [
				...probeIn(next, event.atMs, timing.delayBeforeRetryMs),
				...(timing.logAllFailures
					? [log("info", `${event.detail} (failure ${next.failures}, ${timing.retry} tolerated)`)]
					: []),
			],
		};
	}
	const next: Check = {
		...check,
		...seen,
		up: false,
		failures: check.failures + 1,
		urlsPassed: 0,
	};
	// `failures` goes on counting only while there never was a success: it sizes the growing gap.
	const waitMs = check.everPassed
		? steadyWaitMs(rules, true, first, event.phase)
		: Math.min(timing.delayLoopMs, FIRST_LOOK_GAP_MS * 2 ** Math.min(16, check.failures));
	const actions = probeIn(next, base, waitMs, event.atMs);
	if (check.up) {
		const tried = check.failures > 0 ? ` after ${check.failures} ${retries(check.failures)}` : "";
		return {
			check: { ...next, failures: check.everPassed ? 0 : next.failures },
			actions,
			transition: { up: false, reason: event.detail + tried },
		};
	}
	if (first) actions.push(log("warn", `stays down: ${event.detail}`));
	else if (timing.logAllFailures) actions.push(log("info", event.detail));
	return { check: { ...next, failures: check.everPassed ? 0 : next.failures }, actions };
}

/**
 * The wait to the next regular probe. After the very first answer it is a random part of the period,
 * which spreads the checks that all began within FIRST_PROBE_WITHIN_MS.
 */
function steadyWaitMs(rules: CheckRules, down: boolean, first: boolean, phase: number): number {
	const { delayLoopMs, delayBeforeRetryMs } = rules.timing;
	const waitMs = down && rules.slowWhileDown ? Math.max(delayLoopMs, delayBeforeRetryMs) : delayLoopMs;
	return first ? waitMs * (0.5 + 0.5 * phase) : waitMs;
}

function probeIn(check: Check, fromMs: number, waitMs: number, notBeforeMs = fromMs): CheckAction[] {
	if (check.rules.eventDriven) return [];
	return [{ kind: "probe", atMs: Math.max(notBeforeMs, fromMs + waitMs), url: check.url }];
}

function log(level: "info" | "warn", text: string): CheckAction {
	return { kind: "log", level, text };
}

function retries(count: number): string {
	return count === 1 ? "retry" : "retries";
}

export function sameEffect(a: WeightEffect | null, b: WeightEffect | null): boolean {
	if (a === null || b === null) return a === b;
	if (a.kind === "replace") return b.kind === "replace" && a.weight === b.weight;
	return b.kind === "add" && a.amount === b.amount;
}

const WEIGHT_LIMIT = 2 ** 31 - 1;

/**
 * The real server's weight while alive: the configured one, moved by each check's effect,
 * kept within what the kernel takes (0 … 2^31−1).
 */
export function effectiveWeight(configured: number, effects: Iterable<WeightEffect | null>): number {
	let weight = configured;
	for (const effect of effects)
		if (effect !== null) weight += effect.kind === "replace" ? effect.weight - configured : effect.amount;
	return Math.max(0, Math.min(WEIGHT_LIMIT, weight));
}
