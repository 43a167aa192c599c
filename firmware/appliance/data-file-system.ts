/** The file system of the data partition: whether the box runs on it, and a new one. */
import { readFileSync } from "node:fs";

/** The data partition's device, as the initramfs found it. */
const DEVICE_FILE = "/run/drover/data";

/** Whether the data partition did not mount at the start: what is set is in memory, and gone at the next one. */
export function dataIsInMemory(): boolean {
	return /^\S+ \/data tmpfs /m.test(readFileSync("/proc/mounts", "utf8"));
}

/** An empty one in place of the one that does not mount; used from the next start on. Throws with what the tool said. */
export function renewData(): void {
	makeDataFileSystem(readFileSync(DEVICE_FILE, "utf8").trim());
}

/** An empty one on `device`, such as "/dev/vda8". Throws with what the tool said. */
export function makeDataFileSystem(device: string): void {
	const command = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "drover-data", "-m", "1", device];
	const { exitCode, stderr } = Bun.spawnSync(command, { stdin: "ignore", stderr: "pipe" });
	if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
}
