/** The file system of the data partition: whether the box runs on it, and a new one. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The data partition's device, as the initramfs found it. */
const DEVICE_FILE = "/run/drover/data";

/** While it exists on the data partition, the boot script (rootfs/usr/lib/drover/set-up) erases everything else there, and then it. */
export const RESET_NAME = "factory-reset";

/** Whether the data partition did not mount at the start: what is set is in memory, and gone at the next one. */
export function dataIsInMemory(): boolean {
	return /^\S+ \/data tmpfs /m.test(readFileSync("/proc/mounts", "utf8"));
}

/**
 * One in place of the one that does not mount; used from the next start on, which erases what the disk still has of the
 * former one: it holds the order to do so, and nothing else. Throws with what the tool said.
 */
export function renewData(): void {
	const content = mkdtempSync(join(tmpdir(), "drover-data-"));
	try {
		writeFileSync(join(content, RESET_NAME), "by the operator\n");
		makeDataFileSystem(readFileSync(DEVICE_FILE, "utf8").trim(), content);
	} finally {
		rmSync(content, { recursive: true });
	}
}

/** One on `device`, such as "/dev/vda8", with the content of a folder, or empty. Throws with what the tool said. */
export function makeDataFileSystem(device: string, content: string | null = null): void {
	const filled = content === null ? [] : ["-d", content];
	const command = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "drover-data", "-m", "1", ...filled, device];
	const { exitCode, stderr } = Bun.spawnSync(command, { stdin: "ignore", stderr: "pipe" });
	if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
}
