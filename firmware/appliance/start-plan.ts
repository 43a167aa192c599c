/**
 * What a start of the box needs of appliance.toml, as files that the boot script can use without loading a
 * program of ours: `/usr/lib/drover/start-network` checks `SHA256SUMS` and takes them as they are. The sums bind them
 * to the text of the settings and to the firmware that made them; whatever else lies there is not used.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { ApplianceSettings } from "./settings/schema.ts";
import { startFiles } from "./start-files.ts";

/** Where the boot script looks. */
export const START_DIRECTORY = "/data/start";

/**
 * Puts the files of `settings` in place of those that lie in `directory`. `boundTo` are the texts that they were made
 * of, by path. A cut in between leaves no plan, or one whose sums differ.
 */
export function storeStartPlan(
	settings: ApplianceSettings,
	boundTo: ReadonlyMap<string, string>,
	directory = START_DIRECTORY,
): void {
	const sums = [...boundTo].map(([path, text]) => sumLine(text, path));
	const made = `${directory}.new`;
	rmSync(made, { recursive: true, force: true });
	// Only root comes in; the files themselves have the modes that they have on a running box.
	mkdirSync(made, { mode: 0o700 });
	for (const [name, text] of startFiles(settings)) {
		writeDurably(join(made, "files", name), text);
		sums.push(sumLine(text, join(directory, "files", name)));
	}
	writeDurably(join(made, "SHA256SUMS"), `${sums.join("\n")}\n`);
	rmSync(directory, { recursive: true, force: true });
	renameSync(made, directory);
	sync(dirname(directory));
}

/** As sha256sum(1) writes and reads it. */
function sumLine(text: string, path: string): string {
	return `${new Bun.CryptoHasher("sha256").update(text).digest("hex")}  ${path}`;
}

function writeDurably(path: string, text: string): void {
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, text, { mode: hasSecrets(path) ? 0o600 : 0o644, flush: true });
}

/** The marks of services hold passwords of SNMP users. */
const hasSecrets = (path: string) => basename(dirname(path)) === "wanted";

function sync(path: string): void {
	const fd = openSync(path, "r");
	try {
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}
