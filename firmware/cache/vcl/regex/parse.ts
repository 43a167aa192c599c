/**
 * PCRE2 syntax (10.40, bytes, no UTF, newline LF) to a tree. What this program cannot run exactly is an error that
 * says so: recursion, conditionals, callouts, verbs, Unicode properties.
 */
import {
	addAll,
	addByte,
	addRange,
	type ByteSet,
	bytesOf,
	complement,
	emptySet,
	foldCase,
} from "./byte-set.ts";
import { fixedLength, type Pattern, type PatternNode } from "./pattern.ts";

export class PatternError extends Error {
	/** Byte offset in the pattern. */
	readonly offset: number;
	/** True: PCRE accepts it, this program does not. */
	readonly unsupported: boolean;

	constructor(message: string, offset: number, unsupported = false) {
		super(message);
		this.offset = offset;
		this.unsupported = unsupported;
	}
}

/** Bounds: deeper or longer patterns are refused. */
const maxDepth = 250;
const maxPatternBytes = 65_536;
const maxGroups = 1000;
const maxRepeat = 65_535;

const digits = bytesOf([48, 57]);
const word = bytesOf([48, 57], [65, 90], [97, 122], 95);
const space = bytesOf([9, 13], 32);
const horizontal = bytesOf(9, 32, 0xa0);
const vertical = bytesOf([10, 13], 0x85);
const notNewline = complement(bytesOf(10));
const everything = complement(emptySet());

const posixClasses: Readonly<Record<string, ByteSet>> = {
	alnum: bytesOf([48, 57], [65, 90], [97, 122]),
	alpha: bytesOf([65, 90], [97, 122]),
	ascii: bytesOf([0, 127]),
	blank: bytesOf(9, 32),
	cntrl: bytesOf([0, 31], 127),
	digit: digits,
	graph: bytesOf([33, 126]),
	lower: bytesOf([97, 122]),
	print: bytesOf([32, 126]),
	punct: bytesOf([33, 47], [58, 64], [91, 96], [123, 126]),
	space,
	upper: bytesOf([65, 90]),
	word,
	xdigit: bytesOf([48, 57], [65, 70], [97, 102]),
};

const shorthand: Readonly<Record<string, ByteSet>> = {
	d: digits,
	D: complement(digits),
	w: word,
	W: complement(word),
	s: space,
	S: complement(space),
	h: horizontal,
	H: complement(horizontal),
	v: vertical,
	V: complement(vertical),
	N: notNewline,
};

const controlEscapes: Readonly<Record<string, number>> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 };

interface Flags {
	caseless: boolean;
	multiline: boolean;
	dotAll: boolean;
	extended: boolean;
	/** (?xx): blanks inside classes too. */
	extendedMore: boolean;
	ungreedy: boolean;
	noAutoCapture: boolean;
	duplicateNames: boolean;
}

export function parsePattern(text: string): Pattern {
	return new Parser(text).parse();
}

class Parser {
	private readonly text: string;
	private at = 0;
	private depth = 0;
	private groups = 0;
	private quoting = false;
	private sawCaseful = false;
	private branchReset = false;
	private readonly names = new Map<string, number>();
	private readonly references: { group: number | string; offset: number }[] = [];
	private readonly pending: { node: { group: number }; name: string }[] = [];
	private flags: Flags = {
		caseless: false,
		multiline: false,
		dotAll: false,
		extended: false,
		extendedMore: false,
		ungreedy: false,
		noAutoCapture: false,
		duplicateNames: false,
	};

	constructor(text: string) {
		this.text = text;
	}

	parse(): Pattern {
		if (this.text.length > maxPatternBytes) this.fail("regular expression is too large");
		if (this.text.startsWith("(*")) this.unsupported("verbs such as (*UTF) or (*SKIP)");
		const root = this.alternation();
		if (this.at < this.text.length) this.fail("unmatched closing parenthesis");
		for (const { group, offset } of this.references) {
			const number = typeof group === "number" ? group : this.names.get(group);
			if (number === undefined || number > this.groups) {
				this.at = offset;
				this.fail("reference to non-existent subpattern");
			}
		}
		for (const { node, name } of this.pending) node.group = this.names.get(name)!;
		return {
			root,
			groups: this.groups,
			allCaseless: !this.sawCaseful,
			branchReset: this.branchReset,
		};
	}

	private fail(message: string): never {
		throw new PatternError(message, this.at);
	}

	private unsupported(what: string): never {
		throw new PatternError(`${what} cannot be translated exactly`, this.at, true);
	}

	private peek(ahead = 0): string {
		return this.text[this.at + ahead] ?? "";
	}

	private eat(text: string): boolean {
		if (!this.text.startsWith(text, this.at)) return false;
		this.at += text.length;
		return true;
	}

	private alternation(): PatternNode {
		if (++this.depth > maxDepth) this.fail("parentheses are too deeply nested");
		const options = [this.sequence()];
		while (this.eat("|")) options.push(this.sequence());
		this.depth--;
		return options.length === 1 ? options[0]! : { kind: "alternation", options };
	}

	private sequence(): PatternNode {
		const items: PatternNode[] = [];
		while (this.at < this.text.length) {
			if (this.quoting) {
				if (this.eat("\\E")) {
					this.quoting = false;
					continue;
				}
			} else {
				if (this.eat("\\Q")) {
					this.quoting = true;
					continue;
				}
				if (this.eat("\\E")) continue;
				if (this.flags.extended && this.skipExtended()) continue;
				if (this.eat("(?#")) {
					const end = this.text.indexOf(")", this.at);
					if (end < 0) this.fail("missing ) after (?# comment");
					this.at = end + 1;
					continue;
				}
				const character = this.peek();
				if (character === "|" || character === ")") break;
			}
			const grouped = !this.quoting && this.peek() === "(";
			const node = this.atom();
			if (node === null) continue;
			const repeatable = grouped || (node.kind !== "assertion" && node.kind !== "keep");
			items.push(
				this.quoting && !this.startsQuantifierAfterQuote() ? node : this.quantified(node, repeatable),
			);
		}
		return items.length === 1 ? items[0]! : { kind: "sequence", items };
	}

	/** In \Q…\E a quantifier is text; right after \E it applies to the last character. */
	private startsQuantifierAfterQuote(): boolean {
		if (!this.text.startsWith("\\E", this.at)) return false;
		this.at += 2;
		this.quoting = false;
		return true;
	}

	private skipExtended(): boolean {
		const character = this.peek();
		if (/[ \t\n\v\f\r]/.test(character)) {
			this.at++;
			return true;
		}
		if (character !== "#") return false;
		const end = this.text.indexOf("\n", this.at);
		this.at = end < 0 ? this.text.length : end + 1;
		return true;
	}

	private literal(code: number): PatternNode {
		const set = bytesOf(code);
		const letter = (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
		if (!letter) return { kind: "set", set };
		if (this.flags.caseless) return { kind: "set", set: foldCase(set) };
		this.sawCaseful = true;
		return { kind: "set", set };
	}

	/** One item, or null for something that only changes the state, like (?i). */
	private atom(): PatternNode | null {
		const character = this.text[this.at++]!;
		if (this.quoting) return this.literal(character.charCodeAt(0));
		switch (character) {
			case ".":
				return { kind: "set", set: this.flags.dotAll ? everything : notNewline };
			case "^":
				return { kind: "assertion", what: this.flags.multiline ? "line-start" : "subject-start" };
			case "$":
				return {
					kind: "assertion",
					what: this.flags.multiline ? "line-end" : "subject-end-or-last-newline",
				};
			case "[":
				return this.characterClass();
			case "(":
				return this.group();
			case "\\":
				return this.escape();
			case "*":
			case "+":
			case "?":
				this.at--;
				return this.fail("quantifier does not follow a repeatable item");
			case "{":
				this.at--;
				if (this.braces() !== null) this.fail("quantifier does not follow a repeatable item");
				this.at++;
				return this.literal(123);
			default:
				return this.literal(character.charCodeAt(0));
		}
	}

	/** `{n}`, `{n,}` or `{n,m}` at the cursor, which does not move; null when it is plain text. */
	private braces(): { min: number; max: number; length: number } | null {
		const match = /^\{(\d+)(,(\d*))?\}/.exec(this.text.slice(this.at, this.at + 32));
		if (match === null) return null;
		const min = Number(match[1]);
		const max = match[2] === undefined ? min : match[3] === "" ? Number.POSITIVE_INFINITY : Number(match[3]);
		if (min > maxRepeat || (max !== Number.POSITIVE_INFINITY && max > maxRepeat))
			this.fail("number too big in {} quantifier");
		if (max < min) this.fail("numbers out of order in {} quantifier");
		return { min, max, length: match[0].length };
	}

	private quantified(node: PatternNode, repeatable: boolean): PatternNode {
		let result = node;
		while (true) {
			while (this.flags.extended && !this.quoting && this.skipExtended());
			let min: number;
			let max: number;
			const character = this.peek();
			if (character === "*") [min, max] = [0, Number.POSITIVE_INFINITY];
			else if (character === "+") [min, max] = [1, Number.POSITIVE_INFINITY];
			else if (character === "?") [min, max] = [0, 1];
			else if (character === "{") {
				const braces = this.braces();
				if (braces === null) return result;
				({ min, max } = braces);
				this.at += braces.length - 1;
			} else return result;
			if (!repeatable) this.fail("quantifier does not follow a repeatable item");
			this.at++;
			const possessive = this.eat("+");
			const lazy = !possessive && this.eat("?") !== this.flags.ungreedy;
			result = { kind: "repeat", body: result, min, max, lazy };
			if (possessive) result = { kind: "atomic", body: result };
			// What follows would quantify a quantifier.
			if (/[*+?]/.test(this.peek())) this.fail("quantifier does not follow a repeatable item");
			return result;
		}
	}

	private group(): PatternNode | null {
		const saved = { ...this.flags };
		if (this.peek() === "*") this.unsupported("verbs such as (*SKIP)");
		if (!this.eat("?")) {
			if (this.flags.noAutoCapture) return this.close(this.alternation(), saved);
			return this.capture(saved);
		}
		const character = this.peek();
		switch (character) {
			case ":":
				this.at++;
				return this.close(this.alternation(), saved);
			case ">":
				this.at++;
				return { kind: "atomic", body: this.close(this.alternation(), saved) };
			case "|":
				this.at++;
				return this.resetBranches(saved);
			case "=":
			case "!":
				this.at++;
				return {
					kind: "look",
					ahead: true,
					negated: character === "!",
					body: this.close(this.alternation(), saved),
				};
			case "<": {
				const next = this.peek(1);
				if (next !== "=" && next !== "!") return this.namedCapture(1, ">", saved);
				this.at += 2;
				const body = this.close(this.alternation(), saved);
				this.checkLookbehind(body);
				return { kind: "look", ahead: false, negated: next === "!", body };
			}
			case "'":
				return this.namedCapture(1, "'", saved);
			case "P":
				if (this.peek(1) === "<") return this.namedCapture(2, ">", saved);
				if (this.peek(1) === "=") {
					this.at += 2;
					const end = this.text.indexOf(")", this.at);
					if (end < 0) this.fail("missing closing parenthesis");
					const name = this.text.slice(this.at, end);
					this.at = end + 1;
					return this.reference(name);
				}
				return this.unsupported("subroutine calls such as (?P>name)");
			case "(":
				return this.unsupported("conditional groups (?(…)…)");
			case "R":
			case "&":
			case "+":
			case "0":
			case "1":
			case "2":
			case "3":
			case "4":
			case "5":
			case "6":
			case "7":
			case "8":
			case "9":
				return this.unsupported("recursion and subroutine calls");
			case "C":
				return this.unsupported("callouts (?C)");
			default:
				return this.inlineFlags(saved);
		}
	}

	private checkLookbehind(body: PatternNode): void {
		const options = body.kind === "alternation" ? body.options : [body];
		for (const option of options)
			if (fixedLength(option) === null) this.fail("lookbehind assertion is not fixed length");
	}

	private capture(saved: Flags): PatternNode {
		const group = ++this.groups;
		if (group > maxGroups) this.fail("too many capturing groups (maximum 1000)");
		return { kind: "capture", group, body: this.close(this.alternation(), saved) };
	}

	private namedCapture(skip: number, end: string, saved: Flags): PatternNode {
		this.at += skip;
		const close = this.text.indexOf(end, this.at);
		const name = close < 0 ? "" : this.text.slice(this.at, close);
		if (!/^[A-Za-z_]\w{0,31}$/.test(name)) this.fail("subpattern name expected");
		this.at = close + 1;
		if (this.names.has(name) && !this.flags.duplicateNames)
			this.fail("two named subpatterns have the same name (PCRE2_DUPNAMES not set)");
		if (!this.names.has(name)) this.names.set(name, this.groups + 1);
		return this.capture(saved);
	}

	/** (?| … ): every alternative numbers its groups from the same start. */
	private resetBranches(saved: Flags): PatternNode {
		this.branchReset = true;
		if (++this.depth > maxDepth) this.fail("parentheses are too deeply nested");
		const start = this.groups;
		let most = start;
		const options: PatternNode[] = [];
		do {
			this.groups = start;
			options.push(this.sequence());
			most = Math.max(most, this.groups);
		} while (this.eat("|"));
		this.groups = most;
		this.depth--;
		return this.close({ kind: "alternation", options }, saved);
	}

	private close(body: PatternNode, saved: Flags): PatternNode {
		if (!this.eat(")")) this.fail("missing closing parenthesis");
		this.flags = saved;
		return body;
	}

	private inlineFlags(saved: Flags): PatternNode | null {
		let on = true;
		const flags = { ...this.flags };
		if (this.eat("^")) {
			flags.caseless = flags.multiline = flags.dotAll = flags.extended = flags.extendedMore = false;
			flags.noAutoCapture = false;
		}
		while (true) {
			const character = this.text[this.at++];
			switch (character) {
				case "-":
					on = false;
					break;
				case "i":
					flags.caseless = on;
					break;
				case "m":
					flags.multiline = on;
					break;
				case "s":
					flags.dotAll = on;
					break;
				case "x":
					flags.extended = on;
					flags.extendedMore = on && this.eat("x");
					break;
				case "n":
					flags.noAutoCapture = on;
					break;
				case "U":
					flags.ungreedy = on;
					break;
				case "J":
					flags.duplicateNames = on;
					break;
				case ")":
					// For the rest of the enclosing group.
					this.flags = flags;
					return null;
				case ":": {
					this.flags = flags;
					return this.close(this.alternation(), saved);
				}
				case undefined:
					return this.fail("missing closing parenthesis");
				default:
					this.at--;
					return this.fail("unrecognized character after (? or (?-");
			}
		}
	}

	private reference(group: number | string): PatternNode {
		this.references.push({ group, offset: this.at });
		const node = {
			kind: "backreference" as const,
			group: typeof group === "number" ? group : 0,
			caseless: this.flags.caseless,
		};
		if (typeof group === "string") this.pending.push({ node, name: group });
		return node;
	}

	private escape(): PatternNode | null {
		if (this.at >= this.text.length) this.fail("\\ at end of pattern");
		const character = this.text[this.at++]!;
		const set = Object.hasOwn(shorthand, character) ? shorthand[character] : undefined;
		if (set !== undefined) return { kind: "set", set };
		switch (character) {
			case "A":
				return { kind: "assertion", what: "subject-start" };
			case "z":
				return { kind: "assertion", what: "subject-end" };
			case "Z":
				return { kind: "assertion", what: "subject-end-or-last-newline" };
			case "b":
				return { kind: "assertion", what: "word-boundary" };
			case "B":
				return { kind: "assertion", what: "no-word-boundary" };
			case "G":
				return { kind: "assertion", what: "search-start" };
			case "K":
				return { kind: "keep" };
			case "R":
				return {
					kind: "atomic",
					body: {
						kind: "alternation",
						options: [
							{
								kind: "sequence",
								items: [
									{ kind: "set", set: bytesOf(13) },
									{ kind: "set", set: bytesOf(10) },
								],
							},
							{ kind: "set", set: vertical },
						],
					},
				};
			case "p":
			case "P":
			case "X":
				return this.unsupported("Unicode properties (\\p, \\P, \\X)");
			case "C":
				return this.unsupported("\\C");
			case "g":
				return this.groupReference();
			case "k": {
				const match = /^(?:<(\w+)>|'(\w+)'|\{(\w+)\})/.exec(this.text.slice(this.at, this.at + 40));
				if (match === null) this.fail("\\k is not followed by a braced, angle-bracketed, or quoted name");
				this.at += match![0].length;
				return this.reference(match![1] ?? match![2] ?? match![3]!);
			}
			default:
		}
		if (character >= "1" && character <= "9") {
			const number = /^\d+/.exec(this.text.slice(this.at - 1, this.at + 8))![0];
			const value = Number(number);
			// Up to \9, or as many groups as there are: a reference; else octal.
			if (value < 10 || value <= this.groupsInAll()) {
				this.at += number.length - 1;
				return this.reference(value);
			}
			if (character >= "8") return this.literal(character.charCodeAt(0));
		}
		this.at--;
		return this.literal(this.escapedByte());
	}

	private countedGroups: number | null = null;

	/** Groups of the whole pattern, for \10 and up: counted roughly, as opening parentheses that capture. */
	private groupsInAll(): number {
		this.countedGroups ??= [
			...this.text.replace(/\\./gs, "").matchAll(/\((?!\?(?!<[A-Za-z_]|P<|'))/g),
		].length;
		return this.countedGroups;
	}

	private groupReference(): PatternNode {
		const match = /^(?:\{([+-]?\d+|\w+)\}|([+-]?\d+))/.exec(this.text.slice(this.at, this.at + 40));
		if (match === null) {
			if (this.peek() === "<" || this.peek() === "'") this.unsupported("subroutine calls \\g<…>");
			this.fail("a numbered reference must not be zero");
		}
		this.at += match![0].length;
		const text = match![1] ?? match![2]!;
		if (/^[A-Za-z_]/.test(text)) return this.reference(text);
		let number = Number(text);
		if (text.startsWith("-")) number = this.groups + 1 + number;
		else if (text.startsWith("+")) number = this.groups + number;
		if (number <= 0) this.fail("a numbered reference must not be zero");
		return this.reference(number);
	}

	/** The byte of \n, \x41, \o{101}, \101, \cA or an escaped sign. */
	private escapedByte(): number {
		const character = this.text[this.at++]!;
		const control = Object.hasOwn(controlEscapes, character) ? controlEscapes[character] : undefined;
		if (control !== undefined) return control;
		if (character === "x") {
			const braced = /^\{([0-9A-Fa-f]+)\}/.exec(this.text.slice(this.at, this.at + 16));
			const plain = /^[0-9A-Fa-f]{0,2}/.exec(this.text.slice(this.at, this.at + 2))!;
			this.at += braced !== null ? braced[0].length : plain[0].length;
			return this.byte(Number.parseInt(braced?.[1] ?? `0${plain[0]}`, 16));
		}
		if (character === "o") {
			const braced = /^\{([0-7]+)\}/.exec(this.text.slice(this.at, this.at + 16));
			if (braced === null) this.fail("missing opening brace after \\o");
			this.at += braced![0].length;
			return this.byte(Number.parseInt(braced![1]!, 8));
		}
		if (character >= "0" && character <= "7") {
			const octal = /^[0-7]{1,3}/.exec(this.text.slice(this.at - 1, this.at + 2))![0];
			this.at += octal.length - 1;
			return this.byte(Number.parseInt(octal, 8) & 0xff);
		}
		if (character === "c") {
			const code = this.peek().toUpperCase().charCodeAt(0);
			if (!(code >= 32 && code <= 126)) this.fail("\\c must be followed by a printable ASCII character");
			this.at++;
			return code ^ 64;
		}
		if (/[A-Za-z0-9]/.test(character)) {
			this.at--;
			return this.fail("unrecognized character follows \\");
		}
		return character.charCodeAt(0);
	}

	private byte(code: number): number {
		if (code > 255) this.fail("character code point value in \\x{} or \\o{} is too large");
		return code;
	}

	private characterClass(): PatternNode {
		const begin = this.at - 1;
		const negated = this.eat("^");
		const set = emptySet();
		let first = true;
		let quoting = false;
		while (true) {
			if (this.at >= this.text.length) {
				this.at = begin;
				this.fail("missing terminating ] for character class");
			}
			if (quoting) {
				if (this.eat("\\E")) {
					quoting = false;
					continue;
				}
			} else {
				if (this.eat("\\Q")) {
					quoting = true;
					continue;
				}
				if (this.eat("\\E")) continue;
				if (this.peek() === "]" && !first) {
					this.at++;
					break;
				}
				if (this.flags.extendedMore && /[ \t]/.test(this.peek())) {
					this.at++;
					continue;
				}
			}
			first = false;
			const low = this.classItem(set, quoting);
			if (low === null) continue;
			if (!quoting && this.peek() === "-" && this.peek(1) !== "]" && this.peek(1) !== "") {
				const mark = this.at;
				this.at++;
				const high = this.classItem(set, false);
				if (high === null) {
					this.at = mark;
					this.fail("invalid range in character class");
				}
				if (high < low) {
					this.at = mark;
					this.fail("range out of order in character class");
				}
				addRange(set, low, high);
			} else addByte(set, low);
		}
		const hasLetters = letters(set);
		let result = set;
		if (this.flags.caseless) result = foldCase(set);
		else if (hasLetters) this.sawCaseful = true;
		return { kind: "set", set: negated ? complement(result) : result };
	}

	/** One member of a class: its byte, or null after a whole set was added. */
	private classItem(set: ByteSet, quoting: boolean): number | null {
		const posix = quoting
			? null
			: /^\[([:.=])(\^?)([a-z<>]*)\1\]/.exec(this.text.slice(this.at, this.at + 20));
		if (posix !== null) {
			if (posix[1] !== ":") this.fail("POSIX collating elements are not supported");
			const members = Object.hasOwn(posixClasses, posix[3]!) ? posixClasses[posix[3]!] : undefined;
			if (members === undefined) this.fail("unknown POSIX class name");
			this.at += posix[0].length;
			addAll(set, posix[2] === "^" ? complement(members!) : members!);
			return null;
		}
		const character = this.text[this.at++]!;
		if (quoting || character !== "\\") return character.charCodeAt(0);
		const next = this.peek();
		if (next === "") this.fail("\\ at end of pattern");
		if (next === "b") {
			this.at++;
			return 8;
		}
		const members = next !== "N" && Object.hasOwn(shorthand, next) ? shorthand[next] : undefined;
		if (members !== undefined) {
			this.at++;
			addAll(set, members);
			return null;
		}
		if (next === "p" || next === "P") this.unsupported("Unicode properties (\\p, \\P)");
		if (/[BRXNGKAzZ]/.test(next)) this.fail("escape sequence is invalid in character class");
		return this.escapedByte();
	}
}

function letters(set: ByteSet): boolean {
	for (let upper = 65; upper <= 90; upper++) {
		const one = ((set[upper >>> 5]! >>> (upper & 31)) & 1) === 1;
		const other = ((set[(upper + 32) >>> 5]! >>> ((upper + 32) & 31)) & 1) === 1;
		if (one !== other) return true;
	}
	return false;
}
