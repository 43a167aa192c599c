/**
 * Debian's kernel packed with zstd in place of XZ: it starts seconds earlier on a slow processor, a tenth of that on
 * a fast one. The setup code and the header stay Debian's; what unpacks is `kernel-loader/`.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "./disk/tool.ts";

const LOADER_DIRECTORY = join(import.meta.dir, "kernel-loader");
const ZSTD_LIBRARY = "/usr/lib/x86_64-linux-gnu/libzstd.a";
const SECTOR_BYTES = 512;
const LINKED_ADDRESS = 0x1000000;
const KERNEL_ALIGNMENT = 0x200000;
/** What the loader takes behind the packed kernel: its tables, stack and workspace; generous. */
const LOADER_BYTES = 1024 * 1024;

/** Changes when what is put before the kernel does. */
export function kernelLoaderDigest(): string {
	const hasher = new Bun.CryptoHasher("sha256");
	const sources = ["start.S", "unpack.c", "layout.ld"].map((name) => join(LOADER_DIRECTORY, name));
	for (const path of [...sources, ZSTD_LIBRARY, import.meta.path]) hasher.update(readFileSync(path));
	return hasher.digest("hex");
}

export interface RepackInput {
	/** Debian's bzImage. */
	readonly vmlinuz: Uint8Array;
	/** What unpackKernel() made of it. */
	readonly vmlinux: Uint8Array;
	readonly zstdLevel: number;
	readonly scratchDirectory: string;
}

/** The bzImage, packed anew. */
export function repackKernel({ vmlinuz, vmlinux, zstdLevel, scratchDirectory }: RepackInput): Uint8Array {
	const directory = join(scratchDirectory, "kernel");
	mkdirSync(directory, { recursive: true });
	const path = (name: string) => join(directory, name);
	const { image, codeBytes } = kernelImage(vmlinux);
	const kernel = Buffer.concat([withPlaces(image, codeBytes), relocations(vmlinux)]);
	writeFileSync(path("kernel"), kernel);
	runTool("zstd", [
		"--quiet",
		"--force",
		`-${zstdLevel}`,
		"--no-check",
		path("kernel"),
		"-o",
		path("packed"),
	]);
	const packedBytes = Bun.file(path("packed")).size;
	const initBytes =
		Math.ceil((kernel.length + packedBytes + LOADER_BYTES) / KERNEL_ALIGNMENT + 1) * KERNEL_ALIGNMENT;
	const flags = [
		...["-m64", "-Os", "-ffreestanding", "-fno-stack-protector", "-fPIE", "-fno-asynchronous-unwind-tables"],
		...["-mno-red-zone", "-fcf-protection=none", "-fno-tree-loop-distribute-patterns"],
	];
	runTool("gcc", [
		...flags,
		...[`-DINIT_BYTES=${initBytes}`, `-DPACKED_FILE="${path("packed")}"`],
		...["-c", join(LOADER_DIRECTORY, "start.S"), "-o", path("start.o")],
	]);
	runTool("gcc", [
		...flags,
		...[`-DPACKED_BYTES=${packedBytes}u`, `-DKERNEL_BYTES=${kernel.length}u`, `-DCODE_BYTES=${codeBytes}u`],
		...["-c", join(LOADER_DIRECTORY, "unpack.c"), "-o", path("unpack.o")],
	]);
	runTool("ld", [
		...[
			"-m",
			"elf_x86_64",
			"-static",
			"--gc-sections",
			"--entry=start",
			"--build-id=none",
			"-z",
			"noexecstack",
		],
		...["--undefined=start", "-T", join(LOADER_DIRECTORY, "layout.ld")],
		...["-o", path("loader"), path("start.o"), path("unpack.o"), ZSTD_LIBRARY],
	]);
	refuseAddresses(runTool("readelf", ["--relocs", "--wide", path("loader")]));
	runTool("objcopy", ["-O", "binary", "-j", ".image", path("loader"), path("image")]);
	return withHeader(vmlinuz, readFileSync(path("image")), initBytes);
}

/**
 * The kernel as it lies in memory, from its first byte on: the ELF segments at their physical addresses.
 * The first one holds the code.
 */
export function kernelImage(vmlinux: Uint8Array): { image: Uint8Array; codeBytes: number } {
	const view = new DataView(vmlinux.buffer, vmlinux.byteOffset, vmlinux.byteLength);
	const [programs, count] = [Number(view.getBigUint64(32, true)), view.getUint16(56, true)];
	const segments = Array.from({ length: count }, (_, index) => programs + index * 56)
		.filter((at) => view.getUint32(at, true) === 1)
		.map((at) => ({
			offset: Number(view.getBigUint64(at + 8, true)),
			address: Number(view.getBigUint64(at + 24, true)),
			fileBytes: Number(view.getBigUint64(at + 32, true)),
			memoryBytes: Number(view.getBigUint64(at + 40, true)),
		}));
	const start = Math.min(...segments.map(({ address }) => address));
	if (start !== LINKED_ADDRESS || Number(view.getBigUint64(24, true)) !== LINKED_ADDRESS)
		throw new Error(`the kernel is linked at ${start.toString(16)}, not at ${LINKED_ADDRESS.toString(16)}`);
	const end = Math.max(...segments.map(({ address, memoryBytes }) => address + memoryBytes));
	const image = new Uint8Array(end - start);
	for (const { offset, address, fileBytes } of segments)
		image.set(vmlinux.subarray(offset, offset + fileBytes), address - start);
	return { image, codeBytes: segments[0]!.fileBytes };
}

const CALL = 0xe8;
/** Bytes at the end of the code that are left alone: the loader looks at eight at once, and four more. */
const TAIL_BYTES = 12;

/**
 * The image with every call's and jump's distance replaced by the place in the code that it leads to, most
 * significant byte first: a tenth smaller when packed. Distances out of the code stay; those that would be taken for
 * a place then are turned back along the same mapping until they are not, so that it is one to one.
 */
export function withPlaces(image: Uint8Array, codeBytes: number): Uint8Array {
	const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
	for (let at = 0; at + TAIL_BYTES < codeBytes; at++) {
		if ((image[at]! & 0xfe) !== CALL) continue;
		const next = at + 5;
		let distance = view.getUint32(at + 1, true);
		const place = (distance + next) >>> 0;
		if (place < codeBytes) view.setUint32(at + 1, place, false);
		else {
			while (reversed(distance) < codeBytes) distance = (reversed(distance) - next) >>> 0;
			view.setUint32(at + 1, distance, true);
		}
		at += 4;
	}
	return image;
}

const reversed = (word: number) =>
	(((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;

/** The lists behind the ELF file that a kernel with KASLR carries, from the first list's zero on. */
function relocations(vmlinux: Uint8Array): Uint8Array {
	const view = new DataView(vmlinux.buffer, vmlinux.byteOffset, vmlinux.byteLength);
	let at = vmlinux.length;
	for (let lists = 0; lists < 3; lists++)
		do {
			at -= 4;
			if (at <= 0) throw new Error("the kernel carries no list of relocations");
		} while (view.getUint32(at, true) !== 0);
	return vmlinux.subarray(at);
}

/** The loader is moved about as it is: it may hold distances, and in start.S offsets, but no address. */
function refuseAddresses(relocations: string): void {
	const found = relocations.split("\n").filter((line) => /R_X86_64_64\b/.test(line));
	if (found.length > 0) throw new Error(`the kernel's loader holds addresses:\n${found.join("\n")}`);
}

/** Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header": only what the new code changes. */
function withHeader(vmlinuz: Uint8Array, image: Uint8Array, initBytes: number): Uint8Array {
	const setupBytes = ((vmlinuz[0x1f1] || 4) + 1) * SECTOR_BYTES;
	const file = new Uint8Array(setupBytes + image.length);
	file.set(vmlinuz.subarray(0, setupBytes));
	file.set(image, setupBytes);
	const view = new DataView(file.buffer);
	// No program of EFI's form: the loader starts it by the 32-bit protocol.
	view.setUint16(0, 0, true);
	view.setUint32(0x1f4, Math.ceil(image.length / 16), true);
	const KASLR_FLAG = 2;
	view.setUint8(0x211, view.getUint8(0x211) & ~KASLR_FLAG);
	// xloadflags, payload_offset, payload_length, init_size, handover_offset
	view.setUint16(0x236, 0, true);
	view.setUint32(0x248, 0, true);
	view.setUint32(0x24c, 0, true);
	view.setUint32(0x260, initBytes, true);
	view.setUint32(0x264, 0, true);
	return file;
}
