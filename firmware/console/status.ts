/** `drover status [all] [--json]`: the status screen, once. */
import { collectFacts } from "./collect-facts.ts";
import type { CommandHelp } from "./command-help.ts";
import { print, runCommand } from "./command-line.ts";
import { statusScreen } from "./status-screen.ts";
import { UsageError } from "./usage-error.ts";

export const help: CommandHelp = {
	usage: ["status [all] [--json]"],
	about:
		"Alarms, ports, high availability, virtual and real servers at a glance. Exit status 0: VRRP and director run.",
	words: [
		["all", "every virtual and real server, however many"],
		["--json", "the same facts for programs"],
	],
	examples: [["status", "what needs attention, and what passes through the box"]],
};

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("status", help, words, async () => {
		const odd = words.find((word) => word !== "all" && word !== "--json");
		if (odd !== undefined) throw new UsageError(`what is "${odd}"?`);
		const facts = await collectFacts();
		print(words.includes("--json"), facts, () => statusScreen(facts, { all: words.includes("all") }));
		return facts.vrrp.kind === "running" && facts.director.kind === "running" ? 0 : 1;
	});
}
