/** The configuration's folder: the revisions, and the working copy that is being edited. */
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Disk, fileDisk } from "./disk.ts";
import { type Files, RevisionError, Revisions } from "./revisions.ts";

const FILE_LIMIT_BYTES = 16 * 1024 * 1024;

/** Where the configuration lives; DROVER_CONFIG_DIR names another place. */
export function configDirectory(): string {
	return process.env["DROVER_CONFIG_DIR"] ?? "/data/config";
}

export class Workspace {
	readonly root: string;
	/** What the operator edits; begins as a copy of the current revision. */
	readonly candidate: string;
	readonly revisions: Revisions;
	readonly #disk: Disk;

	constructor(root = configDirectory()) {
		this.root = root;
		this.candidate = join(root, "candidate");
		mkdirSync(root, { recursive: true, mode: 0o700 });
		this.#disk = fileDisk(root);
		this.revisions = new Revisions(this.#disk);
	}

	/** The candidate's folder, filled with the current revision when there is none yet. */
	openCandidate(): string {
		if (!existsSync(this.candidate)) {
			this.#disk.exclusively(() => {
				if (!existsSync(this.candidate)) this.#placeCandidate(this.#currentFiles());
			});
		}
		return this.candidate;
	}

	discardCandidate(): void {
		rmSync(this.candidate, { recursive: true, force: true });
	}

	/** Whether the working copy holds what the current revision does not, or lacks something of it. */
	hasOwnChanges(): boolean {
		if (!existsSync(this.candidate)) return false;
		try {
			return !sameFiles(readFiles(this.candidate), this.#currentFiles());
		} catch (error) {
			// What no revision can hold is nothing that one holds.
			if (error instanceof RevisionError) return true;
			throw error;
		}
	}

	#currentFiles(): Files {
		const current = join(this.root, "current");
		return existsSync(current) ? readFiles(current) : new Map();
	}

	/** The candidate becomes these files and nothing else. */
	replaceCandidate(files: Files): void {
		this.#disk.exclusively(() => this.#placeCandidate(files));
	}

	/** Whole or not at all: half a working copy could be committed, and would take the rest out of service. */
	#placeCandidate(files: Files): void {
		const folder = `${this.candidate}.new`;
		rmSync(folder, { recursive: true, force: true });
		try {
			mkdirSync(folder, { mode: 0o700 });
			for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes, { mode: 0o600 });
		} catch (error) {
			rmSync(folder, { recursive: true, force: true });
			throw error;
		}
		this.discardCandidate();
		renameSync(folder, this.candidate);
	}

	candidateFiles(): Files {
		return readFiles(this.openCandidate());
	}
}

export function sameFiles(a: Files, b: Files): boolean {
	if (a.size !== b.size) return false;
	for (const [name, bytes] of a) {
		const other = b.get(name);
		if (other === undefined || Buffer.compare(bytes, other) !== 0) return false;
	}
	return true;
}

/** The plain files of a folder. Throws a RevisionError for what a revision cannot hold. */
export function readFiles(folder: string): Files {
	const files = new Map<string, Uint8Array>();
	for (const name of readdirSync(folder).sort()) {
		if (name.startsWith(".") || name === "revision.json") continue;
		const path = join(folder, name);
		const found = statSync(path, { throwIfNoEntry: false });
		// Editors make files of their own, and remove them.
		if (found === undefined) continue;
		if (!found.isFile())
			throw new RevisionError(`${path} is no plain file; a revision holds plain files only`);
		if (found.size > FILE_LIMIT_BYTES)
			throw new RevisionError(`${path} has ${found.size} bytes; the limit is ${FILE_LIMIT_BYTES}`);
		files.set(name, readFileSync(path));
	}
	return files;
}
