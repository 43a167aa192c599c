/** `drover network`: the box's own name, ports and routes as they are. */
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { SETTINGS_PATH } from "../appliance/network.ts";
import { readPorts } from "../appliance/ports.ts";
import { readSettings } from "../appliance/settings.ts";
import type { CommandHelp } from "./command-help.ts";
import { print, runCommand } from "./command-line.ts";
import { type NetworkFacts, networkScreen } from "./network-screen.ts";
import { UsageError } from "./usage-error.ts";

export const help: CommandHelp = {
	usage: ["network [--json]", "network apply [-f FILE]"],
	about: "The box's own host name, ports, addresses, routes and name servers.",
	words: [
		["apply", `sets them as FILE says (${SETTINGS_PATH}), as at the start`],
		["--json", "for programs"],
	],
	examples: [["network", "what is set now, and which cable has a link"]],
};

const RESOLVER_FILE = "/run/drover/resolv.conf";

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("network", help, words, async () => {
		if (words.some((word) => word !== "--json"))
			throw new UsageError(`what is "${words.find((word) => word !== "--json")}"?`);
		const facts = networkFacts();
		print(words.includes("--json"), facts, () => networkScreen(facts));
		return 0;
	});
}

export function networkFacts(): NetworkFacts {
	const settings = existsSync(SETTINGS_PATH)
		? readSettings(readFileSync(SETTINGS_PATH, "utf8")).settings
		: null;
	const resolver = existsSync(RESOLVER_FILE) ? readFileSync(RESOLVER_FILE, "utf8") : "";
	return {
		hostname: hostname(),
		ports: readPorts().map((port) => ({
			...port,
			role: settings?.port.find(({ name }) => name === port.name)?.role ?? null,
		})),
		routes: [...routes("-4"), ...routes("-6")],
		nameServers: [...resolver.matchAll(/^nameserver (\S+)$/gm)].map((match) => match[1]!),
		settings: existsSync(SETTINGS_PATH) ? "set" : "none",
	};
}

function routes(family: "-4" | "-6"): string[] {
	const { stdout } = Bun.spawnSync(["ip", family, "route", "show"], { stdin: "ignore", stderr: "ignore" });
	return stdout
		.toString()
		.split("\n")
		.map((line) => line.trim().replace(/ +/g, " "))
		.filter((line) => line !== "" && !/^(fe80::\/64|ff00::\/8|multicast)/.test(line));
}
