/** Choosing a password at the console: typed twice, not shown. Pure. */
import { askSecret, type Dialogue, say } from "../console/dialogue.ts";
import { PASSWORD_LEAST_CHARACTERS, passwordProblem } from "./password.ts";

/** The password; null when ^C was typed. */
export function* choosePassword(): Dialogue<string | null> {
	for (;;) {
		const first = yield askSecret(`New password (${PASSWORD_LEAST_CHARACTERS} characters or more): `);
		if (first === null) return null;
		const problem = passwordProblem(first);
		if (problem !== null) {
			yield say(problem);
			continue;
		}
		const second = yield askSecret("The same again: ");
		if (second === null) return null;
		if (first === second) return first;
		yield say("Those were two different ones.");
	}
}
