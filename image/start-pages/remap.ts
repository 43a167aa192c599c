/** remap.c, compiled to bytes that run at any address, and need nothing around them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { compileFreestanding } from "../freestanding.ts";

export function compileRemap(scratchDirectory: string): Uint8Array {
	const program = join(scratchDirectory, "remap");
	compileFreestanding(join(import.meta.dir, "remap.c"), program, [
		...["-fpie", "-mgeneral-regs-only", "-fcf-protection=none"],
		`-Wl,-T,${join(import.meta.dir, "remap.ld")}`,
	]);
	return readFileSync(program);
}
