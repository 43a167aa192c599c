/**
 * The time in which a commit is to be confirmed, and who waits for its end. It is counted by the box's uptime: a
 * commit may set the clock (its first time server), and must not be taken back for it. An unconfirmed commit does
 * not outlive its start of the box.
 */
import { existsSync, readFileSync } from "node:fs";
import { self } from "../../self.ts";
import type { PendingCommit } from "./revisions.ts";

export interface Clocks {
	/** Unix milliseconds. */
	readonly nowMs: number;
	/** Since the box started. */
	readonly uptimeMs: number;
}

export function readClocks(): Clocks {
	return {
		nowMs: Date.now(),
		uptimeMs: Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000,
	};
}

/** What is left of it. A commit of an older firmware knows the clock's time only. */
export function leftToConfirmMs(
	{ deadlineMs, deadlineUptimeMs }: PendingCommit,
	{ nowMs, uptimeMs }: Clocks,
): number {
	return deadlineUptimeMs === undefined ? deadlineMs - nowMs : deadlineUptimeMs - uptimeMs;
}

/** On a box a service, elsewhere a process of its own: `drover config guard`. */
export function startGuard(): void {
	if (existsSync("/run/sv/guard")) {
		Bun.spawnSync(["sv", "up", "/run/sv/guard"]);
		return;
	}
	Bun.spawn([...self(), "config", "guard"], {
		detached: true,
		stdio: ["ignore", "ignore", "ignore"],
	}).unref();
}
