/** The box's own disk: its partitions by name, and the loader's environment block on it. */
import {
	closeSync,
	existsSync,
	fsyncSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { tryLock } from "../kernel/file-lock.ts";
import {
	ENVIRONMENT_BYTES,
	type Environment,
	formatEnvironment,
	parseEnvironment,
	SECTOR_BYTES,
} from "./environment.ts";
import type { Partition } from "./trust.ts";

/** The initramfs leaves the name of the disk here that the running slot was found on. */
const DISK_FILE = "/run/drover/disk";
const SCAN_LIMIT_BYTES = 1024 * 1024;
/** Whoever changes the loader's environment does it within this, or its medium does not answer. */
const LOCK_LIMIT_MS = 10_000;
const LOCK_RETRY_MS = 5;
/** ioctl-free: the kernel drops a block device's clean pages when asked through this tool. */
const FLUSH_COMMAND = ["blockdev", "--flushbufs"];

/** Whether the running system was started from a Drover disk. */
export const isDiskKnown = (): boolean => existsSync(DISK_FILE);

/** Paths of the partitions by GPT name, such as "boot-A" → "/dev/sda4". Throws when the disk is not known. */
export function findPartitions(): ReadonlyMap<string, string> {
	if (!isDiskKnown())
		throw new Error("this box was not started from a Drover disk, so there is no slot to write");
	const disk = readFileSync(DISK_FILE, "utf8").trim();
	const found = new Map<string, string>();
	for (const name of readdirSync(`/sys/class/block/${disk}`)) {
		const uevent = join("/sys/class/block", disk, name, "uevent");
		if (!name.startsWith(disk) || !existsSync(uevent)) continue;
		const label = /^PARTNAME=(.*)$/m.exec(readFileSync(uevent, "utf8"))?.[1];
		if (label !== undefined) found.set(label, `/dev/${name}`);
	}
	return found;
}

/** The path of the partition that is called so. Throws when there is none. */
export function partitionPath(name: string): string {
	const path = findPartitions().get(name);
	if (path === undefined) throw new Error(`the disk has no partition "${name}"`);
	return path;
}

/** A partition, or a plain file in its place, as the trust core writes it. */
export function openPartition(path: string): Partition & { close(): void } {
	const fd = openSync(path, "r+");
	let buffer = new Uint8Array(0);
	return {
		async write(offset, bytes) {
			for (let done = 0; done < bytes.length; )
				done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
		},
		async sync() {
			fsyncSync(fd);
			// Reading back must reach the medium. A plain file has no such cache to drop, and the tool says so.
			if (path.startsWith("/dev/")) Bun.spawnSync([...FLUSH_COMMAND, path]);
		},
		async read(offset, length) {
			// One buffer for all: new memory for each megabyte costs more than reading it.
			if (buffer.length < length) buffer = new Uint8Array(length);
			const bytes = buffer;
			let done = 0;
			while (done < length) {
				const count = readSync(fd, bytes, done, length - done, offset + done);
				if (count === 0) break;
				done += count;
			}
			return bytes.subarray(0, done);
		},
		close: () => closeSync(fd),
	};
}

/**
 * The environment block inside the small FAT file system that the loader reads. Linux never
 * mounts it: the block is found by its first line and rewritten in place, so that no file
 * system's structure can break.
 */
export class EnvironmentBlock {
	readonly #path: string;
	constructor(path: string) {
		this.#path = path;
	}

	/** Throws when there is none: then the loader cannot count, and an update must not begin. */
	read(): Environment {
		return this.#with("r", (fd, offset) => {
			const environment = readBlock(fd, offset);
			if (environment === null) throw new Error(`${this.#path} holds no readable environment of the loader`);
			return environment;
		});
	}

	/** Durable when it returns. All variables are in the first sector, which a disk writes whole. */
	write(environment: Environment): void {
		this.change(() => environment);
	}

	/**
	 * Writes what `change` makes of the environment; null: nothing is to be written. Nobody else changes it meanwhile: of
	 * two who had read the same one, the second would undo what the first wrote. Durable when it returns.
	 */
	change(change: (environment: Environment) => Environment | null): void {
		this.#with("r+", (fd, offset) => {
			const wanted = change(readBlock(fd, offset) ?? new Map());
			if (wanted === null) return;
			const block = formatEnvironment(wanted);
			writeSync(fd, block, 0, SECTOR_BYTES, offset);
			fsyncSync(fd);
			const back = new Uint8Array(SECTOR_BYTES);
			readSync(fd, back, 0, SECTOR_BYTES, offset);
			if (Buffer.compare(back, block.subarray(0, SECTOR_BYTES)) !== 0)
				throw new Error(`${this.#path} did not keep the loader's environment`);
		});
	}

	/** Throws when another program holds it for too long. Closing the file unlocks it. */
	#lock(fd: number): void {
		const deadlineMs = performance.now() + LOCK_LIMIT_MS;
		while (!tryLock(fd)) {
			if (performance.now() > deadlineMs)
				throw new Error(
					`${this.#path}: another program has been changing the loader's environment for too long`,
				);
			Bun.sleepSync(LOCK_RETRY_MS);
		}
	}

	#with<T>(flags: "r" | "r+", action: (fd: number, offset: number) => T): T {
		const fd = openSync(this.#path, flags);
		try {
			if (flags === "r+") this.#lock(fd);
			const bytes = Buffer.alloc(SCAN_LIMIT_BYTES);
			const length = readSync(fd, bytes, 0, SCAN_LIMIT_BYTES, 0);
			for (let offset = 0; offset + ENVIRONMENT_BYTES <= length; offset += SECTOR_BYTES)
				if (parseEnvironment(bytes.subarray(offset, offset + ENVIRONMENT_BYTES)) !== null)
					return action(fd, offset);
			throw new Error(`${this.#path} holds no environment of the loader`);
		} finally {
			closeSync(fd);
		}
	}
}

function readBlock(fd: number, offset: number): Environment | null {
	const block = new Uint8Array(ENVIRONMENT_BYTES);
	readSync(fd, block, 0, ENVIRONMENT_BYTES, offset);
	return parseEnvironment(block);
}

/** That of the box's own disk. Throws when the disk has no place for it. */
export const loaderEnvironment = (): EnvironmentBlock => new EnvironmentBlock(partitionPath("env"));
