/**
 * How a service ends that is told to: soon, whatever a script, a peer or the kernel keeps it waiting with. Of themselves a
 * script that runs on, a silent mail server or a reader that does not heed SIGTERM would each keep its event loop going.
 */
import type { Log } from "./status/log.ts";

/** From the word to the end. A box that goes down gives its services 10 s (rootfs/usr/lib/drover/shutdown). */
export const END_LIMIT_MS = 8_000;
/** From the orderly end on: so long does the log have for its last lines. */
const FAREWELL_MS = 50;

export class Ending {
	/** The reason of the first `begin`. */
	readonly asked: Promise<string>;
	/** What is being waited for, as the log calls it when that takes too long. */
	waitsFor = "its start";
	readonly #log: Pick<Log, "error">;
	readonly #resolve: (reason: string) => void;
	#isAsked = false;

	constructor(log: Pick<Log, "error">) {
		this.#log = log;
		({ promise: this.asked, resolve: this.#resolve } = Promise.withResolvers<string>());
	}

	get isAsked(): boolean {
		return this.#isAsked;
	}

	/** The process ends within `limitMs`, with status 0 and a line in the log if it has not ended by itself. */
	begin(reason: string, limitMs = END_LIMIT_MS): void {
		if (this.#isAsked) return;
		this.#isAsked = true;
		this.#resolve(reason);
		setTimeout(() => {
			this.#log.error(
				`not over ${limitMs / 1000} s after ${reason}: ${this.waitsFor} is not waited for any longer`,
			);
			endSoon(0);
		}, limitMs).unref();
	}
}

/** An ending that SIGTERM and SIGINT begin. */
export function toldBySignals(log: Pick<Log, "error">): Ending {
	const ending = new Ending(log);
	for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => ending.begin(signal));
	return ending;
}

/** The process ends by itself, or within `limitMs` whatever is left. Returns `status`. */
export function endSoon(status: number, limitMs = FAREWELL_MS): number {
	setTimeout(() => process.exit(status), limitMs).unref();
	return status;
}
