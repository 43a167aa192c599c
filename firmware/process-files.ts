/**
 * Where pid files and dumps lie, as keepalived 2.2.7 has it (observed): with `instance`, `net_namespace` or
 * `use_pid_dir` pid files have a folder of their own. Pure.
 */
import { join, resolve } from "node:path";
import type { GlobalConfig } from "./config/model.ts";

export type PidFileName = "keepalived" | "vrrp" | "checkers" | "bfd";

type Naming = Pick<GlobalConfig, "naming" | "networkNamespace">;

/** What keepalived's parent grants its children at the end without `child_wait_time`. */
export const DEFAULT_CHILD_WAIT_MS = 5_000;

const RUN_DIRECTORY = "/run";

/** "/run/vrrp.pid", "/run/keepalived/NAMESPACE/vrrp_INSTANCE.pid". */
export function pidFile(name: PidFileName, { naming, networkNamespace }: Naming): string {
	const { instance, pidDirectory } = naming;
	const suffix = instance === null ? "" : `_${instance}`;
	const isOwn = pidDirectory || instance !== null || networkNamespace !== null;
	return join(RUN_DIRECTORY, isOwn ? "keepalived" : "", networkNamespace ?? "", `${name}${suffix}.pid`);
}

/** `reload_file`: where the file says, or beside the parent's pid file. Null is none. */
export function reloadFile(global: Naming & Pick<GlobalConfig, "reload">): string | null {
	const { file } = global.reload;
	return file === "" ? pidFile("keepalived", global).replace(/pid$/, "reload") : file;
}

/** "keepalived.data", "keepalived_check.NAMESPACE_INSTANCE.data" in `directory`, or where the file says. */
export function dumpFile(
	name: "keepalived" | "keepalived_check",
	{ naming, networkNamespace }: Naming,
	directory: string,
): string {
	if (name === "keepalived" && naming.stateDumpFile !== null) return resolve(directory, naming.stateDumpFile);
	const who = naming.instanceInDumps
		? [networkNamespace, naming.instance].filter((part) => part !== null).join("_")
		: "";
	return join(directory, `${name}${who === "" ? "" : `.${who}`}.data`);
}

/** `keepalived.json`. */
export function jsonFile({ naming }: Naming, directory: string): string {
	return resolve(directory, naming.jsonDumpFile ?? "keepalived.json");
}

/** `keepalived.stats`. */
export function statsFile({ naming }: Naming, directory: string): string {
	return resolve(directory, naming.statsDumpFile ?? "keepalived.stats");
}
