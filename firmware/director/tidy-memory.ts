/** Reading a large file leaves much behind that nobody needs again; it is given back once things are quiet. */
import type { ServerMemory } from "../config/keepalived/server-memory.ts";

const TIDY_AFTER_MS = 3_000;
let tidying: ReturnType<typeof setTimeout> | undefined;

/** A reading is over: what it left is given back in a moment. `memory`: what is remembered for the next one, if anything. */
export function tidyMemory(memory: ServerMemory | null): void {
	leaveMemory();
	tidying = setTimeout(() => {
		memory?.digest();
		Bun.gc(true);
	}, TIDY_AFTER_MS);
	tidying.unref();
}

/** Another reading begins: nothing is given back in its midst. */
export function leaveMemory(): void {
	clearTimeout(tidying);
}
