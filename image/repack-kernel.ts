/**
 * Debian's kernel packed with Zstandard in place of XZ: from power-on to its first line an emulated processor is busy
 * for 1.3 s in place of 5.0. What is packed is given; what goes before it, the program that unpacks it, is built from
 * Debian's source of the same version with the kernel's own rules (Documentation/x86/boot.rst, arch/x86/boot).
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { runTool } from "./disk/tool.ts";
import { elfBytes, type Kernel, kernelBanner, unpackKernel } from "./kernel.ts";

/** Debian's package of the source that the unpacking program is built from. */
export const SOURCE_PACKAGE = "linux-source-6.1";
const SOURCE_ARCHIVE = `/usr/src/${SOURCE_PACKAGE}.tar.xz`;

/** What nothing of it is compiled from: a seventh of the source is left. Every Kconfig is needed. */
const unneeded = [
	"*/drivers/[!f]*.[ch]",
	"*/arch/[!x]*.[chSd]*",
	...["net", "fs", "sound"].map((part) => `${SOURCE_PACKAGE}/${part}/*.[ch]`),
	"*/Documentation/*/*",
];

/** Symbols that the kernel's rules look up in it, and that Debian's was stripped of: section and offset. */
const symbols: Readonly<Record<string, string>> = {
	_text: ".text:0",
	__start_rodata: ".rodata:0",
	__bss_start: ".bss:0",
};

/** The rules of the kernel for a bzImage, without those that would build what goes into it. */
const makefile = `include Makefile
.PHONY: drover-image
drover-image: prepare0
	$(Q)$(MAKE) $(build)=arch/x86/kernel/cpu arch/x86/kernel/cpu/capflags.c
	$(Q)$(MAKE) $(build)=arch/x86/lib arch/x86/lib/inat-tables.c
	$(Q)$(MAKE) $(build)=drivers/firmware/efi/libstub
	$(Q)$(MAKE) $(build)=arch/x86/boot arch/x86/boot/bzImage
`;

/** What `kernelBanner` says, taken apart. */
const BANNER =
	/^(?<release>\S+) \((?<user>[^@)]+)@(?<host>[^)]+)\) (?<version>#.* Debian (?<debian>\S+) .*)$/;

/**
 * A bzImage of `payload`, which is what `vmlinuz` unpacks to, or a changed form of it. Needs the source's package in
 * the kernel's version. Throws when that is another one, or when what was built does not unpack to `payload`.
 */
export async function repackKernel(
	kernel: Kernel,
	vmlinuz: Uint8Array,
	payload: Uint8Array,
	scratchDirectory: string,
): Promise<Uint8Array> {
	const banner = BANNER.exec(kernelBanner(vmlinuz))?.groups;
	if (banner === undefined) throw new Error(`not a kernel of Debian: ${kernelBanner(vmlinuz)}`);
	const { release, user, host, version, debian } = banner as Record<string, string>;
	checkSource(debian!);
	const directory = join(scratchDirectory, "kernel");
	mkdirSync(directory, { recursive: true });
	try {
		const extract = ["--strip-components=1", "--anchored", "--wildcards", "--wildcards-match-slash"];
		const excluded = unneeded.map((pattern) => `--exclude=${pattern}`);
		runTool("tar", ["xf", SOURCE_ARCHIVE, "-C", directory, ...extract, ...excluded]);

		copyFileSync(kernel.vmlinuzPath.replace("vmlinuz-", "config-"), join(directory, ".config"));
		const config = ["-d", "KERNEL_XZ", "-e", "KERNEL_ZSTD", "-d", "DEBUG_INFO_BTF"];
		runTool(join(directory, "scripts/config"), ["--file", join(directory, ".config"), ...config]);
		placeKernel(payload, directory);
		writeFileSync(join(directory, "drover.mk"), makefile);

		const make = (target: string, ...words: readonly string[]) =>
			runTool("make", [
				...["-C", directory, "-f", "drover.mk", "--silent", `-j${cpus().length}`, target],
				// No date and no name of the machine that builds.
				...["KBUILD_BUILD_TIMESTAMP=@0", `KBUILD_BUILD_USER=${user}`, `KBUILD_BUILD_HOST=${host}`],
				...[`KERNELRELEASE=${release}`, ...words],
			]);
		make("olddefconfig");
		mkdirSync(join(directory, "include/generated"), { recursive: true });
		writeFileSync(join(directory, "include/generated/utsversion.h"), `#define UTS_VERSION "${version}"\n`);
		// The relocations are those that Debian's build took down.
		make("drover-image", "CMD_RELOCS=", "cmd_relocs=cp relocations $@");

		const made = new Uint8Array(readFileSync(join(directory, "arch/x86/boot/bzImage")));
		if (Buffer.compare(await unpackKernel(made), payload) !== 0)
			throw new Error("the repacked kernel does not unpack to what was packed");
		return made;
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}

function checkSource(debianVersion: string): void {
	const format = `\${Version}`;
	const installed = existsSync(SOURCE_ARCHIVE)
		? runTool("dpkg-query", ["-W", "-f", format, SOURCE_PACKAGE])
		: "none";
	if (installed !== debianVersion)
		throw new Error(
			`the kernel is Debian's ${debianVersion}, the installed ${SOURCE_PACKAGE} is ${installed}: ` +
				`run "apt-get install linux-image-amd64 ${SOURCE_PACKAGE}=${debianVersion}"`,
		);
}

/** Puts the kernel where the rules look for the one that they would have built, its relocations beside it. */
function placeKernel(payload: Uint8Array, directory: string): void {
	const elf = join(directory, "payload");
	const end = elfBytes(payload);
	writeFileSync(elf, payload.subarray(0, end));
	writeFileSync(join(directory, "relocations"), payload.subarray(end));
	const sections = runTool("objdump", ["-h", elf]);
	// The end of the kernel proper is that of its break, the last that is not scratch.
	const brkBytes = /^\s*\d+ \.brk\s+([0-9a-f]+)/m.exec(sections)?.[1];
	if (brkBytes === undefined) throw new Error("the kernel has no .brk section");
	const added = Object.entries({ ...symbols, _end: `.brk:0x${brkBytes}` }).flatMap(([name, place]) => [
		"--add-symbol",
		`${name}=${place},global`,
	]);
	runTool("objcopy", [...added, elf, join(directory, "vmlinux")]);
}
