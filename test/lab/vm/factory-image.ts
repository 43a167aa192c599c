/** What a box is made of before anybody has had it: the image, a disk to put it on, a stick that presets it. */
import { mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "../../../image/build.ts";
import { buildDisk } from "../../../image/disk/disk.ts";
import type { SlotFiles } from "../../../image/disk/slot.ts";
import { runTool } from "../../../image/disk/tool.ts";
import { packedKernel } from "../../../image/packed-kernel.ts";

export const FACTORY_VERSION = "0.1.0";
export const BUILT_IN_DISK_BYTES = 2_000_000_000;
const STICK_BYTES = 256 * 1024 * 1024;

export const presetText = `hostname = "gate-7"

[[port]]
name = "eth0"
role = "outside"
addresses = ["10.0.2.15/24"]
gateways = ["10.0.2.2"]
`;

/** Builds the raw image at `image`, its slot's files in a folder below `directory`. */
export async function factoryImage(directory: string, image: string): Promise<SlotFiles> {
	const files = await build({ release: false, onProgress: console.log });
	const scratchDirectory = join(directory, "slot");
	mkdirSync(scratchDirectory);
	const vmlinuz = packedKernel(console.log);
	const { initramfs, root: rootSquashfs } = files;
	return buildDisk({ version: FACTORY_VERSION, vmlinuz, initramfs, rootSquashfs, scratchDirectory }, image);
}

export function emptyDisk(path: string): void {
	writeFileSync(path, "");
	truncateSync(path, BUILT_IN_DISK_BYTES);
}

/** A FAT stick with these files. */
export function stickWith(
	path: string,
	files: Readonly<Record<string, Uint8Array | string>>,
	sizeBytes = STICK_BYTES,
): void {
	writeFileSync(path, "");
	truncateSync(path, sizeBytes);
	runTool("mkfs.vfat", sizeBytes < STICK_BYTES ? [path] : ["-F", "32", path]);
	for (const [name, content] of Object.entries(files)) {
		const from = `${path}.${name}`;
		writeFileSync(from, content);
		runTool("mcopy", ["-i", path, from, `::${name}`]);
		rmSync(from);
	}
}
