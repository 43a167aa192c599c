/** Byte ranges (RFC 9110 §14). */
export interface ByteRange {
	readonly first: number;
	readonly last: number;
}

export type RangeAnswer =
	/** Not a byte range, or malformed: the field is ignored and the whole body is sent. */
	| { readonly kind: "whole" }
	| { readonly kind: "unsatisfiable" }
	| { readonly kind: "ranges"; readonly ranges: readonly ByteRange[] };

/** More ranges than this in one request are an attack, not a reader (RFC 9110 §17.15). */
const RANGE_LIMIT = 16;

/**
 * What is wrong with the Content-Range field of a 206 or 416 with a body of `length` bytes (undefined: not known), which
 * is for who asked for a range and nobody else: stored, a part would be the whole. With other statuses the field has no
 * meaning (RFC 9110 §14.4). Undefined: nothing.
 */
export function contentRangeFault(
	value: string,
	asked: boolean,
	length: number | undefined,
): string | undefined {
	if (!asked) return "Unexpected content-range header";
	if (!/^bytes\b/i.test(value)) return undefined;
	const match = /^bytes (?:(\d+)-(\d+)|\*)\/(?:\d+|\*)$/i.exec(value);
	if (match === null) return "Invalid content-range header";
	if (match[1] === undefined || length === undefined) return undefined;
	const bytes = Number(match[2]) - Number(match[1]) + 1;
	return bytes === length ? undefined : `Expected content length ${bytes}, got ${length}`;
}

/** What a Range field asks of a body of `length` bytes. Overlapping sets are answered with the whole body. */
export function parseRange(value: string, length: number): RangeAnswer {
	const match = /^bytes=(.*)$/i.exec(value.trim());
	if (match === null) return { kind: "whole" };
	const specs = match[1]!
		.split(",")
		.map((spec) => spec.trim())
		.filter((spec) => spec !== "");
	if (specs.length === 0 || specs.length > RANGE_LIMIT) return { kind: "whole" };
	const ranges: ByteRange[] = [];
	for (const spec of specs) {
		const dash = spec.indexOf("-");
		if (dash < 0) return { kind: "whole" };
		const firstText = spec.slice(0, dash).trim();
		const lastText = spec.slice(dash + 1).trim();
		if (!/^\d*$/.test(firstText) || !/^\d*$/.test(lastText)) return { kind: "whole" };
		// As large as they like: what lies behind the end is cut off.
		const first = firstText === "" ? undefined : Number(firstText);
		const last = lastText === "" ? undefined : Number(lastText);
		if (first === undefined) {
			if (last === undefined) return { kind: "whole" };
			if (last > 0 && length > 0) ranges.push({ first: Math.max(0, length - last), last: length - 1 });
		} else {
			if (last !== undefined && last < first) return { kind: "whole" };
			if (first < length) ranges.push({ first, last: Math.min(last ?? length - 1, length - 1) });
		}
	}
	if (ranges.length === 0) return { kind: "unsatisfiable" };
	const sorted = [...ranges].sort((a, b) => a.first - b.first);
	for (let index = 1; index < sorted.length; index++)
		if (sorted[index]!.first <= sorted[index - 1]!.last) return { kind: "whole" };
	return { kind: "ranges", ranges };
}
