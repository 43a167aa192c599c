/** The partition table (UEFI 2.10 §5.3), with sfdisk as the judge of what is written. */
import { afterAll, describe, expect, test } from "bun:test";
import {
	closeSync,
	mkdtempSync,
	openSync,
	readSync,
	rmSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
	BACKUP_SECTORS,
	formatGpt,
	type Gpt,
	GptError,
	growLast,
	PRIMARY_SECTORS,
	parseBackupGpt,
	parseGpt,
	renewGuids,
	SECTOR_BYTES,
} from "../../firmware/update/gpt.ts";
import { diskBytes, layout, sfdiskScript } from "../../image/disk/layout.ts";
import { runTool } from "../../image/disk/tool.ts";

const directory = mkdtempSync(join(tmpdir(), "drover-gpt-"));
afterAll(() => rmSync(directory, { recursive: true }));

const diskSectors = diskBytes / SECTOR_BYTES;
const path = join(directory, "disk");
writeFileSync(path, "");
truncateSync(path, diskBytes);
runTool("sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", path], sfdiskScript());
const original = part(path, 0, PRIMARY_SECTORS);
const gpt = parseGpt(original);

/** Sectors of a disk, of which most is a hole that nobody need read. */
function part(disk: string, firstSector: number, sectors: number): Uint8Array {
	const fd = openSync(disk, "r");
	try {
		const bytes = new Uint8Array(sectors * SECTOR_BYTES);
		readSync(fd, bytes, 0, bytes.length, firstSector * SECTOR_BYTES);
		return bytes;
	} finally {
		closeSync(fd);
	}
}

/** What sfdisk says of a disk with this table; throws when it finds it damaged. */
function sfdiskDump(table: Gpt, sectors: number): string {
	const { primary, backup, backupSector } = formatGpt(table, sectors, original);
	const file = join(directory, "written");
	writeFileSync(file, "");
	truncateSync(file, sectors * SECTOR_BYTES);
	const fd = openSync(file, "r+");
	writeSync(fd, primary, 0, primary.length, 0);
	writeSync(fd, backup, 0, backup.length, backupSector * SECTOR_BYTES);
	closeSync(fd);
	expect(runTool("sfdisk", ["--verify", file])).toContain("No errors detected");
	return runTool("sfdisk", ["--dump", file]);
}

describe("the table", () => {
	test("sfdisk's is read as it was meant", () => {
		expect(gpt.partitions.map(({ name }) => name)).toEqual(layout.map(({ name }) => name));
		expect(gpt.partitions.map((each) => (each.lastSector - each.firstSector + 1) * SECTOR_BYTES)).toEqual(
			layout.map(({ sizeBytes }) => sizeBytes),
		);
	});

	test("written and read again it is the same, and sfdisk agrees", () => {
		expect(parseGpt(formatGpt(gpt, diskSectors, original).primary)).toEqual(gpt);
		expect(parseBackupGpt(formatGpt(gpt, diskSectors, original).backup)).toEqual(gpt);
		expect(parseBackupGpt(part(path, diskSectors - BACKUP_SECTORS, BACKUP_SECTORS))).toEqual(gpt);
		const dump = sfdiskDump(gpt, diskSectors);
		expect([...dump.matchAll(/name="[^"]*"/g)].map(String)).toEqual(
			layout.map(({ name }) => `name="${name}"`),
		);
	});

	test("on a larger disk the data partition grows to the end, and nothing else moves", () => {
		const sectors = diskSectors + 1_000_001;
		const grown = growLast(gpt, sectors);
		expect(grown.partitions.slice(0, -1)).toEqual(gpt.partitions.slice(0, -1));
		const { firstSector, lastSector } = grown.partitions.at(-1)!;
		expect(firstSector).toBe(gpt.partitions.at(-1)!.firstSector);
		expect((lastSector + 1) % 2048).toBe(0);
		expect(sectors - lastSector).toBeLessThan(2048 + 34);
		expect(growLast(grown, sectors)).toBe(grown);
		sfdiskDump(grown, sectors);
	});

	test("new identifiers change nothing else", () => {
		let count = 0;
		const renewed = renewGuids(gpt, () => `00000000-0000-4000-8000-${String(++count).padStart(12, "0")}`);
		expect(count).toBe(layout.length + 1);
		expect(renewed.partitions.map(({ name, firstSector }) => [name, firstSector])).toEqual(
			gpt.partitions.map(({ name, firstSector }) => [name, firstSector]),
		);
		expect(sfdiskDump(renewed, diskSectors)).toContain("00000000-0000-4000-8000-000000000009");
	});

	test("a table that the disk is too small for is refused", () => {
		expect(() => formatGpt(gpt, diskSectors - 4096, original)).toThrow(GptError);
	});
});

describe("damage", () => {
	test("any flipped bit of header and entries is found", () => {
		const start = original.subarray(0, PRIMARY_SECTORS * SECTOR_BYTES);
		fc.assert(
			fc.property(
				fc.integer({ min: SECTOR_BYTES, max: SECTOR_BYTES + 91 }),
				fc.integer({ min: 2 * SECTOR_BYTES, max: start.length - 1 }),
				fc.integer({ min: 0, max: 7 }),
				(inHeader, inEntries, bit) => {
					for (const offset of [inHeader, inEntries]) {
						const bad = new Uint8Array(start);
						bad[offset]! ^= 1 << bit;
						expect(() => parseGpt(bad)).toThrow(GptError);
					}
				},
			),
		);
	});

	test("any bytes at all are a table or a GptError", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
				const start = new Uint8Array(PRIMARY_SECTORS * SECTOR_BYTES);
				start.set(Buffer.from("EFI PART"), SECTOR_BYTES);
				start.set(bytes.subarray(0, 500), SECTOR_BYTES + 8);
				expect(() => parseGpt(start)).toThrow(GptError);
				expect(() => parseGpt(bytes)).toThrow(GptError);
			}),
		);
	});
});
