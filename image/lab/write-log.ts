/**
 * What QEMU's blklogwrites driver recorded of a disk: every write and flush in order, in the
 * form of the kernel's dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst);
 * and the disk as a power cut at any moment would have left it.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";

const SECTOR_BYTES = 512;
const MAGIC = 0x6a736677736872n;
const FLUSH_FLAG = 1n;
const FUA_FLAG = 2n;
const DISCARD_FLAG = 4n;
const ENTRIES_LIMIT = 10_000_000;

export interface LogEntry {
	readonly kind: "write" | "flush" | "discard";
	/** First sector on the disk. */
	readonly sector: number;
	readonly sectors: number;
	/** Durable at once. */
	readonly fua: boolean;
	/** Where in the log file the written bytes lie. */
	readonly dataOffset: number;
}

/** QEMU's words for a disk whose writes are recorded into `log`. */
export function recordedDrive(node: string, disk: string, log: string): string[] {
	return [
		"-blockdev",
		[
			`driver=blklogwrites,node-name=${node},log-sector-size=${SECTOR_BYTES}`,
			`file.driver=file,file.filename=${disk},file.cache.no-flush=on`,
			`log.driver=file,log.filename=${log},log.cache.no-flush=on`,
		].join(","),
	];
}

/** Reads a log up to its end or to what was not written any more. Throws when it is none. */
export function readWriteLog(path: string): LogEntry[] {
	const fd = openSync(path, "r");
	try {
		const size = statSync(path).size;
		const head = Buffer.alloc(SECTOR_BYTES);
		readSync(fd, head, 0, SECTOR_BYTES, 0);
		if (head.readBigUInt64LE(0) !== MAGIC || head.readUInt32LE(24) !== SECTOR_BYTES)
			throw new Error(`${path} is no log of writes with sectors of ${SECTOR_BYTES} bytes`);
		const entries: LogEntry[] = [];
		for (let offset = SECTOR_BYTES; offset + SECTOR_BYTES <= size && entries.length < ENTRIES_LIMIT; ) {
			readSync(fd, head, 0, SECTOR_BYTES, offset);
			const sector = Number(head.readBigUInt64LE(0));
			const sectors = Number(head.readBigUInt64LE(8));
			const flags = head.readBigUInt64LE(16);
			const known = FLUSH_FLAG | FUA_FLAG | DISCARD_FLAG;
			offset += SECTOR_BYTES;
			if ((flags & ~known) !== 0n || (sectors === 0 && flags === 0n)) break;
			const isWrite = sectors > 0 && (flags & DISCARD_FLAG) === 0n;
			if (isWrite && offset + sectors * SECTOR_BYTES > size) break;
			entries.push({
				kind: (flags & DISCARD_FLAG) !== 0n ? "discard" : sectors === 0 ? "flush" : "write",
				sector,
				sectors,
				fua: (flags & FUA_FLAG) !== 0n,
				dataOffset: offset,
			});
			// A write may carry the flush that came before it.
			if (isWrite) offset += sectors * SECTOR_BYTES;
		}
		return entries;
	} finally {
		closeSync(fd);
	}
}

/** mulberry32: a seed gives the same power cut again. */
export function random(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** Sectors of a disk that differ from the one before the recording: where in the log their bytes lie. */
export type Changed = ReadonlyMap<number, number>;

/**
 * The disk when the power goes right before entry `cutAt`. What a completed flush, or a write
 * that forces its way, made durable is there; of everything after it each sector is there or not
 * as `next` says, in the version of any of its writes: dropped, torn and reordered.
 */
export function cutPower(entries: readonly LogEntry[], cutAt: number, next: () => number): Changed {
	let lastFlush = -1;
	for (let index = 0; index < cutAt; index++) if (entries[index]!.kind === "flush") lastFlush = index;
	const changed = new Map<number, number>();
	const keepOdds = next();
	for (let index = 0; index < cutAt; index++) {
		const entry = entries[index]!;
		if (entry.kind !== "write") continue;
		const durable = index < lastFlush || entry.fua;
		for (let at = 0; at < entry.sectors; at++)
			if (durable || next() < keepOdds) changed.set(entry.sector + at, entry.dataOffset + at * SECTOR_BYTES);
	}
	return changed;
}

/** Reads of a disk after a power cut. */
export class CutDisk {
	readonly #disk: number;
	readonly #log: number;
	readonly changed: Changed;
	constructor(base: string, log: string, changed: Changed) {
		this.#disk = openSync(base, "r");
		this.#log = openSync(log, "r");
		this.changed = changed;
	}

	/** `offset` and `length` in whole sectors. */
	read(offset: number, length: number): Buffer {
		const bytes = Buffer.alloc(length);
		for (let done = 0; done < length; ) {
			const count = readSync(this.#disk, bytes, done, length - done, offset + done);
			if (count === 0) break;
			done += count;
		}
		for (const { sector, sectors, from } of this.#runs(offset, length))
			readSync(this.#log, bytes, sector * SECTOR_BYTES - offset, sectors * SECTOR_BYTES, from);
		return bytes;
	}

	/** Of this part of the disk: equal for cuts that leave the same bytes of the same writes there. */
	fingerprint(offset: number, length: number): string {
		const runs = [...this.#runs(offset, length)].flatMap(({ sector, sectors, from }) => [
			sector,
			sectors,
			from,
		]);
		return new Bun.CryptoHasher("sha256").update(new Float64Array(runs)).digest("hex");
	}

	/** Sectors one after another whose bytes lie one after another in the log, from `from` on. */
	*#runs(offset: number, length: number): Generator<{ sector: number; sectors: number; from: number }> {
		const end = (offset + length) / SECTOR_BYTES;
		for (let sector = offset / SECTOR_BYTES; sector < end; ) {
			const from = this.changed.get(sector);
			let sectors = 1;
			if (from !== undefined) {
				while (sector + sectors < end && this.changed.get(sector + sectors) === from + sectors * SECTOR_BYTES)
					sectors++;
				yield { sector, sectors, from };
			}
			sector += sectors;
		}
	}

	close(): void {
		closeSync(this.#disk);
		closeSync(this.#log);
	}
}
