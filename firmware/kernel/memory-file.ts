/**
 * The memory of malloc storage: a file without a name, so that nothing is left of it when its processes are killed.
 *
 * In huge pages where the system lets us have them: a hit touches a dozen places strewn over the index and the
 * objects, and with small pages each of them is a walk through the page tables.
 */
import { openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { native } from "./native.ts";

/** Where the system's own memory for files is. */
export const MEMORY = "/dev/shm";
/** A huge page more at the end of what is in use is too much of a smaller store. */
const HUGE_FROM_BYTES = 64 << 20;

/** Opens an empty file of memory for at most `bytes`; returns its descriptor, which is the only way to it. */
export function openMemory(bytes: number): number {
	const huge = bytes < HUGE_FROM_BYTES ? -1 : native.hugeMemoryFile(bytes);
	if (huge >= 0) return huge;
	// Where we may not mount, or the kernel has none.
	const path = join(MEMORY, `drover-store-${process.pid}-${Date.now()}`);
	const fd = openSync(path, "wx+", 0o600);
	rmSync(path);
	return fd;
}
