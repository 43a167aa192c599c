/**
 * Builds what a box boots from into `out/`: the kernel, the initramfs, the root file system.
 * Needs no root and no loop mounts. Nothing is rebuilt whose content did not change.
 *
 *   bun image/build.ts             for the lab: packed quickly
 *   bun image/build.ts --release   packed as small as it gets
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cpio } from "./cpio.ts";
import { bundleFirmware } from "./firmware-bundle.ts";
import { initramfsTree } from "./initramfs-tree.ts";
import { findKernel, readKernel } from "./kernel.ts";
import { makeFile, outDirectory } from "./make-file.ts";
import { packInitramfs } from "./pack-initramfs.ts";
import { kernelDigest, kernelToRun } from "./packed-kernel.ts";
import { rootTree } from "./root-tree.ts";
import { compileServices } from "./services-executable.ts";
import { packSquashfs } from "./squashfs.ts";

/** One bootable slot, as files. */
export interface BootFiles {
	readonly version: string;
	readonly kernelRelease: string;
	/** As ELF, for QEMU's `-kernel`. A boot loader takes it packed: packed-kernel.ts. */
	readonly vmlinux: string;
	readonly initramfs: string;
	readonly root: string;
}

export interface BuildOptions {
	readonly release: boolean;
	/** Told what is being built, and how it went. */
	readonly onProgress: (line: string) => void;
}

const LAB_LEVELS = { zstd: 3, lz4: 1 };
const RELEASE_LEVELS = { zstd: 19, lz4: 12 };

export async function build(options: BuildOptions): Promise<BootFiles> {
	// Each form keeps its own files, so that building one does not undo the other. They share the kernel.
	const directory = options.release ? join(outDirectory, "release") : outDirectory;
	mkdirSync(directory, { recursive: true });
	const scratchDirectory = join(directory, `.scratch-${process.pid}`);
	mkdirSync(scratchDirectory, { recursive: true });
	try {
		return await buildInto(directory, scratchDirectory, options);
	} finally {
		rmSync(scratchDirectory, { recursive: true, force: true });
	}
}

async function buildInto(
	directory: string,
	scratchDirectory: string,
	options: BuildOptions,
): Promise<BootFiles> {
	const kernel = findKernel();
	const firmware = await bundleFirmware();
	const bunPath = await compileServices(scratchDirectory);
	const version = await firmwareVersion([
		...firmware.files.map(({ content }) => content),
		readFileSync(bunPath),
	]);
	const levels = options.release ? RELEASE_LEVELS : LAB_LEVELS;
	const files: BootFiles = {
		version,
		kernelRelease: kernel.release,
		vmlinux: join(outDirectory, "vmlinux"),
		initramfs: join(directory, "initramfs.cpio.lz4"),
		root: join(directory, "root.squashfs"),
	};
	const make = (path: string, digest: string, work: () => Uint8Array | Promise<Uint8Array | string>) =>
		makeFile(path, digest, work, options.onProgress);

	const vmlinuz = readKernel(kernel);
	await make(files.vmlinux, kernelDigest(vmlinuz), () => kernelToRun(vmlinuz));

	const initramfs = initramfsTree(kernel, scratchDirectory);
	await make(files.initramfs, `${initramfs.digest()} ${levels.lz4}`, () =>
		packInitramfs(cpio(initramfs), levels.lz4, scratchDirectory),
	);

	const root = rootTree({ kernel, bunPath, firmware, version, scratchDirectory });
	await make(files.root, `${root.digest()} ${levels.zstd}`, () =>
		packSquashfs(root, levels.zstd, scratchDirectory),
	);

	await make(join(directory, "version.json"), `${version} ${kernel.release}`, () =>
		new TextEncoder().encode(
			`${JSON.stringify({ version, kernel: kernel.release, bun: Bun.version }, null, "\t")}\n`,
		),
	);
	return files;
}

/** The project's version and eight digits of what the firmware's code hashes to. */
async function firmwareVersion(contents: readonly Uint8Array[]): Promise<string> {
	const { version } = await Bun.file(join(import.meta.dir, "../package.json")).json();
	const hasher = new Bun.CryptoHasher("sha256");
	for (const content of contents) hasher.update(content);
	return `${version}+${hasher.digest("hex").slice(0, 8)}`;
}

if (import.meta.main) {
	const release = process.argv.includes("--release");
	const started = performance.now();
	const files = await build({ release, onProgress: (line) => console.log(line) });
	const seconds = ((performance.now() - started) / 1000).toFixed(1);
	console.log(`Drover ${files.version}, Linux ${files.kernelRelease}: out/ is complete (${seconds} s)`);
}
