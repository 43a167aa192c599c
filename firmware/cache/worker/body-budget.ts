/**
 * Bytes of bodies that one worker holds on their way: fetched, and not yet in the store or with their readers. When
 * they are over the limit, what is being kept for the store is passed on instead, and senders are held back sooner.
 */

/** The least that a worker may hold, however small its store. */
export const LEAST_BODY_BUDGET_BYTES = 32 * 1024 * 1024;

export class BodyBudget {
	readonly limitBytes: number;
	usedBytes = 0;

	constructor(limitBytes: number) {
		this.limitBytes = Math.max(limitBytes, LEAST_BODY_BUDGET_BYTES);
	}
	get over(): boolean {
		return this.usedBytes > this.limitBytes;
	}
}
