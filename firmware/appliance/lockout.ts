/**
 * How long a login waits after wrong passwords. Pure.
 *
 * At the machine the wait grows to half a minute and no further: whoever stands there is never locked
 * out for good. Over the network, where guesses come by the thousand, it grows to minutes.
 */

/** Where somebody logs in. */
export type Door = "console" | "network";

export interface Failures {
	/** Wrong passwords in a row. */
	readonly count: number;
	/** Unix milliseconds of the last one. */
	readonly lastAtMs: number;
}

export const noFailures: Failures = { count: 0, lastAtMs: 0 };

const SECOND_MS = 1_000;
const CONSOLE_LONGEST_MS = 30 * SECOND_MS;
/** Typing errors that cost a network login nothing but the second. */
const NETWORK_FREE = 3;
const NETWORK_FIRST_MS = 60 * SECOND_MS;
const NETWORK_LONGEST_MS = 15 * 60 * SECOND_MS;
/** Failures are forgotten this long after the last one. */
export const FORGOTTEN_AFTER_MS = 60 * 60 * SECOND_MS;

/** Wait after the `count`th failure in a row: 1, 2, 4 … 30 s at the console; 1 s, then 1, 2, 4 … 15 min. */
export function waitAfterMs(count: number, door: Door): number {
	if (count <= 0) return 0;
	if (door === "console") return Math.min(CONSOLE_LONGEST_MS, SECOND_MS * 2 ** Math.min(20, count - 1));
	if (count < NETWORK_FREE) return SECOND_MS;
	return Math.min(NETWORK_LONGEST_MS, NETWORK_FIRST_MS * 2 ** Math.min(20, count - NETWORK_FREE));
}

export function failed(failures: Failures, nowMs: number): Failures {
	const forgotten = nowMs - failures.lastAtMs > FORGOTTEN_AFTER_MS;
	return { count: (forgotten ? 0 : failures.count) + 1, lastAtMs: nowMs };
}

/** How long the door stays shut from now on; 0 when it is open. A clock that was set back does not shut it longer. */
export function shutForMs(failures: Failures, door: Door, nowMs: number): number {
	const waitMs = waitAfterMs(failures.count, door);
	const leftMs = failures.lastAtMs + waitMs - nowMs;
	return Math.max(0, Math.min(waitMs, leftMs));
}
