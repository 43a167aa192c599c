/** The kernel packed anew: what the loader in front of it makes of the code is what Debian built. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runTool } from "../../image/disk/tool.ts";
import { findKernel, readKernel, unpackKernel } from "../../image/kernel.ts";
import { kernelImage, repackKernel, withPlaces } from "../../image/repack-kernel.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-repack-"));
afterAll(() => rmSync(directory, { recursive: true }));
const loader = join(import.meta.dir, "../../image/kernel-loader");

/** The loader's own C code as a program: code on standard input, restored on standard output. */
function restore(code: Uint8Array): Uint8Array {
	const source = join(directory, "restore.c");
	writeFileSync(
		source,
		`#include "${loader}/unpack.c"
		const char packed[1];
		static uint8_t code[CODE_BYTES + 8];
		static long call(long number, long a, long b, long c) {
			long result;
			__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
			return result;
		}
		void _start(void) {
			long got = 0, put = 0, step;
			while (got < CODE_BYTES && (step = call(0, 0, (long)(code + got), CODE_BYTES - got)) > 0) got += step;
			restoreDistances(code);
			while (put < CODE_BYTES && (step = call(1, 1, (long)(code + put), CODE_BYTES - put)) > 0) put += step;
			call(231, 0, 0, 0);
			for (;;) ;
		}`,
	);
	const program = join(directory, "restore");
	runTool("gcc", [
		...[
			"-O2",
			"-static",
			"-nostdlib",
			"-ffreestanding",
			"-fno-stack-protector",
			"-fno-tree-loop-distribute-patterns",
		],
		...["-DPACKED_BYTES=0u", "-DKERNEL_BYTES=0u", `-DCODE_BYTES=${code.length}u`],
		...["-o", program, source, "/usr/lib/x86_64-linux-gnu/libzstd.a"],
	]);
	return new Uint8Array(Bun.spawnSync([program], { stdin: code }).stdout);
}

test("distances become places and come back: any bytes, calls and jumps everywhere", () => {
	const code = new Uint8Array(100_000);
	let state = 1;
	for (let at = 0; at < code.length; at++) {
		state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
		const byte = state >>> 24;
		// Small distances, forward and backward, so that many lie within.
		code[at] = byte < 60 ? 0xe8 + (byte & 1) : byte < 130 ? 0 : byte < 160 ? 0xff : byte;
	}
	const packed = withPlaces(Uint8Array.from(code), code.length);
	expect(packed).not.toEqual(code);
	expect(Buffer.compare(restore(packed), code)).toBe(0);
}, 60_000);

test("Debian's kernel: its code comes back byte for byte, and a tenth smaller", async () => {
	const vmlinuz = readKernel(findKernel());
	const vmlinux = await unpackKernel(vmlinuz);
	const { image, codeBytes } = kernelImage(vmlinux);
	const code = image.slice(0, codeBytes);
	const places = withPlaces(Uint8Array.from(code), codeBytes);
	expect(Buffer.compare(restore(places), code)).toBe(0);
	const size = async (bytes: Uint8Array) => (await Bun.zstdCompress(bytes, { level: 3 })).length;
	expect(await size(places)).toBeLessThan(0.95 * (await size(code)));

	const repacked = repackKernel({ vmlinuz, vmlinux, zstdLevel: 1, scratchDirectory: directory });
	const view = new DataView(repacked.buffer, repacked.byteOffset);
	// Documentation/arch/x86/boot.rst: HdrS, pref_address, init_size, relocatable_kernel, no EFI hand-over.
	expect(view.getUint32(0x202, true)).toBe(0x53726448);
	expect(view.getBigUint64(0x258, true)).toBe(0x1000000n);
	expect(view.getUint32(0x260, true)).toBeGreaterThan(image.length + repacked.length);
	expect(repacked[0x234]).toBe(1);
	expect(view.getUint32(0x264, true)).toBe(0);
	const again = repackKernel({ vmlinuz, vmlinux, zstdLevel: 1, scratchDirectory: directory });
	expect(Buffer.compare(again, repacked)).toBe(0);
	expect(readFileSync(join(directory, "kernel/packed")).length).toBeLessThan(repacked.length);
}, 120_000);
