/** The small file systems of the disk, as files, made without root and without mounts. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatEnvironment } from "../../firmware/update/environment.ts";
import { factorySlots, writeSlots } from "../../firmware/update/slots.ts";
import { imageTimeSeconds } from "../squashfs.ts";
import { grubConfig } from "./grub-config.ts";
import { layout } from "./layout.ts";
import { runTool } from "./tool.ts";

const DATA_UUID = "d10e5000-0000-4000-8000-00000000da7a";
const FAT_VOLUME_ID = "d10e5000";

const sizeOf = (name: string) => layout.find((partition) => partition.name === name)!.sizeBytes;

/** A FAT with `files` in it; every time stamp is the image's. */
function fat(
	path: string,
	sizeBytes: number,
	bits: 12 | 16,
	label: string,
	files: Readonly<Record<string, Uint8Array | string>>,
): string {
	rmSync(path, { force: true });
	runTool("truncate", ["--size", String(sizeBytes), path]);
	runTool("mkfs.vfat", ["--invariant", "-F", String(bits), "-i", FAT_VOLUME_ID, "-n", label, path]);
	const directories = new Set<string>();
	for (const [name, content] of Object.entries(files)) {
		const parts = name.split("/").slice(0, -1);
		for (let depth = 1; depth <= parts.length; depth++) directories.add(parts.slice(0, depth).join("/"));
		const source = `${path}.content`;
		writeFileSync(source, content);
		runTool("touch", ["--date", `@${imageTimeSeconds}`, source]);
		for (const directory of directories) {
			fatFolder(path, directory);
			directories.delete(directory);
		}
		runTool("mcopy", ["-m", "-i", path, source, `::${name}`]);
		rmSync(source);
	}
	return path;
}

const made = new Map<string, Set<string>>();

/** mmd gives a folder the time of now; copying a dated one with its time does not. */
function fatFolder(image: string, directory: string): void {
	const known = made.get(image) ?? new Set();
	made.set(image, known);
	if (known.has(directory)) return;
	known.add(directory);
	const source = `${image}.folder`;
	mkdirSync(source, { recursive: true });
	runTool("touch", ["--date", `@${imageTimeSeconds}`, source]);
	runTool("mcopy", ["-m", "-s", "-i", image, source, `::${directory}`]);
	rmSync(source, { recursive: true });
}

/** The EFI system partition: the loader and its script. Never written in service. */
export function buildEsp(scratchDirectory: string, efi: Uint8Array): string {
	made.delete(join(scratchDirectory, "esp"));
	return fat(join(scratchDirectory, "esp"), sizeOf("esp"), 16, "DROVER", {
		"EFI/BOOT/BOOTX64.EFI": efi,
		"grub/grub.cfg": grubConfig(),
	});
}

/** The loader's memory: one file, rewritten in place by GRUB and by the firmware. */
export function buildEnv(scratchDirectory: string, version: string): string {
	made.delete(join(scratchDirectory, "env"));
	return fat(join(scratchDirectory, "env"), sizeOf("env"), 12, "DROVERENV", {
		grubenv: formatEnvironment(writeSlots(factorySlots(version))),
	});
}

/** The empty data partition: what the first start fills. */
export function buildData(scratchDirectory: string): string {
	const path = join(scratchDirectory, "data");
	rmSync(path, { force: true });
	runTool("truncate", ["--size", String(sizeOf("data")), path]);
	runTool("mke2fs", [
		"-q",
		"-t",
		"ext4",
		"-L",
		"drover-data",
		"-U",
		DATA_UUID,
		"-m",
		"1",
		// With blocks of 4 KiB a journal this small has no room for growing while it is mounted.
		"-b",
		"1024",
		"-E",
		`hash_seed=${DATA_UUID},root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1`,
		path,
	]);
	return path;
}
