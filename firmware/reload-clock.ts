/** Follows a `reload_time_file` and reloads when its time has come. keepalived.conf(5), global_defs. */
import { closeSync, openSync, readSync, rmSync } from "node:fs";
import { type FileWatch, watchFile } from "./kernel/inotify.ts";
import { reloadTime } from "./reload-time.ts";
import type { Log } from "./status/log.ts";

/** A timer of Bun's holds 24 days; the box's clock may be set meanwhile. */
const LONGEST_WAIT_MS = 60_000;
/** More than the longest form of a time; what is behind it is not read. */
const READ_LIMIT_BYTES = 64;

export class ReloadClock {
	readonly #path: string;
	readonly #repeat: boolean;
	readonly #reload: () => void;
	readonly #log: Log;
	#watch: FileWatch | null = null;
	#timer: ReturnType<typeof setTimeout> | null = null;
	#told = 0;

	/** `repeat` is `reload_repeat`: the file stays, and a time without a date comes every day. */
	constructor(path: string, repeat: boolean, reload: () => void, log: Log) {
		this.#path = path;
		this.#repeat = repeat;
		this.#reload = reload;
		this.#log = log;
		try {
			this.#watch = watchFile(path, () => this.#schedule());
		} catch (error) {
			log.error(
				`reload_time_file: ${error instanceof Error ? error.message : error}; no reload is scheduled`,
			);
		}
		this.#schedule();
	}

	close(): void {
		this.#watch?.close();
		if (this.#timer !== null) clearTimeout(this.#timer);
	}

	#schedule(): void {
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		let text: string;
		try {
			text = readStart(this.#path);
		} catch {
			if (this.#told !== 0) this.#log.info(`${this.#path} is gone: no reload is scheduled`);
			this.#told = 0;
			return;
		}
		const next = reloadTime(text, Date.now());
		if (next === null) {
			// A program that is still writing it will be heard again.
			if (text !== "") this.#log.warn(`${this.#path}: "${text.split("\n", 1)[0]}" is no time to come`);
			this.#told = 0;
			return;
		}
		if (next.atMs !== this.#told)
			this.#log.info(`a reload is scheduled for ${new Date(next.atMs).toISOString()}`);
		this.#told = next.atMs;
		this.#wait(next.atMs);
	}

	#wait(atMs: number): void {
		const leftMs = atMs - Date.now();
		this.#timer = setTimeout(
			() => (leftMs > LONGEST_WAIT_MS ? this.#wait(atMs) : this.#due()),
			Math.min(Math.max(0, leftMs), LONGEST_WAIT_MS),
		);
	}

	#due(): void {
		this.#timer = null;
		if (!this.#repeat) {
			// It is done: a time without a date would bring the next one tomorrow.
			this.#told = 0;
			rmSync(this.#path, { force: true });
		}
		this.#log.info("the time of reload_time_file has come");
		this.#reload();
		if (this.#repeat) this.#schedule();
	}
}

function readStart(path: string): string {
	const fd = openSync(path, "r");
	try {
		const bytes = Buffer.alloc(READ_LIMIT_BYTES);
		return bytes.toString("latin1", 0, readSync(fd, bytes));
	} finally {
		closeSync(fd);
	}
}
