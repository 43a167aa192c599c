/** Item 11: a root shell; every command in it is logged. Pure. */
import type { Dialogue } from "./dialogue.ts";

export function* shell(): Dialogue {
	yield { kind: "lend", program: "shell" };
}
