/**
 * ifIndex that survives restarts: a port keeps its number by its name, for ever, as RFC 2863
 * §3.1.5 asks; else every graph breaks when the kernel counts differently. Pure.
 */

export type IndexTable = Readonly<Record<string, number>>;

/** The table with a number for each of `names`: known ones keep theirs, new ones take the next free. */
export function assignIndices(known: IndexTable, names: readonly string[]): IndexTable {
	const table: Record<string, number> = { ...known };
	let next = Math.max(0, ...Object.values(known)) + 1;
	for (const name of names) if (table[name] === undefined) table[name] = next++;
	return table;
}
