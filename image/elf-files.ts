/** Programs of the building machine's Debian packages, with the shared libraries they need. */
import { existsSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import type { Tree } from "./tree.ts";

const libraryDirectory = "usr/lib/x86_64-linux-gnu";
const loader = "ld-linux-x86-64.so.2";

/** Directories that Debian merges into /usr. */
export function addMergedUsr(tree: Tree): void {
	for (const name of ["bin", "sbin", "lib", "lib64"]) tree.symlink(name, `usr/${name}`);
	tree.directory(libraryDirectory);
	tree.directory("usr/lib64");
}

/**
 * Puts `source` at `path`, and its libraries where the loader looks without a cache; a library that
 * lies in `standIns` is taken from there.
 */
export function addProgram(
	tree: Tree,
	path: string,
	source: string,
	{ mode = 0o755, standIns = "" }: { readonly mode?: number; readonly standIns?: string } = {},
): void {
	tree.copy(path, realpathSync(source), mode);
	for (const library of librariesOf(source, standIns)) {
		const name = basename(library);
		const place = name === loader ? `usr/lib64/${loader}` : `${libraryDirectory}/${name}`;
		if (!tree.has(place)) tree.copy(place, realpathSync(library), 0o755);
	}
}

/** Paths of the shared libraries (and the loader) that ldd(1) resolves. */
function librariesOf(path: string, standIns: string): string[] {
	const result = Bun.spawnSync(["ldd", path], { env: { ...process.env, LD_LIBRARY_PATH: standIns } });
	const text = result.stdout.toString();
	const missing = [...text.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1]!);
	if (missing.length > 0) throw new Error(`${path} needs ${missing.join(", ")}, not found on this machine`);
	return [...text.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map((match) => match[1]!);
}

/** First of `candidates` that exists. Throws naming the Debian package that brings it. */
export function findProgram(debianPackage: string, ...candidates: readonly string[]): string {
	const found = candidates.find((path) => existsSync(path));
	if (found === undefined) throw new Error(`${candidates[0]} is missing: install ${debianPackage}`);
	return found;
}
