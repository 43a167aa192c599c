/** What a service saw and what it decided upon it: a bounded ring that explains. Pure. */

/** Sightings kept by one service; the oldest go first. */
export const TIMELINE_LIMIT = 2_000;

/** One thing seen or decided. */
export interface Sighting {
	/** What it is about: an instance, "10.0.0.4:80 of [10.0.0.1]:tcp:80". */
	readonly subject: string;
	/** What was seen or done, in the operator's words. */
	readonly text: string;
	/** Who said it: a peer's address, an interface, a script, "operator"; null is the service itself. */
	readonly from: string | null;
	/** The rule that made a decision of it, with its source; null for what is only seen. */
	readonly rule: string | null;
}

export interface TimelineEntry extends Sighting {
	/** Unix milliseconds. */
	readonly atMs: number;
	/** How often it was seen in a row, the last time at `atMs`. */
	readonly times: number;
}

export class Timeline {
	#entries: TimelineEntry[] = [];
	readonly #limit: number;

	constructor(limit = TIMELINE_LIMIT) {
		this.#limit = limit;
	}

	note(sightings: readonly Sighting[], atMs: number): void {
		for (const sighting of sightings) {
			const last = this.#entries.at(-1);
			if (last !== undefined && same(last, sighting))
				this.#entries[this.#entries.length - 1] = { ...last, atMs, times: last.times + 1 };
			else this.#entries.push({ ...sighting, atMs, times: 1 });
		}
		// In lumps: a ring that is full does not move for every entry.
		if (this.#entries.length >= this.#limit * 1.25) this.#entries = this.#entries.slice(-this.#limit);
	}

	/** The newest `count` that `concerns` accepts, oldest first. */
	newest(count: number, concerns: (subject: string) => boolean = () => true): readonly TimelineEntry[] {
		const found: TimelineEntry[] = [];
		for (let at = this.#entries.length - 1; at >= 0 && found.length < count; at--)
			if (concerns(this.#entries[at]!.subject)) found.push(this.#entries[at]!);
		return found.reverse();
	}
}

function same(a: Sighting, b: Sighting): boolean {
	return a.subject === b.subject && a.text === b.text && a.from === b.from && a.rule === b.rule;
}
