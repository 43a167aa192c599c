/**
 * Follows the services' logs: rings that svlogd writes below one folder, `SERVICE/current`. A service never
 * waits for its reader; a reader that is late loses what the ring has dropped.
 */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";

/** Read from one log at a time: the others come to their turn. */
const CHUNK_BYTES = 64 * 1024;
/** A longer line is cut into several. */
const LINE_LIMIT_BYTES = 16 * 1024;

interface Follower {
	fd: number;
	inode: number;
	offset: number;
	/** A line that is not complete yet. */
	rest: string;
	readonly decoder: TextDecoder;
}

/** Where each log was read up to, for the next start. */
export type Positions = Readonly<Record<string, { readonly inode: number; readonly offset: number }>>;

export class LogFollower {
	readonly #directory: string;
	readonly #followers = new Map<string, Follower>();
	readonly #positions: Positions;

	constructor(directory: string, positions: Positions) {
		this.#directory = directory;
		this.#positions = positions;
	}

	/** Whole lines that came since the last call. */
	read(onLine: (service: string, line: string) => void): void {
		for (const service of this.#services()) {
			const path = join(this.#directory, service, "current");
			const now = statSync(path, { throwIfNoEntry: false });
			const follower = this.#followers.get(service) ?? this.#open(service, path);
			if (follower === null) continue;
			this.#drain(follower, (line) => onLine(service, line));
			// svlogd began a new file: the old one was read to its end just now.
			if (now !== undefined && now.ino !== follower.inode) {
				this.#drain(follower, (line) => onLine(service, line));
				closeSync(follower.fd);
				this.#followers.delete(service);
				const next = this.#open(service, path);
				if (next !== null) this.#drain(next, (line) => onLine(service, line));
			}
		}
	}

	positions(): Positions {
		return Object.fromEntries(
			[...this.#followers].map(([service, { inode, offset, rest }]) => [
				service,
				{ inode, offset: offset - Buffer.byteLength(rest) },
			]),
		);
	}

	close(): void {
		for (const { fd } of this.#followers.values()) closeSync(fd);
		this.#followers.clear();
	}

	#services(): readonly string[] {
		if (!existsSync(this.#directory)) return [];
		// Beside the rings may lie files, such as lastlog.
		return readdirSync(this.#directory, { withFileTypes: true }).flatMap((entry) =>
			entry.isDirectory() ? [entry.name] : [],
		);
	}

	#open(service: string, path: string): Follower | null {
		try {
			const fd = openSync(path, "r");
			const { ino, size } = fstatSync(fd);
			const known = this.#positions[service];
			const offset = known?.inode === ino && known.offset <= size ? known.offset : 0;
			const follower = { fd, inode: ino, offset, rest: "", decoder: new TextDecoder() };
			this.#followers.set(service, follower);
			return follower;
		} catch {
			// The service has not written yet.
			return null;
		}
	}

	#drain(follower: Follower, onLine: (line: string) => void): void {
		const buffer = new Uint8Array(CHUNK_BYTES);
		for (;;) {
			const length = readSync(follower.fd, buffer, 0, CHUNK_BYTES, follower.offset);
			if (length === 0) return;
			follower.offset += length;
			const lines = (
				follower.rest + follower.decoder.decode(buffer.subarray(0, length), { stream: true })
			).split("\n");
			follower.rest = lines.pop()!;
			for (const line of lines) if (line !== "") onLine(line);
			if (follower.rest.length > LINE_LIMIT_BYTES) {
				onLine(follower.rest);
				follower.rest = "";
			}
		}
	}
}
