/** What lies in the initramfs: just enough to find the root file system and mount it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "./disk/tool.ts";
import type { Kernel } from "./kernel.ts";
import { addModules, initramfsModules } from "./modules.ts";
import { addBusybox } from "./root-tree.ts";
import { Tree } from "./tree.ts";

export function initramfsTree(kernel: Kernel, scratchDirectory: string): Tree {
	const tree = new Tree();
	for (const path of ["bin", "dev", "etc", "proc", "sys", "run", "usr/lib"]) tree.directory(path);
	tree.symlink("lib", "usr/lib");
	tree.symlink("lib64", "usr/lib64");
	// The kernel asks /sbin/modprobe for what a module needs at run time, such as crc32c.
	tree.symlink("sbin", "bin");
	addBusybox(tree, "bin");
	tree.copy("bin/verity", compileVerity(scratchDirectory), 0o755);
	addModules(tree, kernel, initramfsModules, scratchDirectory);
	tree.file("etc/modprobe.conf", readFileSync(join(import.meta.dir, "initramfs/modprobe.conf")));
	tree.file("init", readFileSync(join(import.meta.dir, "initramfs/init")), 0o755);
	return tree;
}

/** A few system calls in C, without any library: the same compiler gives the same bytes. */
function compileVerity(scratchDirectory: string): string {
	const program = join(scratchDirectory, "verity");
	runTool("gcc", [
		...["-Os", "-static", "-nostdlib", "-nostartfiles", "-ffreestanding", "-fno-stack-protector"],
		...["-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns", "-s", "-Wl,--build-id=none"],
		...["-o", program, join(import.meta.dir, "initramfs/verity.c")],
	]);
	return program;
}
