/** What the client's steady requests say: who answers how often, and for how long nobody did. Pure. */
import type { RequestOutcome } from "./request.ts";

/** When the request was sent, Unix milliseconds. */
export type TimedOutcome = RequestOutcome & { readonly atMs: number };

export interface Outage {
	/** From the last request that was answered to the next one that was. */
	readonly milliseconds: number;
	readonly endedAtMs: number;
	readonly failures: number;
}

/** The client sends every 50 ms; a gap that long is no gap. */
const OUTAGE_LEAST_MS = 250;
const KEPT_MS = 10_000;

export class Traffic {
	#outcomes: TimedOutcome[] = [];
	#lastAnswerAtMs: number | null = null;
	#failuresSinceAnswer = 0;
	answered = 0;
	failed = 0;

	/** Takes one outcome; returns the outage that it ends, if it ends one. */
	push(outcome: TimedOutcome): Outage | null {
		this.#outcomes.push(outcome);
		const oldest = outcome.atMs - KEPT_MS;
		if (this.#outcomes[0]!.atMs < oldest)
			this.#outcomes = this.#outcomes.filter(({ atMs }) => atMs >= oldest);
		if (outcome.kind === "failure") {
			// Before the directors are up there is nobody who could answer.
			if (this.#lastAnswerAtMs === null) return null;
			this.failed++;
			this.#failuresSinceAnswer++;
			return null;
		}
		this.answered++;
		const last = this.#lastAnswerAtMs;
		this.#lastAnswerAtMs = Math.max(last ?? 0, outcome.atMs);
		const gap = last === null ? 0 : outcome.atMs - last;
		if (gap < OUTAGE_LEAST_MS) {
			this.#failuresSinceAnswer = 0;
			return null;
		}
		const outage = { milliseconds: gap, endedAtMs: outcome.atMs, failures: this.#failuresSinceAnswer };
		this.#failuresSinceAnswer = 0;
		return outage;
	}

	/** Answers of each server, and failures (under "failed"), per second over the last `windowMs`. */
	rates(nowMs: number, windowMs = 2_000): ReadonlyMap<string, number> {
		const counts = new Map<string, number>();
		for (const outcome of this.#outcomes) {
			if (outcome.atMs < nowMs - windowMs) continue;
			const key = outcome.kind === "answer" ? outcome.server : "failed";
			counts.set(key, (counts.get(key) ?? 0) + 1);
		}
		return new Map([...counts].map(([key, count]) => [key, (count * 1000) / windowMs]));
	}

	/** Unix milliseconds of the last answer; null before the first. */
	get lastAnswerAtMs(): number | null {
		return this.#lastAnswerAtMs;
	}
}
