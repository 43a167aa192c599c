/** A revision's files and its description as one tar archive, and back. An archive may come from anywhere. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { z } from "zod";
import {
	checkFiles,
	type Files,
	RevisionError,
	type RevisionInfo,
	SCHEMA_VERSION,
	TOTAL_LIMIT_BYTES,
} from "./revisions.ts";
import { packTar, TarError, unpackTar } from "./tar.ts";

/** tar's own blocks for a thousand files, on top of what they hold. */
const ARCHIVE_LIMIT_BYTES = TOTAL_LIMIT_BYTES + 4 * 1024 * 1024;
const DESCRIPTION = "revision.json";
const descriptionSchema = z.object({ schemaVersion: z.number() });

/** Keys and passwords are in it: it is for its owner alone. */
export function packArchive(files: Files, info: RevisionInfo, archive: string): void {
	const description = new TextEncoder().encode(`${JSON.stringify(info, null, "\t")}\n`);
	writeFileSync(archive, packTar(new Map([...files, [DESCRIPTION, description]]), info.atMs), {
		mode: 0o600,
	});
}

/** The archive's files, which a revision may hold. Throws a RevisionError for anything else. */
export function unpackArchive(archive: string): Files {
	if (statSync(archive).size > ARCHIVE_LIMIT_BYTES)
		throw new RevisionError(`the archive is longer than ${ARCHIVE_LIMIT_BYTES} bytes`);
	const files = unpacked(readFileSync(archive));
	const description = files.get(DESCRIPTION);
	if (description !== undefined) expectKnownSchema(description);
	files.delete(DESCRIPTION);
	checkFiles(files);
	return files;
}

function unpacked(bytes: Uint8Array): Map<string, Uint8Array> {
	try {
		return unpackTar(bytes);
	} catch (error) {
		throw error instanceof TarError ? new RevisionError(`the archive ${error.message}`) : error;
	}
}

/** One that says nothing, as an archive made by hand does, is taken as one of ours. */
function expectKnownSchema(description: Uint8Array): void {
	let version = 0;
	try {
		version = descriptionSchema.parse(JSON.parse(new TextDecoder().decode(description))).schemaVersion;
	} catch {
		throw new RevisionError(`the archive's ${DESCRIPTION} cannot be read`);
	}
	if (version > SCHEMA_VERSION)
		throw new RevisionError(
			`the archive was written by a newer firmware (schema ${version}, here ${SCHEMA_VERSION})`,
		);
}
