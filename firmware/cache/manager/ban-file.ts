/**
 * The bans that a persistent store needs with it, a line of JSON for each: added to one by one, written anew when most
 * lines are of bans that are no more. What add() and rewrite() were given is on the disk when they return.
 */
import {
	closeSync,
	existsSync,
	fsyncSync,
	openSync,
	readFileSync,
	renameSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { dirname } from "node:path";

export interface SavedBan {
	readonly number: number;
	/** Unix seconds. */
	readonly addedAt: number;
	/** As parseBan() takes its words. */
	readonly text: string;
}

/** Lines of dead bans that are left alone. */
const DEAD_LINES = 1000;

const sumOf = ({ number, addedAt, text }: SavedBan) =>
	Bun.hash.crc32(JSON.stringify([number, addedAt, text]));
const lineOf = (ban: SavedBan) => {
	const { number, addedAt, text } = ban;
	return `${JSON.stringify({ number, addedAt, text, sum: sumOf(ban) })}\n`;
};

/** Undefined when it is not as it was written. */
function banOf(line: string): SavedBan | undefined {
	try {
		const { number, addedAt, text, sum } = JSON.parse(line) as SavedBan & { readonly sum: number };
		const ban = { number, addedAt, text };
		return sum === sumOf(ban) ? ban : undefined;
	} catch {
		return undefined;
	}
}

export class BanFile {
	readonly #path: string;
	#lines = 0;

	constructor(path: string) {
		this.#path = path;
	}

	/**
	 * Oldest first. A line that a power failure cut is the last one, and was never acknowledged. Undefined when there
	 * is no file, or a line of it is not as it was written: then nobody knows what has been banned.
	 */
	read(): SavedBan[] | undefined {
		if (!existsSync(this.#path)) return undefined;
		const lines = readFileSync(this.#path, "utf8").split("\n");
		// Behind the last line's end: nothing, or what was cut.
		const cut = banOf(lines.pop()!);
		const bans: SavedBan[] = [];
		for (const line of lines) {
			const ban = banOf(line);
			if (ban === undefined) return undefined;
			bans.push(ban);
		}
		return cut === undefined ? bans : [...bans, cut];
	}

	/** `living`: how many bans there are. True when the file should be written anew. */
	add(ban: SavedBan, living: number): boolean {
		const file = openSync(this.#path, "a");
		try {
			writeSync(file, lineOf(ban));
			fsyncSync(file);
		} finally {
			closeSync(file);
		}
		this.#lines++;
		return this.#lines > living * 2 + DEAD_LINES;
	}

	/** These and no others; whole or not at all, whenever the power goes. */
	rewrite(bans: readonly SavedBan[]): void {
		writeFileSync(`${this.#path}.new`, bans.map(lineOf).join(""), { flush: true });
		renameSync(`${this.#path}.new`, this.#path);
		// Without it a power failure could bring the old file back, and lose what is added to this one.
		const folder = openSync(dirname(this.#path), "r");
		try {
			fsyncSync(folder);
		} finally {
			closeSync(folder);
		}
		this.#lines = bans.length;
	}
}
