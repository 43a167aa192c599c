/** Work that shares a machine: each piece begins as soon as there are processors for it. */

export interface Work {
	/** How many it keeps busy; less than one for what mostly waits. More than there are means all of them. */
	readonly processors: number;
}

/**
 * Runs all of it on so many processors. The pieces begin in this order, none before there is room for it: what is left
 * over beside one that does not fit yet is for the next that does, but a piece that wants all processors is never
 * overtaken. `run` must not reject.
 */
export async function sideBySide<W extends Work>(
	work: readonly W[],
	processors: number,
	run: (piece: W) => Promise<void>,
): Promise<void> {
	const waiting = [...work];
	const running = new Set<Promise<void>>();
	let free = processors;
	while (waiting.length > 0) {
		const next = waiting.findIndex((piece) => piece.processors <= free || piece.processors >= processors);
		const piece = waiting[next];
		const share = piece === undefined ? Number.POSITIVE_INFINITY : Math.min(piece.processors, processors);
		if (share > free) {
			await Promise.race(running);
			continue;
		}
		waiting.splice(next, 1);
		free -= share;
		const ended: Promise<void> = run(piece!).then(() => {
			free += share;
			running.delete(ended);
		});
		running.add(ended);
	}
	await Promise.all(running);
}
