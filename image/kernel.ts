/**
 * Debian's kernel as the package linux-image-amd64 installed it, and the same kernel unpacked:
 * QEMU starts an ELF kernel by its PVH entry and so skips the decompressor, which costs
 * 3 s of emulation.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";

export interface Kernel {
	/** As `uname -r` has it. */
	readonly release: string;
	readonly vmlinuzPath: string;
	readonly modulesDirectory: string;
}

/** The newest full (not cloud, not real-time) kernel with its modules. */
export function findKernel(boot = "/boot", modules = "/lib/modules"): Kernel {
	const releases = (existsSync(boot) ? readdirSync(boot) : [])
		.filter((name) => /^vmlinuz-[\d.]+-\d+-amd64$/.test(name))
		.map((name) => name.slice("vmlinuz-".length))
		.filter((release) => existsSync(`${modules}/${release}/modules.dep`))
		.sort((a, b) => Bun.semver.order(semver(a), semver(b)));
	const release = releases.at(-1);
	if (release === undefined) throw new Error(`no kernel in ${boot}: install linux-image-amd64`);
	return {
		release,
		vmlinuzPath: `${boot}/vmlinuz-${release}`,
		modulesDirectory: `${modules}/${release}`,
	};
}

const semver = (release: string) => release.replace(/-(\d+)-.*/, "-$1");

const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
/** By a stream's first bytes, the program that unpacks it. */
const unpackers = [
	{ magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), command: ["xz", "-dc", "--single-stream"] },
	{ magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), command: ["zstd", "-dcq", "--long=27"] },
] as const;

/** The setup header of a bzImage (Documentation/arch/x86/boot.rst). Throws when there is none. */
function setupHeader(vmlinuz: Uint8Array): DataView {
	const view = new DataView(vmlinuz.buffer, vmlinuz.byteOffset, vmlinuz.byteLength);
	if (view.getUint32(0x202, true) !== 0x53726448) throw new Error("not a Linux kernel: no HdrS");
	return view;
}

/** `kernel_version`: what `file` says of a kernel. */
export function kernelBanner(vmlinuz: Uint8Array): string {
	const start = 0x200 + setupHeader(vmlinuz).getUint16(0x20e, true);
	return Buffer.from(vmlinuz.subarray(start, vmlinuz.indexOf(0, start))).toString("latin1");
}

/** The payload of a bzImage, from `payload_offset` on: an ELF, and behind it the list of its relocations. */
export async function unpackKernel(vmlinuz: Uint8Array): Promise<Uint8Array> {
	const header = setupHeader(vmlinuz);
	const setupSectors = header.getUint8(0x1f1) || 4;
	const offset = (setupSectors + 1) * 512 + header.getUint32(0x248, true);
	const payload = vmlinuz.subarray(offset, offset + header.getUint32(0x24c, true));
	const unpacker = unpackers.find(
		({ magic }) => Buffer.compare(payload.subarray(0, magic.length), magic) === 0,
	);
	if (unpacker === undefined) throw new Error("the kernel is packed neither with XZ nor with Zstandard");
	// The last four bytes are the unpacked size, which is no part of the stream.
	const child = Bun.spawn([...unpacker.command], {
		stdin: payload.subarray(0, payload.length - 4),
		stderr: "ignore",
	});
	const kernel = new Uint8Array(await new Response(child.stdout).arrayBuffer());
	const size = new DataView(payload.buffer, payload.byteOffset).getUint32(payload.length - 4, true);
	if (kernel.length !== size || Buffer.compare(kernel.subarray(0, 4), ELF_MAGIC) !== 0)
		throw new Error(`unpacking the kernel gave ${kernel.length} bytes, not ${size} of ELF`);
	return kernel;
}

/** Where an ELF of 64 bits ends: its table of sections is its last part (elf(5)). */
export function elfBytes(kernel: Uint8Array): number {
	const { table, count } = sectionTable(kernel);
	return table + count * SECTION_HEADER_BYTES;
}

const SECTION_HEADER_BYTES = 64;

function sectionTable(kernel: Uint8Array): { view: DataView; table: number; count: number; names: number } {
	const view = new DataView(kernel.buffer, kernel.byteOffset, kernel.byteLength);
	const table = Number(view.getBigUint64(0x28, true));
	return { view, table, count: view.getUint16(0x3c, true), names: view.getUint16(0x3e, true) };
}

/**
 * The kernel (an ELF of 64 bits, elf(5)) with its type descriptions for tracers (section .BTF) blanked out, which are an
 * eighth of it when it is packed. The modules go without theirs.
 */
export function withoutTypeDescriptions(kernel: Uint8Array): Uint8Array {
	const { view, table, count, names } = sectionTable(kernel);
	const section = (index: number) => {
		const at = table + index * SECTION_HEADER_BYTES;
		const [offset, bytes] = [0x18, 0x20].map((field) => Number(view.getBigUint64(at + field, true))) as [
			number,
			number,
		];
		return { name: view.getUint32(at, true), offset, bytes };
	};
	const blank = kernel.slice();
	for (let index = 0; index < count; index++) {
		const { name, offset, bytes } = section(index);
		const start = section(names).offset + name;
		if (Buffer.from(kernel.subarray(start, kernel.indexOf(0, start))).toString("latin1") === ".BTF")
			blank.fill(0, offset, offset + bytes);
	}
	return blank;
}

export function readKernel(kernel: Kernel): Uint8Array {
	return readFileSync(kernel.vmlinuzPath);
}
