/** Which boot of the machine this is: what was true in another one is worth nothing. */
import { readFileSync } from "node:fs";

export function bootId(): string {
	return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
