/**
 * What an agent can be asked: every object instance once, in the order of its OID. Pure.
 * GET and GETNEXT (RFC 3416 §4.2.1, §4.2.2) are binary searches, so a walk of tens of
 * thousands of instances costs microseconds each.
 */

export type Oid = readonly number[];

/** SMIv2 types (RFC 2578 §7.1) as far as the trees use them. */
export type Value =
	| { readonly type: "Integer32"; readonly value: number }
	| { readonly type: "Unsigned32"; readonly value: number }
	| { readonly type: "Counter32"; readonly value: number }
	| { readonly type: "Counter64"; readonly value: bigint }
	/** Hundredths of a second. */
	| { readonly type: "TimeTicks"; readonly value: number }
	| { readonly type: "OctetString"; readonly value: Uint8Array | string }
	| { readonly type: "ObjectIdentifier"; readonly value: Oid };

export interface Instance {
	readonly oid: Oid;
	readonly value: Value;
}

export const integer = (value: number): Value => ({ type: "Integer32", value: value | 0 });
/** Gauge32 and Unsigned32 share one tag (RFC 2578 §7.1.11); values above the range stay at its end. */
export const gauge = (value: number): Value => ({
	type: "Unsigned32",
	value: Math.min(0xffffffff, Math.max(0, Math.round(value))),
});
/** Counters wrap (RFC 2578 §7.1.6). */
export const counter32 = (value: number | bigint): Value => ({
	type: "Counter32",
	value: Number(BigInt(value) & 0xffffffffn),
});
export const counter64 = (value: number | bigint): Value => ({ type: "Counter64", value: BigInt(value) });
export const ticks = (ms: number): Value => ({ type: "TimeTicks", value: Math.floor(ms / 10) % 2 ** 32 });
export const text = (value: string): Value => ({ type: "OctetString", value });
export const bytes = (value: Uint8Array): Value => ({ type: "OctetString", value });
export const objectId = (value: Oid): Value => ({ type: "ObjectIdentifier", value });
/** TruthValue (RFC 2579): true(1), false(2). The same numbers serve enabled(1), disabled(2). */
export const truth = (value: boolean): Value => integer(value ? 1 : 2);

export function parseOid(dotted: string): Oid {
	return dotted.split(".").map(Number);
}

/** Lexicographic order of object identifiers. */
export function compareOids(a: Oid, b: Oid): number {
	const length = Math.min(a.length, b.length);
	for (let index = 0; index < length; index++) if (a[index] !== b[index]) return a[index]! - b[index]!;
	return a.length - b.length;
}

/**
 * One column of a table: its cells are read when they are asked for, so that a look at a box with a thousand
 * real servers makes no seventeen thousand objects.
 */
export interface TableColumn {
	/** The OID of the column, without a row's index. */
	readonly prefix: Oid;
	/** In the order of their indices. */
	readonly rows: readonly { readonly index: Oid; readonly row: unknown }[];
	readonly read: (row: unknown) => Value | null;
}

/** What trees are made of. */
export type Part = Instance | TableColumn;

export class View {
	readonly #instances: readonly Instance[];
	readonly #columns: readonly TableColumn[];

	/** Sorts what the trees gave; an OID that two trees give is a mistake and throws. */
	constructor(parts: readonly Part[]) {
		this.#instances = parts.filter((part) => "oid" in part).sort((a, b) => compareOids(a.oid, b.oid));
		this.#columns = parts.filter((part) => "prefix" in part).sort((a, b) => compareOids(a.prefix, b.prefix));
		refuseTwice(this.#instances.map(({ oid }) => oid));
		refuseTwice(this.#columns.map(({ prefix }) => prefix));
	}

	/** How many instances there are. */
	get size(): number {
		return this.#columns.reduce(
			(sum, { rows, read }) => sum + rows.filter(({ row }) => read(row) !== null).length,
			this.#instances.length,
		);
	}

	get(oid: Oid): Instance | null {
		const found = this.#instances[firstNotBefore(this.#instances, oid, ({ oid: key }) => key)];
		if (found !== undefined && compareOids(found.oid, oid) === 0) return found;
		const column = this.#columns[this.#columnAround(oid)];
		if (column === undefined || !startsWith(oid, column.prefix)) return null;
		const index = oid.slice(column.prefix.length);
		const row = column.rows[firstNotBefore(column.rows, index, ({ index: key }) => key)];
		if (row === undefined || compareOids(row.index, index) !== 0) return null;
		const value = column.read(row.row);
		return value === null ? null : { oid, value };
	}

	/**
	 * Whether `oid` begins with the name of a scalar or of a column, be there rows or not: what is asked for is then
	 * noSuchInstance, else noSuchObject (RFC 3416 §4.2.1).
	 */
	hasObject(oid: Oid): boolean {
		const column = this.#columns[this.#columnAround(oid)];
		if (column !== undefined && startsWith(oid, column.prefix)) return true;
		// A scalar's one instance is the first behind its name; whatever else begins with that comes behind the instance.
		const at = firstNotBefore(this.#instances, oid, ({ oid: key }) => key);
		return [at - 1, at].some((near) => {
			const scalar = this.#instances[near];
			return scalar !== undefined && startsWith(oid, scalar.oid.slice(0, -1));
		});
	}

	/** The first instance behind `oid`; null is the end of the view. */
	next(oid: Oid): Instance | null {
		let at = firstNotBefore(this.#instances, oid, ({ oid: key }) => key);
		const here = this.#instances[at];
		if (here !== undefined && compareOids(here.oid, oid) === 0) at++;
		const plain = this.#instances[at] ?? null;
		const cell = this.#nextCell(oid);
		if (plain === null || cell === null) return plain ?? cell;
		return compareOids(plain.oid, cell.oid) < 0 ? plain : cell;
	}

	#nextCell(oid: Oid): Instance | null {
		for (let at = Math.max(0, this.#columnAround(oid)); at < this.#columns.length; at++) {
			const { prefix, rows, read } = this.#columns[at]!;
			let number = 0;
			if (compareOids(prefix, oid) <= 0) {
				// All of this column lies before `oid`, unless `oid` lies in it.
				if (!startsWith(oid, prefix)) continue;
				const index = oid.slice(prefix.length);
				number = firstNotBefore(rows, index, ({ index: key }) => key);
				const here = rows[number];
				if (here !== undefined && compareOids(here.index, index) === 0) number++;
			}
			for (; number < rows.length; number++) {
				const value = read(rows[number]!.row);
				if (value !== null) return { oid: [...prefix, ...rows[number]!.index], value };
			}
		}
		return null;
	}

	/** The last column that begins at or before `oid`; -1 when there is none. */
	#columnAround(oid: Oid): number {
		const behind = firstNotBefore(this.#columns, oid, ({ prefix }) => prefix);
		const here = this.#columns[behind];
		return here !== undefined && compareOids(here.prefix, oid) === 0 ? behind : behind - 1;
	}
}

function refuseTwice(sorted: readonly Oid[]): void {
	for (let index = 1; index < sorted.length; index++)
		if (compareOids(sorted[index - 1]!, sorted[index]!) === 0)
			throw new Error(`two values for ${sorted[index]!.join(".")}`);
}

const startsWith = (oid: Oid, prefix: Oid) =>
	oid.length >= prefix.length && prefix.every((part, index) => oid[index] === part);

/** Where `wanted` is, or would be, in a sorted list. */
function firstNotBefore<T>(sorted: readonly T[], wanted: Oid, key: (item: T) => Oid): number {
	let low = 0;
	let high = sorted.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (compareOids(key(sorted[middle]!), wanted) < 0) low = middle + 1;
		else high = middle;
	}
	return low;
}

/** A scalar: its instance is `.0`. */
export function scalar(oid: string, value: Value): Instance {
	return { oid: [...parseOid(oid), 0], value };
}

/** One column of a conceptual table; null leaves the cell out. */
export type Column<Row> = readonly [number: number, read: (row: Row) => Value | null];

/**
 * A conceptual table (RFC 2578 §7.1.12): `entry` is the OID of its entry, `index` gives a row's index. Of rows with the
 * same index the first is taken: an operator's file may have a thing twice, and all else has to be answered.
 */
export function table<Row>(
	entry: string,
	rows: readonly Row[],
	index: (row: Row, position: number) => Oid,
	columns: readonly Column<Row>[],
): TableColumn[] {
	const prefix = parseOid(entry);
	const sorted = rows
		.map((row, position) => ({ index: index(row, position), row }))
		.sort((a, b) => compareOids(a.index, b.index))
		.filter((each, at, all) => at === 0 || compareOids(all[at - 1]!.index, each.index) !== 0);
	return columns.map(([number, read]) => ({
		prefix: [...prefix, number],
		rows: sorted,
		read: read as (row: unknown) => Value | null,
	}));
}
