/** What lies in the initramfs: just enough to find the root file system and mount it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { compileFreestanding } from "./freestanding.ts";
import type { Kernel } from "./kernel.ts";
import { addModules, initramfsModules } from "./modules.ts";
import { addBusybox } from "./root-tree.ts";
import { Tree } from "./tree.ts";

export function initramfsTree(kernel: Kernel, scratchDirectory: string): Tree {
	const tree = new Tree();
	for (const path of ["bin", "dev", "etc", "proc", "sys", "run", "usr/lib"]) tree.directory(path);
	tree.symlink("lib", "usr/lib");
	tree.symlink("lib64", "usr/lib64");
	addBusybox(tree, "bin");
	tree.copy("bin/verity", compileVerity(scratchDirectory), 0o755);
	addModules(tree, kernel, initramfsModules, scratchDirectory);
	tree.file("etc/modprobe.conf", readFileSync(join(import.meta.dir, "initramfs/modprobe.conf")));
	tree.file("init", readFileSync(join(import.meta.dir, "initramfs/init")), 0o755);
	return tree;
}

/** A few system calls in C. */
function compileVerity(scratchDirectory: string): string {
	const program = join(scratchDirectory, "verity");
	compileFreestanding(join(import.meta.dir, "initramfs/verity.c"), program, ["-static"]);
	return program;
}
