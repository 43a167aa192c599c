/** A whole disk that is about to be overwritten: may it be, what is it, and what is on it? */
import {
	closeSync,
	existsSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	realpathSync,
	statSync,
} from "node:fs";
import { basename } from "node:path";
import { SECTOR_BYTES } from "./gpt.ts";

export interface DiskFacts {
	readonly isDisk: boolean;
	/** /proc/mounts */
	readonly mounts: string;
	/** /proc/swaps */
	readonly swaps: string;
	readonly sizeBytes: number;
	/** What is to be written. */
	readonly imageBytes: number;
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
		sizeBytes: Number(attribute(disk, "size") || 0) * SECTOR_BYTES,
		runningDisk: text("/run/drover/disk").trim() || null,
	};
}

function attribute(disk: string, name: string): string {
	const path = `/sys/block/${basename(disk)}/${name}`;
	return existsSync(path) ? readFileSync(path, "utf8").trim() : "";
}

/** Model, size, and each partition with its size and name; the lines that a person decides by. */
export function describeDisk(disk: string): string[] {
	const gigabytes = (sectors: string) => `${((Number(sectors) * SECTOR_BYTES) / 1e9).toFixed(1)} GB`;
	const name = basename(disk);
	const model =
		`${attribute(disk, "device/vendor")} ${attribute(disk, "device/model")}`.trim() || "unknown model";
	const directory = `/sys/block/${name}`;
	const partitions = (existsSync(directory) ? readdirSync(directory) : [])
		.filter((each) => each.startsWith(name))
		.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
	const content = (device: string) => {
		const label = /^PARTNAME=(.*)$/m.exec(attribute(disk, `${basename(device)}/uevent`))?.[1];
		return `${contentOf(firstBytes(device))}${label === undefined ? "" : ` "${label}"`}`;
	};
	return [
		`${disk}: ${model}, ${gigabytes(attribute(disk, "size"))}`,
		...partitions.map(
			(each) =>
				`  ${each.padEnd(12)} ${gigabytes(attribute(disk, `${each}/size`))}  ${content(`/dev/${each}`)}`,
		),
		...(partitions.length === 0 ? [`  no partitions; ${contentOf(firstBytes(disk))}`] : []),
	];
}

/** btrfs has its superblock farthest behind: at 64 KiB. */
const SNIFF_BYTES = 68 * 1024;

function firstBytes(device: string): Uint8Array {
	const bytes = new Uint8Array(SNIFF_BYTES);
	try {
		const fd = openSync(device, "r");
		try {
			return bytes.subarray(0, readSync(fd, bytes, 0, SNIFF_BYTES, 0));
		} finally {
			closeSync(fd);
		}
	} catch {
		// A medium that cannot be read, such as an empty card reader, has nothing to show.
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

/** What the first bytes of a partition or disk say: a file system's name, "empty", or "unknown content". */
export function contentOf(bytes: Uint8Array): string {
	const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
	for (const [name, offset, magic] of signatures)
		if (text.subarray(offset, offset + magic.length).toString("latin1") === magic) return name;
	return bytes.every((byte) => byte === 0) ? "empty" : "unknown content";
}
