/**
 * Notification FIFOs: one line per event, written without waiting. A line is lost when nobody reads or
 * the pipe is full, as keepalived loses it. The FIFO is made if need be, and removed again at the end.
 */
import {
	chownSync,
	closeSync,
	constants,
	fstatSync,
	lstatSync,
	openSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import type { NotifyFifo } from "../config/model.ts";
import { identityOf } from "./identity.ts";
import { startScript } from "./start-script.ts";

export class FifoWriter {
	readonly config: NotifyFifo;
	#created: boolean;
	readonly #onError: (text: string) => void;
	#fd: number | null = null;
	#reader: Bun.Subprocess | null = null;
	#closed = false;
	/** Lines lost so far. */
	lost = 0;

	/** Errors go to `onError`; notifications are never worth stopping for. */
	constructor(config: NotifyFifo, onError: (text: string) => void) {
		this.config = config;
		this.#onError = onError;
		this.#created = this.#make();
		this.#open();
		this.#startReader();
	}

	write(line: string): void {
		if (this.#fd !== null && this.#isReplaced(this.#fd)) {
			closeSync(this.#fd);
			this.#fd = null;
			this.#created = false;
			// It reads the old one, and is started again.
			this.#reader?.kill("SIGTERM");
		}
		if (this.#fd === null) this.#open();
		if (this.#fd === null) {
			this.lost++;
			return;
		}
		try {
			writeSync(this.#fd, line);
		} catch {
			this.lost++;
		}
	}

	close(): void {
		this.#closed = true;
		if (this.#fd !== null && this.#isReplaced(this.#fd)) this.#created = false;
		if (this.#fd !== null) closeSync(this.#fd);
		this.#fd = null;
		this.#reader?.kill("SIGTERM");
		if (this.#created)
			try {
				unlinkSync(this.config.path);
			} catch {
				// Someone removed it already.
			}
	}

	#make(): boolean {
		const { path, user, group } = this.config;
		try {
			if (!lstatSync(path).isFIFO()) this.#onError(`${path} is no FIFO`);
			return false;
		} catch {
			const made = Bun.spawnSync(["mkfifo", "-m", "0644", path]);
			if (made.exitCode !== 0) {
				// Another service was sooner.
				if (lstatSync(path, { throwIfNoEntry: false })?.isFIFO()) return false;
				this.#onError(`cannot make the FIFO ${path}: ${made.stderr.toString().trim()}`);
				return false;
			}
		}
		try {
			const identity = identityOf(user, group);
			if (identity !== null) chownSync(path, identity.uid, identity.gid);
		} catch (error) {
			this.#onError(`${path}: ${error instanceof Error ? error.message : error}`);
		}
		return true;
	}

	/** Another FIFO has the name: its reader made it anew, or another service that tells there, too, was restarted. */
	#isReplaced(fd: number): boolean {
		const there = lstatSync(this.config.path, { throwIfNoEntry: false });
		return there?.isFIFO() === true && there.ino !== fstatSync(fd).ino;
	}

	/** Read and write: opening succeeds without a reader, and a reader that leaves raises no SIGPIPE. */
	#open(): void {
		try {
			if (lstatSync(this.config.path).isFIFO())
				this.#fd = openSync(this.config.path, constants.O_RDWR | constants.O_NONBLOCK);
		} catch {
			this.#fd = null;
		}
	}

	#startReader(): void {
		const { script, path } = this.config;
		if (script === null) return;
		try {
			this.#reader = startScript(script, {
				append: [path],
				onExit: () => {
					this.#reader = null;
					// keepalived starts it again after a second.
					if (!this.#closed) setTimeout(() => this.#closed || this.#startReader(), 1_000).unref();
				},
			});
		} catch (error) {
			this.#onError(`${script.command[0]}: ${error instanceof Error ? error.message : error}`);
		}
	}
}
