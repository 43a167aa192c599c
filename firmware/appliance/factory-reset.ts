/** `drover factory-reset`: all data goes, the firmware stays. The boot script erases at the next start. */

import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { type CommandHelp, formatHelp } from "../console/command-help.ts";
import { openLog } from "../status/log.ts";

/** While it exists the boot script erases everything else on /data, and then it. */
export const RESET_FILE = "/data/factory-reset";

export const help: CommandHelp = {
	usage: ["factory-reset [--name HOSTNAME] [--reboot]"],
	about:
		"Erases configuration, passwords, keys and history at the next start; the firmware is kept. Asks for the host's name unless --name says it.",
	examples: [["factory-reset --reboot", "at once, once the name was typed"]],
};

export async function main(words: readonly string[]): Promise<number> {
	if (words.includes("--help")) {
		console.log(formatHelp(help));
		return 0;
	}
	const hostname = readFileSync("/proc/sys/kernel/hostname", "utf8").trim();
	const at = words.indexOf("--name");
	const typed = at >= 0 ? (words[at + 1] ?? "") : await askName(hostname);
	if (typed.trim() !== hostname) {
		console.error(`Nothing is erased: this box is called ${hostname}.`);
		return 1;
	}
	orderFactoryReset();
	console.log("All data goes at the next start.");
	if (words.includes("--reboot")) Bun.spawnSync(["reboot"]);
	return 0;
}

async function askName(hostname: string): Promise<string> {
	console.log("Configuration, passwords, keys and history are erased; the firmware is kept.");
	const prompt = createInterface({ input: process.stdin, output: process.stdout });
	try {
		return await prompt.question(`Type the name of this box (${hostname}) to erase them: `);
	} finally {
		prompt.close();
	}
}

/** On the disk when it returns. */
export function orderFactoryReset(): void {
	openLog("console").error(
		{ terminal: process.env["DROVER_TERMINAL"] ?? "unknown" },
		"factory reset ordered",
	);
	const fd = openSync(RESET_FILE, "w", 0o600);
	try {
		writeSync(fd, "by the operator\n");
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
	const folder = openSync("/data", "r");
	try {
		fsyncSync(folder);
	} finally {
		closeSync(folder);
	}
}
