/** What stands before the menu: the first start's questions, and a new password after "recover". */
import { existsSync, readFileSync } from "node:fs";
import { applyCurrent } from "../config/revisions/apply.ts";
import { fileDisk } from "../config/revisions/disk.ts";
import { Revisions } from "../config/revisions/revisions.ts";
import { configDirectory } from "../config/revisions/workspace.ts";
import type { Terminal } from "../console/terminal.ts";
import { openLog } from "../status/log.ts";
import { choosePassword } from "./password-dialogue.ts";
import { readPasswordHash, writePassword } from "./password-file.ts";
import { readPorts } from "./ports.ts";
import { keepRecoveryMark, lockedForGood, recoveryAllowed } from "./recovery.ts";
import { emptyKeepalivedConf, lockedOut, type SetUpStep, settingsText, setUp } from "./set-up-dialogue.ts";

/** The loader's entry "recover" was chosen, and its password has not been set yet. */
const RECOVERED_FILE = "/run/drover/recovered";

/**
 * Asks what has to be asked before anyone may see the menu. A box that was not started from a
 * disk of its own (the lab) has nothing to set up. Returns when the console may go on.
 */
export async function setUpFirst(terminal: Terminal): Promise<void> {
	const words = commandLine();
	if (!/\bdrover\.slot=[AB]\b/.test(words)) return;
	if (/\bdrover\.recover\b/.test(words) && !existsSync(RECOVERED_FILE)) await recover(terminal);
	while (readPasswordHash() === null)
		if (lockedForGood()) await sayLocked(terminal);
		else await firstStart(terminal);
}

async function firstStart(terminal: Terminal): Promise<void> {
	const log = openLog("console");
	const hasNetwork = existsSync(`${configDirectory()}/current/appliance.toml`);
	const result = await terminal.converse(setUp({ version: version(), hasNetwork }), atTheBox);
	if (readPasswordHash() !== null) {
		terminal.write("Somebody has just set this box up at another terminal.\n");
		return;
	}
	if (result === null) return;
	writePassword(result.password);
	// A preset may have forbidden recovery before there was a password.
	keepRecoveryMark();
	log.warn({ terminal: terminalName() }, "the console's first password was set");
	if (result.network === null) return;
	const encoder = new TextEncoder();
	const root = configDirectory();
	const revisions = new Revisions(fileDisk(root));
	const current = revisions.currentNumber();
	const files = new Map(
		current === null
			? [["keepalived.conf", encoder.encode(emptyKeepalivedConf)] as const]
			: revisions.files(current),
	);
	files.set("appliance.toml", encoder.encode(settingsText(result.network)));
	revisions.recover();
	revisions.commit({
		files,
		who: "console",
		from: terminalName(),
		why: "first start",
		nowMs: Date.now(),
		confirmWithinMs: null,
	});
	for (const trouble of await applyCurrent(root)) terminal.write(`${trouble}\n`);
	terminal.write("The box is set up.\n");
}

/** Until somebody presses Enter. */
async function sayLocked(terminal: Terminal): Promise<void> {
	openLog("console").error(
		{ terminal: terminalName() },
		"the password is lost and password recovery is forbidden: nobody is let in",
	);
	await terminal.converse(lockedOut());
}

async function atTheBox(step: SetUpStep): Promise<void> {
	switch (step.kind) {
		case "look":
			step.found(readPorts());
			return;
		case "blink": {
			// The system call sleeps while the light blinks: not in this process.
			const child = Bun.spawn([process.execPath, process.argv[1]!, "ports", "blink", step.port], {
				stdin: "ignore",
				stdout: "ignore",
				stderr: "pipe",
			});
			const problem = (await new Response(child.stderr).text()).trim();
			step.told((await child.exited) === 0 ? null : problem);
		}
	}
}

/** Whoever stands at the machine may set a new password, unless the settings forbid it. Both are logged. */
async function recover(terminal: Terminal): Promise<void> {
	const log = openLog("console");
	if (!recoveryAllowed()) {
		log.error({ terminal: terminalName() }, "password recovery was tried and is forbidden");
		terminal.write(
			'This box forbids password recovery ([console] password_recovery = false).\nWithout the password only "Factory reset" in the loader\'s menu is left: it erases all data.\n',
		);
		return;
	}
	log.error({ terminal: terminalName() }, "password recovery at the machine");
	terminal.write("\nPassword recovery. It is logged. ^C keeps the old password.\n");
	const password = await terminal.converse(choosePassword());
	Bun.write(RECOVERED_FILE, "");
	if (password === null) return;
	writePassword(password);
	log.error({ terminal: terminalName() }, "a new password was set by recovery");
	terminal.write("The new password is set.\n");
}

const commandLine = () => readFileSync("/proc/cmdline", "utf8");
const terminalName = () => process.env["DROVER_TERMINAL"] ?? "console";

function version(): string {
	const text = existsSync("/etc/drover-release") ? readFileSync("/etc/drover-release", "utf8") : "";
	return /^VERSION=(.*)$/m.exec(text)?.[1] ?? "(development)";
}
