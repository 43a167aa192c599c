/**
 * TOML 1.0 (toml.io/en/v1.0.0) with the place of every key and value, so that a finding can point
 * at it. Pure. Dates and times are refused: no setting is one.
 */

/** 1-based line and column, and how many characters are meant. */
export interface TomlPlace {
	readonly line: number;
	readonly column: number;
	readonly length: number;
}

export type TomlPath = readonly (string | number)[];

/** What is wrong, and where; the message is one sentence without a full stop. */
export class TomlError extends Error {
	readonly place: TomlPlace;
	constructor(message: string, place: TomlPlace) {
		super(message);
		this.place = place;
	}
}

export type TomlTable = { [key: string]: unknown };

/** Where a header or a whole `key = value` stands in the text: offsets, `end` behind its last character. */
export interface TomlEntry {
	readonly kind: "header" | "value";
	readonly path: TomlPath;
	readonly start: number;
	/** Of the value; a header's is its start. */
	readonly valueStart: number;
	readonly end: number;
}

export interface TomlDocument {
	readonly value: TomlTable;
	/** In the order of the text; what lies in a value comes before it. */
	readonly entries: readonly TomlEntry[];
	/** Where the key at `path` is written (a table's own header for an element of an array of tables). */
	keyPlace(path: TomlPath): TomlPlace | null;
	/** Where the value at `path` is written. */
	valuePlace(path: TomlPath): TomlPlace | null;
}

export const NESTING_LIMIT = 32;

const place = (path: TomlPath) => JSON.stringify(path);
const BARE_KEY = /[A-Za-z0-9_-]+/y;
const INTEGER = /^[+-]?(0|[1-9](_?\d)*)$/;
const BASED_INTEGER = /^0(x[0-9A-Fa-f](_?[0-9A-Fa-f])*|o[0-7](_?[0-7])*|b[01](_?[01])*)$/;
const FLOAT = /^[+-]?(0|[1-9](_?\d)*)(\.\d(_?\d)*)?([eE][+-]?\d(_?\d)*)?$/;
const SPECIAL_FLOAT = /^[+-]?(inf|nan)$/;
const DATE = /^\d{4}-\d\d-\d\d|^\d\d:\d\d/;
const ESCAPES: Readonly<Record<string, string>> = {
	b: "\b",
	t: "\t",
	n: "\n",
	f: "\f",
	r: "\r",
	'"': '"',
	"\\": "\\",
};

/** Reads a whole document. Throws a TomlError at the first thing that is not TOML. */
export function parseToml(text: string): TomlDocument {
	return new Reader(text).document();
}

type TableKind = "implicit" | "header" | "dotted" | "inline";

class Reader {
	readonly #text: string;
	#at = 0;
	readonly #keys = new Map<string, TomlPlace>();
	readonly #values = new Map<string, TomlPlace>();
	readonly #entries: TomlEntry[] = [];
	/** How each table came to be: only some may be added to (§ Table). */
	readonly #tables = new Map<object, TableKind>();
	/** Arrays that `[[name]]` made; those of `[ … ]` are closed. */
	readonly #tableArrays = new Set<object>();

	readonly #lineStarts: readonly number[];

	constructor(text: string) {
		this.#text = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
		const starts = [0];
		for (let at = this.#text.indexOf("\n"); at >= 0; at = this.#text.indexOf("\n", at + 1))
			starts.push(at + 1);
		this.#lineStarts = starts;
	}

	document(): TomlDocument {
		const root = this.#newTable("header");
		let table = root;
		let path: TomlPath = [];
		for (;;) {
			this.#skipBlank(true);
			if (this.#at >= this.#text.length) break;
			if (this.#peek() === "[") ({ table, path } = this.#header(root));
			else this.#keyValue(table, path);
			this.#endOfLine();
		}
		return {
			value: root,
			entries: this.#entries,
			keyPlace: (wanted) => this.#keys.get(place(wanted)) ?? null,
			valuePlace: (wanted) => this.#values.get(place(wanted)) ?? null,
		};
	}

	/** `[a.b]` or `[[a.b]]`: the table that the following lines fill, and its path. */
	#header(root: TomlTable): { table: TomlTable; path: TomlPath } {
		const start = this.#at;
		const isArray = this.#text.startsWith("[[", start);
		this.#at += isArray ? 2 : 1;
		this.#skipBlank(false);
		const keys = this.#dottedKey();
		const close = isArray ? "]]" : "]";
		if (!this.#text.startsWith(close, this.#at)) this.#fail(`"${close}" was expected here`);
		this.#at += close.length;
		const header = this.#span(start, this.#at);
		let table = root;
		const path: (string | number)[] = [];
		keys.forEach(({ name, at }, index) => {
			const isLast = index === keys.length - 1;
			path.push(name);
			const found = Object.hasOwn(table, name) ? table[name] : undefined;
			if (isLast && isArray) {
				if (found !== undefined && !this.#tableArrays.has(found as object))
					throw new TomlError(`"${name}" is already something else than an array of tables`, at);
				const array = (found as unknown[] | undefined) ?? [];
				if (found === undefined) {
					this.#tableArrays.add(array);
					define(table, name, array);
					this.#mark(path, at, header);
				}
				const element = this.#newTable("header");
				path.push(array.length);
				array.push(element);
				this.#mark(path, header, header);
				table = element;
				return;
			}
			if (found === undefined) {
				const made = this.#newTable(isLast ? "header" : "implicit");
				define(table, name, made);
				this.#mark(path, at, header);
				table = made;
				return;
			}
			const next = this.#tableArrays.has(found as object) ? (found as TomlTable[]).at(-1)! : found;
			const kind = this.#tables.get(next as object);
			if (this.#tableArrays.has(found as object) && !isLast) path.push((found as unknown[]).length - 1);
			if (kind === undefined || kind === "inline" || (isLast && this.#tableArrays.has(found as object)))
				throw new TomlError(`"${name}" is already something else than a table`, at);
			if (isLast) {
				if (kind !== "implicit") throw new TomlError(`the table "${name}" is here for the second time`, at);
				this.#tables.set(next as object, "header");
				this.#mark(path, at, header);
			}
			table = next as TomlTable;
		});
		this.#entries.push({ kind: "header", path, start, valueStart: start, end: this.#at });
		return { table, path };
	}

	#keyValue(into: TomlTable, base: TomlPath, depth = 0): void {
		const keyStart = this.#at;
		const keys = this.#dottedKey();
		if (this.#peek() !== "=")
			this.#fail(`"=" was expected after the key "${keys.map(({ name }) => name).join(".")}"`);
		this.#at++;
		this.#skipBlank(false);
		let table = into;
		const path = [...base];
		for (const { name, at } of keys.slice(0, -1)) {
			path.push(name);
			const found = Object.hasOwn(table, name) ? table[name] : undefined;
			if (found === undefined) {
				const made = this.#newTable("dotted");
				define(table, name, made);
				this.#mark(path, at, at);
				table = made;
			} else {
				if (this.#tables.get(found as object) !== "dotted")
					throw new TomlError(`"${name}" cannot be added to from here`, at);
				table = found as TomlTable;
			}
		}
		const { name, at } = keys.at(-1)!;
		path.push(name);
		if (Object.hasOwn(table, name)) throw new TomlError(`"${name}" is here for the second time`, at);
		const start = this.#at;
		// A place for it in front of what lies in it: findings come in the file's order.
		this.#mark(path, at, at);
		const value = this.#value(path, depth);
		this.#mark(path, at, this.#span(start, this.#at));
		this.#entries.push({ kind: "value", path, start: keyStart, valueStart: start, end: this.#at });
		define(table, name, value);
		this.#skipBlank(false);
	}

	#dottedKey(): { readonly name: string; readonly at: TomlPlace }[] {
		const keys = [];
		for (;;) {
			const start = this.#at;
			const name = this.#key();
			keys.push({ name, at: this.#span(start, this.#at) });
			if (keys.length > NESTING_LIMIT) this.#fail(`more than ${NESTING_LIMIT} keys within each other`);
			this.#skipBlank(false);
			if (this.#peek() !== ".") return keys;
			this.#at++;
			this.#skipBlank(false);
		}
	}

	#key(): string {
		const first = this.#peek();
		if (first === '"') return this.#basicString();
		if (first === "'") return this.#literalString();
		BARE_KEY.lastIndex = this.#at;
		const match = BARE_KEY.exec(this.#text);
		if (match === null) this.#fail("a key was expected here");
		this.#at += match[0].length;
		return match[0];
	}

	#value(path: TomlPath, depth: number): unknown {
		if (depth > NESTING_LIMIT) this.#fail(`more than ${NESTING_LIMIT} values within each other`);
		switch (this.#peek()) {
			case '"':
				return this.#text.startsWith('"""', this.#at) ? this.#multiLine('"""') : this.#basicString();
			case "'":
				return this.#text.startsWith("'''", this.#at) ? this.#multiLine("'''") : this.#literalString();
			case "[":
				return this.#array(path, depth);
			case "{":
				return this.#inlineTable(path, depth);
			default:
				return this.#scalar();
		}
	}

	#scalar(): unknown {
		const start = this.#at;
		while (this.#at < this.#text.length && !/[\s,\]}#=]/.test(this.#peek())) this.#at++;
		const word = this.#text.slice(start, this.#at);
		const digits = word.replaceAll("_", "");
		if (word === "true") return true;
		if (word === "false") return false;
		if (INTEGER.test(word) || BASED_INTEGER.test(word)) {
			const value = Number(digits);
			if (Number.isSafeInteger(value)) return value;
			throw new TomlError(`${word} is too large a number`, this.#span(start, this.#at));
		}
		if (FLOAT.test(word)) return Number(digits);
		if (SPECIAL_FLOAT.test(word))
			return word.endsWith("nan") ? Number.NaN : word.startsWith("-") ? -Infinity : Infinity;
		const at = this.#span(start, Math.max(this.#at, start + 1));
		if (word === "") throw new TomlError("a value is missing here", at);
		if (DATE.test(word)) throw new TomlError("no setting is a date or a time", at);
		throw new TomlError(`${word} is no value; text stands in quotes: "${word.replaceAll('"', "")}"`, at);
	}

	#array(path: TomlPath, depth: number): unknown[] {
		this.#at++;
		const values: unknown[] = [];
		for (;;) {
			this.#skipBlank(true);
			if (this.#peek() === "]") break;
			const here = [...path, values.length];
			const start = this.#at;
			values.push(this.#value(here, depth + 1));
			const span = this.#span(start, this.#at);
			this.#mark(here, span, span);
			this.#skipBlank(true);
			if (this.#peek() === ",") this.#at++;
			else if (this.#peek() !== "]") this.#fail('"," or "]" was expected here');
		}
		this.#at++;
		return values;
	}

	#inlineTable(path: TomlPath, depth: number): TomlTable {
		this.#at++;
		const table = this.#newTable("dotted");
		this.#skipBlank(false);
		if (this.#peek() !== "}")
			for (;;) {
				this.#keyValue(table, path, depth + 1);
				if (this.#peek() === "}") break;
				if (this.#peek() !== ",") this.#fail('"," or "}" was expected here');
				this.#at++;
				this.#skipBlank(false);
			}
		this.#at++;
		this.#close(table);
		return table;
	}

	/** An inline table is complete; nothing can be added to it or to what lies in it. */
	#close(table: TomlTable): void {
		this.#tables.set(table, "inline");
		for (const value of Object.values(table))
			if (this.#tables.get(value as object) === "dotted") this.#close(value as TomlTable);
	}

	#basicString(): string {
		const start = this.#at++;
		let value = "";
		for (;;) {
			const character = this.#inString(start);
			if (character === '"') return value;
			value += character === "\\" ? this.#escape() : character;
		}
	}

	#literalString(): string {
		const start = this.#at++;
		let value = "";
		for (;;) {
			const character = this.#inString(start);
			if (character === "'") return value;
			value += character;
		}
	}

	/** The next character of a string of one line. */
	#inString(start: number): string {
		const character = this.#peek();
		if (character === "" || character === "\n" || character === "\r")
			throw new TomlError("the text has no closing quote", this.#span(start, this.#at));
		this.#refuseControl(character);
		this.#at++;
		return character;
	}

	#multiLine(quotes: '"""' | "'''"): string {
		const start = this.#at;
		this.#at += 3;
		if (this.#text.startsWith("\r\n", this.#at)) this.#at += 2;
		else if (this.#peek() === "\n") this.#at++;
		let value = "";
		for (;;) {
			if (this.#at >= this.#text.length)
				throw new TomlError(`the text has no closing ${quotes}`, this.#span(start, start + 3));
			if (this.#text.startsWith(quotes, this.#at)) {
				// Up to two quotes may stand before the closing three.
				let more = 0;
				while (more < 2 && this.#text[this.#at + 3 + more] === quotes[0]) more++;
				this.#at += 3 + more;
				return value + quotes[0]!.repeat(more);
			}
			const character = this.#peek();
			if (character !== "\n" && !this.#text.startsWith("\r\n", this.#at)) this.#refuseControl(character);
			this.#at++;
			if (character !== "\\" || quotes === "'''") value += character;
			else {
				const lineEnd = /[ \t]*\r?\n[ \t\r\n]*/y;
				lineEnd.lastIndex = this.#at;
				const match = lineEnd.exec(this.#text);
				if (match === null) value += this.#escape();
				else this.#at += match[0].length;
			}
		}
	}

	/** What follows a backslash. */
	#escape(): string {
		const start = this.#at - 1;
		const letter = this.#peek();
		this.#at++;
		const simple = ESCAPES[letter];
		if (simple !== undefined) return simple;
		const length = letter === "u" ? 4 : letter === "U" ? 8 : 0;
		const hex = this.#text.slice(this.#at, this.#at + length);
		const code = Number.parseInt(hex, 16);
		if (
			length === 0 ||
			!/^[0-9A-Fa-f]+$/.test(hex) ||
			hex.length !== length ||
			code > 0x10ffff ||
			(code >= 0xd800 && code < 0xe000)
		)
			throw new TomlError(
				"there is no such escape in quoted text; a backslash is written \\\\",
				this.#span(start, this.#at),
			);
		this.#at += length;
		return String.fromCodePoint(code);
	}

	#refuseControl(character: string): void {
		const code = character.charCodeAt(0);
		if ((code < 0x20 && code !== 0x09) || code === 0x7f) this.#fail("a control character");
	}

	/** Blanks and tabs; with `lines`, line ends and comments too. */
	#skipBlank(lines: boolean): void {
		for (;;) {
			const character = this.#peek();
			if (character === " " || character === "\t") this.#at++;
			else if (lines && character === "\n") this.#at++;
			else if (lines && character === "\r" && this.#text[this.#at + 1] === "\n") this.#at += 2;
			else if (lines && character === "#") this.#comment();
			else return;
		}
	}

	#comment(): void {
		while (
			this.#at < this.#text.length &&
			this.#peek() !== "\n" &&
			!this.#text.startsWith("\r\n", this.#at)
		) {
			this.#refuseControl(this.#peek());
			this.#at++;
		}
	}

	#endOfLine(): void {
		this.#skipBlank(false);
		if (this.#peek() === "#") this.#comment();
		if (this.#at >= this.#text.length || this.#peek() === "\n") return;
		if (this.#text.startsWith("\r\n", this.#at)) return;
		this.#fail("the line should end here");
	}

	#newTable(kind: TableKind): TomlTable {
		const table: TomlTable = {};
		this.#tables.set(table, kind);
		return table;
	}

	#mark(path: TomlPath, key: TomlPlace, value: TomlPlace): void {
		this.#keys.set(place(path), key);
		this.#values.set(place(path), value);
	}

	#peek(): string {
		return this.#text[this.#at] ?? "";
	}

	#fail(message: string): never {
		throw new TomlError(message, this.#span(this.#at, this.#at + 1));
	}

	#span(start: number, end: number): TomlPlace {
		// The last line that begins at or before `start`.
		let low = 0;
		let high = this.#lineStarts.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (this.#lineStarts[middle]! <= start) low = middle;
			else high = middle - 1;
		}
		const next = this.#lineStarts[low + 1];
		const lineEnd = next === undefined ? this.#text.length : next - 1;
		return {
			line: low + 1,
			column: start - this.#lineStarts[low]! + 1,
			length: Math.max(1, Math.min(end, lineEnd) - start),
		};
	}
}

/** What stands at `path` in a document's value; undefined when nothing does. */
export function valueAt(value: unknown, path: TomlPath): unknown {
	let found = value;
	for (const part of path)
		found =
			typeof found === "object" && found !== null && Object.hasOwn(found, part)
				? (found as Record<string | number, unknown>)[part]
				: undefined;
	return found;
}

/** "__proto__" is a key like any other. */
function define(table: TomlTable, name: string, value: unknown): void {
	Object.defineProperty(table, name, { value, enumerable: true, configurable: true, writable: true });
}
