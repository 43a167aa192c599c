/**
 * `drover console`: the status screen and a prompt, on a serial line or any other terminal.
 * Line-oriented; nothing is refreshed by itself; an empty line shows the screen again.
 */
import { existsSync, readFileSync } from "node:fs";
import { collectFacts } from "./collect-facts.ts";
import { help } from "./help.ts";
import { logLines, parseLogQuery } from "./log.ts";
import { logShell, shellCommand, shellGreeting } from "./shell.ts";
import { statusScreen } from "./status-screen.ts";
import { Terminal } from "./terminal.ts";
import { cut } from "./wrap.ts";

const CONFIGURATION_PATH = "/data/config/current/keepalived.conf";
/** Drover's own commands that make sense at the prompt; they run as `drover NAME …`. */
const passedOn = new Set(["config", "ipvs", "realserver"]);
/** Output of such a command that is shown; a table of 20,000 real servers fits. */
const OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024;

export async function main(words: readonly string[]): Promise<number> {
	if (words.length > 0) {
		console.log("usage: drover console");
		return words.includes("--help") ? 0 : 2;
	}
	const terminal = new Terminal();
	await showStatus(terminal, false);
	for (;;) {
		const event = await terminal.next(`\n${promptName()}> `);
		switch (event.kind) {
			case "line":
				await run(terminal, event.text);
				break;
			case "redraw":
				await showStatus(terminal, false);
				break;
			case "interrupt":
				break;
			case "end":
				terminal.close();
				return 0;
		}
	}
}

function promptName(): string {
	try {
		return readFileSync("/proc/sys/kernel/hostname", "utf8").trim();
	} catch {
		return "drover";
	}
}

async function showStatus(terminal: Terminal, all: boolean): Promise<void> {
	await terminal.page(["", ...statusScreen(await collectFacts(), { all })]);
}

async function run(terminal: Terminal, line: string): Promise<void> {
	const [name = "", ...words] = line.split(/\s+/);
	try {
		await runCommand(terminal, name, words);
	} catch (error) {
		// The console outlives whatever one command meets.
		terminal.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
	}
}

async function runCommand(terminal: Terminal, name: string, words: readonly string[]): Promise<void> {
	switch (name) {
		case "":
			return showStatus(terminal, false);
		case "status":
			return showStatus(terminal, words[0] === "all");
		case "help":
		case "?":
			return terminal.page(help);
		case "log": {
			const query = parseLogQuery(words);
			return terminal.page(query === null ? ["log [COUNT] [SERVICE]"] : logLines(query));
		}
		case "shell":
			logShell("opened");
			terminal.write(`${shellGreeting()}\n`);
			terminal.lend(shellCommand);
			logShell("closed");
			return;
		case "reboot":
		case "poweroff":
			return endMachine(terminal, name);
		case "config":
			if (words.length === 0) return terminal.page(configuration());
			if (words.length === 1)
				return terminal.page(await droverOutput(["config", words[0]!, CONFIGURATION_PATH]));
	}
	if (passedOn.has(name)) return terminal.page(await droverOutput([name, ...words]));
	terminal.write(`There is no "${cut(name, 40)}". Enter shows the screen, "help" the commands.\n`);
}

function configuration(): string[] {
	if (!existsSync(CONFIGURATION_PATH)) return [`There is no ${CONFIGURATION_PATH} yet.`];
	return readFileSync(CONFIGURATION_PATH, "utf8").replaceAll("\t", "    ").trimEnd().split("\n");
}

async function endMachine(terminal: Terminal, name: "reboot" | "poweroff"): Promise<void> {
	const question = name === "reboot" ? "Restart this box?" : "Switch this box off?";
	if (!(await terminal.confirm(`${question} Its virtual addresses move to the peer.`))) return;
	terminal.write("Stopping the services.\n");
	Bun.spawnSync([`/sbin/${name}`], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
}

async function droverOutput(words: readonly string[]): Promise<string[]> {
	const child = Bun.spawn([process.execPath, process.argv[1]!, ...words], {
		stdin: "ignore",
		stdout: "pipe",
		stderr: "pipe",
		maxBuffer: OUTPUT_LIMIT_BYTES,
	});
	const [output, errors] = await Promise.all([
		new Response(child.stdout).text(),
		new Response(child.stderr).text(),
	]);
	await child.exited;
	const lines = `${output}${errors}`.replaceAll("\t", "    ").trimEnd().split("\n");
	return lines.map((text) => text.trimEnd());
}
