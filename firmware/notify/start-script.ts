/** Starts an operator's program: as its user, with an environment that chooses no code for it, in a group of its own. */
import type { Script } from "../config/model.ts";
import { identityOf } from "./identity.ts";

/** Not handed down (keepalived's set): a caller could choose with them what a script that runs as root executes. */
const withheld = new Set(["LD_PRELOAD", "LD_LIBRARY_PATH", "IFS"]);

/** keepalived's own: what a script writes is its user's alone, and no program. */
const DEFAULT_UMASK = 0o177;
let scriptUmask = DEFAULT_UMASK;

/** What is taken from the modes of files that scripts write which are started from now on: `umask`, null for keepalived's own. */
export function setScriptUmask(umask: number | null): void {
	scriptUmask = umask ?? DEFAULT_UMASK;
}

export interface StartOptions {
	/** Words after the script's own. */
	readonly append?: readonly string[];
	readonly cwd?: string;
	readonly onExit?: (child: Bun.Subprocess, status: number | null, signal: number | null) => void;
}

/**
 * Leads its process group; its input and outputs are /dev/null. A file that the kernel does not execute, since no "#!"
 * line says with what, is the shell's, as for execvp(3) and keepalived. Throws when there is no such user, group or
 * program, and when the kernel refuses.
 */
export function startScript(script: Script, options: StartOptions = {}): Bun.Subprocess {
	const { append = [], cwd, onExit } = options;
	const identity = identityOf(script.user, script.group);
	const start = (command: readonly string[]) => {
		const own = process.umask(scriptUmask);
		try {
			return spawn(command);
		} finally {
			process.umask(own);
		}
	};
	const spawn = (command: readonly string[]) =>
		Bun.spawn([...command, ...append], {
			stdin: "ignore",
			stdout: "ignore",
			stderr: "ignore",
			env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !withheld.has(name))),
			detached: true,
			...(cwd === undefined ? {} : { cwd }),
			...(onExit === undefined ? {} : { onExit }),
			...(identity === null ? {} : identity),
		} as Bun.SpawnOptions.OptionsObject<"ignore", "ignore", "ignore">);
	try {
		return start(script.command);
	} catch (error) {
		if ((error as { code?: string }).code !== "ENOEXEC") throw error;
		const [program = "", ...words] = script.command;
		const path = Bun.which(program, { PATH: process.env["PATH"] ?? "" });
		return start(["/bin/sh", path ?? program, ...words]);
	}
}
