/** `drover config`: check, plan and show a keepalived.conf. */
import { formatDiagnostic } from "./keepalived/diagnostics.ts";
import { loadConfig } from "./keepalived/load.ts";

const usage = `usage: drover config check FILE [--json]
       drover config show FILE [--json]`;

/** Runs `drover config WORDS…`; resolves with the exit status. */
export async function main(words: readonly string[]): Promise<number> {
	const json = words.includes("--json");
	const [action, file] = words.filter((word) => !word.startsWith("--"));
	if (file === undefined || (action !== "check" && action !== "show")) {
		console.error(usage);
		return 2;
	}
	const loaded = loadConfig(file);
	if (action === "check") {
		if (json) console.log(JSON.stringify({ ...loaded, config: undefined }, null, 1));
		else for (const diagnostic of loaded.diagnostics) console.log(formatDiagnostic(diagnostic));
		return loaded.exitStatus;
	}
	console.log(JSON.stringify(loaded.config, null, 1));
	return loaded.exitStatus;
}
