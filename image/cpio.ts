/**
 * The kernel's initramfs format, cpio "newc" (Documentation/driver-api/early-userspace/buffer-format.rst).
 * Pure and deterministic: time stamps are zero, inodes are counted.
 */
import type { Entry, Tree } from "./tree.ts";

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

const padding = (length: number) => (4 - (length % 4)) % 4;

function header(inode: number, mode: number, links: number, size: number, name: string) {
	const fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name.length + 1, 0];
	const text = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`;
	return new TextEncoder().encode(text + "\0".repeat(padding(text.length)));
}

function modeOf(entry: Entry): number {
	switch (entry.kind) {
		case "directory":
			return S_IFDIR | entry.mode;
		case "file":
			return S_IFREG | entry.mode;
		case "symlink":
			return S_IFLNK | 0o777;
	}
}

/** The archive of `tree`. The kernel accepts several of them one after another. Names must be ASCII. */
export function cpio(tree: Tree): Uint8Array {
	const parts: Uint8Array[] = [];
	let inode = 1;
	for (const entry of tree.entries()) {
		const content =
			entry.kind === "file"
				? entry.content
				: entry.kind === "symlink"
					? new TextEncoder().encode(entry.target)
					: new Uint8Array(0);
		const links = entry.kind === "directory" ? 2 : 1;
		parts.push(header(inode++, modeOf(entry), links, content.length, entry.path));
		parts.push(content, new Uint8Array(padding(content.length)));
	}
	parts.push(header(0, 0, 1, 0, "TRAILER!!!"));
	const archive = Buffer.concat(parts);
	// The kernel wants the next archive on a 4-byte boundary; 512 is what cpio(1) writes.
	return Buffer.concat([archive, new Uint8Array((512 - (archive.length % 512)) % 512)]);
}
