/**
 * The whole image twice, from two copies of what it is made of, laid down elsewhere at another time:
 * the same bytes. Nothing of the first build is used in the second but Bun and Debian's files.
 */
import { afterAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpio } from "../../image/cpio.ts";
import { buildDisk } from "../../image/disk/disk.ts";
import { bundleFirmware } from "../../image/firmware-bundle.ts";
import { initramfsTree } from "../../image/initramfs-tree.ts";
import { findKernel, kernelBanner, readKernel } from "../../image/kernel.ts";
import { kernelToRun, packedKernel } from "../../image/packed-kernel.ts";
import { release, SLOT_BUDGET_BYTES } from "../../image/release.ts";
import { repackKernel } from "../../image/repack-kernel.ts";
import { rootTree } from "../../image/root-tree.ts";
import { compileServices } from "../../image/services-executable.ts";
import { packSquashfs } from "../../image/squashfs.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-twice-"));
afterAll(() => rmSync(directory, { recursive: true }));

async function hashOfDisk(name: string): Promise<string> {
	const scratchDirectory = join(directory, name, "scratch");
	mkdirSync(scratchDirectory, { recursive: true });
	const kernel = findKernel();
	const firmware = await bundleFirmware();
	const bunPath = await compileServices(scratchDirectory);
	const root = rootTree({ kernel, bunPath, firmware, version: "1.0.0", scratchDirectory });
	const initramfs = join(scratchDirectory, "initramfs");
	await Bun.write(
		initramfs,
		await Bun.zstdCompress(cpio(initramfsTree(kernel, scratchDirectory)), { level: 1 }),
	);
	const disk = join(directory, name, "disk.img");
	buildDisk(
		{
			version: "1.0.0",
			vmlinuz: kernel.vmlinuzPath,
			initramfs,
			rootSquashfs: await packSquashfs(root, 1, scratchDirectory),
			scratchDirectory,
		},
		disk,
	);
	const hash = createHash("sha256").update(readFileSync(disk)).digest("hex");
	rmSync(join(directory, name), { recursive: true });
	return hash;
}

test("two builds in two places give the same disk", async () => {
	const first = await hashOfDisk("here");
	// Time stamps of the file systems involved have whole seconds.
	await Bun.sleep(1_100);
	expect(await hashOfDisk("some/where/else")).toBe(first);
}, 180_000);

test("the kernel packed in two places is the same file", async () => {
	const kernel = findKernel();
	const vmlinuz = readKernel(kernel);
	const elsewhere = await repackKernel(
		kernel,
		vmlinuz,
		await kernelToRun(vmlinuz),
		join(directory, "kernel"),
	);
	const first = readFileSync(packedKernel(console.log));
	expect(Buffer.compare(first, elsewhere)).toBe(0);
	// It says of itself what Debian's says.
	expect(kernelBanner(elsewhere)).toBe(kernelBanner(vmlinuz));
}, 300_000);

test("what is released fits: a slot into its budget, or there is no image, and the image into its own", async () => {
	const { image } = await release({ small: true, onProgress: () => {} });
	expect(statSync(image).size).toBeLessThanOrEqual(80_000_000);
	expect(SLOT_BUDGET_BYTES).toBe(75_000_000);
}, 300_000);
