/**
 * A lock between processes: a word of shared memory that names its holder. Held for microseconds. Who finds
 * it taken spins a little and then sleeps; the manager frees it when its holder has died.
 */

/** Tries before the first sleep. */
const SPINS = 200;
const SLEEP_MS = 0.05;
const bed = new Int32Array(new SharedArrayBuffer(4));

/** False when somebody has it. */
export const tryLockWord = (words: Int32Array, index: number, holder: number): boolean =>
	Atomics.compareExchange(words, index, 0, holder) === 0;

export function lockWord(words: Int32Array, index: number, holder: number): void {
	for (let attempt = 0; ; attempt++) {
		if (tryLockWord(words, index, holder)) return;
		if (attempt > SPINS) Atomics.wait(bed, 0, 0, SLEEP_MS);
	}
}

/** Tells whether the process with this holder's number is gone for good. */
export type IsGone = (holder: number) => boolean;

/** Sleeps between looks at whether the holder still lives. */
const LOOK_SLEEPS = 20;

/**
 * For the manager, who learns of a death by an event: while it waits here no event comes, so it looks for itself.
 * Returns true when the lock was a dead holder's, who may have left things half done.
 */
export function lockWordOrInherit(words: Int32Array, index: number, holder: number, isGone: IsGone): boolean {
	for (let attempt = 0; ; attempt++) {
		if (tryLockWord(words, index, holder)) return false;
		if (attempt <= SPINS) continue;
		Atomics.wait(bed, 0, 0, SLEEP_MS);
		if ((attempt - SPINS) % LOOK_SLEEPS !== 0) continue;
		const other = Atomics.load(words, index);
		if (other !== 0 && isGone(other) && Atomics.compareExchange(words, index, other, holder) === other)
			return true;
	}
}

export function unlockWord(words: Int32Array, index: number, holder: number): void {
	Atomics.compareExchange(words, index, holder, 0);
}
