/**
 * `make image`: the disk image that is flashed, `out/drover-VERSION.img.zst`, and the list of
 * everything in it. Built without root and without mounts; two builds are equal.
 */
import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { billOfMaterials } from "./bill-of-materials.ts";
import { build } from "./build.ts";
import { buildDisk } from "./disk/disk.ts";
import type { SlotFiles } from "./disk/slot.ts";
import { runTool } from "./disk/tool.ts";
import { outDirectory } from "./make-file.ts";
import { packedKernel } from "./packed-kernel.ts";

/** Both slots hold the same: a window of 2^28 bytes lets the second be found as a repeat of the first. */
const WINDOW_LOG = 28;
const ZSTD_LEVEL = 12;

/** What a box must be able to take for its whole life; a bundle over it is refused when it is made. */
export const SLOT_BUDGET_BYTES = 75_000_000;
const IMAGE_BUDGET_BYTES = 80_000_000;

/** Throws when a slot's payload has outgrown its budget. */
export function checkSlotBudget(slot: SlotFiles): void {
	const bytes = statSync(slot.boot).size + statSync(slot.root).size;
	if (bytes > SLOT_BUDGET_BYTES)
		throw new Error(
			`a slot takes ${(bytes / 1e6).toFixed(1)} MB; its budget is ${SLOT_BUDGET_BYTES / 1e6} MB`,
		);
}

export interface Release {
	readonly version: string;
	/** The raw disk, sparse. */
	readonly disk: string;
	/** The same, compressed. */
	readonly image: string;
}

export async function release(options: {
	readonly small: boolean;
	readonly onProgress: (line: string) => void;
}): Promise<Release> {
	const files = await build({ release: options.small, onProgress: options.onProgress });
	const vmlinuz = packedKernel(options.onProgress);
	const version = files.version.split("+")[0]!;
	const scratchDirectory = join(outDirectory, `.disk-${process.pid}`);
	mkdirSync(scratchDirectory, { recursive: true });
	const disk = join(outDirectory, `drover-${version}.img`);
	const image = `${disk}.zst`;
	try {
		const slot = buildDisk(
			{ ...files, vmlinuz, version, rootSquashfs: files.root, scratchDirectory },
			join(scratchDirectory, "disk"),
		);
		if (options.small) checkSlotBudget(slot);
		renameSync(join(scratchDirectory, "disk"), disk);
		options.onProgress("  compressing the disk image");
		runTool("zstd", ["--quiet", "--force", `-${ZSTD_LEVEL}`, `--long=${WINDOW_LOG}`, disk, "-o", image]);
		const bytes = statSync(image).size;
		if (options.small && bytes > IMAGE_BUDGET_BYTES)
			throw new Error(
				`the image takes ${(bytes / 1e6).toFixed(1)} MB; its budget is ${IMAGE_BUDGET_BYTES / 1e6} MB`,
			);
	} finally {
		rmSync(scratchDirectory, { recursive: true, force: true });
	}
	writeFileSync(
		join(outDirectory, `drover-${version}.spdx.json`),
		`${JSON.stringify(billOfMaterials(version, files.kernelRelease), null, "\t")}\n`,
	);
	return { version, disk, image };
}

if (import.meta.main) {
	const made = await release({ small: true, onProgress: (line) => console.log(line) });
	const megabytes = (statSync(made.image).size / 1e6).toFixed(1);
	console.log(
		`out/drover-${made.version}.img.zst  ${megabytes} MB: write it with "make flash DISK=/dev/sdX"`,
	);
}
