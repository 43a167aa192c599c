/** `drover shell`: a root shell, which is logged. */
import { hostname } from "node:os";
import { openLog } from "../status/log.ts";
import { type CommandHelp, formatHelp } from "./command-help.ts";
import { idleLimitMs } from "./idle-limit.ts";

/** The command line of the shell. */
export const shellCommand: readonly string[] = ["/bin/bash", "-l"];

/**
 * Every command of the shell goes into its log: /etc/profile does that where this is set. A shell at whose prompt nothing
 * is typed for `idleMs` ends (bash's TMOUT); null is never.
 */
export function shellEnvironment(idleMs: number | null): Record<string, string> {
	const environment: Record<string, string> = { DROVER_SHELL_LOG: "/run/log/shell/current" };
	if (idleMs !== null) environment["TMOUT"] = String(Math.ceil(idleMs / 1_000));
	return environment;
}

/** What is said to whoever opens it. */
export function shellGreeting(): string {
	return [
		`A root shell on ${hostname()}. What is typed is logged.`,
		"The file system is read-only but for /data, /run and /tmp.",
		'"exit" returns to the console.',
	].join("\n");
}

export const help: CommandHelp = {
	usage: ["shell"],
	about: "A root shell on this terminal. What is typed is logged.",
	examples: [["shell", 'until "exit"']],
};

export async function main(words: readonly string[]): Promise<number> {
	if (words.length > 0) {
		console.log(formatHelp(help));
		return words.includes("--help") || words.includes("-h") ? 0 : 2;
	}
	logShell("opened");
	console.log(shellGreeting());
	const { exitCode } = Bun.spawnSync([...shellCommand], {
		stdin: "inherit",
		stdout: "inherit",
		stderr: "inherit",
		env: { ...process.env, ...shellEnvironment(idleLimitMs()) },
	});
	logShell("closed");
	return exitCode;
}

/** Both ends of every shell are in the log. */
export function logShell(what: "opened" | "closed"): void {
	openLog("console").warn({ terminal: process.env["DROVER_TERMINAL"] ?? "unknown" }, `shell ${what}`);
}
