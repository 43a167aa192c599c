/** What the loader, the updater and the revisions left for everyone to read. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runDirectory } from "../../bus/socket-path.ts";
import { leftToConfirmMs, readClocks } from "../../config/revisions/deadline.ts";
import { fileDisk } from "../../config/revisions/disk.ts";
import { Revisions } from "../../config/revisions/revisions.ts";
import { configDirectory } from "../../config/revisions/workspace.ts";
import { readUpdateHistory, updateDirectory } from "../../update/records.ts";
import type { BoxRecords } from "../snmp/notification/box-changes.ts";
import type { FirmwareFacts } from "./facts.ts";

const text = (path: string, otherwise: string) =>
	existsSync(path) ? readFileSync(path, "utf8").trim() : otherwise;

export function readFirmware(nowMs: number): FirmwareFacts {
	const commandLine = text("/proc/cmdline", "");
	const { revision, pending } = readRevisions();
	const last = readUpdateHistory()[0];
	return {
		version: /^VERSION=(.*)$/m.exec(text("/etc/drover-release", ""))?.[1] ?? "unreleased",
		slot: /\bdrover\.slot=(\S+)/.exec(commandLine)?.[1] ?? "none",
		slotReason: /\bdrover\.reason=(\S+)/.exec(commandLine)?.[1] ?? "none",
		onTrial: existsSync(join(updateDirectory(), "trial.json")),
		lastUpdate: last === undefined ? "" : `${new Date(last.atMs).toISOString()} ${last.what}: ${last.detail}`,
		reverted: existsSync(join(runDirectory(), "reverted")),
		commitTimerSeconds:
			pending === null
				? 0
				: Math.max(0, Math.ceil(leftToConfirmMs(pending, { ...readClocks(), nowMs }) / 1000)),
		watchdogArmed: existsSync(join(runDirectory(), "watchdog")),
		configRevision: revision,
	};
}

export function readBoxRecords(): BoxRecords {
	return { ...readRevisions(), updates: readUpdateHistory() };
}

function readRevisions(): Pick<BoxRecords, "revision"> & { pending: ReturnType<Revisions["pending"]> } {
	const revisions = new Revisions(fileDisk(configDirectory()));
	return { revision: revisions.currentNumber() ?? 0, pending: revisions.pending() };
}

/** The process of each service that its supervisor knows; null while it is down. */
export function readServicePids(names: readonly string[]): Record<string, string | null> {
	const pids: Record<string, string | null> = {};
	for (const name of names) {
		const path = `/run/sv/${name}/supervise/pid`;
		if (existsSync(path)) pids[name] = text(path, "") || null;
	}
	return pids;
}
