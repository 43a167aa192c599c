/** `drover password`: sets the password of the console and of root over SSH, asked for on the terminal. */
import { passwordProblem } from "../appliance/password.ts";
import { openLog } from "../status/log.ts";
import type { CommandHelp } from "./command-help.ts";
import { runCommand } from "./command-line.ts";
import { Door } from "./door.ts";
import { Terminal } from "./terminal.ts";
import { UsageError } from "./usage-error.ts";

export const help: CommandHelp = {
	usage: ["password", "password --stdin"],
	about: "Sets the password of this box's console, and of root over SSH where passwords are allowed.",
	words: [["--stdin", "takes it from the first line of standard input"]],
	examples: [["password", "asks twice; nothing is shown"]],
};

const INPUT_LIMIT_BYTES = 1_024;

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("password", help, words, async () => {
		if (words.some((word) => word !== "--stdin")) throw new UsageError("it takes no words: it asks");
		const password = words.includes("--stdin") ? await fromInput() : await fromTerminal();
		if (password === null) {
			console.log("Nothing was changed.");
			return 1;
		}
		const problem =
			passwordProblem(password) ?? new Door("console").setPassword(password, openLog("console"));
		if (problem !== null) {
			console.error(problem);
			return 1;
		}
		console.log("The new password is in force.");
		return 0;
	});
}

async function fromInput(): Promise<string | null> {
	const text = (await Bun.stdin.text()).slice(0, INPUT_LIMIT_BYTES);
	return text.split(/\r?\n/)[0] || null;
}

async function fromTerminal(): Promise<string | null> {
	if (!process.stdin.isTTY)
		throw new UsageError("there is no terminal to ask on: --stdin takes it from a pipe");
	const terminal = new Terminal();
	try {
		for (;;) {
			const first = await terminal.next("New password: ", { secret: true });
			if (first.kind !== "line" || first.text === "") return null;
			const problem = passwordProblem(first.text);
			if (problem !== null) {
				terminal.write(`${problem}\n`);
				continue;
			}
			const again = await terminal.next("Once more: ", { secret: true });
			if (again.kind !== "line") return null;
			if (again.text === first.text) return first.text;
			terminal.write("These are not the same.\n");
		}
	} finally {
		terminal.close();
	}
}
