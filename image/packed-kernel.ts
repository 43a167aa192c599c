/**
 * `out/vmlinuz`: the kernel as boot loaders take it. It takes a minute and all processors, so it is made once at
 * a time: whoever comes meanwhile waits for it, and a maker that is killed lets the next one in.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "./disk/tool.ts";
import { findKernel, readKernel, unpackKernel, withoutTypeDescriptions } from "./kernel.ts";
import { isMade, makeFile, outDirectory } from "./make-file.ts";
import { repackKernel } from "./repack-kernel.ts";

/** The kernel that runs, an ELF with its relocations behind it. `vmlinuz` is Debian's. */
export const kernelToRun = async (vmlinuz: Uint8Array) =>
	withoutTypeDescriptions(await unpackKernel(vmlinuz));

/** Changes with Debian's kernel and with what is done to it here. */
export function kernelDigest(vmlinuz: Uint8Array): string {
	const hasher = new Bun.CryptoHasher("sha256").update(vmlinuz);
	for (const file of ["kernel.ts", "repack-kernel.ts"])
		hasher.update(readFileSync(join(import.meta.dir, file)));
	return hasher.digest("hex");
}

const path = join(outDirectory, "vmlinuz");

/** Gives the path. Throws with what the tools said. */
export function packedKernel(onProgress: (line: string) => void): string {
	if (isMade(path, kernelDigest(readKernel(findKernel())))) return path;
	onProgress("  packing the kernel for the boot loader, once: about a minute");
	mkdirSync(outDirectory, { recursive: true });
	const said = runTool("flock", [join(outDirectory, ".vmlinuz.lock"), process.execPath, import.meta.path]);
	if (said !== "") onProgress(said.trimEnd());
	return path;
}

if (import.meta.main) {
	const kernel = findKernel();
	const vmlinuz = readKernel(kernel);
	const scratchDirectory = join(outDirectory, `.kernel-${process.pid}`);
	try {
		await makeFile(
			path,
			kernelDigest(vmlinuz),
			async () => repackKernel(kernel, vmlinuz, await kernelToRun(vmlinuz), scratchDirectory),
			(line) => console.log(line),
		);
	} finally {
		rmSync(scratchDirectory, { recursive: true, force: true });
	}
}
