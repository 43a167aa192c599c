/**
 * From files to logical lines: conditional lines (`@ID`), definitions (`$X=…`, `${X}`), sequences
 * (`~SEQ`, `~LST`) and includes, as keepalived.conf(5) has them under "CONFIGURATION FILE",
 * "CONDITIONAL CONFIGURATION", "PARAMETER SUBSTITUTION" and "SEQUENCE BLOCKS".
 *
 * A physical line without any of these is lexed where it lies. Files come through an injected door,
 * so that this file knows no disk.
 */
import type { Findings } from "./diagnostics.ts";
import { Lexer } from "./lexer.ts";
import { limits } from "./limits.ts";
import type { RandomNumbers } from "./random.ts";
import { expandSequence, isSequence } from "./sequences.ts";
import { byteOrderMarkLength, type Place, Source, type Text } from "./source.ts";
import type { AlikeBlocks } from "./statement.ts";

export type FileRead =
	| { readonly kind: "text"; readonly text: Text; readonly executable: boolean }
	| { readonly kind: "missing" }
	| { readonly kind: "directory" }
	| { readonly kind: "special" }
	/** NUL bytes: no text, or one in UTF-16. */
	| { readonly kind: "binary"; readonly utf16: boolean }
	| { readonly kind: "unreadable"; readonly reason: string }
	| { readonly kind: "too-big"; readonly sizeBytes: number };

type TextRead = Extract<FileRead, { kind: "text" }>;

/** The door to the disk. */
export interface Files {
	read(path: string): FileRead;
	/** What matches a pattern of glob(3) with `{a,b}`, sorted; relative ones under `directory`. */
	match(pattern: string, directory: string): readonly string[];
	/** `path` seen from `directory`. */
	resolve(path: string, directory: string): string;
	directoryOf(path: string): string;
}

/** What the texts may ask of the machine. */
export interface Surroundings {
	/** `-i`, else the host's name: what `@ID` lines compare with. */
	readonly configId: string;
	variable(name: string): string | undefined;
	readonly random: RandomNumbers;
}

interface Definition {
	/** One line, or the lines of a multi-line definition. */
	readonly lines: readonly string[];
	readonly multiLine: boolean;
}

/** Where a block, or its body, begins whose lines lie as written, one after the other, in an ASCII text. */
export interface PlainStart {
	readonly lexer: Lexer;
	/** The lexer's: no special line comes before it. */
	readonly stop: number;
	readonly file: number;
	readonly offset: number;
	readonly line: number;
	readonly column: number;
	/** Logical lines read until then. */
	readonly lines: number;
}

/** How far a plain block goes, counted from where it begins. */
export interface PlainExtent {
	readonly bytes: number;
	/** Line feeds in it. */
	readonly physicalLines: number;
	readonly logicalLines: number;
	/** Offset of the physical line that its last character is on; below 0 when it is the first one. */
	readonly lastLineStart: number;
}

/** The line that opens a plain block. */
export interface PlainOpening {
	readonly lexer: Lexer;
	/** Offset of its keyword, … */
	readonly start: number;
	/** … of the word behind that, … */
	readonly wordStart: number;
	/** … and behind it. */
	readonly wordEnd: number;
	readonly line: number;
	readonly column: number;
	/** Logical lines read until then. */
	readonly lines: number;
}

/** No address is longer, be it written ever so oddly. */
const ADDRESS_CHARACTERS = 45;

interface Frame {
	/** The lexer's codes are the text's own bytes. */
	readonly exact: boolean;
	readonly file: number;
	readonly path: string;
	readonly directory: string;
	readonly lexer: Lexer;
	/** Offset behind the physical line that is lexed on its own; -1 while lexing plain lines. */
	window: number;
	/** Lines that one physical line became, still to be lexed, and where it stood. */
	pending: readonly string[];
	pendingAt: number;
	pendingLine: number;
	pendingColumn: number;
	/** Cached offsets of the next character that makes a line special. */
	readonly marks: Int32Array;
}

const LINE_FEED = 10;
const markers = ["$", "~", "@", "include"] as const;
const includeWords = new Set(["include", "includer", "includem", "includew", "includeb", "includea"]);
const checkWords = ["read", "match", "wildcard_match", "brace_match"] as const;
type Check = (typeof checkWords)[number];
/** What each include keyword insists on, keepalived.conf(5) "INCLUDE FILES". */
const includeChecks: Readonly<Record<string, readonly Check[]>> = {
	include: [],
	includer: ["read"],
	includem: ["read", "match"],
	includew: ["read", "match", "wildcard_match"],
	includeb: ["read", "brace_match"],
	includea: checkWords,
};

const DEFINITION = /^\$([A-Za-z_][A-Za-z0-9_]*)=/;
/** Variables of the sequences around a line. */
type Scope = ReadonlyMap<string, string>;
const NO_SCOPE: Scope = new Map();

const REFERENCE =
	/\$(?:\{([A-Za-z_][A-Za-z0-9_]*)((?:[ \t]+[^{}]*)?)\}|([A-Za-z_][A-Za-z0-9_]*)(?=[ \t,)]|$))/g;

export class LineReader {
	/** What was read, in order; grows with every include. */
	readonly sources: Source[];
	readonly #files: Files;
	readonly #surroundings: Surroundings;
	readonly #findings: Findings;
	readonly #frames: Frame[] = [];
	readonly #expanded = new Lexer();
	readonly #definitions = new Map<string, Definition>();
	readonly #policy = new Set<Check>();
	#totalSize = 0;
	#lines = 0;
	#held = false;
	/** Filled by `skipAlike`, again and again: what grows is made several times. */
	readonly #firstWords: string[] = [];
	/** The lexer that the next line certainly comes from, as long as it has one. */
	#plain: Lexer | null = null;
	#stopped = false;

	/** The lexer that holds the current line's words. */
	current: Lexer = this.#expanded;
	/** Place of the current line: its file, … */
	file = 0;
	/** … the number of its physical line, … */
	line = 0;
	/** … and whether it lies as written or came out of definitions. */
	inPlace = true;
	#expandedColumn = 1;

	constructor(files: Files, surroundings: Surroundings, findings: Findings, sources: Source[]) {
		this.#files = files;
		this.#surroundings = surroundings;
		this.#findings = findings;
		this.sources = sources;
	}

	/** Opens the first file; returns why not, if it cannot. */
	open(path: string, name: string): FileRead {
		const read = this.#files.read(path);
		if (read.kind === "text") this.#push(path, name, read);
		return read;
	}

	/** Says why the first file was not read; `name` as the operator wrote it. */
	reportUnreadable(name: string, read: Exclude<FileRead, { kind: "text" }>): void {
		this.sources.push(new Source(name, ""));
		const why = {
			missing: "does not exist",
			directory: "is a directory",
			special: "is not a regular file",
			binary: read.kind === "binary" ? notText(read) : "",
			unreadable: `cannot be read: ${read.kind === "unreadable" ? read.reason : ""}`,
			"too-big": `has ${read.kind === "too-big" ? read.sizeBytes : 0} bytes; the limit is ${limits.fileSizeBytes}`,
		}[read.kind];
		this.#findings.report(
			{ file: 0, line: 0, column: 1, length: 1 },
			{
				severity: "error",
				code: "unreadable",
				message: `the configuration ${why}`,
				lost: "everything",
				exitStatus: read.kind === "missing" ? 4 : 5,
			},
		);
	}

	/** Column of the current line's first character, from 1. */
	get column(): number {
		if (!this.inPlace) return this.#expandedColumn;
		const lexer = this.current;
		const start = lexer.count > 0 ? lexer.wordStart(0) : lexer.end - 1;
		return start - lexer.lineStart + 1;
	}

	/** Characters of the physical line that the current line is on. */
	get lineLength(): number {
		return this.sources[this.file]?.lineText(this.line).length ?? 0;
	}

	/** Where word `index` of the current line stands. */
	place(index: number): Place {
		const lexer = this.current;
		if (lexer.count === 0) return { file: this.file, line: this.line, column: this.column, length: 1 };
		const word = Math.min(index, lexer.count - 1);
		const start = lexer.wordStart(word);
		const length = lexer.word(word).length + (lexer.isQuoted(word) ? 2 : 0);
		if (this.inPlace)
			return { file: this.file, line: this.line, column: start - lexer.lineStart + 1, length };
		const expanded = lexer.slice(0).trim();
		// After substitution the word may still stand in the physical line as it is.
		const physical = this.sources[this.file]!.lineText(this.line);
		const at = physical.indexOf(lexer.word(word));
		return at >= 0 && length > 0
			? { file: this.file, line: this.line, column: at + 1, length, expanded }
			: {
					file: this.file,
					line: this.line,
					column: this.#expandedColumn,
					length: physical.trim().length,
					expanded,
				};
	}

	/** The current line, or what is behind it, as the beginning of something plain; null when it does not lie as written. */
	plainStart(of: "block" | "body"): PlainStart | null {
		const lexer = this.#plain;
		if (lexer === null || lexer.count === 0 || this.#frames[this.#frames.length - 1]?.exact !== true)
			return null;
		return {
			lexer,
			stop: lexer.stop,
			file: this.file,
			offset: of === "block" ? lexer.wordStart(0) : lexer.position,
			line: this.line,
			column: this.column,
			lines: this.#lines,
		};
	}

	/** The current line, as what opens a block; null when it does not lie as written, or is too long for another address. */
	plainOpening(): PlainOpening | null {
		const { current: lexer, column } = this;
		if (this.#plain !== lexer || this.#frames[this.#frames.length - 1]?.exact !== true) return null;
		if (lexer.count < 2 || lexer.isQuoted(1) || !lexer.opens) return null;
		if (lexer.end - lexer.lineStart + ADDRESS_CHARACTERS > limits.lineLengthBytes) return null;
		const [wordStart, wordEnd] = lexer.extentOf(1);
		return {
			lexer,
			start: lexer.wordStart(0),
			wordStart,
			wordEnd,
			line: this.line,
			column,
			lines: this.#lines,
		};
	}

	/**
	 * Goes on behind the blocks that follow the one with this opening, which was just read, and say the same with another
	 * address for its first word, each as far below the one before; null when there is none.
	 */
	skipAlike({ lexer, start, wordStart, wordEnd, line, column, lines }: PlainOpening): AlikeBlocks | null {
		const end = lexer.position;
		const keyword = lexer.behindBlanks(end);
		// One on a line of its own, in the same column.
		const lastEnd = lexer.codes.lastIndexOf(LINE_FEED, keyword - 1);
		if (this.#plain !== lexer || lastEnd < end || keyword - lastEnd !== column) return null;
		if (!lexer.repeats(start, wordStart - start, keyword)) return null;
		const headLength = keyword - end + wordStart - start;
		const tailLength = end - wordEnd;
		const logicalLines = this.#lines - lines + 1;
		const words = this.#firstWords;
		words.length = 0;
		let at = end;
		while (this.#lines + logicalLines <= limits.logicalLines && lexer.repeats(end, headLength, at)) {
			const from = at + headLength;
			const to = lexer.behindAddress(from);
			if (to === from || to - from > ADDRESS_CHARACTERS || !lexer.repeats(wordEnd, tailLength, to)) break;
			words.push(lexer.slice(from, to));
			this.#lines += logicalLines;
			at = to + tailLength;
		}
		if (at === end) return null;
		let linesApart = lexer.lineNumber - line;
		for (let index = end; index <= lastEnd; index++) if (lexer.codes[index] === LINE_FEED) linesApart++;
		const lineStart = lexer.codes.lastIndexOf(LINE_FEED, at - 1) + 1;
		lexer.seek(at, lexer.lineNumber + words.length * linesApart, lineStart);
		this.line = lexer.lineNumber;
		return { firstWords: words.slice(), linesApart };
	}

	/** The extent from `start` to the closing brace that was read last; null when special lines lay between. */
	plainExtent(start: PlainStart): PlainExtent | null {
		const { lexer } = start;
		if (this.#plain !== lexer || lexer.stop !== start.stop || !lexer.closes || this.#held) return null;
		return {
			bytes: lexer.position - start.offset,
			physicalLines: lexer.lineNumber - start.line,
			logicalLines: this.#lines - start.lines,
			lastLineStart: lexer.lineStart - start.offset,
		};
	}

	/** The extent from `start` to the current line's first word; null when special lines lay between. */
	plainExtentBefore(start: PlainStart): PlainExtent | null {
		const { lexer } = start;
		if (this.#plain !== lexer || lexer.stop !== start.stop) return null;
		return {
			bytes: lexer.wordStart(0) - start.offset,
			physicalLines: lexer.line - start.line,
			logicalLines: this.#lines - start.lines - 1,
			lastLineStart: lexer.lineStart - start.offset,
		};
	}

	/** The bytes of an extent, as they stand at `start` now; null when that is not plain. */
	plainBytes(start: PlainStart, { bytes, logicalLines }: PlainExtent): Uint8Array | null {
		const end = start.offset + bytes;
		return end > start.stop || this.#lines + logicalLines > limits.logicalLines
			? null
			: start.lexer.codes.subarray(start.offset, end);
	}

	/** Goes on behind an extent that begins at `start`, the current line. */
	skipPlain(start: PlainStart, extent: PlainExtent): void {
		start.lexer.seek(
			start.offset + extent.bytes,
			start.line + extent.physicalLines,
			start.offset + extent.lastLineStart,
		);
		this.line = start.lexer.lineNumber;
		this.#lines += extent.logicalLines;
	}

	/** Goes on behind a body like the one at `start`, if it stands behind the current line. */
	skipRepeated(
		start: PlainStart,
		{ bytes, logicalLines, physicalLines, lastLineStart }: PlainExtent,
	): boolean {
		const { lexer } = start;
		if (this.#plain !== lexer || this.#lines + logicalLines > limits.logicalLines) return false;
		if (!lexer.repeats(start.offset, bytes)) return false;
		const { position } = lexer;
		lexer.seek(position + bytes, lexer.lineNumber + physicalLines, position + lastLineStart);
		this.line = lexer.lineNumber;
		this.#lines += logicalLines;
		return true;
	}

	/** Gives the current line back: the next call of `next` returns it again. */
	hold(): void {
		this.#held = true;
	}

	/** `random_seed`: `${_RANDOM}` is the same at every reading from here on. */
	seedRandom(seed: number): void {
		this.#surroundings.random.seed(seed);
	}

	/** Widens the include policy: `include_check`. */
	setIncludePolicy(words: readonly string[]): readonly string[] {
		const unknown: string[] = [];
		if (words.length === 0) for (const check of checkWords) this.#policy.add(check);
		for (const word of words) {
			const check = checkWords.find((name) => name === word.replace(/^[+-]/, ""));
			if (check === undefined) unknown.push(word);
			else if (word.startsWith("-")) this.#policy.delete(check);
			else this.#policy.add(check);
		}
		return unknown;
	}

	/** Goes on to the next logical line; false at the end of everything. */
	next(): boolean {
		if (this.#held) {
			this.#held = false;
			return true;
		}
		// Nearly all lines are plain ones within a file: the shortest way to the next.
		const plain = this.#plain;
		if (plain !== null && plain.position < plain.stop && this.#lines < limits.logicalLines && plain.next()) {
			this.line = plain.line;
			this.#lines++;
			return true;
		}
		this.#plain = null;
		for (;;) {
			const frame = this.#frames[this.#frames.length - 1];
			if (frame === undefined || this.#stopped) return false;
			if (!this.#advance(frame)) {
				if (this.#frames.length > 0 && this.#frames[this.#frames.length - 1] === frame && this.#atEnd(frame))
					this.#frames.pop();
				continue;
			}
			if (++this.#lines > limits.logicalLines) {
				this.#stop(`more than ${limits.logicalLines} lines after all definitions and sequences`);
				return false;
			}
			return true;
		}
	}

	#atEnd(frame: Frame): boolean {
		return (
			frame.pendingAt >= frame.pending.length &&
			frame.window < 0 &&
			frame.lexer.position >= frame.lexer.codes.length
		);
	}

	/** One step within a frame: true when `current` holds a line. */
	#advance(frame: Frame): boolean {
		const { lexer } = frame;
		// Lines that a special line became.
		if (this.#expanded.position < this.#expanded.stop && frame.pending.length > 0) {
			if (this.#lexExpanded(frame)) return true;
		}
		if (frame.pendingAt < frame.pending.length) {
			this.#expanded.reset(frame.pending[frame.pendingAt++]!);
			return this.#lexExpanded(frame);
		}
		if (frame.pending.length > 0) frame.pending = [];
		// Plain lines, or the window of one special line that nothing was replaced in.
		if (lexer.position < lexer.stop) {
			this.current = lexer;
			this.inPlace = true;
			this.file = frame.file;
			if (lexer.next()) {
				this.line = lexer.line;
				if (frame.window < 0) {
					this.#plain = lexer;
					return true;
				}
				if (lexer.count === 0 || !includeWords.has(lexer.word(0))) return true;
				this.#include(frame);
			}
			return false;
		}
		if (frame.window >= 0) {
			frame.window = -1;
			this.#seekPlain(frame);
			return false;
		}
		if (lexer.position < lexer.codes.length) this.#special(frame);
		return false;
	}

	#lexExpanded(frame: Frame): boolean {
		const lexer = this.#expanded;
		this.current = lexer;
		this.inPlace = false;
		this.file = frame.file;
		this.line = frame.pendingLine;
		this.#expandedColumn = frame.pendingColumn;
		if (!lexer.next()) return false;
		if (lexer.count === 0 || !includeWords.has(lexer.word(0))) return true;
		// The rest of this line waits until the included file is through.
		const rest = lexer.slice(lexer.position);
		frame.pending = [rest, ...frame.pending.slice(frame.pendingAt)];
		frame.pendingAt = 0;
		this.#include(frame);
		lexer.reset("");
		return false;
	}

	/** Lets the lexer run up to the next physical line that is special. */
	#seekPlain(frame: Frame): void {
		const { lexer, marks } = frame;
		const { codes, position } = lexer;
		let nearestMark = codes.length;
		for (let index = 0; index < markers.length; index++) {
			if (marks[index]! < position) {
				const at = codes.indexOf(markers[index]!, position);
				marks[index] = at < 0 ? codes.length : at;
			}
			if (marks[index]! < nearestMark) nearestMark = marks[index]!;
		}
		lexer.stop =
			nearestMark >= codes.length
				? codes.length
				: Math.max(position, codes.lastIndexOf(LINE_FEED, nearestMark) + 1);
	}

	/** The physical line at the lexer's position may define, select, repeat, replace or include. */
	#special(frame: Frame): void {
		const { lexer } = frame;
		const { text } = this.sources[frame.file]!;
		const start = lexer.position;
		const lineNumber = lexer.lineNumber;
		const newline = text.indexOf("\n", start);
		let end = newline < 0 ? text.length : newline + 1;
		const raw = text.slice(start, newline < 0 ? text.length : newline);
		const trimmed = raw.trim();
		const inPlace = () => {
			frame.window = end;
			lexer.stop = end;
		};
		const skip = (lines = 1) => {
			lexer.seek(end, lineNumber + lines);
			this.#seekPlain(frame);
		};
		if (trimmed === "" || trimmed.startsWith("#") || trimmed.startsWith("!")) {
			skip();
			return;
		}
		let line = trimmed;
		if (line.startsWith("@")) {
			const kept = this.#condition(line);
			if (kept === null) {
				skip();
				return;
			}
			line = kept;
		}
		const column = raw.length - raw.trimStart().length + 1;
		this.file = frame.file;
		this.line = lineNumber;
		this.inPlace = false;
		this.#expandedColumn = column;
		const definition = DEFINITION.exec(line);
		if (definition !== null) {
			let lines = 1;
			const first = line.slice(definition[0].length).trim();
			if (!first.endsWith("\\"))
				this.#define(definition[1]!, { lines: [withoutComment(first).trim()], multiLine: false });
			else {
				const values = [withoutComment(first.slice(0, -1)).trim()];
				for (let more = true; more && end < text.length; ) {
					const next = text.indexOf("\n", end);
					let part = text.slice(end, next < 0 ? text.length : next).trim();
					// A backslash behind a comment goes on as well: whole lines are commented out that way.
					more = part.endsWith("\\");
					if (more) part = part.slice(0, -1).trim();
					if (part.startsWith("@")) part = this.#condition(part) ?? "";
					const body = withoutComment(part).trim();
					if (body !== "") values.push(body);
					end = next < 0 ? text.length : next + 1;
					lines++;
				}
				if (values[0] === "") values.shift();
				this.#define(definition[1]!, { lines: values, multiLine: true });
			}
			skip(lines);
			return;
		}
		if (line === trimmed && !isSequence(line) && !this.#hasReference(line, NO_SCOPE)) {
			inPlace();
			return;
		}
		const out: string[] = [];
		this.#expand(line, frame, out, 0, NO_SCOPE);
		skip();
		frame.pending = out;
		frame.pendingAt = 0;
		frame.pendingLine = lineNumber;
		frame.pendingColumn = column;
		this.#expanded.reset("");
	}

	/** `@ID rest`, `@^ID rest`: the rest when it applies, else null. */
	#condition(line: string): string | null {
		const match = /^@(\^?)(\S*)(?:\s+(.*))?$/s.exec(line);
		if (match === null) return null;
		const same = match[2] === this.#surroundings.configId;
		return same !== (match[1] === "^") ? (match[3] ?? "") : null;
	}

	#define(name: string, definition: Definition): void {
		if (this.#definitions.size >= limits.definitionCount && !this.#definitions.has(name)) {
			this.#findings.report(this.#here(), {
				severity: "error",
				code: "limit-definitions",
				message: `more than ${limits.definitionCount} definitions`,
				lost: `the definition of ${name}`,
			});
			return;
		}
		this.#definitions.set(name, definition);
	}

	#here(): Place {
		const length = this.sources[this.file]!.lineText(this.line).trim().length;
		return { file: this.file, line: this.line, column: this.#expandedColumn, length };
	}

	#hasReference(line: string, scope: Scope): boolean {
		REFERENCE.lastIndex = 0;
		for (let match = REFERENCE.exec(line); match !== null; match = REFERENCE.exec(line)) {
			const name = match[1] ?? match[3]!;
			if (scope.has(name) || this.#definitions.has(name) || predefined.has(name)) return true;
		}
		return false;
	}

	/** Replaces definitions and runs sequences until nothing is left to do. */
	#expand(line: string, frame: Frame, out: string[], depth: number, scope: Scope): void {
		if (depth > limits.definitionDepth) {
			this.#findings.reportOnce(`depth ${frame.file}:${this.line}`, this.#here(), {
				severity: "error",
				code: "limit-definition-depth",
				message: `definitions refer to one another more than ${limits.definitionDepth} deep`,
				lost: "the line",
			});
			return;
		}
		if (out.length > limits.sequenceLines) return;
		const definition = DEFINITION.exec(line);
		if (definition !== null) {
			// A line of a multi-line definition may define something itself.
			const value = withoutComment(line.slice(definition[0].length)).trim();
			this.#define(definition[1]!, { lines: [bindScope(value, scope)], multiLine: false });
			return;
		}
		if (isSequence(line)) {
			const sequence = expandSequence(line, (text) => this.#replace(text, frame, scope));
			if ("fault" in sequence)
				this.#findings.report(this.#here(), {
					severity: "error",
					code: "bad-sequence",
					message: sequence.fault,
					lost: "the line and all its repetitions",
				});
			if ("rounds" in sequence)
				for (const round of sequence.rounds) {
					if (out.length >= limits.sequenceLines) {
						this.#findings.reportOnce(`sequence ${frame.file}:${this.line}`, this.#here(), {
							severity: "error",
							code: "limit-sequence",
							message: `the sequence gives more than ${limits.sequenceLines} lines`,
							lost: "what comes after them",
						});
						return;
					}
					this.#expand(round.text, frame, out, depth + 1, new Map([...scope, ...round.variables]));
				}
			return;
		}
		if (!line.includes("$") || !this.#hasReference(line, scope)) {
			out.push(line);
			return;
		}
		// A multi-line definition must be the last thing on its line; its lines follow.
		REFERENCE.lastIndex = 0;
		for (let match = REFERENCE.exec(line); match !== null; match = REFERENCE.exec(line)) {
			const name = match[1] ?? match[3]!;
			const definition = scope.has(name) ? undefined : this.#definitions.get(name);
			if (definition?.multiLine !== true) continue;
			const rest = withoutComment(line.slice(match.index + match[0].length)).trim();
			if (rest !== "") {
				this.#findings.report(this.#here(), {
					severity: "error",
					code: "multi-line-definition",
					message: `"${name}" has several lines, so it must be the last thing on its line`,
					lost: `"${rest}"`,
				});
			}
			const lead = line.slice(0, match.index);
			definition.lines.forEach((part, index) => {
				this.#expand(index === 0 ? lead + part : part, frame, out, depth + 1, scope);
			});
			if (definition.lines.length === 0 && lead.trim() !== "")
				this.#expand(lead, frame, out, depth + 1, scope);
			return;
		}
		const replaced = this.#replace(line, frame, scope);
		if (replaced.length > limits.lineLengthBytes) {
			this.#findings.report(this.#here(), {
				severity: "error",
				code: "limit-line",
				message: `the line has ${replaced.length} characters after its definitions are replaced; the limit is ${limits.lineLengthBytes}`,
				lost: "the line",
			});
			return;
		}
		if (replaced === line) out.push(line);
		else this.#expand(replaced, frame, out, depth + 1, scope);
	}

	/** One round of replacing. */
	#replace(text: string, frame: Frame, scope: Scope): string {
		return text.replace(
			REFERENCE,
			(all, braced: string | undefined, parameters: string | undefined, bare: string | undefined) => {
				const name = braced ?? bare!;
				const variable = scope.get(name);
				if (variable !== undefined) return variable;
				const definition = this.#definitions.get(name);
				if (definition !== undefined) return definition.multiLine ? all : definition.lines[0]!;
				const words = (parameters ?? "").trim().split(/[ \t]+/);
				switch (name) {
					case "_PWD":
						return frame.directory;
					case "_INSTANCE":
						return this.#surroundings.configId;
					case "_HASH":
						return "\\#";
					case "_BANG":
						return "\\!";
					case "_RANDOM": {
						const [min = 0, max = 32_767] = words.filter((word) => word !== "").map(Number);
						return String(this.#surroundings.random.between(min || 0, max || 0));
					}
					case "_ENV":
						return this.#surroundings.variable(words[0] ?? "") ?? "";
					default:
						return all;
				}
			},
		);
	}

	#include(frame: Frame): void {
		const lexer = this.current;
		const keyword = lexer.word(0);
		const place = this.place(lexer.count > 1 ? 1 : 0);
		if (lexer.count < 2) {
			this.#findings.report(place, {
				severity: "error",
				code: "missing-argument",
				message: `${keyword} needs a file name`,
				lost: "the line",
			});
			return;
		}
		const pattern = lexer.word(1);
		const checks = new Set<Check>([...includeChecks[keyword]!, ...this.#policy]);
		const fault = (check: Check | null, code: string, message: string) => {
			const fatal = check !== null && checks.has(check);
			this.#findings.report(place, {
				severity: fatal ? "error" : "warning",
				code,
				message,
				lost: "what the file would hold",
				exitStatus: fatal ? 6 : 0,
			});
		};
		const wild = /[*?[]/.test(pattern);
		const matches = this.#files.match(pattern, frame.directory);
		if (checks.has("brace_match"))
			for (const alternative of braceAlternatives(pattern))
				if (this.#files.match(alternative, frame.directory).length === 0)
					fault("brace_match", "include-missing", `no file matches "${alternative}"`);
		if (matches.length === 0) {
			if (wild) {
				const message = `no file matches "${pattern}"`;
				if (checks.has("wildcard_match")) fault("wildcard_match", "include-missing", message);
				// It may be meant, unlike a name.
				else
					this.#findings.report(place, { severity: "hint", code: "include-missing", message, exitStatus: 0 });
			} else fault("match", "include-missing", `there is no file "${pattern}" to include`);
			return;
		}
		// Pushed last first, so that the first is read first.
		const opened: { path: string; read: TextRead }[] = [];
		for (const path of matches) {
			const read = this.#files.read(path);
			switch (read.kind) {
				case "text":
					if (read.executable) fault("read", "include-executable", `"${path}" is executable and is left out`);
					else opened.push({ path, read });
					break;
				case "missing":
					fault("read", "include-missing", `there is no file "${path}" to include`);
					break;
				case "directory":
					fault("read", "include-directory", `"${path}" is a directory`);
					break;
				case "special":
					fault("read", "include-special", `"${path}" is not a regular file`);
					break;
				case "binary":
					this.#refuse(place, `"${path}" ${notText(read)}`);
					break;
				case "unreadable":
					fault("read", "include-unreadable", `"${path}" cannot be read: ${read.reason}`);
					break;
				case "too-big":
					this.#refuse(
						place,
						`"${path}" has ${read.sizeBytes} bytes; the limit for one file is ${limits.fileSizeBytes}`,
					);
					break;
			}
		}
		for (const { path, read } of opened.reverse()) {
			const loop = this.#frames.findIndex((open) => open.path === path);
			if (loop >= 0) {
				this.#refuse(place, `"${pattern}" includes itself: ${this.#chain(loop, path)}`, "include-loop");
				continue;
			}
			if (this.#frames.length >= limits.includeDepth) {
				this.#refuse(place, `files include one another more than ${limits.includeDepth} deep`);
				return;
			}
			this.#push(path, path, read, place);
		}
	}

	#chain(from: number, path: string): string {
		return [...this.#frames.slice(from).map((frame) => frame.path), path].join(" → ");
	}

	#refuse(place: Place, message: string, code = "include-refused"): void {
		this.#findings.report(place, { severity: "error", code, message, lost: "what the file holds" });
	}

	#push(path: string, name: string, read: TextRead, place?: Place): void {
		const { text } = read;
		this.#totalSize += text.length;
		if (this.sources.length >= limits.fileCount || this.#totalSize > limits.totalSizeBytes) {
			if (place !== undefined)
				this.#refuse(
					place,
					`the configuration has more than ${limits.fileCount} files or ${limits.totalSizeBytes} bytes`,
				);
			return;
		}
		const file = this.sources.length;
		this.sources.push(new Source(name, text));
		const lexer = new Lexer();
		lexer.reset(text);
		this.#skipByteOrderMark(lexer, text, file);
		const frame: Frame = {
			exact: typeof text !== "string",
			file,
			path,
			directory: this.#files.directoryOf(path),
			lexer,
			window: -1,
			pending: [],
			pendingAt: 0,
			pendingLine: 0,
			pendingColumn: 1,
			marks: new Int32Array(markers.length).fill(-1),
		};
		this.#seekPlain(frame);
		this.#frames.push(frame);
	}

	/** It belongs to no word, and whoever saved the file saw nothing of it: the first line is read as he sees it. */
	#skipByteOrderMark(lexer: Lexer, text: Text, file: number): void {
		const length = byteOrderMarkLength(text);
		if (length === 0) return;
		lexer.seek(length, 1, 0);
		this.#findings.report(
			{ file, line: 1, column: 1, length },
			{
				severity: "warning",
				code: "byte-order-mark",
				message:
					"the file begins with a byte order mark, which keepalived takes for a part of the first word; it would lose this line, and what it opens",
				suggestion: "save the file as UTF-8 without a byte order mark (BOM)",
				exitStatus: 5,
			},
		);
	}

	#stop(message: string): void {
		this.#stopped = true;
		this.#findings.report(
			{ file: this.file, line: this.line, column: 1, length: 1 },
			{ severity: "error", code: "limit-lines", message, lost: "everything after this line" },
		);
	}
}

const notText = ({ utf16 }: { readonly utf16: boolean }): string =>
	utf16 ? "is in UTF-16: save it as UTF-8" : "is not text: it holds NUL bytes";

/** `text` with the variables of the sequences around it replaced. */
function bindScope(text: string, scope: Scope): string {
	return scope.size === 0
		? text
		: text.replace(REFERENCE, (all, braced?: string, _parameters?: string, bare?: string) => {
				return scope.get(braced ?? bare!) ?? all;
			});
}

const predefined = new Set(["_PWD", "_INSTANCE", "_HASH", "_BANG", "_RANDOM", "_ENV"]);

/** `line` up to the first `#` or `!` outside quotes that no backslash protects. */
export function withoutComment(line: string): string {
	let quoted = false;
	for (let index = 0; index < line.length; index++) {
		const character = line[index]!;
		if (character === '"') quoted = !quoted;
		else if (quoted) continue;
		else if (character === "\\") {
			if (line[index + 1] === "#" || line[index + 1] === "!") index++;
		} else if (character === "#" || character === "!") return line.slice(0, index);
	}
	return line;
}

/** What the first `{a,b}` of a pattern stands for; the pattern itself without braces. */
function braceAlternatives(pattern: string): string[] {
	const match = /^([^{]*)\{([^{}]*)\}(.*)$/s.exec(pattern);
	if (match === null) return [pattern];
	return match[2]!.split(",").map((alternative) => `${match[1]}${alternative}${match[3]}`);
}
