/**
 * The partition table of a disk (UEFI 2.10 §5.3, "GUID Partition Table"): read, changed, written.
 * Pure: sectors in, sectors out. Only what Drover's own disks have: 512-byte sectors, 128 entries
 * of 128 bytes from sector 2 on.
 */
export const SECTOR_BYTES = 512;
export const ENTRIES = 128;
const ENTRY_BYTES = 128;
const ENTRIES_SECTORS = (ENTRIES * ENTRY_BYTES) / SECTOR_BYTES;
const HEADER_BYTES = 92;
const SIGNATURE = "EFI PART";
/** The protective MBR, the header and the entries: what lies at the disk's start. */
export const PRIMARY_SECTORS = 2 + ENTRIES_SECTORS;
/** The entries and the header at the disk's end. */
export const BACKUP_SECTORS = ENTRIES_SECTORS + 1;
/** Partitions end on a whole mebibyte. */
const ALIGNMENT_SECTORS = 2048;

export interface GptPartition {
	/** From 1 on, as the kernel numbers them. */
	readonly number: number;
	readonly typeGuid: string;
	readonly guid: string;
	readonly firstSector: number;
	/** The last one that belongs to it. */
	readonly lastSector: number;
	readonly name: string;
	/** The entry's attribute bits as they are. */
	readonly attributes: bigint;
}

export interface Gpt {
	readonly diskGuid: string;
	readonly partitions: readonly GptPartition[];
}

/** Why a table cannot be used; in the operator's words. */
export class GptError extends Error {}

/** Reads the last BACKUP_SECTORS of a disk. Throws a GptError when they hold no sound table. */
export function parseBackupGpt(end: Uint8Array): Gpt {
	const entriesBytes = ENTRIES * ENTRY_BYTES;
	if (end.length < entriesBytes + SECTOR_BYTES)
		throw new GptError("the disk is too short for a partition table");
	return parseTable(end.subarray(entriesBytes), end.subarray(0, entriesBytes));
}

/** Reads the first PRIMARY_SECTORS of a disk. Throws a GptError when they hold no sound table. */
export function parseGpt(start: Uint8Array): Gpt {
	if (start.length < PRIMARY_SECTORS * SECTOR_BYTES)
		throw new GptError("the disk is too short for a partition table");
	return parseTable(
		start.subarray(SECTOR_BYTES, 2 * SECTOR_BYTES),
		start.subarray(2 * SECTOR_BYTES, PRIMARY_SECTORS * SECTOR_BYTES),
	);
}

function parseTable(headerSector: Uint8Array, entries: Uint8Array): Gpt {
	const header = new Uint8Array(headerSector.subarray(0, HEADER_BYTES));
	const view = new DataView(header.buffer);
	if (latin1(header.subarray(0, 8)) !== SIGNATURE) throw new GptError("the disk has no GPT");
	const expected = view.getUint32(16, true);
	view.setUint32(16, 0, true);
	if (view.getUint32(12, true) !== HEADER_BYTES || crc32(header) !== expected)
		throw new GptError("the partition table's header is damaged");
	if (view.getUint32(80, true) !== ENTRIES || view.getUint32(84, true) !== ENTRY_BYTES)
		throw new GptError("the partition table has another form than Drover's");
	if (crc32(entries) !== view.getUint32(88, true))
		throw new GptError("the partition table's entries are damaged");
	const partitions: GptPartition[] = [];
	for (let index = 0; index < ENTRIES; index++) {
		const entry = new Uint8Array(entries.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES));
		if (entry.subarray(0, 16).every((byte) => byte === 0)) continue;
		const fields = new DataView(entry.buffer);
		partitions.push({
			number: index + 1,
			typeGuid: readGuid(entry.subarray(0, 16)),
			guid: readGuid(entry.subarray(16, 32)),
			firstSector: Number(fields.getBigUint64(32, true)),
			lastSector: Number(fields.getBigUint64(40, true)),
			attributes: fields.getBigUint64(48, true),
			name: new TextDecoder("utf-16le").decode(entry.subarray(56)).replace(/\0.*$/s, ""),
		});
	}
	return { diskGuid: readGuid(header.subarray(56, 72)), partitions };
}

export interface GptSectors {
	/** To be written from sector 0 on: PRIMARY_SECTORS. */
	readonly primary: Uint8Array;
	/** To be written from `backupSector` on: BACKUP_SECTORS. */
	readonly backup: Uint8Array;
	readonly backupSector: number;
}

/** The table for a disk of `diskSectors`. `bootCode` is the first 440 bytes of sector 0. Throws a GptError when a partition does not fit. */
export function formatGpt(gpt: Gpt, diskSectors: number, bootCode: Uint8Array): GptSectors {
	const backupSector = diskSectors - BACKUP_SECTORS;
	const entries = new Uint8Array(ENTRIES * ENTRY_BYTES);
	for (const { number, typeGuid, guid, firstSector, lastSector, attributes, name } of gpt.partitions) {
		if (firstSector < PRIMARY_SECTORS || lastSector < firstSector || lastSector >= backupSector)
			throw new GptError(`partition ${number} (${name}) does not fit the disk's ${diskSectors} sectors`);
		const entry = entries.subarray((number - 1) * ENTRY_BYTES, number * ENTRY_BYTES);
		const fields = new DataView(entry.buffer, entry.byteOffset);
		entry.set(writeGuid(typeGuid), 0);
		entry.set(writeGuid(guid), 16);
		fields.setBigUint64(32, BigInt(firstSector), true);
		fields.setBigUint64(40, BigInt(lastSector), true);
		fields.setBigUint64(48, attributes, true);
		entry.set(Buffer.from(name.slice(0, 36), "utf16le"), 56);
	}
	const header = (mySector: number, otherSector: number, entriesSector: number) => {
		const bytes = new Uint8Array(SECTOR_BYTES);
		const view = new DataView(bytes.buffer);
		bytes.set(Buffer.from(SIGNATURE, "latin1"));
		view.setUint32(8, 0x0001_0000, true);
		view.setUint32(12, HEADER_BYTES, true);
		view.setBigUint64(24, BigInt(mySector), true);
		view.setBigUint64(32, BigInt(otherSector), true);
		view.setBigUint64(40, BigInt(ALIGNMENT_SECTORS), true);
		view.setBigUint64(48, BigInt(backupSector - 1), true);
		bytes.set(writeGuid(gpt.diskGuid), 56);
		view.setBigUint64(72, BigInt(entriesSector), true);
		view.setUint32(80, ENTRIES, true);
		view.setUint32(84, ENTRY_BYTES, true);
		view.setUint32(88, crc32(entries), true);
		view.setUint32(16, crc32(bytes.subarray(0, HEADER_BYTES)), true);
		return bytes;
	};
	const last = diskSectors - 1;
	return {
		primary: Buffer.concat([protectiveMbr(diskSectors, bootCode), header(1, last, 2), entries]),
		backup: Buffer.concat([entries, header(last, 1, backupSector)]),
		backupSector,
	};
}

/** UEFI 2.10 §5.2.3: one partition of type 0xEE over all, so that older tools keep off. */
function protectiveMbr(diskSectors: number, bootCode: Uint8Array): Uint8Array {
	const sector = new Uint8Array(SECTOR_BYTES);
	sector.set(bootCode.subarray(0, 440));
	const view = new DataView(sector.buffer);
	sector.set([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff], 446);
	view.setUint32(454, 1, true);
	view.setUint32(458, Math.min(diskSectors - 1, 0xffff_ffff), true);
	sector.set([0x55, 0xaa], 510);
	return sector;
}

/** The last partition reaches to the disk's end, in whole mebibytes. Equal to `gpt` when it does already. */
export function growLast(gpt: Gpt, diskSectors: number): Gpt {
	const last = gpt.partitions.reduce((a, b) => (b.firstSector > a.firstSector ? b : a));
	const end = Math.floor((diskSectors - BACKUP_SECTORS) / ALIGNMENT_SECTORS) * ALIGNMENT_SECTORS;
	if (end - 1 <= last.lastSector) return gpt;
	return {
		...gpt,
		partitions: gpt.partitions.map((each) => (each === last ? { ...each, lastSector: end - 1 } : each)),
	};
}

/** New identifiers for the disk and its partitions, so that two of our disks in one box are told apart. */
export function renewGuids(gpt: Gpt, newGuid: () => string): Gpt {
	return {
		diskGuid: newGuid(),
		partitions: gpt.partitions.map((each) => ({ ...each, guid: newGuid() })),
	};
}

/** The first three groups are little-endian (UEFI 2.10, appendix A). */
function readGuid(bytes: Uint8Array): string {
	const hex = (...places: readonly number[]) =>
		places.map((place) => bytes[place]!.toString(16).padStart(2, "0")).join("");
	return `${hex(3, 2, 1, 0)}-${hex(5, 4)}-${hex(7, 6)}-${hex(8, 9)}-${hex(10, 11, 12, 13, 14, 15)}`;
}

function writeGuid(guid: string): Uint8Array {
	const bytes = Buffer.from(guid.replaceAll("-", ""), "hex");
	if (bytes.length !== 16) throw new GptError(`"${guid}" is not a GUID`);
	return Uint8Array.of(...[3, 2, 1, 0, 5, 4, 7, 6].map((place) => bytes[place]!), ...bytes.subarray(8));
}

const crc32 = (bytes: Uint8Array): number => Bun.hash.crc32(bytes);
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
