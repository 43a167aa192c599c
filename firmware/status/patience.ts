/**
 * Does somebody hang who is not heard any more, or is the whole box starved? Pure.
 *
 * Whoever listens looks once in a period, and counts as silence only time in which it was on time itself: a look that
 * is late by N adds one period, not N more, since what kept the listener waiting kept the other one waiting, too.
 * And a restart makes a starved box slower still: after each one the limit is twice as long, until things
 * were well for a while.
 */

/** How long somebody was silent, as far as the listener can tell. Times are of one clock, in one unit. */
export interface Silence {
	readonly lookedAt: number;
	readonly silent: number;
}

/** From now on. */
export const listening = (now: number): Silence => ({ lookedAt: now, silent: 0 });

/** One look: `heard` since the last one? `period` is what should lie between two looks. */
export function look(before: Silence, now: number, heard: boolean, period: number): Silence {
	return { lookedAt: now, silent: heard ? 0 : before.silent + Math.min(now - before.lookedAt, period) };
}

/** How often somebody was restarted of late; the limit is doubled each time, LONGEST_FACTOR at most. */
export interface Restarts {
	readonly count: number;
	readonly lastAt: number;
}

const LONGEST_FACTOR = 16;

export const noRestarts: Restarts = { count: 0, lastAt: 0 };

/** One more. Those before a calm time of `calm` are forgotten. */
export function restarted(before: Restarts, now: number, calm: number): Restarts {
	return { count: now - before.lastAt > calm ? 1 : before.count + 1, lastAt: now };
}

/** What a limit is to be multiplied by. */
export function patience(restarts: Restarts, now: number, calm: number): number {
	return now - restarts.lastAt > calm ? 1 : Math.min(2 ** restarts.count, LONGEST_FACTOR);
}
