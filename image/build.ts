/**
 * Builds what a slot boots from into `out/`: the kernel, the initramfs, the root file system.
 * Needs no root and no loop mounts. Nothing is rebuilt whose content did not change.
 *
 *   bun image/build.ts             for the lab: packed quickly
 *   bun image/build.ts --release   packed as small as it gets
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpio } from "./cpio.ts";
import { bundleFirmware } from "./firmware-bundle.ts";
import { initramfsTree } from "./initramfs-tree.ts";
import { findKernel, readKernel, unpackKernel } from "./kernel.ts";
import { rootTree } from "./root-tree.ts";
import { compileServices } from "./services-executable.ts";
import { packSquashfs } from "./squashfs.ts";

export const outDirectory = join(import.meta.dir, "../out");

/** One bootable slot, as files. */
export interface BootFiles {
	readonly version: string;
	readonly kernelRelease: string;
	/** bzImage, for boot loaders. */
	readonly vmlinuz: string;
	/** The same kernel as ELF, for QEMU's `-kernel`. */
	readonly vmlinux: string;
	readonly initramfs: string;
	readonly root: string;
}

export interface BuildOptions {
	readonly release: boolean;
	/** Told what is being built, and how it went. */
	readonly onProgress: (line: string) => void;
}

const LAB_ZSTD_LEVEL = 3;
const RELEASE_ZSTD_LEVEL = 19;

export async function build(options: BuildOptions): Promise<BootFiles> {
	// Each form keeps its own files, so that building one does not undo the other.
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
	const level = options.release ? RELEASE_ZSTD_LEVEL : LAB_ZSTD_LEVEL;
	const files: BootFiles = {
		version,
		kernelRelease: kernel.release,
		vmlinuz: join(directory, "vmlinuz"),
		vmlinux: join(directory, "vmlinux"),
		initramfs: join(directory, "initramfs.cpio.zst"),
		root: join(directory, "root.squashfs"),
	};
	const make = (path: string, digest: string, work: () => Uint8Array | Promise<Uint8Array | string>) =>
		makeFile(path, digest, work, options.onProgress);

	const vmlinuz = readKernel(kernel);
	const kernelDigest = new Bun.CryptoHasher("sha256").update(vmlinuz).digest("hex");
	await make(files.vmlinuz, kernelDigest, () => vmlinuz);
	await make(files.vmlinux, kernelDigest, () => unpackKernel(vmlinuz));

	const initramfs = initramfsTree(kernel, scratchDirectory);
	await make(files.initramfs, `${initramfs.digest()} ${level}`, async () =>
		padded(await Bun.zstdCompress(cpio(initramfs), { level })),
	);

	const root = rootTree({ kernel, bunPath, firmware, version, scratchDirectory });
	await make(files.root, `${root.digest()} ${level}`, () => packSquashfs(root, level, scratchDirectory));

	await make(join(directory, "version.json"), `${version} ${kernel.release}`, () =>
		new TextEncoder().encode(
			`${JSON.stringify({ version, kernel: kernel.release, bun: Bun.version }, null, "\t")}\n`,
		),
	);
	return files;
}

/** The kernel finds a further archive only on a 4-byte boundary. */
function padded(archive: Uint8Array): Uint8Array {
	return Buffer.concat([archive, new Uint8Array((512 - (archive.length % 512)) % 512)]);
}

/** The project's version and eight digits of what the firmware's code hashes to. */
async function firmwareVersion(contents: readonly Uint8Array[]): Promise<string> {
	const { version } = await Bun.file(join(import.meta.dir, "../package.json")).json();
	const hasher = new Bun.CryptoHasher("sha256");
	for (const content of contents) hasher.update(content);
	return `${version}+${hasher.digest("hex").slice(0, 8)}`;
}

/**
 * Makes `path` unless it was made from the same digest before. `work` gives the content, or
 * the path of a finished file to move there. The file appears whole or not at all.
 */
async function makeFile(
	path: string,
	digest: string,
	work: () => Uint8Array | Promise<Uint8Array | string>,
	onProgress: (line: string) => void,
): Promise<void> {
	const stamp = `${path}.stamp`;
	if (existsSync(path) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
	const started = performance.now();
	const made = await work();
	const finished = typeof made === "string" ? made : `${path}.${process.pid}`;
	if (typeof made !== "string") writeFileSync(finished, made);
	renameSync(finished, path);
	writeFileSync(stamp, digest);
	const megabytes = (statSync(path).size / 1e6).toFixed(1);
	const seconds = ((performance.now() - started) / 1000).toFixed(1);
	onProgress(`  ${path.slice(outDirectory.length + 1).padEnd(20)} ${megabytes.padStart(6)} MB  ${seconds} s`);
}

if (import.meta.main) {
	const release = process.argv.includes("--release");
	const started = performance.now();
	const files = await build({ release, onProgress: (line) => console.log(line) });
	const seconds = ((performance.now() - started) / 1000).toFixed(1);
	console.log(`Drover ${files.version}, Linux ${files.kernelRelease}: out/ is complete (${seconds} s)`);
}
