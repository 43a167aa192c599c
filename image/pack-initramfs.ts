/**
 * The initramfs as the kernel unpacks it: with LZ4. While it starts, the kernel itself asks for modules, and waits for
 * the whole archive before it looks. With Zstandard it waited a quarter of a second longer under emulation; the loader
 * reads 1.2 MB more.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "./disk/tool.ts";

/**
 * The kernel takes the length of a next block where the last one ends: a zero says that there is none. A further archive
 * begins on a 4-byte boundary.
 */
const END_BYTES = 4;
const ALIGNED_BYTES = 512;

/** `level` is 1 to 12. Throws with what lz4(1) says. */
export function packInitramfs(archive: Uint8Array, level: number, scratchDirectory: string): Uint8Array {
	const plain = join(scratchDirectory, "initramfs.cpio");
	const packed = `${plain}.lz4`;
	writeFileSync(plain, archive);
	// The kernel knows lz4's older format alone.
	runTool("lz4", ["-q", "-f", "-l", `-${level}`, plain, packed]);
	const bytes = readFileSync(packed);
	for (const path of [plain, packed]) rmSync(path);
	return Buffer.concat([bytes], Math.ceil((bytes.length + END_BYTES) / ALIGNED_BYTES) * ALIGNED_BYTES);
}
