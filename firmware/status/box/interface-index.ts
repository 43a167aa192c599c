/**
 * ifIndex that survives restarts: a port keeps its number by its name, for ever, as RFC 2863
 * §3.1.5 asks; else every graph breaks when the kernel counts differently. Pure.
 */

export type IndexTable = Readonly<Record<string, number>>;

/** Ports that are gone keep their numbers, too, but no more of them than this: those with the lowest are forgotten first. */
export const GONE_PORTS_LIMIT = 256;

/**
 * The table with a number for each of `names`, the ports that are there: known ones keep theirs, new ones take the next
 * that nobody has had (of those that are still known).
 */
export function assignIndices(known: IndexTable, names: readonly string[]): IndexTable {
	// A port may be called as what every object has.
	const table: Record<string, number> = Object.assign(Object.create(null), known);
	let next = Math.max(0, ...Object.values(known)) + 1;
	for (const name of names) table[name] ??= next++;
	const present = new Set(names);
	const gone = Object.keys(table).filter((name) => !present.has(name));
	gone.sort((a, b) => table[b]! - table[a]!);
	for (const name of gone.slice(GONE_PORTS_LIMIT)) delete table[name];
	return table;
}
