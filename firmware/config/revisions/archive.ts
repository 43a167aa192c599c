/** A revision's files as one tar archive, and back. An archive may come from anywhere: it is read with care. */
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkFiles, type Files, RevisionError, TOTAL_LIMIT_BYTES } from "./revisions.ts";

/** tar's own blocks for a thousand files, on top of what they hold. */
const ARCHIVE_LIMIT_BYTES = TOTAL_LIMIT_BYTES + 4 * 1024 * 1024;

export function packArchive(files: Files, archive: string): void {
	inScratch((folder) => {
		for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes, { mode: 0o600 });
		tar("-cf", archive, "-C", folder, ".");
	});
}

/** The plain files of the archive, whose names a revision may hold. Throws a RevisionError for anything else. */
export function unpackArchive(archive: string): Files {
	if (statSync(archive).size > ARCHIVE_LIMIT_BYTES)
		throw new RevisionError(`the archive is longer than ${ARCHIVE_LIMIT_BYTES} bytes`);
	return inScratch((folder) => {
		tar("-xf", archive, "-C", folder);
		const files = new Map<string, Uint8Array>();
		for (const name of readdirSync(folder).sort()) {
			if (name === "revision.json") continue;
			const path = join(folder, name);
			// A link could lead to any file of the box.
			if (!lstatSync(path).isFile())
				throw new RevisionError(`the archive holds "${name}", which is no plain file`);
			files.set(name, readFileSync(path));
		}
		checkFiles(files);
		return files;
	});
}

function inScratch<T>(work: (folder: string) => T): T {
	const folder = mkdtempSync(join(tmpdir(), "drover-archive-"));
	try {
		return work(folder);
	} finally {
		rmSync(folder, { recursive: true });
	}
}

function tar(...words: string[]): void {
	const { exitCode, stderr } = Bun.spawnSync(["tar", ...words]);
	if (exitCode !== 0) throw new RevisionError(`tar: ${stderr.toString().trim().split("\n")[0]}`);
}
