/** What the reader makes of a file: statements, each a keyword with what belongs to it. Types alone. */
import type { Keyword } from "./keywords/grammar.ts";

/** A line of a value block. */
export interface DataLine {
	readonly words: readonly string[];
	readonly file: number;
	readonly line: number;
	readonly column: number;
	/** Characters of the line, for the caret. */
	readonly length: number;
}

/**
 * One keyword with what belongs to it; it exists only when its argument is good.
 * A plain record: a large file has hundreds of thousands of them.
 */
export interface Statement {
	readonly keyword: Keyword;
	readonly words: readonly string[];
	/**
	 * Integer: the number. Seconds: microseconds. Boolean: 0 or 1. Block: how many lines its body, or of a virtual server
	 * its settings, stand below the places of these statements, which are those of an earlier block that says the same.
	 * Otherwise NaN.
	 */
	readonly number: number;
	/** Where the keyword stands: see packPlace. */
	readonly at: number;
	/** Statements of a block. */
	readonly body: readonly Statement[] | null;
	/** Lines of a value block. */
	readonly lines: readonly DataLine[] | null;
	/** Blocks behind this one that differ from it in their first word alone. */
	readonly alike: AlikeBlocks | null;
}

/** Words instead of records: a large file has tens of thousands of such real servers. */
export interface AlikeBlocks {
	readonly firstWords: readonly string[];
	/** Lines from each of them to the next. */
	readonly linesApart: number;
}
