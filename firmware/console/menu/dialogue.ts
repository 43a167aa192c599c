/**
 * Dialogues with the operator as pure functions: a generator yields what it wants done (say these lines, ask
 * this, run that command) and is handed what came of it. It touches nothing itself; the driver does, and ends it
 * when the operator presses ^C.
 *
 *   function* greet(): Dialogue { const name = yield* ask("Name: "); yield* say([`Hello ${name}.`]); }
 */

import type { ApplianceSettings } from "../../appliance/settings/schema.ts";
import type { ConsoleFacts } from "../facts.ts";
import { UsageError } from "../usage-error.ts";
import { cut, WIDTH_COLUMNS, wrap } from "../wrap.ts";

export type Step =
	| { readonly kind: "say"; readonly lines: readonly string[] }
	/** Answered with a line; with `tickSeconds` also with a tick when nothing was typed for so long. */
	| {
			readonly kind: "ask";
			readonly prompt: string;
			readonly secret: boolean;
			readonly tickSeconds: number | null;
	  }
	| { readonly kind: "facts" }
	/** The settings in force; answered with null when appliance.toml cannot be used. */
	| { readonly kind: "settings" }
	/** `drover WORDS…`, its output shown page by page; answered with its exit status. `input` is typed to it unseen. */
	| { readonly kind: "run"; readonly words: readonly string[]; readonly input: readonly string[] }
	/** A program that gets the whole terminal; a command is answered with its exit status. */
	| { readonly kind: "lend"; readonly program: Lent }
	| { readonly kind: "act"; readonly act: Act }
	/** Nothing is taken from the line until the wait after a wrong password is over. */
	| { readonly kind: "pause" };

/** The shell, the editor, or `drover COMMAND…` that asks something itself, such as for another machine's password. */
export type Lent = "shell" | { readonly editFile: string } | { readonly command: readonly string[] };

/** What only the console itself does. Answered with null, or with what went wrong. */
export type Act =
	| { readonly kind: "set-password"; readonly password: string }
	| { readonly kind: "check-password"; readonly password: string }
	| { readonly kind: "end-machine"; readonly how: "reboot" | "poweroff" }
	| { readonly kind: "log-out" };

export type Reply =
	| { readonly kind: "line"; readonly text: string }
	| { readonly kind: "tick" }
	| { readonly kind: "facts"; readonly facts: SessionFacts }
	| { readonly kind: "settings"; readonly settings: ApplianceSettings | null }
	| { readonly kind: "status"; readonly status: number }
	| { readonly kind: "acted"; readonly trouble: string | null }
	| { readonly kind: "done" };

/** The box's, and the speed of the line that they are shown on: null where it has none. */
export type SessionFacts = ConsoleFacts & { readonly lineBaud: number | null };

export type Dialogue<Result = void> = Generator<Step, Result, Reply>;

export function* say(lines: readonly string[]): Dialogue {
	yield { kind: "say", lines };
}

/** The typed line, without blanks around it. A question that is wider than the line begins above it. */
export function* ask(question: string): Dialogue<string> {
	let prompt = question;
	if (question.length > WIDTH_COLUMNS) {
		const lines = wrap(question, "");
		yield* say(lines.slice(0, -1));
		prompt = `${lines.at(-1)!} `;
	}
	const reply = yield { kind: "ask", prompt, secret: false, tickSeconds: null };
	return reply.kind === "line" ? reply.text : "";
}

export function* askSecret(prompt: string): Dialogue<string> {
	const reply = yield { kind: "ask", prompt, secret: true, tickSeconds: null };
	return reply.kind === "line" ? reply.text : "";
}

/** The line, or null when nothing was typed for `tickSeconds`. */
export function* askOrTick(prompt: string, tickSeconds: number): Dialogue<string | null> {
	const reply = yield { kind: "ask", prompt, secret: false, tickSeconds };
	return reply.kind === "line" ? reply.text : null;
}

export function* facts(): Dialogue<SessionFacts> {
	const reply = yield { kind: "facts" };
	if (reply.kind !== "facts") throw new Error("the driver owes facts");
	return reply.facts;
}

/** Null, and said so, when they cannot be read. */
export function* settings(): Dialogue<ApplianceSettings | null> {
	const reply = yield { kind: "settings" };
	const found = reply.kind === "settings" ? reply.settings : null;
	if (found === null) yield* say(['appliance.toml cannot be used: "config check" says why.']);
	return found;
}

/** `input`: lines that no log and no list of processes may show. */
export function* run(words: readonly string[], input: readonly string[] = []): Dialogue<number> {
	const reply = yield { kind: "run", words, input };
	return reply.kind === "status" ? reply.status : 1;
}

/** As `run`, for a command that asks on the terminal itself. */
export function* runAsking(words: readonly string[]): Dialogue<number> {
	const reply = yield { kind: "lend", program: { command: words } };
	return reply.kind === "status" ? reply.status : 1;
}

/** Null when it was done, else what went wrong. */
export function* act(what: Act): Dialogue<string | null> {
	const reply = yield { kind: "act", act: what };
	return reply.kind === "acted" ? reply.trouble : null;
}

/** True for "y" and "yes", false for "n", "no", 0 and an empty line; what is none of them, such as a number, asks again. */
export function* agree(question: string): Dialogue<boolean> {
	for (;;) {
		const typed = yield* ask(`${question} [y/N] `);
		if (/^y(es)?$/i.test(typed)) return true;
		if (/^(n|no|0|)$/i.test(typed)) return false;
		yield* say([`"${cut(typed, 40)}" is neither y nor n.`]);
	}
}

/**
 * Asks until `read` takes the answer; what it throws as UsageError is shown. An empty line gives `otherwise`
 * (shown in brackets when it has a text), or null: the operator changed his mind. So does 0, unless it is a value.
 */
export function* askFor<T>(
	prompt: string,
	read: (text: string) => T,
	otherwise: string | null = null,
	zero: "back" | "value" = "back",
): Dialogue<T | null> {
	const shown = otherwise === null ? `${prompt}: ` : `${prompt} [${otherwise}]: `;
	for (;;) {
		const typed = yield* ask(shown);
		const text = typed === "" ? otherwise : typed;
		if (text === null || (typed === "0" && zero === "back")) return null;
		try {
			return read(text);
		} catch (error) {
			if (!(error instanceof UsageError)) throw error;
			yield* say(wrap(sentence(error.message), ""));
		}
	}
}

/**
 * Asks with what is set now in brackets. Undefined: an empty line leaves it. Null: 0 goes back, unless it is a
 * value.
 */
export function* askChange(
	prompt: string,
	now: string,
	read: (text: string) => string,
	zero: "back" | "value" = "back",
): Dialogue<string | undefined | null> {
	const answer = yield* askFor(
		prompt,
		(text) => ({ value: text === now ? undefined : read(text) }),
		now,
		zero,
	);
	return answer === null ? null : answer.value;
}

/** One of a numbered list, by its number; null goes back. When there is one only, it is that. */
export function* choose<T>(
	what: string,
	things: readonly T[],
	{ askForOne = false }: { readonly askForOne?: boolean } = {},
): Dialogue<T | null> {
	if (things.length === 0) return null;
	if (things.length === 1 && !askForOne) return things[0]!;
	return yield* askFor(`${what}, 1 to ${things.length} (0 goes back)`, (text) => {
		const chosen = /^\d{1,6}$/.test(text) ? things[Number(text) - 1] : undefined;
		if (chosen === undefined) throw new UsageError(`"${text}" is not one of them`);
		return chosen;
	});
}

/** Destructive acts ask for the host name: no habit types that. */
export function* hostNameTyped(consequences: readonly string[]): Dialogue<boolean> {
	const { hostname } = yield* facts();
	yield* say(consequences.flatMap((text) => wrap(text, "! ", "  ")));
	const typed = yield* ask("Type this box's name to go on: ");
	if (typed === hostname) return true;
	yield* say([`That is not "${hostname}". Nothing was done.`]);
	return false;
}

function sentence(text: string): string {
	const capital = text.charAt(0).toUpperCase() + text.slice(1);
	return /[.?!]$/.test(capital) ? capital : `${capital}.`;
}
