/** `drover reboot` and `drover poweroff`: what item 12 of the menu does. */
import { parseArgs } from "node:util";
import { openLog } from "../status/log.ts";
import type { CommandHelp } from "./command-help.ts";
import { runCommand } from "./command-line.ts";
import { nameTyped } from "./typed-name.ts";
import { UsageError } from "./usage-error.ts";

interface End {
	readonly help: CommandHelp;
	readonly consequence: string;
}

const ends: Readonly<Record<"reboot" | "poweroff", End>> = {
	reboot: {
		help: {
			usage: ["reboot [--name HOSTNAME]"],
			about:
				"Restarts this box in order: the addresses go to the peer first. Asks for the host's name unless --name says it.",
			examples: [["reboot", "once the name was typed"]],
		},
		consequence: "This box restarts; its addresses go to the peer, and connections through NAT end.",
	},
	poweroff: {
		help: {
			usage: ["poweroff [--name HOSTNAME]"],
			about:
				"Switches this box off in order: the addresses go to the peer first. Asks for the host's name unless --name says it.",
			examples: [["poweroff", "once the name was typed"]],
		},
		consequence: "This box switches off, and somebody must switch it on again.",
	},
};

const endBy = (how: keyof typeof ends) => (words: readonly string[]) =>
	runCommand(how, ends[how].help, words, async () => {
		const { values, positionals } = parseArgs({
			args: [...words],
			options: { name: { type: "string" } },
			allowPositionals: true,
		});
		if (positionals.length > 0) throw new UsageError(`what is "${positionals[0]}"?`);
		if (!(await nameTyped(values.name, ends[how].consequence, "done"))) return 1;
		openLog("console").info({ terminal: process.env["DROVER_TERMINAL"] ?? "unknown" }, how);
		return Bun.spawnSync([how], { stdin: "ignore", stdout: "inherit", stderr: "inherit" }).exitCode;
	});

export const reboot = endBy("reboot");
export const poweroff = endBy("poweroff");
