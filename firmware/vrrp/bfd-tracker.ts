/** The BFD sessions that instances track, told as they change. */
import { BfdLink } from "../bfd/link.ts";

export class BfdTracker {
	readonly #link = new BfdLink("vrrp");
	readonly #onSession: (name: string, up: boolean) => void;
	readonly #watched = new Map<string, () => void>();

	constructor(onSession: (name: string, up: boolean) => void) {
		this.#onSession = onSession;
	}

	configure(names: readonly string[]): void {
		for (const [name, stop] of this.#watched)
			if (!names.includes(name)) {
				stop();
				this.#watched.delete(name);
			}
		for (const name of names)
			if (!this.#watched.has(name))
				this.#watched.set(
					name,
					this.#link.watch(name, (up) => this.#onSession(name, up)),
				);
	}

	close(): void {
		this.#link.close();
	}
}
