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

export class View {
	readonly #instances: readonly Instance[];

	/** Sorts what the trees gave; an OID that two trees give is a mistake and throws. */
	constructor(instances: readonly Instance[]) {
		this.#instances = [...instances].sort((a, b) => compareOids(a.oid, b.oid));
		for (let index = 1; index < this.#instances.length; index++)
			if (compareOids(this.#instances[index - 1]!.oid, this.#instances[index]!.oid) === 0)
				throw new Error(`two values for ${this.#instances[index]!.oid.join(".")}`);
	}

	get size(): number {
		return this.#instances.length;
	}

	get(oid: Oid): Instance | null {
		const found = this.#instances[this.#firstNotBefore(oid)];
		return found !== undefined && compareOids(found.oid, oid) === 0 ? found : null;
	}

	/** The first instance behind `oid`; null is the end of the view. */
	next(oid: Oid): Instance | null {
		let index = this.#firstNotBefore(oid);
		const found = this.#instances[index];
		if (found !== undefined && compareOids(found.oid, oid) === 0) index++;
		return this.#instances[index] ?? null;
	}

	#firstNotBefore(oid: Oid): number {
		let low = 0;
		let high = this.#instances.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (compareOids(this.#instances[middle]!.oid, oid) < 0) low = middle + 1;
			else high = middle;
		}
		return low;
	}
}

/** A scalar: its instance is `.0`. */
export function scalar(oid: string, value: Value): Instance {
	return { oid: [...parseOid(oid), 0], value };
}

/** One column of a conceptual table; null leaves the cell out. */
export type Column<Row> = readonly [number: number, read: (row: Row) => Value | null];

/** A conceptual table (RFC 2578 §7.1.12): `entry` is the OID of its entry, `index` gives a row's index. */
export function table<Row>(
	entry: string,
	rows: readonly Row[],
	index: (row: Row, position: number) => Oid,
	columns: readonly Column<Row>[],
): Instance[] {
	const prefix = parseOid(entry);
	const instances: Instance[] = [];
	rows.forEach((row, position) => {
		const suffix = index(row, position);
		for (const [number, read] of columns) {
			const value = read(row);
			if (value !== null) instances.push({ oid: [...prefix, number, ...suffix], value });
		}
	});
	return instances;
}
