/** Files of `out/` that are made once. */
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const outDirectory = join(import.meta.dir, "../out");

const stampOf = (path: string) => `${path}.stamp`;

/** Whether `path` is there as it was made from this digest. */
export const isMade = (path: string, digest: string) =>
	existsSync(path) && existsSync(stampOf(path)) && readFileSync(stampOf(path), "utf8") === digest;

/**
 * Makes `path` unless it was made from the same digest before. `work` gives the content, or
 * the path of a finished file to move there. The file appears whole or not at all.
 */
export async function makeFile(
	path: string,
	digest: string,
	work: () => Uint8Array | Promise<Uint8Array | string>,
	onProgress: (line: string) => void,
): Promise<void> {
	if (isMade(path, digest)) return;
	const started = performance.now();
	const made = await work();
	const finished = typeof made === "string" ? made : `${path}.${process.pid}`;
	if (typeof made !== "string") writeFileSync(finished, made);
	renameSync(finished, path);
	writeFileSync(stampOf(path), digest);
	const megabytes = (statSync(path).size / 1e6).toFixed(1);
	const seconds = ((performance.now() - started) / 1000).toFixed(1);
	onProgress(`  ${path.slice(outDirectory.length + 1).padEnd(20)} ${megabytes.padStart(6)} MB  ${seconds} s`);
}
