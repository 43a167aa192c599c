/** Events that wait to be told of together. Pure. */
import type { BoxEvent } from "./notification.ts";
import { QUEUE_LIMIT } from "./notifier.ts";

/** With sysUpTime when it happened, milliseconds. */
export interface GatheredEvent {
	readonly event: BoxEvent;
	readonly upMs: number;
}

export class Gathering {
	#events: GatheredEvent[] = [];
	#dropped = 0;

	get count(): number {
		return this.#events.length;
	}

	/** Of more than a receiver's queue holds the oldest are dropped. */
	add(event: GatheredEvent): void {
		if (this.#events.length === QUEUE_LIMIT) {
			this.#events.shift();
			this.#dropped++;
		}
		this.#events.push(event);
	}

	/** What there is, the oldest first, and how many are not there any more. */
	take(): { readonly events: readonly GatheredEvent[]; readonly dropped: number } {
		const taken = { events: this.#events, dropped: this.#dropped };
		this.#events = [];
		this.#dropped = 0;
		return taken;
	}
}
