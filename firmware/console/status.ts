/** `drover status [all] [--json]`: the status screen, once. */
import { collectFacts } from "./collect-facts.ts";
import { statusScreen } from "./status-screen.ts";

const usage = `usage: drover status [all] [--json]

Shows ports, high availability, virtual and real servers.
  all      every virtual and real server, however many
  --json   the same facts for programs`;

export async function main(words: readonly string[]): Promise<number> {
	if (words.some((word) => word !== "all" && word !== "--json")) {
		console.log(usage);
		return words.includes("--help") ? 0 : 2;
	}
	const facts = await collectFacts();
	if (words.includes("--json")) console.log(JSON.stringify(facts, null, 2));
	else console.log(statusScreen(facts, { all: words.includes("all") }).join("\n"));
	return facts.vrrp.kind === "running" && facts.director.kind === "running" ? 0 : 1;
}
