/** Work that shares a machine: each piece begins as soon as there are processors for it. */

export interface Work {
	/** How many it keeps busy; less than one for what mostly waits. More than there are means all of them. */
	readonly processors: number;
}

/**
 * Runs all of it on so many processors. The pieces begin in this order, none before there is room for it: whatever
 * wants much is never overtaken for ever. `run` must not reject.
 */
export async function sideBySide<W extends Work>(
	work: readonly W[],
	processors: number,
	run: (piece: W) => Promise<void>,
): Promise<void> {
	const running = new Set<Promise<void>>();
	let free = processors;
	for (const piece of work) {
		const share = Math.min(piece.processors, processors);
		while (share > free) await Promise.race(running);
		free -= share;
		const ended: Promise<void> = run(piece).then(() => {
			free += share;
			running.delete(ended);
		});
		running.add(ended);
	}
	await Promise.all(running);
}
