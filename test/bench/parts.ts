/** A bench of several parts, each of which can be run by itself: `vrrp:takeover`. */
import type { BenchResult } from "./result.ts";

export type Parts = Readonly<Record<string, () => Promise<readonly BenchResult[]>>>;

/** Rows of all parts, or of the one named. Each row is told as soon as it is there: the rest may take minutes. */
export async function runParts(parts: Parts, part?: string): Promise<readonly BenchResult[]> {
	if (part !== undefined && !(part in parts))
		throw new Error(`there is no part "${part}" (there are ${Object.keys(parts).join(", ")})`);
	const results: BenchResult[] = [];
	for (const [name, rows] of Object.entries(parts)) {
		if (part !== undefined && part !== name) continue;
		for (const row of await rows()) {
			console.error(`  ${row.name}: ${row.ours}, peer ${row.peer}`);
			results.push(row);
		}
	}
	return results;
}
