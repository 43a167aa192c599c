/** Purges by tag, in turns: a tag may be on every object of a large store, and others are to be served meanwhile. */
import type { Arena, StoredObject } from "../store/arena.ts";

/** A turn ends when it has taken so long, */
const TURN_MS = 2;
/** as is seen each time that so many objects have been found. */
const OBJECTS_AT_ONCE = 64;

export interface TagPurge {
	readonly arena: Arena;
	readonly tags: readonly string[];
	/** Takes the object out, or ends its lifetime. */
	readonly purge: (object: StoredObject) => void;
}

/** Runs turns until `isOver`; returns the slot to go on from (-1: all are done), and how many objects were purged. */
function run({ arena, tags, purge }: TagPurge, from: number, isOver: () => boolean) {
	let slot = from;
	let count = 0;
	do {
		const { objects, next } = arena.tagged(tags, slot, OBJECTS_AT_ONCE);
		for (const object of objects) purge(object);
		count += objects.length;
		slot = next;
	} while (slot >= 0 && !isOver());
	return { slot, count };
}

/** Purges all that has one of the tags when it is come to; `done` is called with the number of objects, perhaps at once. */
export function purgeTagged(work: TagPurge, done: (count: number) => void): void {
	let slot = 0;
	let count = 0;
	const turn = () => {
		const endMs = performance.now() + TURN_MS;
		const after = run(work, slot, () => performance.now() >= endMs);
		slot = after.slot;
		count += after.count;
		if (slot < 0) done(count);
		else setImmediate(turn);
	};
	turn();
}

/** The same where nobody can wait. */
export const purgeTaggedAtOnce = (work: TagPurge): number => run(work, 0, () => false).count;
