/** How much of a file of memory a process has mapped in huge pages, and whether this system has any to give. */
import { closeSync, readFileSync, readlinkSync } from "node:fs";
import { native } from "../../firmware/kernel/native.ts";

const probe = native.hugeMemoryFile(1 << 20);
if (probe >= 0) closeSync(probe);

export const hasHugeMemory = probe >= 0;

/** Bytes in huge pages of what `process` ("self" or a pid) has mapped of the file that the link `path` leads to. */
export function hugeBytesOf(process: string, path: string): number {
	const target = readlinkSync(path);
	const maps = readFileSync(`/proc/${process}/smaps`, "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
	return maps
		.filter((text) => text.slice(0, text.indexOf("\n")).endsWith(target))
		.reduce((sum, text) => sum + 1024 * Number(/^ShmemPmdMapped:\s+(\d+) kB$/m.exec(text)?.[1]), 0);
}
