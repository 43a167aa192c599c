/** The texts of one configuration and the places in them. Pure. */

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

/** One file that was read. */
export class Source {
	readonly name: string;
	readonly text: string;
	#lineStarts: Int32Array | null = null;

	constructor(name: string, text: string) {
		this.name = name;
		this.text = text;
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
