/** `linkbeat_interfaces`: asks for the state of links whose drivers do not tell it, once a second as keepalived does. */
import type { LinkbeatConfig } from "../config/model.ts";
import { LinkPoll } from "../kernel/link-poll.ts";

const PERIOD_MS = 1_000;

export class LinkBeat {
	readonly #poll = new LinkPoll();
	readonly #onState: (name: string, up: boolean | null) => void;
	#beats: readonly LinkbeatConfig[] = [];
	#timer: ReturnType<typeof setInterval> | null = null;

	/** `onState`: after every look; null when the interface does not say, or is not polled any more. */
	constructor(onState: (name: string, up: boolean | null) => void) {
		this.#onState = onState;
	}

	configure(beats: readonly LinkbeatConfig[]): void {
		const left = this.#beats.filter((old) => !beats.some((beat) => beat.interface === old.interface));
		this.#beats = beats;
		for (const beat of left) this.#onState(beat.interface, null);
		if (this.#timer !== null) clearInterval(this.#timer);
		this.#timer = null;
		if (beats.length === 0) return;
		this.#look();
		this.#timer = setInterval(() => this.#look(), PERIOD_MS);
	}

	close(): void {
		if (this.#timer !== null) clearInterval(this.#timer);
		this.#poll.close();
	}

	#look(): void {
		for (const beat of this.#beats)
			this.#onState(beat.interface, this.#poll.isUp(beat.interface, beat.method));
	}
}
