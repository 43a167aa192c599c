/** What a fetch under way shows to those who could share its answer, and to the messages that describe it. */
import type { FieldList } from "../http/headers.ts";
import type { Answer } from "./answer.ts";

export type FetchReason = "fetch" | "pass" | "bgfetch";

/** Somebody who waits for a fetch to say what it is. */
export interface Waiter {
	wake(): void;
}

export interface Inflight {
	readonly reason: FetchReason;
	/** Set when it may be delivered; `joinable` while others may share it. */
	readonly answer: Answer | undefined;
	readonly joinable: boolean;
	readonly waiters: Waiter[];
	readonly start: {
		readonly hitForMiss: boolean;
		readonly client: { readonly req: { readonly fields: FieldList } };
	};
}
