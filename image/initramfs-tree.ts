/** What lies in the initramfs: just enough to find the root file system and mount it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { addProgram, findProgram } from "./elf-files.ts";
import type { Kernel } from "./kernel.ts";
import { addModules, initramfsModules } from "./modules.ts";
import { addBusybox } from "./root-tree.ts";
import { Tree } from "./tree.ts";

export function initramfsTree(kernel: Kernel, scratchDirectory: string): Tree {
	const tree = new Tree();
	for (const path of ["bin", "dev", "proc", "sys", "run", "usr/lib"]) tree.directory(path);
	tree.symlink("lib", "usr/lib");
	tree.symlink("lib64", "usr/lib64");
	// The kernel asks /sbin/modprobe for what a module needs at run time, such as crc32c.
	tree.symlink("sbin", "bin");
	addBusybox(tree, "bin");
	addProgram(tree, "bin/dmsetup", findProgram("dmsetup", "/usr/sbin/dmsetup", "/sbin/dmsetup"));
	addModules(tree, kernel, initramfsModules, scratchDirectory);
	tree.file("init", readFileSync(join(import.meta.dir, "initramfs/init")), 0o755);
	return tree;
}
