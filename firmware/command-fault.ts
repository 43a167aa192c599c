/** What a command says when its words or a file of theirs are wrong. Pure. */
import { reasonOf } from "./health/reason.ts";
import { howCalled } from "./how-called.ts";

export interface CommandFault {
	readonly text: string;
	/** 2: it was called wrongly; 1: it could not be done. */
	readonly exitStatus: 1 | 2;
}

/** node:util's parseArgs throws TypeErrors with these codes. */
export const isParseArgsError = (error: unknown): error is TypeError =>
	error instanceof TypeError &&
	((error as { code?: unknown }).code as string | undefined)?.startsWith?.("ERR_PARSE_ARGS") === true;

/** Null for what is a fault of the program: its stack is wanted. */
export function commandFault(name: string, error: unknown): CommandFault | null {
	if (isParseArgsError(error)) {
		// Its second sentence is advice on how to pass such a word after all.
		const [what] = error.message.split(/\. (?=To |This )/);
		return {
			text: `drover ${name}: ${what}\n${howCalled(name)}`,
			exitStatus: 2,
		};
	}
	const { path, errno } = (error ?? {}) as { path?: unknown; errno?: unknown };
	if (!(error instanceof Error) || typeof path !== "string" || typeof errno !== "number") return null;
	return { text: `drover ${name}: ${path}: ${reasonOf(errno)}`, exitStatus: 1 };
}
