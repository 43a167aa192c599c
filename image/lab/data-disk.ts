/** A director's data partition with its first configuration revision, made without root. */
import { mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileDisk } from "../../firmware/config/revisions/disk.ts";
import { Revisions } from "../../firmware/config/revisions/revisions.ts";

const SIZE_BYTES = 32 * 1024 * 1024;

/** `files` are those of the revision, such as `keepalived.conf` and `appliance.toml`. */
export function makeDataDisk(path: string, files: Readonly<Record<string, string>>): void {
	const stage = `${path}.stage`;
	rmSync(stage, { recursive: true, force: true });
	mkdirSync(join(stage, "config"), { recursive: true });
	const revisions = new Revisions(fileDisk(join(stage, "config")));
	revisions.recover();
	revisions.commit({
		files: new Map(Object.entries(files).map(([name, text]) => [name, new TextEncoder().encode(text)])),
		who: "lab",
		from: "preset",
		why: "first configuration",
		nowMs: Date.now(),
		confirmWithinMs: null,
	});
	writeFileSync(path, "");
	truncateSync(path, SIZE_BYTES);
	const result = Bun.spawnSync(
		["/sbin/mke2fs", "-q", "-t", "ext4", "-L", "data", "-E", "root_owner=0:0", "-d", stage, path],
		{ stdout: "ignore", stderr: "pipe" },
	);
	rmSync(stage, { recursive: true });
	if (result.exitCode !== 0) throw new Error(`mke2fs failed: ${result.stderr.toString()}`);
}
