/** `drover factory-reset`: all data goes, the firmware stays. The boot script erases at the next start. */

import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import type { CommandHelp } from "../console/command-help.ts";
import { runCommand } from "../console/command-line.ts";
import { nameTyped } from "../console/typed-name.ts";
import { UsageError } from "../console/usage-error.ts";
import { openLog } from "../status/log.ts";
import { dataIsInMemory, RESET_NAME, renewData } from "./data-file-system.ts";

const RESET_FILE = `/data/${RESET_NAME}`;

export const help: CommandHelp = {
	usage: ["factory-reset [--name HOSTNAME] [--reboot]"],
	about:
		"Erases configuration, passwords, keys and history at the next start; the firmware is kept. Asks for the host's name unless --name says it.",
	examples: [["factory-reset --reboot", "at once, once the name was typed"]],
};

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("factory-reset", help, words, async () => {
		const { values, positionals } = parseArgs({
			args: [...words],
			options: { name: { type: "string" }, reboot: { type: "boolean" } },
			allowPositionals: true,
		});
		if (positionals.length > 0) throw new UsageError(`what is "${positionals[0]}"?`);
		const consequence = "Configuration, passwords, keys and history are erased; the firmware is kept.";
		if (!(await nameTyped(values.name, consequence, "erased"))) return 1;
		if (dataIsInMemory()) {
			// An order in memory would not outlive this start.
			renewData();
			console.log(
				"The data partition, which did not mount, is made anew: it is used from the next start on.",
			);
		} else {
			orderFactoryReset();
			console.log("All data goes at the next start.");
		}
		if (values.reboot) Bun.spawnSync(["reboot"]);
		return 0;
	});
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
