/**
 * The disk image: everything that `make flash` writes. One raw GPT disk that starts by BIOS
 * and by UEFI, the same firmware in both slots, an empty data partition. Two builds of the
 * same input are equal, byte for byte.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { buildData, buildEnv, buildEsp } from "./file-systems.ts";
import { grubImages } from "./grub-images.ts";
import { BOOT_BYTES, diskBytes, partitionStart, ROOT_BYTES, sfdiskScript } from "./layout.ts";
import { buildSlot, type SlotFiles, type SlotInput } from "./slot.ts";
import { runTool } from "./tool.ts";

const ZERO_CHECK_BYTES = 64 * 1024;

export interface DiskInput extends SlotInput {
	readonly version: string;
}

/** Builds the raw disk as a sparse file at `output`; returns what its slots hold. */
export function buildDisk(input: DiskInput, output: string): SlotFiles {
	const { scratchDirectory } = input;
	const slot = buildSlot(input);
	checkFits(slot.boot, BOOT_BYTES, "kernel and initramfs");
	checkFits(slot.root, ROOT_BYTES, "the root file system");
	const grub = grubImages(scratchDirectory);
	rmSync(output, { force: true });
	const fd = openSync(output, "w+", 0o644);
	try {
		ftruncateSync(fd, diskBytes);
		runTool("sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", output], sfdiskScript());
		writeAt(fd, 0, grub.bootSector);
		writeAt(fd, partitionStart("bios"), grub.core);
		const file = (path: string) => new Uint8Array(readFileSync(path));
		writeAt(fd, partitionStart("esp"), file(buildEsp(scratchDirectory, grub.efi)));
		writeAt(fd, partitionStart("env"), file(buildEnv(scratchDirectory, input.version)));
		writeAt(fd, partitionStart("data"), file(buildData(scratchDirectory)));
		for (const name of ["A", "B"] as const) {
			writeAt(fd, partitionStart(`boot-${name}`), file(slot.boot));
			writeAt(fd, partitionStart(`root-${name}`), file(slot.root));
		}
	} finally {
		closeSync(fd);
	}
	for (const name of ["esp", "env", "data"]) rmSync(join(scratchDirectory, name), { force: true });
	return slot;
}

function checkFits(path: string, limitBytes: number, what: string): void {
	const size = Bun.file(path).size;
	if (size > limitBytes) throw new Error(`${what} take ${size} bytes; the partition has ${limitBytes}`);
}

/** Writes what is not zero, so that the file stays sparse. */
function writeAt(fd: number, start: number, bytes: Uint8Array): void {
	for (let offset = 0; offset < bytes.length; offset += ZERO_CHECK_BYTES) {
		const part = bytes.subarray(offset, offset + ZERO_CHECK_BYTES);
		if (part.some((byte) => byte !== 0)) writeSync(fd, part, 0, part.length, start + offset);
	}
}
