/**
 * The access log: one JSON object a line, appended to a file. Lines gather in memory and are written ten times a
 * second; when the disk does not keep up, lines are lost, requests are not delayed.
 */
import { openSync, writeSync } from "node:fs";

const FLUSH_MS = 100;
/** Text that may wait for the disk, characters. */
const WAITING_LIMIT = 4 * 1024 * 1024;

export interface Access {
	readonly time: string;
	readonly client: string;
	readonly method: string;
	readonly host: string;
	readonly url: string;
	readonly status: number;
	readonly bytes: number;
	readonly seconds: number;
	readonly handling: string;
	readonly why: string;
	readonly referer: string;
	readonly userAgent: string;
	readonly xid: number;
}

export class AccessLog {
	readonly #file: number;
	#waiting = "";
	/** Lines given up because the disk was slow or full. */
	lost = 0;

	constructor(path: string) {
		this.#file = openSync(path, "a", 0o640);
		setInterval(() => this.flush(), FLUSH_MS);
	}

	write(access: Access): void {
		if (this.#waiting.length > WAITING_LIMIT) {
			this.lost++;
			return;
		}
		this.#waiting += `${JSON.stringify(access)}\n`;
	}

	flush(): void {
		if (this.#waiting === "") return;
		const text = this.#waiting;
		this.#waiting = "";
		try {
			writeSync(this.#file, text);
		} catch {
			this.lost++;
		}
	}
}
