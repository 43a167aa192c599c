/** A person at the serial port of one box: chooses its password, logs in, types commands, reads what they say. */
import type { DiskMachine } from "../../../image/lab/disk-machine.ts";

export const BOOT_LIMIT_MS = 300_000;
const COMMAND_LIMIT_MS = 60_000;
export const PASSWORD = "ox and cart";

export class Operator {
	readonly #machine: DiskMachine;
	#commands = 0;

	constructor(machine: DiskMachine) {
		this.#machine = machine;
	}

	/** Answers the console until its prompt is there: a first password, or the log-in. Returns what was shown. */
	async prompt(): Promise<string> {
		let shown = "";
		for (;;) {
			const [text] = await this.#machine.shows(
				/[\s\S]*?(New password \(\d+ characters or more\): |The same again: |Name of this box \[drover\]: |Password: |(drover|gate-7)> )/,
				BOOT_LIMIT_MS,
			);
			shown += text;
			if (text.endsWith("> ")) return shown;
			this.#machine.type(text.endsWith("[drover]: ") ? "\x03" : `${PASSWORD}\r`);
		}
	}

	/** Opens the console's shell. Returns what was shown before. */
	async shell(): Promise<string> {
		const shown = await this.prompt();
		this.#machine.type("shell\r");
		await this.#machine.shows(/returns to the console/, BOOT_LIMIT_MS);
		return shown;
	}

	/** Runs a command in the shell; its output. Kernel messages may stand in it. */
	async run(command: string, limitMs = COMMAND_LIMIT_MS): Promise<string> {
		const mark = `done-${++this.#commands}`;
		this.#machine.type(`${command}; echo ${mark.slice(0, 2)}''${mark.slice(2)}\r`);
		await this.#machine.shows(/\n/, limitMs);
		const [output] = await this.#machine.shows(new RegExp(`[\\s\\S]*?${mark}\\r?\\n`), limitMs);
		return output.slice(0, output.lastIndexOf(mark)).replaceAll("\r", "");
	}

	/** Restarts the box from its shell and waits until the loader says which slot it starts, and why. */
	async restart(slotAndReason: string): Promise<void> {
		this.#machine.type("reboot\r");
		await this.#machine.shows(new RegExp(`Slot ${slotAndReason}`), BOOT_LIMIT_MS);
	}
}
