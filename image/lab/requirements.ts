/** What the lab needs of this machine, beyond the Debian packages that setup.sh installs. */
import { existsSync, readFileSync } from "node:fs";

/** Two directors of 512 MB, and what runs around them. */
const MEMORY_MEGABYTES = 1500;

/** What is missing, in words; empty when the lab can run. Hardware virtualisation is not needed. */
export function missingHere(): string[] {
	const missing: string[] = [];
	if (process.getuid?.() !== 0)
		missing.push("it makes network namespaces and taps, which needs root (try sudo make run)");
	if (!existsSync("/dev/net/tun"))
		missing.push("there is no /dev/net/tun (modprobe tun; in a container: --device /dev/net/tun)");
	if (Bun.which("qemu-system-x86_64") === null) missing.push("qemu-system-x86 is not installed");
	const available = Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]) / 1024;
	if (available < MEMORY_MEGABYTES)
		missing.push(`${Math.round(available)} MB of memory are free, ${MEMORY_MEGABYTES} MB are needed`);
	const probe = Bun.spawnSync(["unshare", "--net", "true"], { stderr: "pipe" });
	if (missing.length === 0 && probe.exitCode !== 0)
		missing.push(`this machine allows no network namespaces: ${probe.stderr.toString().trim()}`);
	return missing;
}
