/** Writes parts of files or disks to a disk, reads them back from the medium, and compares. */
import { closeSync, constants, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { PRIMARY_SECTORS, SECTOR_BYTES } from "./gpt.ts";

const CHUNK_BYTES = 4 * 1024 * 1024;

/** What goes where; `bytes` or a range of a file or disk. */
export type Part = { readonly to: number } & (
	| { readonly bytes: Uint8Array }
	| { readonly source: string; readonly from: number; readonly lengthBytes: number }
);

const lengthOf = (part: Part): number => ("bytes" in part ? part.bytes.length : part.lengthBytes);

/**
 * As `writeDisk`, and the partition table last: until then, and when it is broken off, the disk starts nothing, not
 * even what was on it before.
 */
export function writeDiskAndTable(
	disk: string,
	parts: readonly Part[],
	table: { readonly primary: Uint8Array; readonly backup: Uint8Array; readonly backupSector: number },
	onProgress: (line: string) => void,
): void {
	writeDisk(disk, [{ to: 0, bytes: new Uint8Array(PRIMARY_SECTORS * SECTOR_BYTES) }, ...parts], onProgress);
	writeDisk(
		disk,
		[
			{ to: table.backupSector * SECTOR_BYTES, bytes: table.backup },
			{ to: 0, bytes: table.primary },
		],
		() => {},
	);
}

/** Writes `parts` in order. Throws when the disk does not hold what was written. `onProgress` is told percents in tens. */
export function writeDisk(disk: string, parts: readonly Part[], onProgress: (line: string) => void): void {
	// O_EXCL: a disk is this program's alone meanwhile, so that nothing mounts half of it.
	const to = openSync(disk, constants.O_RDWR | constants.O_EXCL);
	try {
		forEachChunk(
			parts,
			(chunk, offset) => {
				for (let done = 0; done < chunk.length; )
					done += writeSync(to, chunk, done, chunk.length - done, offset + done);
			},
			(percent) => onProgress(`${percent} % written`),
		);
		fsyncSync(to);
		// Reading back must reach the medium.
		Bun.spawnSync(["blockdev", "--flushbufs", disk]);
		const back = Buffer.alloc(CHUNK_BYTES);
		forEachChunk(
			parts,
			(chunk, offset) => {
				let done = 0;
				while (done < chunk.length) {
					const count = readSync(to, back, done, chunk.length - done, offset + done);
					if (count === 0) break;
					done += count;
				}
				if (Buffer.compare(back.subarray(0, done), chunk) !== 0)
					throw new Error(
						`${disk} does not hold what was written to it (near byte ${offset}): do not use this disk`,
					);
			},
			(percent) => onProgress(`${percent} % compared`),
		);
	} finally {
		closeSync(to);
	}
}

function forEachChunk(
	parts: readonly Part[],
	each: (chunk: Uint8Array, offset: number) => void,
	onPercent: (percent: number) => void,
): void {
	const total = parts.reduce((sum, part) => sum + lengthOf(part), 0);
	const buffer = Buffer.alloc(CHUNK_BYTES);
	let done = 0;
	let shown = 0;
	for (const part of parts) {
		const fd = "bytes" in part ? null : openSync(part.source, "r");
		try {
			for (let offset = 0; offset < lengthOf(part); ) {
				const wanted = Math.min(CHUNK_BYTES, lengthOf(part) - offset);
				const chunk =
					"bytes" in part
						? part.bytes.subarray(offset, offset + wanted)
						: buffer.subarray(0, readSync(fd!, buffer, 0, wanted, part.from + offset));
				if (chunk.length === 0) throw new Error("what is to be written ends too early");
				each(chunk, part.to + offset);
				offset += chunk.length;
				done += chunk.length;
				const percent = Math.floor((done * 10) / total) * 10;
				if (percent > shown) onPercent(percent);
				shown = percent;
			}
		} finally {
			if (fd !== null) closeSync(fd);
		}
	}
}
