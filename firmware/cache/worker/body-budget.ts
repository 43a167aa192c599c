/**
 * Bytes of bodies that one worker holds on their way: fetched, and not yet in the store or with their readers. When
 * they are over the limit, what is being kept for the store is passed on instead, and senders are held back sooner.
 * Clients that take nothing are counted beside them; when both together are over SPENT_FACTOR limits, those that have
 * taken nothing for longest are given up.
 */

/** The least that a worker may hold, however small its store. */
export const LEAST_BODY_BUDGET_BYTES = 32 * 1024 * 1024;
export const SPENT_FACTOR = 4;
/** What a request costs while its client keeps the answer waiting, beside the answer: task, fields, records. */
export const WAITING_REQUEST_BYTES = 16 * 1024;

export interface WaitingClient {
	/** It is given up: whatever it holds is to be let go before this returns. */
	giveUp(): void;
}

export class BodyBudget {
	readonly limitBytes: number;
	#usedBytes = 0;
	/** Who has taken nothing for longest comes first, each with what it is counted for. */
	readonly #waiting = new Map<WaitingClient, number>();
	#waitingBytes = 0;
	#isGivingUp = false;

	constructor(limitBytes: number) {
		this.limitBytes = Math.max(limitBytes, LEAST_BODY_BUDGET_BYTES);
	}
	/** Of bodies. */
	get usedBytes(): number {
		return this.#usedBytes;
	}
	get over(): boolean {
		return this.#usedBytes > this.limitBytes;
	}
	/** So many requests may wait for fetches of others. */
	get waitingRequests(): number {
		return (this.limitBytes * SPENT_FACTOR) / WAITING_REQUEST_BYTES;
	}
	get #spent(): boolean {
		return this.#usedBytes + this.#waitingBytes > this.limitBytes * SPENT_FACTOR;
	}

	/** Counts bytes of a body; negative when they are let go. */
	count(bytes: number): void {
		this.#usedBytes += bytes;
		if (bytes > 0) this.#look();
	}

	/** `client` takes nothing, and holds so many bytes that are not counted as a body's. Said again it keeps its place. */
	wait(client: WaitingClient, bytes: number): void {
		const cost = bytes + WAITING_REQUEST_BYTES;
		this.#waitingBytes += cost - (this.#waiting.get(client) ?? 0);
		this.#waiting.set(client, cost);
		this.#look();
	}

	/** It has taken something: all others that wait have waited longer. */
	renew(client: WaitingClient): void {
		const cost = this.#waiting.get(client);
		if (cost === undefined) return;
		this.#waiting.delete(client);
		this.#waiting.set(client, cost);
	}

	/** It does not wait any more. */
	leave(client: WaitingClient): void {
		this.#waitingBytes -= this.#waiting.get(client) ?? 0;
		this.#waiting.delete(client);
	}

	/** Not at once: whoever counts is in the midst of something. */
	#look(): void {
		if (this.#isGivingUp || this.#waiting.size === 0 || !this.#spent) return;
		this.#isGivingUp = true;
		setImmediate(() => {
			this.#isGivingUp = false;
			for (const client of this.#waiting.keys()) {
				if (!this.#spent) return;
				this.leave(client);
				client.giveUp();
			}
		});
	}
}
