/** MISC_CHECK: a program's exit status is the verdict, and with misc_dynamic the weight. */
import { readFileSync } from "node:fs";
import type { Script } from "../config/model.ts";
import { type Checker, failed, type Outcome, passed, postponed } from "./checker.ts";
import { timeoutReason } from "./reason.ts";

/** From SIGTERM to SIGKILL. */
export const KILL_AFTER_MS = 2_000;

export const checkMisc: Checker<"MISC_CHECK"> = (check, _url, environment, done) => {
	let cancelled = false;
	let timedOut = false;
	let child: Bun.Subprocess | null = null;
	const signal = (name: NodeJS.Signals) => {
		if (child === null || child.exitCode !== null || child.signalCode !== null) return;
		try {
			// The child leads a process group of its own: what it started goes with it.
			process.kill(-child.pid, name);
		} catch {
			child.kill(name);
		}
	};
	const deadline = environment.wheel.timer(() => {
		if (timedOut) signal("SIGKILL");
		else {
			timedOut = true;
			signal("SIGTERM");
			environment.wheel.set(deadline, environment.nowMs() + KILL_AFTER_MS);
		}
	});
	const finish = (outcome: Outcome) => {
		environment.wheel.cancel(deadline);
		if (!cancelled) done(outcome);
	};
	const identity = identityOf(check.script);
	if (typeof identity === "string") {
		queueMicrotask(() => finish(failed(identity)));
		return () => {
			cancelled = true;
		};
	}
	try {
		child = Bun.spawn([...check.script.command], {
			stdin: "ignore",
			stdout: "ignore",
			stderr: "ignore",
			cwd: "/",
			env: environmentOf(process.env),
			detached: true,
			...identity,
			onExit: (_child, exitCode, signalCode) => {
				if (timedOut) finish(failed(timeoutReason(check.timeoutMs)));
				else finish(outcomeOf(exitCode, signalCode, check.dynamicWeight));
			},
		} as Parameters<typeof Bun.spawn>[1] & object);
	} catch (error) {
		const outcome = spawnFault(error, check.script.command[0] ?? "");
		queueMicrotask(() => finish(outcome));
		return () => {
			cancelled = true;
		};
	}
	environment.wheel.set(deadline, environment.nowMs() + check.timeoutMs);
	return () => {
		cancelled = true;
		environment.wheel.cancel(deadline);
		signal("SIGKILL");
	};
};

/** Exit status 0 is good; with misc_dynamic 2–255 is good with weight status − 2; all else is bad. */
export function outcomeOf(
	exitCode: number | null,
	signalCode: string | number | null,
	dynamic: boolean,
): Outcome {
	if (exitCode === null) return failed(`killed by ${signalCode ?? "a signal"}`);
	if (exitCode === 0) return passed("exit status 0");
	if (dynamic && exitCode >= 2)
		return passed(`exit status ${exitCode}, weight ${exitCode - 2}`, {
			kind: "replace",
			weight: exitCode - 2,
		});
	return failed(`exit status ${exitCode}`);
}

function spawnFault(error: unknown, program: string): Outcome {
	const code = (error as { code?: string }).code;
	// The box is out of processes or memory: the server is not to blame.
	if (code === "EAGAIN" || code === "ENOMEM" || code === "EMFILE" || code === "ENFILE")
		return postponed(`${program}: ${code}`);
	return failed(code === "ENOENT" ? `${program}: no such program` : `${program}: ${code ?? String(error)}`);
}

/** What would let a caller's environment choose code for a script that may run as root. */
function environmentOf(env: NodeJS.ProcessEnv): Record<string, string | undefined> {
	const { LD_PRELOAD: _preload, LD_LIBRARY_PATH: _path, IFS: _ifs, ...rest } = env;
	return rest;
}

/** uid and gid for execve, nothing when the script runs as we do, or what is wrong. */
function identityOf(script: Script): { uid?: number; gid?: number } | string {
	if (script.user === null || script.user === "root") {
		if (script.group === null) return {};
	}
	const user = script.user === null ? null : accountOf("/etc/passwd", script.user);
	if (user === undefined) return `no such user: ${script.user}`;
	const group = script.group === null ? null : accountOf("/etc/group", script.group);
	if (group === undefined) return `no such group: ${script.group}`;
	const gid = group?.[2] ?? user?.[3];
	const uid = user?.[2];
	if (uid === "0" && (gid === undefined || gid === "0")) return {};
	return {
		...(uid === undefined ? {} : { uid: Number(uid) }),
		...(gid === undefined ? {} : { gid: Number(gid) }),
	};
}

/** passwd(5) and group(5): the fields of the line that begins with `name`, or of the number. */
function accountOf(path: string, name: string): string[] | undefined {
	const fields = readFileSync(path, "utf8")
		.split("\n")
		.map((line) => line.split(":"));
	return fields.find((line) => line[0] === name) ?? fields.find((line) => line[2] === name && name !== "");
}
