/** The configuration's folder: the revisions, and the working copy that is being edited. */
import {
	cpSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileDisk } from "./disk.ts";
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

	constructor(root = configDirectory()) {
		this.root = root;
		this.candidate = join(root, "candidate");
		mkdirSync(root, { recursive: true, mode: 0o700 });
		this.revisions = new Revisions(fileDisk(root));
	}

	/** The candidate's folder, filled with the current revision when there is none yet. */
	openCandidate(): string {
		if (!existsSync(this.candidate)) {
			mkdirSync(this.candidate, { mode: 0o700 });
			const current = join(this.root, "current");
			if (existsSync(current))
				for (const name of readdirSync(current))
					if (name !== "revision.json")
						cpSync(join(current, name), join(this.candidate, name), { dereference: true });
		}
		return this.candidate;
	}

	discardCandidate(): void {
		rmSync(this.candidate, { recursive: true, force: true });
	}

	/** The candidate becomes these files and nothing else. */
	replaceCandidate(files: Files): void {
		this.discardCandidate();
		mkdirSync(this.candidate, { mode: 0o700 });
		for (const [name, bytes] of files) writeFileSync(join(this.candidate, name), bytes, { mode: 0o600 });
	}

	candidateFiles(): Files {
		return readFiles(this.openCandidate());
	}
}

/** The plain files of a folder. Throws a RevisionError for what a revision cannot hold. */
export function readFiles(folder: string): Files {
	const files = new Map<string, Uint8Array>();
	for (const name of readdirSync(folder).sort()) {
		if (name.startsWith(".") || name === "revision.json") continue;
		const path = join(folder, name);
		const { size } = statSync(path);
		if (!statSync(path).isFile())
			throw new RevisionError(`${path} is no plain file; a revision holds plain files only`);
		if (size > FILE_LIMIT_BYTES)
			throw new RevisionError(`${path} has ${size} bytes; the limit is ${FILE_LIMIT_BYTES}`);
		files.set(name, readFileSync(path));
	}
	return files;
}
