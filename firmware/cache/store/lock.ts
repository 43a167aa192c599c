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

export function unlockWord(words: Int32Array, index: number, holder: number): void {
	Atomics.compareExchange(words, index, holder, 0);
}
