/**
 * PCRE2 syntax (10.42, bytes, no UTF, newline LF) to a tree, with its errors in its order: first those of the text,
 * then those of lookbehinds, then those of what is referred to. What this program cannot run exactly is an error that
 * says so: recursion, conditionals, callouts, verbs, Unicode properties.
 */
import { type ByteSet, bytesOf, complement, foldCase, hasByte } from "./byte-set.ts";
import { characterClass, refusePosixOutside } from "./character-class.ts";
import { escapedByte, refuseCharacterName } from "./escaped-byte.ts";
import { everything, notNewline, shorthand, vertical } from "./named-sets.ts";
import { children, fixedLength, optionsOf, type Pattern, type PatternNode } from "./pattern.ts";
import { endsWithBackslash, noSuchGroup, PatternText } from "./pattern-text.ts";

/** Bounds: deeper or longer patterns are refused. */
const maxDepth = 250;
const maxPatternBytes = 65_536;
const maxGroups = 1000;
const maxRepeat = 65_535;

const notRepeatable = "quantifier does not follow a repeatable item";
const notClosed = "missing closing parenthesis";

const verb = /^\*(?:(?:ACCEPT|COMMIT|F|FAIL|MARK|PRUNE|SKIP|THEN)?(?::[^)]*)?\)|[a-z_]+:)/;
const startVerb = /^\(\*[A-Z_]+(?:=\d+)?\)/;

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

interface Quantifier {
	readonly min: number;
	readonly max: number;
}

export function parsePattern(text: string): Pattern {
	return new Parser(text).parse();
}

class Parser {
	private readonly source: PatternText;
	private depth = 0;
	private groups = 0;
	private quoting = false;
	private sawCaseful = false;
	private branchReset = false;
	private lookDepth = 0;
	private readonly names = new Map<string, number[]>();
	/** What can be judged only when all is read, in the order of the text. */
	private readonly lookbehindChecks: (() => void)[] = [];
	private readonly useChecks: (() => void)[] = [];
	private readonly resolutions = new Map<PatternNode, () => void>();
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
		this.source = new PatternText(text);
	}

	parse(): Pattern {
		const { source } = this;
		if (source.text.length > maxPatternBytes) source.fail("regular expression is too large");
		if (startVerb.test(source.text)) source.unsupported("verbs such as (*UTF) or (*SKIP)");
		const root = this.alternation();
		if (!source.ended) source.fail("unmatched closing parenthesis");
		for (const check of [...this.lookbehindChecks, ...this.useChecks]) check();
		return {
			root,
			groups: this.groups,
			allCaseless: !this.sawCaseful,
			branchReset: this.branchReset,
		};
	}

	private alternation(): PatternNode {
		const options = [this.sequence()];
		while (this.source.eat("|")) options.push(this.sequence());
		return options.length === 1 ? options[0]! : { kind: "alternation", options };
	}

	private sequence(): PatternNode {
		const { source } = this;
		const items: PatternNode[] = [];
		// Comments, blanks and the ends of quotes leave what a quantifier, or the rest of one, applies to.
		let repeatable = false;
		let quantifier: Quantifier | null = null;
		const repeat = (possessive: boolean, swapsGreed: boolean) => {
			if (quantifier === null) return;
			const lazy = !possessive && swapsGreed !== this.flags.ungreedy;
			const node: PatternNode = { kind: "repeat", body: items.pop()!, ...quantifier, lazy };
			items.push(possessive ? { kind: "atomic", body: node } : node);
			quantifier = null;
		};
		while (!source.ended) {
			if (source.eat("\\E")) {
				this.quoting = false;
				continue;
			}
			if (this.quoting) {
				repeat(false, false);
				items.push(this.literal(source.text.charCodeAt(source.at++)));
				repeatable = true;
				continue;
			}
			if (source.eat("\\Q")) {
				this.quoting = true;
				continue;
			}
			if (this.flags.extended && this.skipExtended()) continue;
			if (source.eat("(?#")) {
				if (source.take(/[^)]*\)/y) === null) source.fail("missing ) after (?# comment");
				continue;
			}
			const character = source.peek();
			if (character === "|" || character === ")") break;
			if (quantifier !== null) {
				const possessive = source.eat("+");
				const swapsGreed = !possessive && source.eat("?");
				repeat(possessive, swapsGreed);
				if (possessive || swapsGreed) continue;
			}
			quantifier = this.quantifier();
			if (quantifier !== null) {
				if (!repeatable) source.fail(notRepeatable);
				repeatable = false;
				continue;
			}
			const wordEdge = source.take(/\[\[:[<>]:\]\]/y);
			if (wordEdge !== null) {
				items.push({ kind: "assertion", what: "word-boundary" });
				items.push({
					kind: "look",
					ahead: wordEdge[3] === "<",
					negated: false,
					body: { kind: "set", set: shorthand("w")! },
				});
				repeatable = true;
				continue;
			}
			const node = this.atom();
			repeatable =
				node !== null && (character === "(" || (node.kind !== "assertion" && node.kind !== "keep"));
			if (node !== null) items.push(node);
		}
		repeat(false, false);
		return items.length === 1 ? items[0]! : { kind: "sequence", items };
	}

	private skipExtended(): boolean {
		return this.source.take(/[ \t\n\v\f\r\x85]|#[^\n]*\n?/y) !== null;
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
		const { source } = this;
		const character = source.text[source.at++]!;
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
				return this.class();
			case "(":
				return this.group();
			case "\\":
				return this.escape();
			default:
				return this.literal(character.charCodeAt(0));
		}
	}

	/** The quantifier at the cursor, which moves behind it; null: there is none. */
	private quantifier(): Quantifier | null {
		const { source } = this;
		const written = source.take(/[*+?]|\{\d+(?:,\d*)?\}/y);
		if (written === null) return null;
		let min = written === "+" ? 1 : 0;
		let max = written === "?" ? 1 : Number.POSITIVE_INFINITY;
		if (written.startsWith("{")) {
			const [low, high] = written.slice(1, -1).split(",");
			min = Number(low);
			if (high !== "") max = Number(high ?? low);
			if (min > maxRepeat || (max !== Number.POSITIVE_INFINITY && max > maxRepeat))
				source.fail("number too big in {} quantifier");
			if (max < min) source.fail("numbers out of order in {} quantifier");
		}
		return { min, max };
	}

	private group(): PatternNode | null {
		const { source } = this;
		const saved = { ...this.flags };
		if (source.ended) source.fail(notClosed);
		if (source.peek() === "*") this.refuseVerb();
		if (!source.eat("?")) {
			if (this.flags.noAutoCapture) return grouped(this.inside(saved));
			return this.capture(saved);
		}
		if (source.ended) source.fail(notClosed);
		const character = source.peek();
		switch (character) {
			case ":":
				source.at++;
				return grouped(this.inside(saved));
			case ">":
				source.at++;
				return { kind: "atomic", body: this.inside(saved) };
			case "|":
				source.at++;
				return this.resetBranches(saved);
			case "=":
			case "!":
				source.at++;
				return this.look(true, character === "!", saved);
			case "*":
				return source.unsupported("lookarounds that are entered again (?*…)");
			case "<": {
				const next = source.peek(1);
				if (next === "*") source.unsupported("lookarounds that are entered again (?<*…)");
				source.at++;
				if (next !== "=" && next !== "!") return this.namedCapture(">", saved);
				source.at++;
				return this.look(false, next === "!", saved);
			}
			case "'":
				source.at++;
				return this.namedCapture("'", saved);
			case "P":
				source.at++;
				if (source.ended) source.fail(notClosed);
				if (source.eat("<")) return this.namedCapture(">", saved);
				if (source.eat("=")) return this.namedReference(source.name(")"));
				if (source.peek() !== ">") source.fail("unrecognized character after (?P");
				return source.unsupported("subroutine calls such as (?P>name)");
			case "(":
				return source.unsupported("conditional groups (?(…)…)");
			case "C":
				return source.unsupported("callouts (?C)");
			case "+":
				if (!/\d/.test(source.peek(1))) source.fail("digit expected after (?+ or (?-");
				return source.unsupported("recursion and subroutine calls");
			default:
				if (/^(?:[R&\d]|-\d)/.test(source.peek() + source.peek(1)))
					source.unsupported("recursion and subroutine calls");
				return this.inlineFlags(saved);
		}
	}

	/** Behind `(` there is a `*`. */
	private refuseVerb(): never {
		const { source } = this;
		const next = source.peek(1);
		if (next === "" || next === ")") source.fail(notRepeatable);
		if (verb.test(source.text.slice(source.at))) source.unsupported("verbs such as (*SKIP)");
		return source.fail(
			/[a-z]/.test(next) ? "(*alpha_assertion) not recognized" : "(*VERB) not recognized or malformed",
		);
	}

	/** What a group holds, up to its closing parenthesis. */
	private inside(saved: Flags): PatternNode {
		return this.nested(saved, () => this.alternation());
	}

	private nested(saved: Flags, read: () => PatternNode): PatternNode {
		if (++this.depth > maxDepth) this.source.fail("parentheses are too deeply nested");
		const body = read();
		this.depth--;
		if (!this.source.eat(")")) this.source.fail(notClosed);
		this.flags = saved;
		return body;
	}

	private look(ahead: boolean, negated: boolean, saved: Flags): PatternNode {
		this.lookDepth++;
		const check = this.lookbehindChecks.length;
		const body = this.inside(saved);
		this.lookDepth--;
		const offset = this.source.at;
		if (!ahead)
			// Outer ones are judged before those inside.
			this.lookbehindChecks.splice(check, 0, () => {
				for (const option of optionsOf(body)) this.checkLength(option, offset);
			});
		return { kind: "look", ahead, negated, body };
	}

	/** Fails unless all that the node matches has one length. Looks inside have none of their own. */
	private checkLength(node: PatternNode, offset: number): void {
		const fail = () => this.source.fail("lookbehind assertion is not fixed length", offset);
		if (node.kind === "look") {
			if (!node.ahead) for (const option of optionsOf(node.body)) this.checkLength(option, offset);
			return;
		}
		if (node.kind === "backreference") {
			// Several groups may have the number; a name is looked for first.
			if (this.branchReset && node.group !== 0) fail();
			this.resolutions.get(node)!();
			if (this.branchReset) fail();
			this.source.unsupported("a back reference in a lookbehind");
		}
		for (const child of children(node)) this.checkLength(child, offset);
		if (fixedLength(node) === null) fail();
	}

	private newGroup(): number {
		if (++this.groups > maxGroups) this.source.fail(`too many capturing groups (maximum ${maxGroups})`);
		return this.groups;
	}

	private capture(saved: Flags): PatternNode {
		const group = this.newGroup();
		return { kind: "capture", group, body: this.inside(saved) };
	}

	private namedCapture(terminator: string, saved: Flags): PatternNode {
		const name = this.source.name(terminator);
		const group = this.groups + 1;
		const numbers = this.names.get(name) ?? [];
		for (const [other, taken] of this.names) {
			if (other === name) {
				if (!taken.includes(group) && !this.flags.duplicateNames)
					this.source.fail("two named subpatterns have the same name (PCRE2_DUPNAMES not set)");
				break;
			}
			if (taken.includes(group))
				this.source.fail("different names for subpatterns of the same number are not allowed");
		}
		if (!numbers.includes(group)) numbers.push(group);
		this.names.set(name, numbers);
		return this.capture(saved);
	}

	/** (?| … ): every alternative numbers its groups from the same start. */
	private resetBranches(saved: Flags): PatternNode {
		this.branchReset = true;
		return this.nested(saved, () => {
			const start = this.groups;
			let most = start;
			const options: PatternNode[] = [];
			do {
				this.groups = start;
				options.push(this.sequence());
				most = Math.max(most, this.groups);
			} while (this.source.eat("|"));
			this.groups = most;
			return grouped({ kind: "alternation", options });
		});
	}

	private inlineFlags(saved: Flags): PatternNode | null {
		const { source } = this;
		let on = true;
		let mayHyphen = true;
		const flags = { ...this.flags };
		if (source.eat("^")) {
			flags.caseless = flags.multiline = flags.dotAll = flags.extended = flags.extendedMore = false;
			flags.noAutoCapture = false;
			mayHyphen = false;
		}
		while (source.peek() !== ")" && source.peek() !== ":") {
			if (source.ended) source.fail(notClosed);
			switch (source.text[source.at++]) {
				case "-":
					if (!mayHyphen) source.fail("invalid hyphen in option setting", source.at - 1);
					mayHyphen = false;
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
					flags.extendedMore = source.eat("x") && on;
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
				default:
					source.fail("unrecognized character after (? or (?-", source.at - 1);
			}
		}
		this.flags = flags;
		// For the rest of the enclosing group.
		if (source.text[source.at++] === ")") return null;
		return grouped(this.inside(saved));
	}

	private reference(group: number): PatternNode {
		const { at } = this.source;
		return this.resolvedLater(group, () => {
			if (group > this.groups) this.source.fail(noSuchGroup, at);
			return group;
		});
	}

	private namedReference(name: string): PatternNode {
		const { at } = this.source;
		return this.resolvedLater(0, () => {
			const [group, ...others] = this.names.get(name) ?? [];
			if (group === undefined) return this.source.fail(noSuchGroup, at);
			if (others.length > 0) this.source.unsupported("a reference to several groups of one name");
			return group;
		});
	}

	/** `written`: its number, 0 for a name. */
	private resolvedLater(written: number, find: () => number): PatternNode {
		const node = { kind: "backreference" as const, group: written, caseless: this.flags.caseless };
		const resolve = () => {
			node.group = find();
		};
		this.resolutions.set(node, resolve);
		this.useChecks.push(resolve);
		return node;
	}

	private escape(): PatternNode {
		const { source } = this;
		if (source.ended) source.fail(endsWithBackslash);
		const character = source.peek();
		const set = shorthand(character);
		if (set !== undefined) {
			source.at++;
			return { kind: "set", set };
		}
		if (/[1-9]/.test(character)) {
			// Up to \9, as many groups as have begun, or nothing that is octal: a reference.
			const digits = /^\d+/.exec(source.text.slice(source.at))![0];
			const number = Number(digits);
			if (number < 10 || character >= "8" || number <= this.groups) {
				source.groupNumber(0);
				return this.reference(number);
			}
			return this.literal(escapedByte(source));
		}
		if (!/[ABCGKNPRXZbgkpz]/.test(character)) return this.literal(escapedByte(source));
		source.at++;
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
			case "C":
				return { kind: "set", set: everything };
			case "N":
				refuseCharacterName(source);
				return { kind: "set", set: notNewline };
			case "K":
				return this.keep();
			case "R":
				return atomicLineEnd(vertical);
			case "X":
				// Without UTF no byte but LF joins the one before it.
				return atomicLineEnd(everything);
			case "g":
				return this.groupReference();
			case "k": {
				const terminator = terminators[source.peek()];
				if (terminator === undefined)
					source.fail("\\k is not followed by a braced, angle-bracketed, or quoted name");
				source.at++;
				return this.namedReference(source.name(terminator!));
			}
			default:
				return source.unsupported("Unicode properties (\\p, \\P)");
		}
	}

	private keep(): PatternNode {
		const { at } = this.source;
		if (this.lookDepth > 0)
			this.useChecks.push(() =>
				this.source.fail("\\K is not allowed in lookarounds (but see PCRE2_EXTRA_ALLOW_LOOKAROUND_BSK)", at),
			);
		return { kind: "keep" };
	}

	private groupReference(): PatternNode {
		const { source } = this;
		if (/[<']/.test(source.peek())) source.unsupported("subroutine calls \\g<…>");
		const braced = source.eat("{");
		const number = source.groupNumber(this.groups);
		if (number === null && braced) return this.namedReference(source.name("}"));
		if (number === null || (braced && !source.eat("}")))
			return source.fail(
				"\\g is not followed by a braced, angle-bracketed, or quoted name/number or by a plain number",
			);
		if (number === 0) source.fail(noSuchGroup);
		return this.reference(number);
	}

	private class(): PatternNode {
		const { source } = this;
		source.at--;
		refusePosixOutside(source);
		source.at++;
		const { members, negated } = characterClass(source, this.flags.extendedMore);
		let set = members;
		if (this.flags.caseless) set = foldCase(members);
		else if (holdsOneCase(members)) this.sawCaseful = true;
		return { kind: "set", set: negated ? complement(set) : set };
	}
}

const terminators: Readonly<Record<string, string | undefined>> = { "{": "}", "<": ">", "'": "'" };

/** CRLF, or one byte of the set. */
const atomicLineEnd = (set: ByteSet): PatternNode => ({
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
			{ kind: "set", set },
		],
	},
});

/** One item, whatever it holds: only the alternatives of a lookbehind itself may differ in length. */
const grouped = (node: PatternNode): PatternNode =>
	node.kind === "alternation" ? { kind: "sequence", items: [node] } : node;

/** Some letter is in it, and its other case is not. */
function holdsOneCase(set: ByteSet): boolean {
	for (let upper = 65; upper <= 90; upper++)
		if (hasByte(set, upper) !== hasByte(set, upper + 32)) return true;
	return false;
}
