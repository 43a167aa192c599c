/** The texts of one configuration and the places in them. Pure. */

/** A text, or the bytes of one that is ASCII throughout: of those a string is only made where somebody needs it. */
export type Text = string | Buffer;

/** U+FEFF as it comes out of UTF-8, and out of a file that is no UTF-8 further down. */
const BYTE_ORDER_MARKS = ["\ufeff", "\u00ef\u00bb\u00bf"];

/** Characters of the byte order mark that `text` begins with; 0 when there is none. */
export function byteOrderMarkLength(text: Text): number {
	if (typeof text !== "string") return 0;
	return BYTE_ORDER_MARKS.find((mark) => text.startsWith(mark))?.length ?? 0;
}

/** A place as the hot path keeps it; columns count from 1. */
export interface Place {
	readonly file: number;
	readonly line: number;
	readonly column: number;
	/** Characters that the caret underlines. */
	readonly length: number;
	/** The line after its definitions were replaced, when there were any. */
	readonly expanded?: string;
}

/**
 * A place in one number, for records of which there are hundreds of thousands:
 * file (12 bits), line (24 bits), column (12 bits; what lies further right is column 4095).
 */
export function packPlace(file: number, line: number, column: number): number {
	return (file * 0x1000000 + line) * 0x1000 + (column < 0x1000 ? column : 0xfff);
}

/** The place `lines` further down. */
export const placeBelow = (packed: number, lines: number): number => packed + lines * 0x1000;

export const fileOf = (packed: number): number => Math.floor(packed / 0x1000000000);
export const lineOf = (packed: number): number => Math.floor(packed / 0x1000) % 0x1000000;
export const columnOf = (packed: number): number => packed % 0x1000;

/** Something that knows its place in packed form: a statement. */
export interface Placed {
	readonly at: number;
	readonly keyword: { readonly name: string };
}

/** The place of a record; the caret stands under its keyword. */
export function placeOfRecord(spot: Place | Placed): Place {
	if (!("at" in spot)) return spot;
	return {
		file: fileOf(spot.at),
		line: lineOf(spot.at),
		column: columnOf(spot.at),
		length: spot.keyword.name.length,
	};
}

/** One file that was read. */
export class Source {
	readonly name: string;
	#text: Text;
	#lineStarts: Int32Array | null = null;

	constructor(name: string, text: Text) {
		this.name = name;
		this.#text = text;
	}

	get text(): string {
		if (typeof this.#text !== "string") this.#text = this.#text.toString("latin1");
		return this.#text;
	}

	/** Physical line `line` (from 1) without its end; "" behind the last. */
	lineText(line: number): string {
		this.#lineStarts ??= indexLines(this.text);
		const start = this.#lineStarts[line - 1];
		if (start === undefined) return "";
		const end = this.#lineStarts[line];
		return this.text.slice(start, end === undefined ? this.text.length : end - 1).replace(/[\r\n]+$/, "");
	}

	get lineCount(): number {
		this.#lineStarts ??= indexLines(this.text);
		return this.#lineStarts.length;
	}
}

function indexLines(text: string): Int32Array {
	let count = 1;
	for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
	const starts = new Int32Array(count);
	let index = 1;
	for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts[index++] = at + 1;
	return starts;
}
