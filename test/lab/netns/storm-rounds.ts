/** A storm's rounds, one seed each: prints the differences of each, and at the end how often each kind was seen. */
export interface Difference {
	/** The kind, of which there may be many. */
	readonly what: string;
	readonly where: string;
}

/** `from`: the first seed as written on the command line; undefined: any. Returns whether there was no difference. */
export async function runRounds(
	from: string | undefined,
	rounds: number,
	storm: (seed: number) => Promise<readonly Difference[]>,
): Promise<boolean> {
	const first = Number(from ?? Date.now() % 1_000_000);
	const tally = new Map<string, number>();
	for (let seed = first; seed < first + rounds; seed++) {
		const found = await storm(seed);
		console.log(`seed ${seed}: ${found.length} differences`);
		for (const { what, where } of found) {
			console.log(`  ${what}\n    ${where}`);
			tally.set(what, (tally.get(what) ?? 0) + 1);
		}
	}
	for (const [what, count] of [...tally].sort(([, a], [, b]) => b - a)) console.log(`${count}  ${what}`);
	return tally.size === 0;
}
