/** Writes parts of files or disks to a disk, reads them back from the medium, and compares. */
import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";

const CHUNK_BYTES = 4 * 1024 * 1024;

/** What goes where; `bytes` or a range of a file or disk. */
export type Part = { readonly to: number } & (
	| { readonly bytes: Uint8Array }
	| { readonly source: string; readonly from: number; readonly lengthBytes: number }
);

const lengthOf = (part: Part): number => ("bytes" in part ? part.bytes.length : part.lengthBytes);

/** Writes `parts` in order. Throws when the disk does not hold what was written. `onProgress` is told percents in tens. */
export function writeDisk(disk: string, parts: readonly Part[], onProgress: (line: string) => void): void {
	const to = openSync(disk, "r+");
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
