/** The management commands: found, checked and run. The manager does the work. */
import type { Manager } from "../manager/manager.ts";
import { type Command, json, message, ok, type Reply, refuse, UNBOUNDED } from "./command.ts";
import { backendCommands } from "./commands/backend.ts";
import { banCommands } from "./commands/ban.ts";
import { debugCommands } from "./commands/debug.ts";
import { paramCommands } from "./commands/param.ts";
import { processCommands } from "./commands/process.ts";
import { vclCommands } from "./commands/vcl.ts";
import { Status } from "./protocol.ts";

/** Commands that the manager answers by itself. */
const inManager: ReadonlySet<string> = new Set(["help", "ping"]);

const commands: Readonly<Record<string, Command>> = {
	...backendCommands,
	...banCommands,
	...debugCommands,
	...paramCommands,
	...processCommands,
	...vclCommands,
	help: {
		syntax: "help [-j|<command>]",
		about: "Show command/protocol help.",
		minimum: 0,
		maximum: 1,
		json: true,
		run(context) {
			const [word] = context.words;
			if (context.json)
				return json(
					context,
					2,
					...inOrder(context.manager).map(([name, command]) => ({
						request: name,
						syntax: command.syntax,
						help: command.about,
						minarg: command.minimum,
						maxarg: command.maximum >= UNBOUNDED ? -1 : command.maximum,
						flags: command.debug ? "d" : inManager.has(name) ? "i" : "",
						json: command.json === true,
					})),
				);
			if (word !== undefined && word !== "-a" && word !== "-d") {
				if (word.startsWith("-")) return refuse(Status.unknown, "Unknown flag\n");
				const command = Object.hasOwn(commands, word) ? commands[word] : undefined;
				return command === undefined || !known(command, context.manager)
					? refuse(Status.unknown, "Unknown request.\nType 'help' for more info.\n")
					: ok(`${command.syntax}\n${command.about}\n`);
			}
			const shown = inOrder(context.manager).filter(
				([, command]) => word === "-a" || (word === "-d") === (command.debug === true),
			);
			return ok(shown.map(([, command]) => `${command.syntax}\n`).join(""));
		},
	},
};

/** Those of the worker are there while one runs. */
const known = (command: Command, manager: Manager) => !command.child || manager.state === "running";

/** Those that are there now, by name, as help lists them. */
const inOrder = (manager: Manager) =>
	Object.entries(commands)
		.filter(([, command]) => known(command, manager))
		.sort(([one], [other]) => (one < other ? -1 : 1));

/** Commands that a client may give before it has authenticated. */
const open = new Set(["help", "ping", "auth", "quit"]);

/** Runs one command line. `words` are as read; the caller frames the reply. */
export async function runCommand(
	manager: Manager,
	words: readonly string[],
	authenticated: boolean,
): Promise<Reply> {
	const [name, ...rest] = words;
	if (name === undefined) return refuse(Status.syntax, "Empty CLI command.");
	if (/^[A-Z]/.test(name))
		return refuse(
			Status.unknown,
			"Unknown request.\nType 'help' for more info.\nall commands are in lower-case.\n",
		);
	const command = Object.hasOwn(commands, name) ? commands[name]! : undefined;
	const unknown = "Unknown request.\nType 'help' for more info.\n";
	if (!authenticated && !open.has(name)) return refuse(Status.unknown, unknown);
	if (command === undefined)
		return refuse(
			Status.unknown,
			manager.state === "running"
				? unknown
				: "Unknown request in manager process (child not running).\nType 'help' for more info.\n",
		);
	if (!known(command, manager))
		return refuse(
			Status.unknown,
			"Unknown request in manager process (child not running).\nType 'help' for more info.\n",
		);
	const wantsJson = rest[0] === "-j";
	if (wantsJson && command.json !== true) return refuse(Status.unimplemented, "JSON unimplemented\n");
	const args = wantsJson ? rest.slice(1) : rest;
	if (args.length < command.minimum) return refuse(Status.tooFew, "Too few parameters\n");
	if (args.length > command.maximum) return refuse(Status.tooMany, "Too many parameters\n");
	try {
		return await command.run({ manager, words: args, json: wantsJson, typed: words });
	} catch (error) {
		return refuse(Status.cannot, message(error));
	}
}

export const commandNames = () => Object.keys(commands);
