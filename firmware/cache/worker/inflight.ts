/** What a fetch under way shows to those who could share its answer, and to the messages that describe it. */
import type { FieldList } from "../http/headers.ts";
import type { Answer } from "./answer.ts";

export type FetchReason = "fetch" | "pass" | "bgfetch";

/** Somebody who waits for a fetch to say what it is. */
export interface Waiter {
	/** `alone`: its answer was for nobody else, so that others like it are not worth waiting for. */
	wake(alone: boolean): void;
}

export interface Inflight {
	readonly reason: FetchReason;
	/** Set when it may be delivered; `joinable` while others may share it. */
	readonly answer: Answer | undefined;
	readonly joinable: boolean;
	/** Nobody has its answer yet, and as far as is known it will be for others, too: who wants the same waits. */
	readonly awaited: boolean;
	readonly waiters: Set<Waiter>;
	/** What it fetches has been purged since it began: nobody may share its answer, and it is not stored. */
	readonly isPurged: boolean;
	/** Number of the newest ban when it began. */
	readonly banAtStart: number;
	readonly start: {
		readonly hitForMiss: boolean;
		readonly client: { readonly req: { readonly fields: FieldList } };
	};
}

/** The fetches under way, by the key of what they fetch. Lists are replaced, never changed: somebody may be walking one. */
export type InflightFetches = Map<string, readonly Inflight[]>;

/** Puts `fetch` in, in the place of the one that it retries. */
export function register(
	fetches: InflightFetches,
	key: string,
	fetch: Inflight,
	retryOf: Inflight | undefined,
): void {
	const list = fetches.get(key);
	if (list === undefined) fetches.set(key, [fetch]);
	else if (retryOf !== undefined && list.includes(retryOf))
		fetches.set(
			key,
			list.map((each) => (each === retryOf ? fetch : each)),
		);
	else fetches.set(key, [...list, fetch]);
}

export function unregister(fetches: InflightFetches, key: string, fetch: Inflight): void {
	const list = fetches.get(key);
	if (list === undefined) return;
	const others = list.filter((each) => each !== fetch);
	if (others.length === 0) fetches.delete(key);
	else fetches.set(key, others);
}
