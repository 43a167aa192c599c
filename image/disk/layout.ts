/**
 * The disk's partitions (GPT), in order. The identifiers are fixed, so that two builds give
 * the same bytes; the disk's own is what tells it from another Drover disk in the same box.
 */
export const SECTOR_BYTES = 512;
const MEBIBYTE = 1024 * 1024;

export const DISK_GUID = "D10E5000-0000-4000-8000-000000000000";

export interface PartitionLayout {
	readonly name: "bios" | "esp" | "env" | "boot-A" | "boot-B" | "root-A" | "root-B" | "data";
	/** GPT type: sfdisk's alias or a GUID. */
	readonly type: string;
	readonly sizeBytes: number;
}

const LINUX_DATA = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
const BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649";
const EFI_SYSTEM = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

/** What a slot's partitions hold; an update must fit them for the life of the box. */
export const BOOT_BYTES = 32 * MEBIBYTE;
export const ROOT_BYTES = 192 * MEBIBYTE;

export const layout: readonly PartitionLayout[] = [
	{ name: "bios", type: BIOS_BOOT, sizeBytes: MEBIBYTE },
	{ name: "esp", type: EFI_SYSTEM, sizeBytes: 16 * MEBIBYTE },
	{ name: "env", type: LINUX_DATA, sizeBytes: MEBIBYTE },
	{ name: "boot-A", type: LINUX_DATA, sizeBytes: BOOT_BYTES },
	{ name: "boot-B", type: LINUX_DATA, sizeBytes: BOOT_BYTES },
	{ name: "root-A", type: LINUX_DATA, sizeBytes: ROOT_BYTES },
	{ name: "root-B", type: LINUX_DATA, sizeBytes: ROOT_BYTES },
	// Grows to the disk's end at the first start.
	{ name: "data", type: LINUX_DATA, sizeBytes: 64 * MEBIBYTE },
];

/** Where partition `name` starts, bytes. The first starts at 1 MiB, and all are aligned to it. */
export function partitionStart(name: PartitionLayout["name"]): number {
	let start = MEBIBYTE;
	for (const partition of layout) {
		if (partition.name === name) return start;
		start += partition.sizeBytes;
	}
	throw new Error(`no partition is called ${name}`);
}

export function partitionNumber(name: PartitionLayout["name"]): number {
	return layout.findIndex((partition) => partition.name === name) + 1;
}

/** Of the disk as it is built; one that was flashed has others of its own. */
export function partitionGuid(name: PartitionLayout["name"]): string {
	return DISK_GUID.slice(0, -1) + partitionNumber(name).toString(16).toUpperCase();
}

/** The whole disk: partitions and, at both ends, the partition table. */
export const diskBytes = partitionStart("data") + layout.at(-1)!.sizeBytes + MEBIBYTE;

/** What sfdisk(8) reads from its standard input. */
export function sfdiskScript(): string {
	const sectors = (bytes: number) => bytes / SECTOR_BYTES;
	const lines = layout.map(
		({ name, type, sizeBytes }) =>
			`start=${sectors(partitionStart(name))}, size=${sectors(sizeBytes)}, type=${type}, name=${name}, uuid=${partitionGuid(name)}`,
	);
	return ["label: gpt", `label-id: ${DISK_GUID}`, "unit: sectors", "first-lba: 2048", ...lines, ""].join(
		"\n",
	);
}
