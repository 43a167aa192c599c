/**
 * GRUB for both firmwares, put in place without grub-install: that would need a loop mount.
 * Source: GRUB's boot.S and diskboot.S for the offsets.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { partitionStart, SECTOR_BYTES } from "./layout.ts";
import { runTool } from "./tool.ts";

const GRUB_DIRECTORY = "/usr/lib/grub";
/** Where the loader finds grub.cfg: the second partition of the disk it was read from. */
const PREFIX = "(,gpt2)/grub";
const modules = [
	"part_gpt",
	"fat",
	"squash4",
	"normal",
	"read",
	"configfile",
	"linux",
	"loadenv",
	"regexp",
	"probe",
	"test",
	"echo",
	"serial",
	"terminal",
	"boot",
	"reboot",
	"halt",
	"sleep",
];

/** boot.S: kernel_sector, and the jump that a floppy needs and a disk must not have. */
const KERNEL_SECTOR_OFFSET = 0x5c;
const DRIVE_CHECK_OFFSET = 0x66;
const NOP = 0x90;
/** Code of the first sector ends here; the disk signature and partition table follow. */
export const BOOT_CODE_BYTES = 440;
/** diskboot.S: where the rest of the core image lies. */
const NEXT_SECTOR_OFFSET = 0x1f4;

export interface GrubImages {
	/** The first BOOT_CODE_BYTES of the disk. */
	readonly bootSector: Uint8Array;
	/** The content of the "bios" partition. */
	readonly core: Uint8Array;
	/** /EFI/BOOT/BOOTX64.EFI */
	readonly efi: Uint8Array;
}

export function grubImages(scratchDirectory: string): GrubImages {
	const make = (format: string, name: string, extra: readonly string[]) => {
		const output = join(scratchDirectory, name);
		runTool("grub-mkimage", [
			"--directory",
			`${GRUB_DIRECTORY}/${format}`,
			"--format",
			format,
			"--prefix",
			PREFIX,
			"--output",
			output,
			...modules,
			...extra,
		]);
		return new Uint8Array(readFileSync(output));
	};
	const core = make("i386-pc", "core.img", ["biosdisk", "chain", "iorw", "memrw"]);
	const coreSector = partitionStart("bios") / SECTOR_BYTES;
	writeSector(core, NEXT_SECTOR_OFFSET, coreSector + 1);
	const bootSector = new Uint8Array(readFileSync(`${GRUB_DIRECTORY}/i386-pc/boot.img`)).slice(
		0,
		BOOT_CODE_BYTES,
	);
	writeSector(bootSector, KERNEL_SECTOR_OFFSET, coreSector);
	bootSector.fill(NOP, DRIVE_CHECK_OFFSET, DRIVE_CHECK_OFFSET + 2);
	return { bootSector, core, efi: make("x86_64-efi", "BOOTX64.EFI", ["efi_gop"]) };
}

function writeSector(bytes: Uint8Array, offset: number, sector: number): void {
	new DataView(bytes.buffer).setBigUint64(offset, BigInt(sector), true);
}
