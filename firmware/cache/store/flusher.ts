/** Brings what has been changed in a persistent store to the disk: those who wait for it at the same time share a flush. */
import { fdatasync, openSync } from "node:fs";

export type Done = (error: Error | null) => void;

export class Flusher {
	readonly #file: number;
	#waiting: Done[] = [];
	#flushing = false;

	/** `path` of the file that is mapped. */
	constructor(path: string) {
		this.#file = openSync(path, "r+");
	}

	/** Calls `done` when everything that was changed before this call is on the disk, or cannot be brought there. */
	settle(done: Done): void {
		this.#waiting.push(done);
		if (!this.#flushing) this.#flush();
	}

	#flush(): void {
		const served = this.#waiting;
		this.#waiting = [];
		this.#flushing = true;
		// Pages that were written to by way of a mapping are among the file's.
		fdatasync(this.#file, (error) => {
			this.#flushing = false;
			if (this.#waiting.length > 0) this.#flush();
			for (const done of served) done(error);
		});
	}
}
