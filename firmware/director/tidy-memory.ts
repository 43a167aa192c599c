/** Reading a large file leaves much behind that nobody needs again; it is given back once things are quiet. */
import type { ServerMemory } from "../config/keepalived/server-memory.ts";
import type { DroverConfig } from "../config/model.ts";
import { native } from "../kernel/native.ts";

const TIDY_AFTER_MS = 3_000;
/**
 * Code is given back when VRRP does it, too: a reload soon after another reading finds what it needs (1,300 page faults of
 * 2,000, which are 80 ms in user-mode Linux).
 */
const RELEASE_CODE_AFTER_MS = 10_000;
/** From so many on, making room for checks is worth its time (20,000: 80 ms, 10 MB). */
const MANY_CHECKS = 2_000;
const tidying: ReturnType<typeof setTimeout>[] = [];

/**
 * The first table is in the kernel, and the checks' records are made next: in what reading left, where there are many.
 * Beside it they would lie strewn among what is thrown away, and those pages are never given back.
 */
export function makeRoom(memory: ServerMemory, { virtualServers }: DroverConfig): void {
	let count = 0;
	for (const { realServers } of virtualServers) for (const { checks } of realServers) count += checks.length;
	if (count < MANY_CHECKS) return;
	memory.digest();
	Bun.gc(true);
}

/** A reading is over: what it left is given back in a moment. `memory`: what is remembered for the next one, if anything. */
export function tidyMemory(memory: ServerMemory | null): void {
	leaveMemory();
	const later = (delayMs: number, work: () => void) => {
		const timer = setTimeout(work, delayMs);
		timer.unref();
		tidying.push(timer);
	};
	later(TIDY_AFTER_MS, () => {
		memory?.digest();
		Bun.gc(true);
	});
	// Of Bun's own code a start and a reading touch several times what checks need.
	later(RELEASE_CODE_AFTER_MS, () => native.releaseCode());
}

/** Another reading begins: nothing is given back in its midst. */
export function leaveMemory(): void {
	for (const timer of tidying.splice(0)) clearTimeout(timer);
}
