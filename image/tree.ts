/**
 * A file tree as data: what lies where in the image, before any of it is written.
 * Built without root: everything belongs to root, and devices are left to devtmpfs.
 */
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** `path` has no leading slash; `mode` holds permission bits only. */
export type Entry =
	| { readonly kind: "directory"; readonly path: string; readonly mode: number }
	| { readonly kind: "file"; readonly path: string; readonly mode: number; readonly content: Uint8Array }
	| { readonly kind: "symlink"; readonly path: string; readonly target: string };

/** Directories that must not be listed by anyone but root, and the sticky one. */
const specialModes: Readonly<Record<string, number>> = { tmp: 0o1777, root: 0o700 };

export class Tree {
	readonly #entries = new Map<string, Entry>();

	/** Adds or replaces; missing parents become directories of mode 0755. */
	add(entry: Entry): void {
		const path = entry.path.replace(/^\/+|\/+$/g, "");
		const parent = dirname(path);
		if (parent !== "." && !this.#entries.has(parent)) this.directory(parent);
		this.#entries.set(path, { ...entry, path });
	}

	directory(path: string, mode = specialModes[path] ?? 0o755): void {
		this.add({ kind: "directory", path, mode });
	}

	file(path: string, content: Uint8Array | string, mode = 0o644): void {
		const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
		this.add({ kind: "file", path, mode, content: bytes });
	}

	/** A file of the building machine. Throws when it is not there. */
	copy(path: string, source: string, mode = 0o644): void {
		this.file(path, readFileSync(source), mode);
	}

	symlink(path: string, target: string): void {
		this.add({ kind: "symlink", path, target });
	}

	has(path: string): boolean {
		return this.#entries.has(path);
	}

	/** Parents before children, otherwise by name: the same tree always gives the same order. */
	entries(): readonly Entry[] {
		return [...this.#entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
	}

	sizeBytes(): number {
		return this.entries().reduce((sum, entry) => sum + (entry.kind === "file" ? entry.content.length : 0), 0);
	}

	/** SHA-256 over everything that the tree says, in hex. */
	digest(): string {
		const hasher = new Bun.CryptoHasher("sha256");
		for (const entry of this.entries()) {
			const { content, ...rest } = entry.kind === "file" ? entry : { ...entry, content: new Uint8Array(0) };
			hasher.update(`${JSON.stringify(rest)} ${content.length}\n`);
			hasher.update(content);
		}
		return hasher.digest("hex");
	}

	/** Lays the tree out below `directory`, which is emptied first. */
	write(directory: string): void {
		rmSync(directory, { recursive: true, force: true });
		mkdirSync(directory, { recursive: true });
		for (const entry of this.entries()) {
			const path = join(directory, entry.path);
			switch (entry.kind) {
				case "directory":
					mkdirSync(path);
					chmodSync(path, entry.mode);
					break;
				case "file":
					writeFileSync(path, entry.content);
					chmodSync(path, entry.mode);
					break;
				case "symlink":
					symlinkSync(entry.target, path);
					break;
			}
		}
	}
}
