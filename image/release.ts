/**
 * `make image`: the disk image that is flashed, `out/drover-VERSION.img.zst`, and the list of
 * everything in it. Built without root and without mounts; two builds are equal.
 */
import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { billOfMaterials } from "./bill-of-materials.ts";
import { build, outDirectory } from "./build.ts";
import { buildDisk } from "./disk/disk.ts";
import { runTool } from "./disk/tool.ts";

/** Both slots hold the same: a window of 2^28 bytes lets the second be found as a repeat of the first. */
const WINDOW_LOG = 28;
const ZSTD_LEVEL = 12;

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
	const version = files.version.split("+")[0]!;
	const scratchDirectory = join(outDirectory, `.disk-${process.pid}`);
	mkdirSync(scratchDirectory, { recursive: true });
	const disk = join(outDirectory, `drover-${version}.img`);
	const image = `${disk}.zst`;
	try {
		buildDisk(
			{ ...files, version, rootSquashfs: files.root, scratchDirectory },
			join(scratchDirectory, "disk"),
		);
		renameSync(join(scratchDirectory, "disk"), disk);
		options.onProgress("  compressing the disk image");
		runTool("zstd", ["--quiet", "--force", `-${ZSTD_LEVEL}`, `--long=${WINDOW_LOG}`, disk, "-o", image]);
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
