/** Item 1: the status screen, again on "r", or every few seconds on request. Pure. */
import { statusScreen } from "../status-screen.ts";
import { UsageError } from "../usage-error.ts";
import { ask, askOrTick, type Dialogue, facts, say } from "./dialogue.ts";

/** A screen takes up to 2 s at 9600 baud: faster than this it would never end. */
const LEAST_SECONDS = 3;
const MOST_SECONDS = 3_600;

export function* status(): Dialogue {
	let all = false;
	let everySeconds: number | null = null;
	yield* show(all);
	for (;;) {
		const prompt: string =
			everySeconds === null
				? "r again, a all, a number: every so many seconds, 0 back: "
				: `every ${everySeconds} s; Enter stops, 0 back: `;
		const line: string | null =
			everySeconds === null ? yield* ask(prompt) : yield* askOrTick(prompt, everySeconds);
		if (line === "0" || line === "q") return;
		if (line === null || line === "r") yield* show(all);
		else if (line === "a") {
			all = true;
			yield* show(all);
		} else if (/^\d+$/.test(line)) {
			try {
				everySeconds = interval(Number(line));
				yield* show(all);
			} catch (error) {
				if (!(error instanceof UsageError)) throw error;
				yield* say([error.message]);
			}
		} else if (everySeconds !== null) {
			everySeconds = null;
		} else if (line === "") return;
		else yield* say([`"${line.slice(0, 20)}" is nothing here.`]);
	}
}

function interval(seconds: number): number {
	if (seconds < LEAST_SECONDS || seconds > MOST_SECONDS)
		throw new UsageError(`Every ${LEAST_SECONDS} to ${MOST_SECONDS} seconds.`);
	return seconds;
}

function* show(all: boolean): Dialogue {
	yield* say(["", ...statusScreen(yield* facts(), { all })]);
}
