/** The data partition takes the whole rest of the disk: at the first start, or on a larger disk. */
import { closeSync, fsyncSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import {
	BACKUP_SECTORS,
	formatGpt,
	type Gpt,
	GptError,
	growLast,
	PRIMARY_SECTORS,
	parseBackupGpt,
	parseGpt,
	SECTOR_BYTES,
} from "../update/gpt.ts";

/**
 * Grows the last partition of `disk` (such as "vda") and the file system mounted from it.
 * The table at the disk's end is written first: with the kernel's word "gpt" either of the two is
 * enough, so that a cut at any moment leaves one. Throws with what the tools said.
 */
export function growData(disk: string): void {
	const path = `/dev/${disk}`;
	const diskSectors = Number(readFileSync(`/sys/class/block/${disk}/size`, "utf8"));
	const fd = openSync(path, "r+");
	try {
		const read = (sector: number, sectors: number) => {
			const bytes = new Uint8Array(sectors * SECTOR_BYTES);
			readSync(fd, bytes, 0, bytes.length, sector * SECTOR_BYTES);
			return bytes;
		};
		const start = read(0, PRIMARY_SECTORS);
		const grown = growLast(readTable(start, read(diskSectors - BACKUP_SECTORS, BACKUP_SECTORS)), diskSectors);
		const { primary, backup, backupSector } = formatGpt(grown, diskSectors, start);
		writeAll(fd, backup, backupSector * SECTOR_BYTES);
		fsyncSync(fd);
		writeAll(fd, primary, 0);
		fsyncSync(fd);
		const data = grown.partitions.at(-1)!;
		const device = `${path}${/\d$/.test(disk) ? "p" : ""}${data.number}`;
		run(["resizepart", path, String(data.number), String(data.lastSector - data.firstSector + 1)]);
		run(["resize2fs", device]);
	} finally {
		closeSync(fd);
	}
}

/** The table at the start, or after a power cut in its writing the one at the end. Throws when both are damaged. */
function readTable(start: Uint8Array, end: Uint8Array): Gpt {
	try {
		return parseGpt(start);
	} catch (error) {
		if (error instanceof GptError) return parseBackupGpt(end);
		throw error;
	}
}

function writeAll(fd: number, bytes: Uint8Array, offset: number): void {
	for (let done = 0; done < bytes.length; )
		done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
}

function run(command: readonly string[]): void {
	const { exitCode, stderr } = Bun.spawnSync([...command], { stdin: "ignore", stderr: "pipe" });
	if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
}
