/** The state on disk (a memory file system), for when both processes are gone at once. */
import { readFileSync, rmSync } from "node:fs";
import { bootId } from "../boot-id.ts";
import { runDirectory } from "../bus/socket-path.ts";
import type { Saved } from "./adoption.ts";

/** Changes within this time are written together. */
const DELAY_MS = 50;
const SIZE_LIMIT_BYTES = 16 * 1024 * 1024;

const path = () => `${runDirectory()}/vrrp.state`;

interface Stored {
	/** A state of before the last boot is worth nothing: its clock was another one. */
	readonly bootId: string;
	readonly configFile: string;
	readonly saved: Saved;
}

export class StateFile {
	readonly #configFile: string;
	readonly #read: () => Saved;
	#timer: ReturnType<typeof setTimeout> | null = null;
	#writing = false;
	#closed = false;

	constructor(configFile: string, read: () => Saved) {
		this.#configFile = configFile;
		this.#read = read;
	}

	/** Has the state written soon, without waiting for it. */
	changed(): void {
		if (this.#closed) return;
		this.#timer ??= setTimeout(() => void this.#write(), DELAY_MS);
	}

	/** An orderly end leaves nothing to go on from. */
	remove(): void {
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
		rmSync(path(), { force: true });
	}

	async #write(): Promise<void> {
		this.#timer = null;
		if (this.#writing) {
			this.changed();
			return;
		}
		this.#writing = true;
		try {
			const stored: Stored = { bootId: bootId(), configFile: this.#configFile, saved: this.#read() };
			await Bun.write(`${path()}.new`, JSON.stringify(stored));
			// Not loaded before it is needed: a box that starts waits for this program.
			const { rename } = await import("node:fs/promises");
			if (!this.#closed) await rename(`${path()}.new`, path());
		} catch {
			// The next change tries again; the standby has it in any case.
		} finally {
			this.#writing = false;
		}
	}
}

/** What the last process wrote in this boot and for this file, or null. */
export function readStateFile(configFile: string): Saved | null {
	try {
		const text = readFileSync(path(), "utf8");
		if (text.length > SIZE_LIMIT_BYTES) return null;
		const stored = JSON.parse(text) as Stored;
		return stored.bootId === bootId() && stored.configFile === configFile ? stored.saved : null;
	} catch {
		return null;
	}
}
