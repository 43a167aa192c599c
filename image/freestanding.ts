/** Small programs of ours in C that need no library: the same compiler gives the same bytes. */
import { runTool } from "./disk/tool.ts";

/** Compiles `source` to `program`; `words` are more words for gcc. Throws with what it said. */
export function compileFreestanding(source: string, program: string, words: readonly string[]): void {
	runTool("gcc", [
		...["-Os", "-nostdlib", "-nostartfiles", "-ffreestanding", "-fno-stack-protector"],
		...["-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns", "-s", "-Wl,--build-id=none"],
		...words,
		...["-o", program, source],
	]);
}
