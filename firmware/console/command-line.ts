/** What the commands of the console share: help, mistakes, and services that do not answer, in plain words. */
import { BusError } from "../bus/client.ts";
import { commandFault, isParseArgsError } from "../command-fault.ts";
import { EditError } from "../config/keepalived/edit.ts";
import { diskTrouble } from "../config/revisions/disk-trouble.ts";
import { RevisionError } from "../config/revisions/revisions.ts";
import { howCalled } from "../how-called.ts";
import { type CommandHelp, formatHelp } from "./command-help.ts";
import { NameError } from "./servers/name.ts";
import { UsageError } from "./usage-error.ts";

/**
 * Runs a command: `--help` prints its help, a mistake prints what is wrong and exits with 2, what cannot
 * be done prints why and exits with 1.
 */
export async function runCommand(
	name: string,
	help: CommandHelp,
	words: readonly string[],
	run: () => Promise<number>,
): Promise<number> {
	if (words.includes("--help") || words.includes("-h") || words[0] === "help") {
		console.log(formatHelp(help));
		return 0;
	}
	try {
		return await run();
	} catch (error) {
		if (isParseArgsError(error)) {
			console.error(commandFault(name, error)!.text);
			return 2;
		}
		if (error instanceof UsageError) {
			console.error(`drover ${name}: ${error.message}`);
			console.error(howCalled(name));
			return 2;
		}
		const expected = [BusError, EditError, RevisionError, NameError].some((kind) => error instanceof kind);
		const words = expected ? (error as Error).message : diskTrouble(error);
		if (words === null) throw error;
		console.error(`drover ${name}: ${words}`);
		return 1;
	}
}

/** JSON for programs, or lines for people. */
export function print(json: boolean, value: unknown, lines: () => readonly string[]): void {
	console.log(json ? JSON.stringify(value, null, 2) : lines().join("\n"));
}
