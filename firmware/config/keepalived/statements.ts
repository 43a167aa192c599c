/**
 * From logical lines to statements: every keyword recognised, every argument checked against the
 * tables in keywords/. What a statement means is decided elsewhere (build/).
 */
import { parseIpv4, parseIpv6 } from "../../wire/ip.ts";
import { type Findings, nearest } from "./diagnostics.ts";
import type { Argument, BlockGrammar, BlockName, Keyword } from "./keywords/grammar.ts";
import { grammars, keywordIndexOf } from "./keywords/index.ts";
import { commandWords } from "./lexer.ts";
import { limits } from "./limits.ts";
import { parseScaled, parseSeconds, parseWhole, secondsText } from "./numbers.ts";
import type { LineReader, PlainExtent, PlainStart } from "./preprocessor.ts";
import type { ServerMemory } from "./server-memory.ts";
import { lineOf, type Place, packPlace, placeBelow } from "./source.ts";
import type { DataLine, Statement } from "./statement.ts";

const NO_WORDS: readonly string[] = [];
const NO_STATEMENTS: readonly Statement[] = [];

/**
 * The body of a real server, or what a virtual server says before its first one. A generated file says the same of
 * thousands of them, and the same bytes, lexed from the same state, give the same statements: they are read once. Only
 * their lines differ.
 */
interface KnownBody {
	readonly start: PlainStart;
	readonly extent: PlainExtent;
	/** Where its block stands. */
	readonly at: number;
	readonly body: readonly Statement[];
}

/** Bodies that are looked at, the newest ones. */
const KNOWN_BODIES = 8;

class KnownBodies {
	readonly #bodies: KnownBody[] = [];
	#oldest = 0;

	/** Goes on behind a body that was read before, if one begins behind the current line. */
	skip(reader: LineReader): KnownBody | null {
		for (const known of this.#bodies) if (reader.skipRepeated(known.start, known.extent)) return known;
		return null;
	}

	/** Keeps statements without findings, unless some of them stand on their block's own line. */
	keep(known: KnownBody): boolean {
		const { extent, at, body } = known;
		if (extent.lastLineStart <= 0 || (body.length > 0 && lineOf(body[0]!.at) === lineOf(at))) return false;
		this.#bodies[this.#oldest] = known;
		this.#oldest = (this.#oldest + 1) % KNOWN_BODIES;
		return true;
	}
}

const isSetting = ({ body, lines }: Statement) => body === null && lines === null;

/** The settings that a virtual server begins with, up to the first of anything else. */
type Head = Pick<KnownBody, "start" | "extent">;

/** The block that is being read; one record per depth, used again and again. */
class Outer {
	block: BlockName = "root";
	name = "";
	words: readonly string[] = NO_WORDS;
	/** Where its head begins, while that is read and to be kept, … */
	headStart: PlainStart | null = null;
	/** … and what it is, once it is over. */
	head: Head | null = null;
	/** Statements at its beginning that were read before, … */
	knownCount = 0;
	/** … and how many lines they stand below the places that these name. */
	linesDown = 0;

	/** As it is called in messages: `vrrp_instance VI_1`. */
	get title(): string {
		return this.words.length === 0 ? this.name : `${this.name} ${this.words.join(" ")}`;
	}
}

export class StatementReader {
	readonly #reader: LineReader;
	readonly #findings: Findings;
	/** Words of the last argument that was read. */
	#words: readonly string[] = NO_WORDS;
	#number = Number.NaN;
	readonly #memory: ServerMemory | null;
	readonly #knownBodies = new KnownBodies();
	readonly #knownHeads = new KnownBodies();
	#lastSecondName = "";
	/** What was last read of each keyword with one word: nearly always it says the same, in one list. */
	readonly #lastWords = new Map<Keyword, readonly [string]>();
	readonly #outers: readonly Outer[] = Array.from({ length: limits.blockDepth }, () => new Outer());

	/** With a memory, virtual servers that it knows are not read again: see ServerMemory. */
	constructor(reader: LineReader, findings: Findings, memory: ServerMemory | null = null) {
		this.#reader = reader;
		this.#findings = findings;
		this.#memory = memory;
	}

	/** The whole configuration. */
	readRoot(): Statement[] {
		return this.#readBody(this.#outers[0]!, 0);
	}

	/** `body`: what of it was read already. */
	#readBody(outer: Outer, depth: number, body: Statement[] = []): Statement[] {
		const keywords = keywordIndexOf(outer.block);
		const reader = this.#reader;
		while (reader.next()) {
			const lexer = reader.current;
			if (lexer.closes) {
				if (depth > 0) {
					this.#endBody(body, outer);
					return body;
				}
				this.#findings.report(reader.place(0), {
					severity: "error",
					code: "extra-brace",
					message: '"}" closes nothing',
					lost: "the brace; perhaps the block above it was closed too early",
				});
				continue;
			}
			if (lexer.count === 0) {
				this.#strayBrace();
				continue;
			}
			if (lexer.unterminated) this.#unterminatedQuote();
			if (lexer.end - lexer.lineStart > limits.lineLengthBytes) this.#longLine();
			const keyword = keywords.find(lexer);
			if (keyword === undefined) this.#unknownKeyword(lexer.word(0), grammars[outer.block], outer);
			else {
				const statement = this.#readStatement(keyword, outer, depth);
				if (statement !== null) body.push(statement);
			}
		}
		if (depth > 0) this.#missingBrace(outer.title);
		this.#endBody(body, outer);
		return body;
	}

	#endBody(body: Statement[], outer: Outer): void {
		// Settings in two places: each has its own, so that it can be told where one stands.
		for (let index = outer.knownCount; outer.linesDown > 0 && index < body.length; index++)
			if (isSetting(body[index]!)) settleHead(body, outer);
		this.#checkRepeats(body, outer);
	}

	#readStatement(keyword: Keyword, outer: Outer, depth: number): Statement | null {
		const reader = this.#reader;
		const lexer = reader.current;
		const at = packPlace(reader.file, reader.line, reader.column);
		const { argument } = keyword;
		if (keyword.old !== null || keyword.noEffect !== null || lexer.overflow) this.#remarks(keyword, outer);
		if (argument.kind === "block" || argument.kind === "lines") this.#endHead(outer);
		if (argument.kind === "block") return this.#readBlock(keyword, argument, at, outer, depth);
		if (argument.kind === "lines") return this.#readValueBlock(keyword, argument, at, outer);
		const opens = lexer.opens;
		const good = this.#readArgument(keyword, argument);
		const statement = good
			? { keyword, words: this.#words, number: this.#number, at, body: null, lines: null, alike: null }
			: null;
		if (keyword.name === "include_check" && good) reader.setIncludePolicy(this.#words);
		else if (keyword.name === "random_seed" && good) reader.seedRandom(this.#number);
		if (opens) this.#unexpectedBlock(keyword);
		return statement;
	}

	#readBlock(
		keyword: Keyword,
		{ block, names }: Extract<Argument, { kind: "block" }>,
		at: number,
		outer: Outer,
		depth: number,
	): Statement | null {
		const { mentions } = this.#findings;
		const words = this.#namesOf(keyword, names, outer);
		if (words !== null && block === "virtual_server")
			return this.#readVirtualServer(keyword, words, at, depth, mentions);
		if (words !== null && block === "real_server" && this.#reader.current.opens)
			return this.#readRealServer(keyword, words, at, depth, mentions);
		const body = this.#readInner(keyword, this.#innerOf(keyword, block, words, depth), depth);
		return body === null || words === null ? null : blockOf(keyword, words, at, 0, body);
	}

	/** The current line is not of the head any more. */
	#endHead(outer: Outer): void {
		const start = outer.headStart;
		if (start === null) return;
		outer.headStart = null;
		const extent = this.#reader.plainExtentBefore(start);
		if (extent !== null) outer.head = { start, extent };
	}

	/** `mentions`: what had been found before its line. */
	#readVirtualServer(
		keyword: Keyword,
		words: readonly string[],
		at: number,
		depth: number,
		mentions: number,
	): Statement | null {
		const reader = this.#reader;
		const memory = depth === 0 ? this.#memory : null;
		const start = memory === null ? null : reader.plainStart("block");
		if (memory?.isEmpty === false && start !== null) {
			const statement = blockOf(keyword, words, at, 0, NO_STATEMENTS);
			if (memory.recall(statement, reader, start)) return statement;
		}
		const inner = this.#innerOf(keyword, "virtual_server", words, depth);
		const known = reader.current.opens ? this.#knownHeads.skip(reader) : null;
		if (known !== null) {
			inner.knownCount = known.body.length;
			inner.linesDown = lineOf(at) - lineOf(known.at);
		} else if (reader.current.opens) inner.headStart = reader.plainStart("body");
		const body = this.#readInner(keyword, inner, depth, known?.body.slice());
		if (body === null) return null;
		const statement = blockOf(keyword, words, at, inner.linesDown, body);
		if (this.#findings.mentions !== mentions) return statement;
		if (inner.head !== null) this.#keepHead(inner.head, at, body);
		if (start !== null) memory?.read(statement, reader, start);
		return statement;
	}

	/** One whose brace stands on its line. */
	#readRealServer(
		keyword: Keyword,
		words: readonly string[],
		at: number,
		depth: number,
		mentions: number,
	): Statement | null {
		const reader = this.#reader;
		const opening = reader.plainOpening();
		let { body = null, at: bodyAt = at } = this.#knownBodies.skip(reader) ?? {};
		let isKept = body !== null;
		if (body === null) {
			const start = reader.plainStart("body");
			body = this.#readInner(keyword, this.#innerOf(keyword, "real_server", words, depth), depth);
			if (body === null) return null;
			const extent = start === null ? null : reader.plainExtent(start);
			if (extent !== null && this.#findings.mentions === mentions)
				isKept = this.#knownBodies.keep({ start: start!, extent, at, body });
		}
		const mayRepeat = isKept && opening !== null && this.#findings.mentions === mentions;
		const number = lineOf(at) - lineOf(bodyAt);
		const alike = mayRepeat ? reader.skipAlike(opening) : null;
		return { keyword, words, number, at, body, lines: null, alike };
	}

	/** The record of a block that is about to be read. */
	#innerOf(keyword: Keyword, block: BlockName, words: readonly string[] | null, depth: number): Outer {
		const inner = this.#outers[depth + 1]!;
		inner.block = block;
		inner.name = keyword.name;
		inner.words = words ?? NO_WORDS;
		inner.headStart = null;
		inner.head = null;
		inner.knownCount = 0;
		inner.linesDown = 0;
		return inner;
	}

	/** The body of a block, of which `known` was read before; null: there is no block at all. */
	#readInner(keyword: Keyword, inner: Outer, depth: number, known?: Statement[]): Statement[] | null {
		if (!this.#reader.current.opens && !this.#openBlock(keyword, inner.title)) return null;
		return this.#readBody(inner, depth + 1, known);
	}

	#readValueBlock(
		keyword: Keyword,
		argument: Extract<Argument, { kind: "lines" }>,
		at: number,
		outer: Outer,
	): Statement | null {
		const lexer = this.#reader.current;
		const words = this.#namesOf(keyword, argument.named === true ? "one" : "none", outer);
		if (!lexer.opens && !this.#openBlock(keyword, keyword.name)) return null;
		const lines = this.#readLines(keyword.name);
		if (words === null) return null;
		return { keyword, words, number: Number.NaN, at, body: null, lines, alike: null };
	}

	/** What a virtual server says before anything but settings. */
	#keepHead({ start, extent }: Head, at: number, body: readonly Statement[]): void {
		const count = body.findIndex((statement) => !isSetting(statement));
		if (count > 0) this.#knownHeads.keep({ start, extent, at, body: body.slice(0, count) });
	}

	/** The words between a block's keyword and its brace; null when they are missing or wrong. */
	#namesOf(
		keyword: Keyword,
		names: "none" | "one" | "service" | "server",
		outer: Outer,
	): readonly string[] | null {
		const lexer = this.#reader.current;
		const least = names === "none" ? 0 : 1;
		const most = names === "none" ? 0 : names === "one" ? 1 : names === "service" ? 3 : 2;
		if (lexer.count - 1 < least) {
			this.#findings.report(this.#reader.place(0), {
				severity: "error",
				code: "missing-argument",
				message: `${keyword.name} needs ${names === "one" ? "a name" : names === "server" ? "an address" : "an address, a fwmark or a group"}`,
				lost: `the whole block${outer.title === "" ? "" : ` within ${outer.title}`}`,
				exitStatus: NAMELESS_IS_SKIPPED.has(keyword.name) ? 5 : 2,
			});
			return null;
		}
		if (lexer.count - 1 > most) this.#extraWords(most + 1);
		if (least === 0) return NO_WORDS;
		// Neighbours nearly always have the same port.
		if (lexer.count === 3) {
			this.#lastSecondName = lexer.wordOr(2, this.#lastSecondName);
			return most === 1 ? [lexer.word(1)] : [lexer.word(1), this.#lastSecondName];
		}
		const words: string[] = [];
		for (let index = 1; index < lexer.count && index <= most; index++) words.push(lexer.word(index));
		return words;
	}

	/** Sees to the opening brace, on this line or alone on the next one. False: there is no block at all. */
	#openBlock(keyword: Keyword, title: string): boolean {
		const reader = this.#reader;
		const place = reader.place(0);
		if (reader.next()) {
			if (reader.current.opens && reader.current.count === 0) return true;
			reader.hold();
		}
		const next = reader.current;
		const root = next.count > 0 && keyword.argument.kind === "block" && grammars.root.get(next.word(0));
		this.#findings.report(place, {
			severity: "error",
			code: "missing-brace",
			message: `${title} needs a block: "{" is missing`,
			...(root ? { lost: `${keyword.name} has no settings` } : {}),
			suggestion: `write "${title} {"`,
		});
		// As keepalived does, what follows is taken for the block, unless it plainly begins another one.
		return !root && !next.closes;
	}

	#readLines(title: string): DataLine[] {
		const reader = this.#reader;
		const lines: DataLine[] = [];
		while (reader.next()) {
			const lexer = reader.current;
			if (lexer.closes) return lines;
			if (lexer.unterminated) this.#unterminatedQuote();
			if (lexer.opens) {
				this.#findings.report(reader.place(Math.max(0, lexer.count - 1)), {
					severity: "error",
					code: "unexpected-brace",
					message: `a block cannot stand in ${title}`,
					lost: "the block",
				});
				this.#skipBlock();
				continue;
			}
			const words: string[] = new Array(lexer.count);
			for (let index = 0; index < lexer.count; index++) words[index] = lexer.word(index);
			const { file, line, column } = reader;
			lines.push({ words, file, line, column, length: words.join(" ").length });
		}
		this.#missingBrace(title);
		return lines;
	}

	/**
	 * Reads past the end of a block that nobody knows. keepalived takes its lines, up to the first brace, for lines of the
	 * block around it: whether one of them would stop it there.
	 */
	#skipUnknownBlock(grammar: BlockGrammar): boolean {
		while (this.#reader.next()) {
			const lexer = this.#reader.current;
			if (lexer.closes) return false;
			const keyword = lexer.count === 1 ? grammar.get(lexer.word(0)) : undefined;
			const stops = keyword?.withoutArgument === 2 && needsArgument(keyword.argument);
			if (!stops && !lexer.opens) continue;
			this.#skipBlock(lexer.opens ? 2 : 1);
			return stops;
		}
		return false;
	}

	/** Reads past the end of a block whose opening brace was read, or of several. */
	#skipBlock(depth = 1): void {
		let open = depth;
		while (open > 0 && this.#reader.next()) {
			if (this.#reader.current.opens) open++;
			else if (this.#reader.current.closes) open--;
		}
	}

	#unknownKeyword(name: string, grammar: BlockGrammar, outer: Outer): void {
		const reader = this.#reader;
		const place = reader.place(0);
		if (/^[\u00a0\u2000-\u200b\u202f\u3000\ufeff]/.test(name)) {
			this.#oddBlank(name, place);
			return;
		}
		const where = outer.title === "" ? "at the outermost level" : `in ${outer.title}`;
		const similar = this.#findings.isFull ? null : nearest(name, grammar.keys());
		const elsewhere = similar === null && !this.#findings.isFull ? homesOf(name) : [];
		const suggestion =
			similar !== null
				? `did you mean "${similar}"?`
				: elsewhere.length > 0
					? `it belongs into ${elsewhere.join(" or ")}`
					: undefined;
		let opens = reader.current.opens;
		if (!opens && reader.next()) {
			if (reader.current.opens && reader.current.count === 0) opens = true;
			else reader.hold();
		}
		const lost = !opens
			? "this line"
			: outer.block === "root"
				? "the whole block"
				: `the whole block; keepalived would lose the rest of ${outer.title} as well, Drover reads on after it`;
		const stopsKeepalived = opens && this.#skipUnknownBlock(grammar);
		this.#findings.report(place, {
			severity: "error",
			code: "unknown-keyword",
			message: `there is no keyword "${name}" ${where}`,
			lost,
			...(suggestion === undefined ? {} : { suggestion }),
			...(stopsKeepalived ? { exitStatus: 2 } : {}),
		});
	}

	#longLine(): void {
		const { file, line, lineLength } = this.#reader;
		if (!this.#reader.inPlace) return;
		this.#findings.report(
			{ file, line, column: 1, length: 1 },
			{
				severity: "warning",
				code: "long-line",
				message: `the line has ${lineLength} characters; keepalived would break it after ${limits.lineLengthBytes - 1}`,
				exitStatus: 5,
			},
		);
	}

	/** Files that went through a word processor or a web page begin their lines with blanks that are none. */
	#oddBlank(name: string, place: Place): void {
		const code = name.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
		const isMark = name.startsWith("\ufeff");
		this.#findings.report(place, {
			severity: "error",
			code: "odd-blank",
			message: isMark
				? "the line begins with a byte order mark (U+FEFF), which nobody sees, and which belongs to no word"
				: `the line begins with the character U+${code}, which looks like a blank and is none`,
			lost: "this line",
			suggestion: isMark
				? "delete the line's beginning, and write it again"
				: "replace it by ordinary spaces, in the whole file",
		});
		if (this.#reader.current.opens) this.#skipBlock();
	}

	#remarks(keyword: Keyword, outer: Outer): void {
		const place = this.#reader.place(0);
		if (this.#reader.current.overflow)
			this.#findings.report(place, {
				severity: "error",
				code: "limit-words",
				message: `the line has more than ${limits.words} words`,
				lost: "the words in excess",
			});
		if (keyword.old !== null)
			this.#findings.reportOnce(`old ${outer.block} ${keyword.name}`, place, {
				severity: "hint",
				code: keyword.old === "unknown" ? "old-spelling" : "deprecated",
				message: `${keyword.name} is an old spelling`,
				...(keyword.replacedBy === null
					? {}
					: {
							suggestion:
								keyword.replacedBy === ""
									? "it has no effect and can be left out"
									: `write "${keyword.replacedBy}"`,
						}),
				exitStatus: keyword.old === "alias" ? 0 : 5,
			});
		if (keyword.noEffect === null) return;
		const { kind, because } = keyword.noEffect;
		this.#findings.reportOnce(
			`${kind} ${outer.block} ${keyword.name}`,
			place,
			kind === "lost"
				? {
						severity: "warning",
						code: "not-in-effect",
						message: `${keyword.name} has no effect: ${because}`,
						lost: keyword.effect,
					}
				: { severity: "hint", code: "not-needed", message: `${keyword.name} is not needed: ${because}` },
		);
	}

	/** Checks and keeps the words behind the keyword; false when the statement must be dropped. */
	#readArgument(keyword: Keyword, argument: Argument): boolean {
		const lexer = this.#reader.current;
		const given = lexer.count - 1;
		this.#words = NO_WORDS;
		this.#number = Number.NaN;
		switch (argument.kind) {
			case "flag":
				if (given > 0) this.#extraWords(1);
				return true;
			case "boolean": {
				if (given === 0) {
					this.#number = 1;
					return true;
				}
				if (given > 1) this.#extraWords(2);
				const text = lexer.word(1);
				if (text === "on" || text === "true" || text === "yes") this.#number = 1;
				else if (text === "off" || text === "false" || text === "no") this.#number = 0;
				else return this.#bad(keyword, 1, `"${text}" is neither on nor off`);
				return true;
			}
			case "integer": {
				if (given === 1) {
					const plain = lexer.plainNumber(1);
					if (plain >= 0 && plain >= argument.min && plain <= argument.max) {
						this.#number = plain;
						return true;
					}
				}
				if (given === 0) {
					if (argument.bare === undefined) return this.#missing(keyword);
					this.#number = argument.bare;
					return true;
				}
				if (given > 1) this.#extraWords(2);
				return this.#bounded(keyword, argument, parseWhole(lexer.word(1).trim()), "a whole number", String);
			}
			case "seconds": {
				if (given === 1) {
					const plain = lexer.plainNumber(1);
					if (plain >= 0 && plain >= argument.min && plain <= argument.max) {
						this.#number = plain * 1_000_000;
						return true;
					}
				}
				if (given === 0) {
					if (argument.bare === undefined) return this.#missing(keyword);
					this.#number = argument.bare * 1_000_000;
					return true;
				}
				if (given > 1) this.#extraWords(2);
				const text = lexer.word(1).trim();
				const micros = argument.whole ? parseWhole(text) * 1_000_000 : parseSeconds(text);
				const what = argument.whole
					? "a whole number of seconds"
					: "a number of seconds with at most 6 decimals";
				return this.#bounded(keyword, argument, micros, what, secondsText, 1_000_000);
			}
			case "milliseconds": {
				if (given === 0) return this.#missing(keyword);
				if (given > 1) this.#extraWords(2);
				const micros = parseScaled(lexer.word(1).trim(), 3);
				const what = "a number of milliseconds with at most 3 decimals";
				return this.#bounded(keyword, argument, micros, what, (value) => String(value / 1000), 1000);
			}
			case "word": {
				if (given === 0) {
					if (argument.optional === true) return true;
					return this.#missing(keyword);
				}
				if (given > 1) this.#extraWords(2);
				if (this.#isSaidAgain(keyword)) return true;
				const text = lexer.word(1);
				if (argument.max !== undefined && text.length > argument.max)
					return this.#bad(keyword, 1, `"${text}" is longer than ${argument.max} characters`);
				this.#keepWord(keyword, text);
				return true;
			}
			case "choice": {
				if (given === 0) return this.#missing(keyword);
				if (given > 1) this.#extraWords(2);
				if (this.#isSaidAgain(keyword)) return true;
				const text = argument.anyCase === true ? lexer.word(1).toUpperCase() : lexer.word(1);
				if (!argument.values.includes(text)) return this.#isNoneOf(keyword, argument.values, text);
				this.#keepWord(keyword, text);
				return true;
			}
			case "address": {
				if (given === 0) return this.#missing(keyword);
				if (given > 1) this.#extraWords(2);
				const text = lexer.word(1);
				const four = parseIpv4(text);
				const six = four === null ? parseIpv6(text) : null;
				if (four === null && six === null) return this.#bad(keyword, 1, `"${text}" is no IP address`);
				if (argument.family === "inet" && four === null)
					return this.#bad(keyword, 1, `"${text}" is no IPv4 address`);
				if (argument.family === "inet6" && six === null)
					return this.#bad(keyword, 1, `"${text}" is no IPv6 address`);
				if (argument.multicast === true && !(four !== null ? (four[0]! & 0xf0) === 0xe0 : six![0] === 0xff))
					return this.#bad(keyword, 1, `"${text}" is no multicast address`);
				this.#words = [text];
				return true;
			}
			case "interface": {
				if (given === 0) return this.#missing(keyword);
				if (given > 1) this.#extraWords(2);
				const text = lexer.word(1);
				if (text.length > 15)
					return this.#bad(keyword, 1, `"${text}" is too long for an interface: at most 15 characters`);
				this.#words = [text];
				return true;
			}
			case "command": {
				if (given === 0) return argument.optional === true ? true : this.#missing(keyword);
				const words = commandWords(lexer.raw());
				if (words === null) return this.#bad(keyword, 1, "a quote is not closed");
				if (argument.style === "notify" && words.length > 4) this.#extraWords(Math.min(4, lexer.count - 1));
				this.#words = words.slice(1);
				return true;
			}
			case "identity":
				if (given === 0) return this.#missing(keyword);
				if (given > 2) this.#extraWords(3);
				this.#words = given === 1 ? [lexer.word(1)] : [lexer.word(1), lexer.word(2)];
				return true;
			case "weight": {
				if (given === 0) return this.#missing(keyword);
				this.#words = this.#rest(1);
				const option = this.#words[1];
				if (option !== undefined && option !== "reverse" && option !== "noreverse")
					return this.#bad(keyword, 2, `"${option}" is neither reverse nor noreverse`);
				if (given > 2) this.#extraWords(3);
				return this.#bounded(keyword, argument, parseWhole(lexer.word(1).trim()), "a whole number", String);
			}
			case "words":
				if (given < argument.least) return this.#missing(keyword);
				if (given === 1 && argument.least <= 1 && keyword.name !== "regex") {
					if (!this.#isSaidAgain(keyword)) this.#keepWord(keyword, lexer.word(1));
					return true;
				}
				if (argument.most !== undefined && given > argument.most) this.#extraWords(argument.most + 1);
				this.#words =
					keyword.name === "regex"
						? (commandWords(lexer.raw())?.slice(1) ?? this.#rest(1))
						: this.#rest(1, argument.most);
				return true;
			case "lines":
			case "block":
				throw new Error(`${keyword.name} is a block`);
		}
	}

	/** Whether the word behind the keyword is what was last read of it. */
	#isSaidAgain(keyword: Keyword): boolean {
		const words = this.#lastWords.get(keyword);
		if (words === undefined || this.#reader.current.wordOr(1, words[0]) !== words[0]) return false;
		this.#words = words;
		return true;
	}

	#keepWord(keyword: Keyword, word: string): void {
		const words = [word] as const;
		this.#lastWords.set(keyword, words);
		this.#words = words;
	}

	#isNoneOf(keyword: Keyword, values: readonly string[], text: string): false {
		const similar =
			otherWords.get(text) ??
			values.find((value) => value.toLowerCase() === text.toLowerCase()) ??
			nearest(text, values);
		return this.#bad(
			keyword,
			1,
			`"${this.#reader.current.word(1)}" is none of ${values.join(", ")}`,
			similar === null ? undefined : `did you mean "${similar}"?`,
		);
	}

	#rest(from: number, most: number = limits.words): string[] {
		const lexer = this.#reader.current;
		const words: string[] = [];
		for (let index = from; index < lexer.count && index < from + most; index++) words.push(lexer.word(index));
		return words;
	}

	#bounded(
		keyword: Keyword,
		bounds: { readonly min: number; readonly max: number; readonly clamp?: boolean },
		value: number,
		what: string,
		show: (value: number) => string,
		scale = 1,
	): boolean {
		const min = bounds.min * scale;
		const max = bounds.max * scale;
		if (value >= min && value <= max) {
			this.#number = value;
			return true;
		}
		const text = this.#reader.current.word(1);
		if (Number.isNaN(value)) return this.#bad(keyword, 1, `"${text}" is not ${what}`);
		const range = `${show(Math.round(min))} to ${show(Math.round(max))}`;
		if (show(value) === keyword.fallback) return this.#saysNothing(keyword, range);
		if (bounds.clamp !== true) return this.#bad(keyword, 1, `${text} is out of range: ${range}`);
		this.#number = value < min ? min : max;
		this.#findings.report(this.#reader.place(1), {
			severity: "warning",
			code: "out-of-range",
			message: `${keyword.name} ${text} is out of range: ${range}; ${show(this.#number)} is used`,
			exitStatus: 5,
		});
		return true;
	}

	/** Its value is out of range, and what holds without the line: so has keepalived's own sample vrrp_garp_interval 0. */
	#saysNothing(keyword: Keyword, range: string): false {
		this.#findings.report(this.#reader.place(1), {
			severity: "warning",
			code: "out-of-range",
			message: `${keyword.name} ${keyword.fallback} is out of range: ${range}; nothing is lost, it is ${keyword.fallback} without the line`,
			suggestion: "leave the line out",
			exitStatus: 5,
		});
		return false;
	}

	#bad(keyword: Keyword, index: number, why: string, suggestion?: string): false {
		const lexer = this.#reader.current;
		const isAssigned = lexer.count > index + 1 && lexer.word(index) === "=";
		const meant = isAssigned ? `write "${keyword.name} ${lexer.word(index + 1)}"` : suggestion;
		const fallback = keyword.fallback.replace(/^of /, "that of ");
		this.#findings.report(this.#reader.place(index), {
			severity: "error",
			code: /out of range/.test(why) ? "out-of-range" : "bad-argument",
			message: `${keyword.name}: ${why}`,
			lost: `${keyword.name}${fallback === "" ? "" : `; its default holds: ${fallback}`}`,
			...(meant === undefined ? {} : { suggestion: meant }),
		});
		return false;
	}

	#missing(keyword: Keyword): false {
		this.#findings.report(this.#reader.place(0), {
			severity: "error",
			code: "missing-argument",
			message: `${keyword.name} needs ${describe(keyword.argument)}`,
			lost: keyword.withoutArgument === 2 ? `${keyword.name}; keepalived would not even start` : keyword.name,
			exitStatus: keyword.withoutArgument,
		});
		return false;
	}

	#extraWords(from: number): void {
		const reader = this.#reader;
		const lexer = reader.current;
		const words = this.#rest(from);
		this.#findings.report(reader.place(from), {
			severity: "warning",
			code: "extra-words",
			message: `"${words.join(" ")}" after ${lexer.word(0)} is not read`,
		});
	}

	#unexpectedBlock(keyword: Keyword): void {
		this.#findings.report(this.#reader.place(0), {
			severity: "error",
			code: "unexpected-brace",
			message: `${keyword.name} takes no block`,
			lost: "the block",
		});
		this.#skipBlock();
	}

	#strayBrace(): void {
		this.#findings.report(this.#reader.place(0), {
			severity: "error",
			code: "unexpected-brace",
			message: '"{" opens a block without a keyword',
			lost: 'everything up to its "}"',
		});
		this.#skipBlock();
	}

	#missingBrace(title: string): void {
		const reader = this.#reader;
		this.#findings.reportOnce(
			"missing closing brace",
			{ file: reader.file, line: reader.line, column: reader.lineLength + 1, length: 1 },
			{
				severity: "error",
				code: "missing-brace",
				message: `the file ends within ${title}: "}" is missing`,
				lost: "nothing, if the brace belongs at the end of the file",
			},
		);
	}

	#unterminatedQuote(): void {
		const reader = this.#reader;
		this.#findings.report(reader.place(reader.current.count - 1), {
			severity: "error",
			code: "unterminated-quote",
			message: "the quote is not closed on its line",
			lost: "keepalived drops the quoted words; Drover reads them up to the end of the line",
		});
	}

	/** A setting that is written twice: the last one holds. */
	#checkRepeats(body: readonly Statement[], outer: Outer): void {
		if (outer.block === "root") return;
		const count = body.length;
		if (count > 48) {
			const seen = new Map<Keyword, Statement>();
			for (const statement of body) {
				const before = seen.get(statement.keyword);
				if (before !== undefined && !mayRepeat(statement)) this.#repeated(before, statement, outer);
				seen.set(statement.keyword, statement);
			}
			return;
		}
		for (let index = 1; index < count; index++) {
			const { keyword } = body[index]!;
			if (keyword.argument.kind === "block") continue;
			for (let earlier = 0; earlier < index; earlier++)
				if (body[earlier]!.keyword === keyword) {
					if (!mayRepeat(body[index]!)) this.#repeated(body[earlier]!, body[index]!, outer);
					break;
				}
		}
	}

	#repeated(first: Statement, second: Statement, outer: Outer): void {
		const keepsFirst = outer.block === "track_file" || outer.block === "vrrp_track_process";
		const firstHolds = keepsFirst && (second.keyword.name === "file" || second.keyword.name === "process");
		this.#findings.report(second, {
			severity: "warning",
			code: "repeated",
			message: firstHolds
				? `${second.keyword.name} stands twice in ${outer.title}: the one in line ${lineOf(first.at)} holds, this one does not`
				: `${second.keyword.name} stands twice in ${outer.title}: this one holds, the one in line ${lineOf(first.at)} does not`,
			exitStatus: firstHolds ? 5 : 0,
		});
	}
}

/** Gives the statements that were read before their own places. */
function settleHead(body: Statement[], outer: Outer): void {
	for (let index = 0; index < outer.knownCount; index++)
		body[index] = { ...body[index]!, at: placeBelow(body[index]!.at, outer.linesDown) };
	outer.linesDown = 0;
}

function blockOf(
	keyword: Keyword,
	words: readonly string[],
	at: number,
	number: number,
	body: readonly Statement[],
): Statement {
	return { keyword, words, number, at, body, lines: null, alike: null };
}

/** What other manuals call it. */
const otherWords: ReadonlyMap<string, string> = new Map([
	["SLAVE", "BACKUP"],
	["PRIMARY", "MASTER"],
	["SECONDARY", "BACKUP"],
]);

const repeatable = new Set([
	"key",
	"interface",
	"include_check",
	"regex_options",
	"status_code",
	"neighbor_ip",
]);

function mayRepeat(statement: Statement): boolean {
	const { kind } = statement.keyword.argument;
	return kind === "block" || kind === "lines" || kind === "flag" || repeatable.has(statement.keyword.name);
}

/** Blocks that know a keyword of this name. */
function homesOf(name: string): string[] {
	const homes: string[] = [];
	for (const [block, grammar] of Object.entries(grammars))
		if (grammar.has(name) && homes.length < 3) homes.push(block === "root" ? "the outermost level" : block);
	return homes;
}

/** keepalived goes on without such a block; without the name of another it ends. */
const NAMELESS_IS_SKIPPED: ReadonlySet<string> = new Set(["vrrp_instance", "vrrp_sync_group", "track_group"]);

/** Whether a keyword with this argument cannot stand alone. */
function needsArgument(argument: Argument): boolean {
	switch (argument.kind) {
		case "flag":
		case "boolean":
		case "lines":
		case "block":
			return false;
		case "integer":
		case "seconds":
			return argument.bare === undefined;
		case "word":
		case "command":
			return argument.optional !== true;
		case "words":
			return argument.least > 0;
		default:
			return true;
	}
}

/** What an argument is, for "needs …". */
export function describe(argument: Argument): string {
	switch (argument.kind) {
		case "flag":
			return "nothing";
		case "boolean":
			return "on or off";
		case "integer":
			return `a number from ${argument.min} to ${argument.max}`;
		case "seconds":
			return argument.whole ? "a whole number of seconds" : "a number of seconds";
		case "milliseconds":
			return "a number of milliseconds";
		case "word":
			return "a word";
		case "choice":
			return `one of ${argument.values.join(", ")}`;
		case "address":
			return argument.family === "inet"
				? "an IPv4 address"
				: argument.family === "inet6"
					? "an IPv6 address"
					: "an IP address";
		case "interface":
			return "an interface";
		case "command":
			return "a command";
		case "identity":
			return "a user";
		case "weight":
			return "a weight";
		case "words":
			return argument.grammar;
		case "lines":
		case "block":
			return "a block";
	}
}
