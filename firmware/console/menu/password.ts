/** Setting the password, and logging in with it. Pure. */
import { passwordProblem } from "../../appliance/password.ts";
import { heading } from "./banner.ts";
import { act, askSecret, type Dialogue, facts, say } from "./dialogue.ts";

/** Asks until the right one is typed; each wrong one makes the next wait longer, never for ever. */
export function* login(again: boolean): Dialogue {
	if (!again) yield* say(["", heading(yield* facts())]);
	for (;;) {
		const typed = yield* askSecret("Password: ");
		if (typed === "") continue;
		const trouble = yield* act({ kind: "check-password", password: typed });
		if (trouble === null) return;
		yield* say([trouble]);
		yield { kind: "pause" };
	}
}

/** The present one is asked for first: a line that was left open must not cost the box. */
export function* password(): Dialogue {
	const known = yield* facts();
	if (known.password === "set") {
		const old = yield* askSecret("Present password: ");
		const trouble = yield* act({ kind: "check-password", password: old });
		if (trouble !== null) return yield* say([trouble]);
	}
	yield* say(["The password of this console, and of root over SSH where passwords are allowed."]);
	const chosen = yield* newPassword();
	if (chosen === null) return yield* say(["Nothing was changed."]);
	const trouble = yield* act({ kind: "set-password", password: chosen });
	yield* say([trouble ?? "The new password is in force."]);
}

/** Typed twice; null when nothing is typed. */
export function* newPassword(): Dialogue<string | null> {
	for (;;) {
		const first = yield* askSecret("New password: ");
		if (first === "") return null;
		const problem = passwordProblem(first);
		if (problem !== null) {
			yield* say([problem]);
			continue;
		}
		if ((yield* askSecret("Once more: ")) === first) return first;
		yield* say(["These are not the same."]);
	}
}
