/**
 * Kernel settings under /proc/sys, and putting them back. Only what a change found different is restored, and only if
 * nobody else has changed it since.
 */
import { readFileSync, writeFileSync } from "node:fs";

export type SysctlFamily = "ipv4" | "ipv6";

/** A setting's path below /proc/sys, such as "net/ipv4/ip_forward". */
export function readSysctl(path: string): string | null {
	try {
		return readFileSync(`/proc/sys/${path}`, "utf8").trim();
	} catch {
		return null;
	}
}

/** Returns whether it could be written. */
export function writeSysctl(path: string, value: string | number): boolean {
	try {
		writeFileSync(`/proc/sys/${path}`, `${value}\n`);
		return true;
	} catch {
		return false;
	}
}

/** "net/ipv4/conf/eth0.100/arp_ignore": slashes, so that dots in interface names are no trouble. */
export function interfaceSysctl(family: SysctlFamily, interfaceName: string, setting: string): string {
	if (interfaceName.includes("/") || setting.includes("/") || interfaceName === ".." || setting === "..")
		throw new RangeError(`no interface setting: ${interfaceName} ${setting}`);
	return `net/${family}/conf/${interfaceName}/${setting}`;
}

/** Remembers what it changed. One per owner (an instance, a service). */
export class SysctlChanges {
	readonly #changes = new Map<string, { readonly before: string; readonly ours: string }>();

	/** Sets a value; false when the setting does not exist or cannot be written. */
	set(path: string, value: string | number): boolean {
		const before = readSysctl(path);
		if (before === null) return false;
		const ours = String(value);
		if (before === ours) return true;
		if (!writeSysctl(path, ours)) return false;
		this.#changes.set(path, { before: this.#changes.get(path)?.before ?? before, ours });
		return true;
	}

	/** Settings that are no longer what was set here. */
	drifted(): string[] {
		return [...this.#changes]
			.filter(([path, change]) => readSysctl(path) !== change.ours)
			.map(([path]) => path);
	}

	/** Puts back what is still as it was set here. A setting that is gone (its interface is) is forgotten. */
	restore(): void {
		for (const [path, change] of this.#changes)
			if (readSysctl(path) === change.ours) writeSysctl(path, change.before);
		this.#changes.clear();
	}
}
