/** Link beats and BFD sessions: few boxes have them, and what they take is loaded on those only. */
import type { DroverConfig, LinkbeatConfig } from "../config/model.ts";

interface Source<Wanted> {
	configure(wanted: Wanted): void;
	close(): void;
}

export interface RareSourceEvents {
	/** A link that is polled, since its driver tells nothing; null when it is not polled any more. */
	onLink(name: string, up: boolean | null): void;
	/** What `drover bfd` last said stands while it is away. */
	onBfd(name: string, up: boolean): void;
}

export class RareSources {
	readonly #linkBeat: Rare<readonly LinkbeatConfig[]>;
	readonly #bfd: Rare<readonly string[]>;

	constructor({ onLink, onBfd }: RareSourceEvents) {
		this.#linkBeat = new Rare(async () => new (await import("./link-beat.ts")).LinkBeat(onLink));
		this.#bfd = new Rare(async () => new (await import("./bfd-tracker.ts")).BfdTracker(onBfd));
	}

	configure({ linkbeats, bfdInstances }: DroverConfig): void {
		void this.#linkBeat.configure(linkbeats);
		void this.#bfd.configure(bfdInstances.filter(({ forVrrp }) => forVrrp).map(({ name }) => name));
	}

	close(): void {
		this.#linkBeat.close();
		this.#bfd.close();
	}
}

/** Loaded when something is first wanted of it. */
class Rare<Wanted extends readonly unknown[]> {
	readonly #load: () => Promise<Source<Wanted>>;
	#source: Promise<Source<Wanted>> | null = null;
	#wanted: Wanted | null = null;
	#closed = false;

	constructor(load: () => Promise<Source<Wanted>>) {
		this.#load = load;
	}

	async configure(wanted: Wanted): Promise<void> {
		this.#wanted = wanted;
		if (this.#source === null && wanted.length === 0) return;
		this.#source ??= this.#load();
		const source = await this.#source;
		// What is wanted may have changed while it was loaded.
		if (!this.#closed) source.configure(this.#wanted);
	}

	close(): void {
		this.#closed = true;
		void this.#source?.then((source) => source.close());
	}
}
