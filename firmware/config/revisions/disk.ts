/**
 * The few file operations that revisions are made of. The appliance gives the real ones
 * (`fileDisk`), the crash test gives a disk that loses power between any two of them.
 * Paths are relative to the configuration's folder.
 */
import {
	closeSync,
	fsyncSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { tryLock } from "../../kernel/file-lock.ts";
import { DiskBusyError } from "./disk-trouble.ts";

export interface Disk {
	makeDirectory(path: string): void;
	/** Writes the whole file; it is durable only after `sync(path)`. */
	write(path: string, bytes: Uint8Array): void;
	/** The link's own entry becomes durable with `sync` of its folder. */
	link(target: string, path: string): void;
	/** Replaces `to`. Atomic; durable after `sync` of the folder. */
	rename(from: string, to: string): void;
	/** Removes a file, a link or a whole folder; nothing there is no error. */
	remove(path: string): void;
	/** fsync(2) of a file or folder. */
	sync(path: string): void;
	/** Names in a folder; null when there is none. */
	list(path: string): readonly string[] | null;
	read(path: string): Uint8Array | null;
	readLink(path: string): string | null;
	/** Does `work` while nobody else, in whatever process, does his. Throws a DiskBusyError. Not to be nested. */
	exclusively<T>(work: () => T): T;
}

const LOCK_LIMIT_MS = 10_000;
const LOCK_RETRY_MS = 20;

/** The real disk under `root`. */
export function fileDisk(root: string, lockLimitMs = LOCK_LIMIT_MS): Disk {
	const at = (path: string) => join(root, path);
	const orNull = <T>(action: () => T): T | null => {
		try {
			return action();
		} catch (error) {
			if (["ENOENT", "EINVAL", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
			throw error;
		}
	};
	const withFile = (path: string, flags: string, action: (fd: number) => void) => {
		const fd = openSync(at(path), flags, 0o600);
		try {
			action(fd);
		} finally {
			closeSync(fd);
		}
	};
	return {
		makeDirectory: (path) => void mkdirSync(at(path), { recursive: true, mode: 0o700 }),
		write: (path, bytes) =>
			withFile(path, "w", (fd) => {
				for (let offset = 0; offset < bytes.length; ) offset += writeSync(fd, bytes, offset);
			}),
		link: (target, path) => symlinkSync(target, at(path)),
		rename: (from, to) => renameSync(at(from), at(to)),
		remove: (path) => rmSync(at(path), { recursive: true, force: true }),
		sync: (path) => withFile(path, "r", fsyncSync),
		list: (path) => orNull(() => readdirSync(at(path))),
		read: (path) => orNull(() => readFileSync(at(path))),
		readLink: (path) => orNull(() => readlinkSync(at(path))),
		exclusively: (work) => {
			const fd = openSync(root, "r");
			try {
				const deadline = performance.now() + lockLimitMs;
				while (!tryLock(fd)) {
					if (performance.now() > deadline) throw new DiskBusyError();
					Bun.sleepSync(LOCK_RETRY_MS);
				}
				return work();
			} finally {
				closeSync(fd);
			}
		},
	};
}
