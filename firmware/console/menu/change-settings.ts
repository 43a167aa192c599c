/** Questions about settings, and what was answered as one change of appliance.toml. Pure. */
import { changeByCommand } from "./change.ts";
import { askChange, choose, type Dialogue, say } from "./dialogue.ts";

export interface Question {
	readonly prompt: string;
	/** As `config set` takes it. */
	readonly path: string;
	readonly now: string;
	/** The value as `config set` takes it. Throws a UsageError. */
	readonly read: (text: string) => string;
}

/**
 * Asks one after the other. Enter leaves a setting as it is, 0 gives up all of it. What is `decided` already, as
 * `config set` takes it, goes with the answers.
 */
export function* changeSettings(questions: readonly Question[], decided: readonly string[] = []): Dialogue {
	const changes = [...decided];
	yield* say(["Enter leaves a value as it is, 0 gives up."]);
	for (const { prompt, path, now, read } of questions) {
		const value = yield* askChange(prompt, now, read);
		if (value === null) return yield* say(["Nothing was changed."]);
		if (value !== undefined) changes.push(`${path}=${value}`);
	}
	if (changes.length === 0) return yield* say(["Nothing was changed."]);
	yield* changeByCommand(["config", "set", ...changes]);
}

/** Takes one element out of a list of sections. */
export function* removeSection(what: string, path: string, shown: readonly string[]): Dialogue {
	if (shown.length === 0) return yield* say([`There is no ${what}.`]);
	yield* say(shown.map((text, index) => `${String(index + 1).padStart(2)} ${text}`));
	const places = shown.map((_, index) => index + 1);
	// One alone is not taken for granted either.
	const place = yield* choose(`Which ${what}`, places, { askForOne: true });
	if (place !== null) yield* changeByCommand(["config", "set", "--remove", `${path}[${place}]`]);
}
