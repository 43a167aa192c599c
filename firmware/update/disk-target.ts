/** A whole disk that is about to be overwritten: may it be, what is it, and what is on it? */
import {
	closeSync,
	constants,
	existsSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	realpathSync,
	statSync,
} from "node:fs";
import { basename } from "node:path";
import {
	BACKUP_SECTORS,
	type Gpt,
	GptError,
	PRIMARY_SECTORS,
	parseBackupGpt,
	parseGpt,
	SECTOR_BYTES,
} from "./gpt.ts";

export interface DiskFacts {
	readonly isDisk: boolean;
	/** /proc/mounts */
	readonly mounts: string;
	/** /proc/swaps */
	readonly swaps: string;
	readonly sizeBytes: number;
	/** What is to be written. */
	readonly imageBytes: number;
	/** What LVM, RAID or encryption is made of it: the part of the disk, and the name of the whole. */
	readonly holders: readonly (readonly [part: string, whole: string])[];
	/** What keeps it from being opened for this program alone, as a clause about it; null when nothing does. */
	readonly trouble: string | null;
	readonly sectorBytes: number;
	/** The disk that the running firmware was started from, such as "sda"; null when there is none. */
	readonly runningDisk: string | null;
}

/** Why `disk` must not be written, or null. */
export function refusal(disk: string, facts: DiskFacts): string | null {
	if (!facts.isDisk)
		return `${disk} is not a whole disk: name it like /dev/sdb, without a partition's number`;
	if (facts.runningDisk !== null && disk === `/dev/${facts.runningDisk}`)
		return `${disk} is the disk that this system runs from`;
	const used = [...facts.mounts.matchAll(/^(\/dev\/\S+) (\S+)/gm)].find(([, device]) =>
		isPartOf(device!, disk),
	);
	if (used !== undefined) return `${disk} is in use: ${used[1]} is mounted on ${used[2]}`;
	const swap = [...facts.swaps.matchAll(/^(\/dev\/\S+)/gm)].find(([, device]) => isPartOf(device!, disk));
	if (swap !== undefined) return `${disk} is in use: ${swap[1]} is swap`;
	const [holder] = facts.holders;
	if (holder !== undefined) return `${disk} is in use: ${holder[0]} is part of ${holder[1]}`;
	if (facts.trouble !== null) return `${disk} ${facts.trouble}`;
	if (facts.sectorBytes !== SECTOR_BYTES)
		return `${disk} has sectors of ${facts.sectorBytes} bytes; the image is made for sectors of ${SECTOR_BYTES}`;
	if (facts.sizeBytes < facts.imageBytes)
		return `${disk} has ${facts.sizeBytes} bytes; the image needs ${facts.imageBytes}`;
	return null;
}

function isPartOf(device: string, disk: string): boolean {
	return device === disk || (device.startsWith(disk) && /^p?\d+$/.test(device.slice(disk.length)));
}

/** What the kernel knows of `named`, which may be a link to the disk. */
export function readDiskFacts(named: string, imageBytes: number): DiskFacts & { readonly disk: string } {
	const disk = existsSync(named) ? realpathSync(named) : named;
	const isDisk =
		existsSync(disk) && statSync(disk).isBlockDevice() && existsSync(`/sys/block/${basename(disk)}`);
	const text = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");
	return {
		disk,
		isDisk,
		imageBytes,
		mounts: text("/proc/mounts"),
		swaps: text("/proc/swaps"),
		holders: isDisk ? holdersOf(basename(disk)) : [],
		trouble: isDisk ? openTrouble(disk) : null,
		sectorBytes: Number(attribute(disk, "queue/logical_block_size") || SECTOR_BYTES),
		// The kernel counts in this unit whatever the disk's own sectors are.
		sizeBytes: Number(attribute(disk, "size") || 0) * SECTOR_BYTES,
		runningDisk: text("/run/drover/disk").trim() || null,
	};
}

/** /proc/mounts names what lies on top of LVM, RAID or encryption, the kernel knows what is below. */
function holdersOf(disk: string): (readonly [string, string])[] {
	const parts = readdirSync(`/sys/block/${disk}`).filter((name) => name.startsWith(disk));
	return [disk, ...parts].flatMap((part) => {
		const folder = `/sys/class/block/${part}/holders`;
		const holders = existsSync(folder) ? readdirSync(folder) : [];
		return holders.map((holder) => {
			const name = `/sys/block/${holder}/dm/name`;
			return [part, existsSync(name) ? readFileSync(name, "utf8").trim() : holder] as const;
		});
	});
}

/** open(2), O_EXCL: fails while the kernel itself, or whoever asked for it alone, has the disk or a part of it. */
function openTrouble(disk: string): string | null {
	try {
		closeSync(openSync(disk, constants.O_RDWR | constants.O_EXCL));
		return null;
	} catch (error) {
		switch ((error as NodeJS.ErrnoException).code) {
			case "EBUSY":
				return "is in use by the system or by another program";
			case "EACCES":
			case "EPERM":
				return "cannot be opened: this needs root";
			case "EROFS":
				return "can only be read: is it locked?";
			case "ENOMEDIUM":
				return "has no medium in it";
			default:
				return `cannot be opened: ${(error as Error).message}`;
		}
	}
}

function attribute(disk: string, name: string): string {
	const path = `/sys/block/${basename(disk)}/${name}`;
	return existsSync(path) ? readFileSync(path, "utf8").trim() : "";
}

/** What a person decides by whether a disk may be overwritten. */
export interface DiskSeen {
	readonly disk: string;
	/** Vendor and model; empty when the disk does not say. */
	readonly model: string;
	readonly sizeBytes: number;
	readonly partitions: readonly PartitionSeen[];
	/** Of a disk without partitions what its first bytes say; null otherwise. */
	readonly content: string | null;
}

export function lookAtDisk(disk: string): DiskSeen {
	// A paravirtual disk's vendor is a number.
	const vendor = attribute(disk, "device/vendor").replace(/^0x.*/, "");
	const partitions = tablePartitions(disk) ?? kernelPartitions(disk);
	return {
		disk,
		model: `${vendor} ${attribute(disk, "device/model")}`.trim(),
		sizeBytes: Number(attribute(disk, "size") || 0) * SECTOR_BYTES,
		partitions,
		content: partitions.length === 0 ? contentOf(firstBytes(disk)) : null,
	};
}

/** Model, size, and each partition with its size, content and name, a line each. */
export function describeDisk({
	disk,
	model,
	sizeBytes: diskBytes,
	partitions,
	content: whole,
}: DiskSeen): string[] {
	const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
	return [
		`${disk}: ${model || "unknown model"}, ${gigabytes(diskBytes)}`,
		...partitions.map(({ device, sizeBytes, content, label }) =>
			`  ${device.padEnd(12)} ${gigabytes(sizeBytes)}  ${content}${label === null ? "" : ` "${label}"`}`.trimEnd(),
		),
		...(whole === null ? [] : [`  no partitions; ${whole}`]),
	];
}

export interface PartitionSeen {
	/** As the kernel names it, such as "sda1". */
	readonly device: string;
	readonly sizeBytes: number;
	readonly content: string;
	readonly label: string | null;
}

/** What the disk's own GPT says: no kernel has to have read it before. Null when there is none. */
function tablePartitions(disk: string): readonly PartitionSeen[] | null {
	const table = readTable(disk);
	if (table === null) return null;
	const prefix = `${basename(disk)}${/\d$/.test(disk) ? "p" : ""}`;
	return table.partitions.map(({ number, firstSector, lastSector, name }) => ({
		device: `${prefix}${number}`,
		sizeBytes: (lastSector - firstSector + 1) * SECTOR_BYTES,
		content: contentOf(firstBytes(disk, firstSector * SECTOR_BYTES)),
		label: printable(name),
	}));
}

/** The one at its start or, when that is damaged, the one at its end. */
function readTable(disk: string): Gpt | null {
	const sectors = Number(attribute(disk, "size") || 0);
	const places = [
		() => parseGpt(readBytes(disk, 0, PRIMARY_SECTORS * SECTOR_BYTES)),
		() =>
			parseBackupGpt(
				readBytes(disk, (sectors - BACKUP_SECTORS) * SECTOR_BYTES, BACKUP_SECTORS * SECTOR_BYTES),
			),
	];
	for (const place of places)
		try {
			return place();
		} catch (error) {
			if (!(error instanceof GptError)) throw error;
		}
	return null;
}

/** What the kernel makes of another kind of table. */
function kernelPartitions(disk: string): readonly PartitionSeen[] {
	const name = basename(disk);
	const directory = `/sys/block/${name}`;
	return (existsSync(directory) ? readdirSync(directory) : [])
		.filter((each) => each.startsWith(name))
		.sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
		.map((device) => ({
			device,
			sizeBytes: Number(attribute(disk, `${device}/size`) || 0) * SECTOR_BYTES,
			content: contentOf(firstBytes(`/dev/${device}`)),
			label: null,
		}));
}

/** A name that anybody may have given: it moves no cursor. */
const printable = (text: string) => text.replace(/[^\x20-\x7e]/g, "?");

/** btrfs has its superblock farthest behind: at 64 KiB. */
const SNIFF_BYTES = 68 * 1024;

const firstBytes = (device: string, offset = 0) => readBytes(device, offset, SNIFF_BYTES);

/** Of a medium that cannot be read, such as an empty card reader or a failing disk, nothing. */
function readBytes(device: string, offset: number, length: number): Uint8Array {
	const bytes = new Uint8Array(length);
	try {
		const fd = openSync(device, "r");
		try {
			return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
		} finally {
			closeSync(fd);
		}
	} catch {
		return bytes.subarray(0, 0);
	}
}

const signatures: readonly (readonly [string, number, string])[] = [
	["ext", 0x438, "\x53\xef"],
	["FAT", 0x36, "FAT"],
	["FAT", 0x52, "FAT"],
	["NTFS", 3, "NTFS"],
	["exFAT", 3, "EXFAT"],
	["XFS", 0, "XFSB"],
	["btrfs", 0x10040, "_BHRfS_M"],
	["squashfs", 0, "hsqs"],
	["swap", 4086, "SWAPSPACE2"],
	["LVM", 512, "LABELONE"],
	["LUKS", 0, "LUKS"],
];

/** What the first bytes of a partition or disk say: a file system's name, "empty", or "unknown content"; none: why not. */
export function contentOf(bytes: Uint8Array): string {
	if (bytes.length === 0) return "cannot be read";
	const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
	for (const [name, offset, magic] of signatures)
		if (text.subarray(offset, offset + magic.length).toString("latin1") === magic) return name;
	return bytes.every((byte) => byte === 0) ? "empty" : "unknown content";
}
