/** Reading a large file leaves much behind that nobody needs again; it is given back once things are quiet. */
import type { ServerMemory } from "../config/keepalived/server-memory.ts";
import type { DroverConfig } from "../config/model.ts";
import { native } from "../kernel/native.ts";

const TIDY_AFTER_MS = 3_000;
/** From so many real servers on, making room takes less than what is made in it (20,000: 80 ms, 10 MB). */
const MANY_REAL_SERVERS = 2_000;
let tidying: ReturnType<typeof setTimeout> | undefined;

/**
 * The first table is in the kernel, and the checks' records are made next: in what reading left, where there are many.
 * Beside it they would lie strewn among what is thrown away, and those pages are never given back.
 */
export function makeRoom(memory: ServerMemory, { virtualServers }: DroverConfig): void {
	let realServers = 0;
	for (const virtualServer of virtualServers) realServers += virtualServer.realServers.length;
	if (realServers < MANY_REAL_SERVERS) return;
	memory.digest();
	Bun.gc(true);
}

/** A reading is over: what it left is given back in a moment. `memory`: what is remembered for the next one, if anything. */
export function tidyMemory(memory: ServerMemory | null): void {
	leaveMemory();
	tidying = setTimeout(() => {
		memory?.digest();
		Bun.gc(true);
		// Of Bun's own code a start and a reading touch several times what checks need.
		native.releaseCode();
	}, TIDY_AFTER_MS);
	tidying.unref();
}

/** Another reading begins: nothing is given back in its midst. */
export function leaveMemory(): void {
	clearTimeout(tidying);
}
