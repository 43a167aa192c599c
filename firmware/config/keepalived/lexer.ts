/**
 * The lexical layer of keepalived.conf(5): from the characters of one text to logical lines.
 *
 * A logical line is what lies between line ends and unquoted braces, comment and outer blanks
 * removed: `track_script { chk }` is three of them. The lexer keeps positions, not strings; a word
 * becomes a string only when somebody asks for it, so that a file of a million lines costs one pass.
 *
 * Blanks are space, tab, form feed, vertical tab and carriage return. `!` and `#` begin a comment
 * outside quotes; `\#` and `\!` are the characters themselves. `"…"` is one word.
 */
import { limits } from "./limits.ts";
import type { Text } from "./source.ts";

const TAB = 9;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const BANG = 33;
const QUOTE = 34;
const HASH = 35;
const BACKSLASH = 92;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

const NO_CODES = Buffer.alloc(0);

/**
 * The characters of `text` as bytes. Everything that means something here is ASCII, so what lies
 * beyond becomes 255: a character of a word.
 */
function codesOf(text: Text): Buffer {
	if (typeof text !== "string") return text;
	const codes = Buffer.allocUnsafe(text.length);
	for (let index = 0; index < codes.length; index++) {
		const code = text.charCodeAt(index);
		codes[index] = code < 128 ? code : 255;
	}
	return codes;
}

/** See `Lexer.firstWordKey`. */
export function keyOf(length: number, first: number, last: number): number {
	return ((length & 31) << 10) ^ ((first & 63) << 5) ^ (last & 63);
}

/** By code: 1 for what addresses are made of. */
const OF_ADDRESS = new Uint8Array(256);
for (const character of "0123456789abcdefABCDEF.:") OF_ADDRESS[character.charCodeAt(0)] = 1;

export class Lexer {
	/** What is read, … */
	#text: Text = "";
	/** … and its characters as codes: a typed array is read several times faster than a string. */
	codes: Buffer = NO_CODES;
	/** Where the next logical line begins. */
	position = 0;
	/** Number of the physical line that `position` is on, from 1. */
	lineNumber = 1;

	/** The current logical line: number of its words, … */
	count = 0;
	/** … its physical line, … */
	line = 0;
	/** … whether `{` ended it, or it is `}` alone, … */
	opens = false;
	closes = false;
	/** … whether a quote was never closed, … */
	unterminated = false;
	/** … and the offset just behind its last character, comment and blanks left out. */
	end = 0;
	/** Words beyond the limit were dropped. */
	overflow = false;

	readonly #starts = new Int32Array(limits.words);
	readonly #ends = new Int32Array(limits.words);
	readonly #quoted = new Uint8Array(limits.words);
	#escaped = false;
	/** Offset behind the last character that is read. */
	stop = 0;
	/** Offset of the physical line that `position` is on. */
	#nextLineStart = 0;
	/** Offset of the current logical line's physical line. */
	lineStart = 0;

	/** Starts over with another text; `lineNumber` is the number of its first line. */
	reset(text: Text, lineNumber = 1): void {
		this.#text = text;
		this.codes = codesOf(text);
		this.stop = text.length;
		this.position = 0;
		this.lineNumber = lineNumber;
		this.#nextLineStart = 0;
		this.lineStart = 0;
		this.count = 0;
	}

	/** Skips to `offset`, on the physical line with number `lineNumber` that begins at `lineStart`. */
	seek(offset: number, lineNumber: number, lineStart = offset): void {
		this.position = offset;
		this.lineNumber = lineNumber;
		this.#nextLineStart = lineStart;
	}

	/** The text from `start` to `end`. */
	slice(start: number, end = this.codes.length): string {
		const text = this.#text;
		return typeof text === "string" ? text.slice(start, end) : text.toString("latin1", start, end);
	}

	/** Word `index` of the current line, quotes removed. */
	word(index: number): string {
		const text = this.slice(this.#starts[index]!, this.#ends[index]!);
		if (this.#escaped && this.#quoted[index] === 0) return text.replace(/\\([#!])/g, "$1");
		return text;
	}

	/** Whether word `index` is `name`, without making a string of it. */
	isWord(index: number, name: string): boolean {
		const start = this.#starts[index]!;
		if (this.#ends[index]! - start !== name.length) return false;
		for (let at = 0; at < name.length; at++) if (this.codes[start + at] !== name.charCodeAt(at)) return false;
		return true;
	}

	/** Word `index`; `known` itself when it says the same, so that no string is made of what is there already. */
	wordOr(index: number, known: string): string {
		// Codes beyond ASCII do not tell characters apart.
		const same = typeof this.#text !== "string" && !this.#escaped && this.isWord(index, known);
		return same ? known : this.word(index);
	}

	/** Whether the `length` characters from `at` on are those from `offset` on. */
	repeats(offset: number, length: number, at = this.position): boolean {
		const { codes } = this;
		if (at + length > this.stop) return false;
		for (let index = 0; index < length; index++)
			if (codes[at + index] !== codes[offset + index]) return false;
		return true;
	}

	/** Behind the blanks and line ends from `at` on. */
	behindBlanks(at: number): number {
		const { codes, stop } = this;
		let end = at;
		while (end < stop && (codes[end]! === LINE_FEED || codes[end]! === SPACE || codes[end]! === TAB)) end++;
		return end;
	}

	/** Behind what stands from `at` on of the characters that addresses are made of. */
	behindAddress(at: number): number {
		const { codes, stop } = this;
		let end = at;
		while (end < stop && OF_ADDRESS[codes[end]!] === 1) end++;
		return end;
	}

	/** Offset of word `index` of the current line, and behind it, quotes left out. */
	extentOf(index: number): readonly [start: number, end: number] {
		return [this.#starts[index]!, this.#ends[index]!];
	}

	/** Word `index` as a decimal whole number of at most nine digits; -1 when it is anything else. */
	plainNumber(index: number): number {
		const codes = this.codes;
		const end = this.#ends[index]!;
		let at = this.#starts[index]!;
		if (end - at > 9 || end === at) return -1;
		let value = 0;
		for (; at < end; at++) {
			const digit = codes[at]! - 48;
			if (digit < 0 || digit > 9) return -1;
			value = value * 10 + digit;
		}
		return value;
	}

	/** A number that tells words apart quickly: length, first and last character of word 0. */
	firstWordKey(): number {
		const start = this.#starts[0]!;
		const end = this.#ends[0]!;
		return keyOf(end - start, this.codes[start]!, this.codes[end - 1]!);
	}

	/** Offset of word `index`, its opening quote included. */
	wordStart(index: number): number {
		const start = this.#starts[index]!;
		return this.#quoted[index] === 1 ? start - 1 : start;
	}

	/** Whether word `index` stood in quotes. */
	isQuoted(index: number): boolean {
		return this.#quoted[index] === 1;
	}

	/** The current line from its first word to its end, as it was written. */
	raw(): string {
		return this.count === 0 ? "" : this.slice(this.wordStart(0), this.end);
	}

	/**
	 * Goes on to the next logical line that is not empty; false at the end of the text.
	 * `this.line`, `count`, `opens`, `closes` and the words describe it.
	 */
	next(): boolean {
		const codes = this.codes;
		const length = this.stop;
		const starts = this.#starts;
		const ends = this.#ends;
		const quoted = this.#quoted;
		let at = this.position;
		let count = 0;
		this.opens = false;
		this.closes = false;
		this.unterminated = false;
		this.overflow = false;
		this.#escaped = false;
		for (;;) {
			// Between words.
			if (at >= length) {
				this.position = length;
				this.line = this.lineNumber;
				this.lineStart = this.#nextLineStart;
				return this.#finish(count);
			}
			let code = codes[at]!;
			if (code === SPACE || code === TAB || (code >= 11 && code <= CARRIAGE_RETURN)) {
				at++;
				continue;
			}
			if (code === HASH || code === BANG) {
				do at++;
				while (at < length && codes[at] !== LINE_FEED);
				continue;
			}
			if (code === LINE_FEED) {
				at++;
				if (count > 0) {
					this.position = at;
					this.line = this.lineNumber++;
					this.lineStart = this.#nextLineStart;
					this.#nextLineStart = at;
					return this.#finish(count);
				}
				this.lineNumber++;
				this.#nextLineStart = at;
				continue;
			}
			if (code === OPEN_BRACE) {
				this.position = at + 1;
				this.line = this.lineNumber;
				this.lineStart = this.#nextLineStart;
				this.opens = true;
				this.#finish(count);
				if (count === 0) this.end = at + 1;
				return true;
			}
			if (code === CLOSE_BRACE) {
				this.line = this.lineNumber;
				this.lineStart = this.#nextLineStart;
				if (count > 0) {
					this.position = at;
					return this.#finish(count);
				}
				this.position = at + 1;
				this.closes = true;
				this.count = 0;
				this.end = at + 1;
				return true;
			}
			if (count === limits.words) {
				this.overflow = true;
				count--;
			}
			if (code === QUOTE) {
				const start = ++at;
				while (at < length) {
					code = codes[at]!;
					if (code === QUOTE || code === LINE_FEED) break;
					at++;
				}
				starts[count] = start;
				ends[count] = at;
				quoted[count] = 1;
				count++;
				if (at < length && code === QUOTE) at++;
				else this.unterminated = true;
				continue;
			}
			// An unquoted word ends at a blank, a quote, a brace or a comment.
			starts[count] = at;
			quoted[count] = 0;
			for (;;) {
				if (code === BACKSLASH && at + 1 < length) {
					const after = codes[at + 1]!;
					if (after === HASH || after === BANG) {
						this.#escaped = true;
						at++;
					}
				}
				at++;
				if (at >= length) break;
				code = codes[at]!;
				if (code <= HASH) {
					if (
						code === SPACE ||
						code === LINE_FEED ||
						code === HASH ||
						code === BANG ||
						code === QUOTE ||
						(code >= TAB && code <= CARRIAGE_RETURN)
					)
						break;
				} else if (code === OPEN_BRACE || code === CLOSE_BRACE) break;
			}
			ends[count] = at;
			count++;
		}
	}

	#finish(count: number): boolean {
		this.count = count;
		if (count > 0) {
			const last = this.#ends[count - 1]!;
			this.end = this.#quoted[count - 1] === 1 && !this.unterminated ? last + 1 : last;
		}
		return count > 0 || this.opens;
	}
}

/** The words of one text that holds a single logical line (for grammars of their own). */
export function wordsOf(text: string): string[] {
	const lexer = new Lexer();
	lexer.reset(text);
	if (!lexer.next()) return [];
	return Array.from({ length: lexer.count }, (_, index) => lexer.word(index));
}

/**
 * The words of a command, as keepalived splits them for `execve`: both quotes quote, adjacent pieces
 * belong together, and a backslash takes the next character with it. Returns null when a quote is
 * never closed.
 *
 *   commandWords(`/bin/sh -c 'test -e "/x y"'`)  →  ["/bin/sh", "-c", 'test -e "/x y"']
 */
export function commandWords(text: string): string[] | null {
	const words: string[] = [];
	let current: string | null = null;
	let quote = "";
	for (let index = 0; index < text.length; index++) {
		const character = text[index]!;
		if (character === "\\" && index + 1 < text.length) {
			const after = text[++index]!;
			// Inside single quotes nothing is special; elsewhere the pair is kept as written.
			current = (current ?? "") + character + after;
		} else if (quote !== "") {
			if (character === quote) quote = "";
			else current = (current ?? "") + character;
		} else if (character === '"' || character === "'") {
			quote = character;
			current ??= "";
		} else if (/[ \t\f\v\r\n]/.test(character)) {
			if (current !== null) words.push(current);
			current = null;
			if (words.length >= limits.words) return words;
		} else current = (current ?? "") + character;
	}
	if (quote !== "") return null;
	if (current !== null) words.push(current);
	return words;
}

const escapes: Readonly<Record<string, string>> = {
	a: "\x07",
	b: "\b",
	E: "\x1b",
	f: "\f",
	n: "\n",
	r: "\r",
	t: "\t",
	v: "\v",
};

/** The escapes of `regex`: `\n`, `\xHH`, `\ooo`, `\cX`; any other character stands for itself. */
export function decodeEscapes(text: string): string {
	return text.replace(
		/\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|c(.)|(.))/gs,
		(_all, hex?: string, octal?: string, control?: string, other?: string) => {
			if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
			if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
			if (control !== undefined) return String.fromCharCode(control.toUpperCase().charCodeAt(0) ^ 64);
			return escapes[other!] ?? other!;
		},
	);
}
