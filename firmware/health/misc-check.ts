/** MISC_CHECK: a program's exit status is the verdict, and with misc_dynamic the weight. */
import { startScript } from "../notify/start-script.ts";
import { type Checker, failed, type Outcome, passed, postponed } from "./checker.ts";
import { timeoutReason } from "./reason.ts";

/** From SIGTERM to SIGKILL. */
export const KILL_AFTER_MS = 2_000;

export const checkMisc: Checker<"MISC_CHECK"> = (check, _url, environment, done) => {
	let cancelled = false;
	let timedOut = false;
	let child: Bun.Subprocess | null = null;
	let ended = () => {};
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
	try {
		child = startScript(check.script, {
			cwd: "/",
			onExit: (_child, exitCode, signalCode) => {
				ended();
				if (timedOut) finish(failed(timeoutReason(check.timeoutMs)));
				else finish(outcomeOf(exitCode, signalCode, check.dynamicWeight));
			},
		});
	} catch (error) {
		const outcome = spawnFault(error, check.script.command[0] ?? "");
		queueMicrotask(() => finish(outcome));
		return () => {
			cancelled = true;
		};
	}
	ended = environment.programStarted(child.pid);
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
	if (code === undefined) return failed(error instanceof Error ? error.message : String(error));
	// A program that is gone, or a box without room for one more: the server is not to blame. keepalived calls it good.
	return postponed(code === "ENOENT" ? `${program}: no such program` : `${program}: ${code}`);
}
