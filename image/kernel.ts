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

const XZ_MAGIC = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);
const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

/** Unpacks a bzImage (Documentation/arch/x86/boot.rst): the XZ payload from `payload_offset` on. */
export async function unpackKernel(vmlinuz: Uint8Array): Promise<Uint8Array> {
	const view = new DataView(vmlinuz.buffer, vmlinuz.byteOffset, vmlinuz.byteLength);
	if (view.getUint32(0x202, true) !== 0x53726448) throw new Error("not a Linux kernel: no HdrS");
	const setupSectors = view.getUint8(0x1f1) || 4;
	const offset = (setupSectors + 1) * 512 + view.getUint32(0x248, true);
	const payload = vmlinuz.subarray(offset, offset + view.getUint32(0x24c, true));
	if (Buffer.compare(payload.subarray(0, 6), XZ_MAGIC) !== 0)
		throw new Error("the kernel is not packed with XZ");
	// The last four bytes are the unpacked size, which is no part of the XZ stream.
	const child = Bun.spawn(["xz", "-dc", "--single-stream"], {
		stdin: payload.subarray(0, payload.length - 4),
		stderr: "ignore",
	});
	const kernel = new Uint8Array(await new Response(child.stdout).arrayBuffer());
	const size = new DataView(payload.buffer, payload.byteOffset).getUint32(payload.length - 4, true);
	if (kernel.length !== size || Buffer.compare(kernel.subarray(0, 4), ELF_MAGIC) !== 0)
		throw new Error(`unpacking the kernel gave ${kernel.length} bytes, not ${size} of ELF`);
	return kernel;
}

export function readKernel(kernel: Kernel): Uint8Array {
	return readFileSync(kernel.vmlinuzPath);
}
