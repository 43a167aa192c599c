/** `drover ssh-prepare`: what sshd reads, below /run/drover/ssh; run by its service before it starts. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { applyFilter } from "../kernel/nft.ts";
import { IDENTITY_DIRECTORY, makeIdentity } from "./first-start.ts";
import { SETTINGS_PATH } from "./network.ts";
import { writeUsers } from "./password-file.ts";
import { parseSettings } from "./settings.ts";
import { throttleText } from "./ssh-throttle.ts";
import { authorizedKeys, passwdLines, SSH_DIRECTORY, shadowLines, sshdConfig } from "./sshd-config.ts";

const PASSWD_OF_IMAGE = "/usr/share/drover/passwd";

/** 0: sshd may start. 1: it is off, or the settings cannot be read. */
export async function main(words: readonly string[]): Promise<number> {
	if (words.length > 0) {
		console.log("usage: drover ssh-prepare\n\nRuns by itself before sshd starts.");
		return words.includes("--help") ? 0 : 2;
	}
	if (!existsSync(SETTINGS_PATH)) return 1;
	let settings: ReturnType<typeof parseSettings>;
	try {
		settings = parseSettings(readFileSync(SETTINGS_PATH, "utf8"));
	} catch (error) {
		console.error(`drover: ${SETTINGS_PATH}: ${error instanceof Error ? error.message : error}`);
		return 1;
	}
	writeUsers(shadowLines(settings));
	writeFileSync("/run/drover/passwd", `${readFileSync(PASSWD_OF_IMAGE, "utf8")}${passwdLines(settings)}`);
	const trouble = applyFilter(throttleText(settings.ssh));
	if (trouble !== null)
		console.error(`drover: who guesses passwords over SSH is not slowed down: ${trouble}`);
	if (!settings.ssh.enabled) return 1;
	makeIdentity();
	rmSync(SSH_DIRECTORY, { recursive: true, force: true });
	mkdirSync(join(SSH_DIRECTORY, "keys"), { recursive: true, mode: 0o755 });
	// sshd's own: an empty folder for the part of it that has no rights.
	mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
	for (const [name, keys] of authorizedKeys(settings))
		writeFileSync(join(SSH_DIRECTORY, "keys", name), keys, { mode: 0o644 });
	writeFileSync(join(SSH_DIRECTORY, "sshd_config"), sshdConfig(settings, IDENTITY_DIRECTORY), {
		mode: 0o600,
	});
	return 0;
}
