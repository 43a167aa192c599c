/** The kernel's own log: one record of /dev/kmsg at a time, without waiting. */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { type LogEntry, parseKernelRecord } from "./message.ts";

/** The kernel never gives a longer one (CONSOLE_EXT_LOG_MAX). */
const RECORD_BYTES = 8_192;

export class KernelLog {
	readonly #fd: number;

	private constructor(fd: number) {
		this.#fd = fd;
	}

	/** Begins with what comes from now on; null where there is none to be read. */
	static open(): KernelLog | null {
		try {
			const log = new KernelLog(openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK));
			log.read(() => {});
			return log;
		} catch {
			return null;
		}
	}

	read(onEntry: (entry: LogEntry) => void): void {
		const buffer = new Uint8Array(RECORD_BYTES);
		for (;;) {
			let length: number;
			try {
				length = readSync(this.#fd, buffer);
			} catch (error) {
				// EPIPE: records were overwritten before they were read; the next read goes on behind the gap.
				if ((error as NodeJS.ErrnoException).code === "EPIPE") continue;
				return;
			}
			if (length === 0) return;
			const entry = parseKernelRecord(new TextDecoder().decode(buffer.subarray(0, length)));
			if (entry !== null) onEntry(entry);
		}
	}

	close(): void {
		closeSync(this.#fd);
	}
}
