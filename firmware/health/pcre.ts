/**
 * PCRE2 patterns, as `regex` in HTTP_GET writes them, for this engine. Pure.
 * What the two share passes unchanged; the rest is rewritten, or refused with its position.
 * pcre2pattern(3).
 */

export class PatternError extends Error {
	/** Index in the pattern. */
	readonly at: number;
	constructor(message: string, at: number) {
		super(message);
		this.at = at;
	}
}

const posixClasses: Readonly<Record<string, string>> = {
	alnum: "A-Za-z0-9",
	alpha: "A-Za-z",
	ascii: "\\x00-\\x7f",
	blank: " \\t",
	cntrl: "\\x00-\\x1f\\x7f",
	digit: "0-9",
	graph: "\\x21-\\x7e",
	lower: "a-z",
	print: "\\x20-\\x7e",
	punct: "!-\\/:-@\\[-`{-~",
	space: "\\s",
	upper: "A-Z",
	word: "\\w",
	xdigit: "0-9A-Fa-f",
};

/** Outside a class: escapes that this engine lacks. */
const escapes: Readonly<Record<string, string>> = {
	A: "(?<![\\s\\S])",
	Z: "(?=\\n?(?![\\s\\S]))",
	z: "(?![\\s\\S])",
	h: "[ \\t\\xa0]",
	H: "[^ \\t\\xa0]",
	R: "(?:\\r\\n|[\\n\\v\\f\\r\\x85])",
	N: "[^\\n]",
	a: "\\x07",
	e: "\\x1b",
};

/** Options that this engine needs no rewriting for, or that only tune PCRE2. */
const withoutEffect = new Set([
	"auto_callout",
	"match_unset_backref",
	"never_ucp",
	"never_utf",
	"no_auto_possess",
	"no_dotstar_anchor",
	"no_start_optimize",
	"never_backslash_c",
	"alt_circumflex",
	"use_offset_limit",
	"allow_empty_class",
	"alt_bsux",
	"alt_verbnames",
	"dupnames",
	"firstline",
]);

const HARD_LIMIT_CHARACTERS = 16 * 1024;

/**
 * The pattern with its `regex_options` as a global RegExp over text.
 * Throws a PatternError that says what does not work and where.
 */
export function compilePcre(pattern: string, options: readonly string[]): RegExp {
	if (pattern.length > HARD_LIMIT_CHARACTERS)
		throw new PatternError(
			`a pattern has at most ${HARD_LIMIT_CHARACTERS} characters`,
			HARD_LIMIT_CHARACTERS,
		);
	const given = new Set(options);
	for (const option of ["caseless", "multiline", "dotall", "utf", "ucp"]) given.delete(option);
	const extended = given.delete("extended");
	const ungreedy = given.delete("ungreedy");
	const noCapture = given.delete("no_auto_capture");
	const dollarEndOnly = given.delete("dollar_endonly");
	for (const option of given)
		if (!withoutEffect.has(option)) throw new PatternError(`unknown regex option "${option}"`, 0);
	let { flags, rest, offset } = leadingFlags(pattern);
	if (options.includes("caseless")) flags += "i";
	if (options.includes("multiline")) flags += "m";
	if (options.includes("dotall")) flags += "s";
	const inline = new Set(flags);
	const source = translate(rest, offset, {
		extended: extended || inline.delete("x"),
		ungreedy: ungreedy || inline.delete("U"),
		noCapture,
		dollarEndOnly,
		multiline: inline.delete("m"),
		dotAll: inline.has("s"),
	});
	inline.delete("x");
	inline.delete("U");
	const unicode = options.includes("utf") || options.includes("ucp") ? "u" : "";
	try {
		return new RegExp(source, `g${[...inline].join("")}${unicode}`);
	} catch (error) {
		throw new PatternError(error instanceof Error ? error.message : String(error), 0);
	}
}

/** `(?imsxU)` at the very beginning holds for the whole pattern. */
function leadingFlags(pattern: string): { flags: string; rest: string; offset: number } {
	const match = /^\(\?([imsxU]+)\)/.exec(pattern);
	if (match === null) return { flags: "", rest: pattern, offset: 0 };
	return { flags: match[1]!, rest: pattern.slice(match[0].length), offset: match[0].length };
}

interface Style {
	readonly extended: boolean;
	readonly ungreedy: boolean;
	readonly noCapture: boolean;
	readonly dollarEndOnly: boolean;
	readonly multiline: boolean;
	readonly dotAll: boolean;
}

function translate(pattern: string, offset: number, style: Style): string {
	let out = "";
	let depth = 0;
	let index = 0;
	const fail = (message: string): never => {
		throw new PatternError(message, offset + index);
	};
	const atom = (text: string) => {
		out += text;
	};
	while (index < pattern.length) {
		const char = pattern[index]!;
		if (char === "\\") {
			const next = pattern[index + 1];
			if (next === undefined) return fail("a pattern cannot end in a backslash");
			if (next === "Q") {
				const end = pattern.indexOf("\\E", index + 2);
				const literal = pattern.slice(index + 2, end < 0 ? undefined : end);
				for (const one of literal) atom(/[\^$\\.*+?()[\]{}|/]/.test(one) ? `\\${one}` : one);
				index = end < 0 ? pattern.length : end + 2;
				continue;
			}
			if (next === "E") {
				index += 2;
				continue;
			}
			if (next === "x" && pattern[index + 2] === "{") {
				const match = /^\\x\{([0-9a-fA-F]{1,6})\}/.exec(pattern.slice(index));
				if (match === null) return fail("\\x{…} takes hexadecimal digits");
				atom(codeUnit(Number.parseInt(match[1]!, 16)));
				index += match[0].length;
				continue;
			}
			if ("GKXC".includes(next)) fail(`\\${next} is not supported`);
			atom(escapes[next] ?? char + next);
			index += 2;
		} else if (char === "[") {
			const [text, end] = characterClass(pattern, index, fail);
			atom(text);
			index = end;
		} else if (char === "(") {
			depth++;
			const rest = pattern.slice(index);
			const named = /^\(\?(?:P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')/.exec(rest);
			const comment = /^\(\?#[^)]*\)/.exec(rest);
			if (comment !== null) {
				depth--;
				index += comment[0].length;
			} else if (named !== null) {
				out += `(?<${named[1] ?? named[2]}>`;
				index += named[0].length;
			} else if (rest.startsWith("(?>")) {
				return fail("atomic groups are not supported");
			} else if (rest.startsWith("(*") || /^\(\?[|R&0-9(P+]/.test(rest)) {
				return fail(`"${rest.slice(0, 3)}" is not supported`);
			} else if (style.noCapture && rest[1] !== "?") {
				out += "(?:";
				index++;
			} else {
				const head = /^\(\?(?:[imsx-]*:|[=!]|<[=!])/.exec(rest);
				if (rest[1] === "?" && head === null) return fail("this kind of group is not supported");
				out += head === null ? "(" : head[0];
				index += head === null ? 1 : head[0].length;
			}
		} else if (char === ")") {
			if (--depth < 0) fail("a closing parenthesis without an opening one");
			out += ")";
			index++;
		} else if (char === "$") {
			// This engine's lines end at a carriage return and more; PCRE2's only at a line feed.
			if (style.multiline) atom("(?=\\n|(?![\\s\\S]))");
			else atom(style.dollarEndOnly ? "$" : "(?=\\n?(?![\\s\\S]))");
			index++;
		} else if (char === "^" && style.multiline) {
			// Not behind a line feed that ends the text.
			atom("(?:(?<![\\s\\S])|(?<=\\n)(?=[\\s\\S]))");
			index++;
		} else if (char === "." && !style.dotAll) {
			// This engine's dot excludes carriage return and more; PCRE2's only line feed.
			atom("[^\\n]");
			index++;
		} else if (style.extended && /\s/.test(char)) index++;
		else if (style.extended && char === "#") {
			const end = pattern.indexOf("\n", index);
			index = end < 0 ? pattern.length : end + 1;
		} else {
			const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\})/.exec(pattern.slice(index));
			if (quantifier === null) {
				// A brace that is no quantifier stands for itself.
				atom(char === "{" || char === "}" ? `\\${char}` : char);
				index++;
				continue;
			}
			index += quantifier[0].length;
			const suffix = pattern[index];
			if (suffix === "+") return fail("possessive quantifiers are not supported");
			const lazy = suffix === "?";
			if (lazy) index++;
			out += quantifier[0] + (lazy !== style.ungreedy ? "?" : "");
		}
	}
	return out;
}

/** A bracket expression from `start`; returns it rewritten, and where it ends. */
function characterClass(pattern: string, start: number, fail: (message: string) => never): [string, number] {
	let index = start + 1;
	let out = "[";
	if (pattern[index] === "^") {
		out += "^";
		index++;
	}
	// A bracket in the first place stands for itself.
	if (pattern[index] === "]") {
		out += "\\]";
		index++;
	}
	while (index < pattern.length && pattern[index] !== "]") {
		const posix = /^\[:(\^?)([a-z]+):\]/.exec(pattern.slice(index));
		if (posix !== null) {
			const members = posixClasses[posix[2]!];
			if (members === undefined || posix[1] === "^") return fail(`"${posix[0]}" is not supported`);
			out += members;
			index += posix[0].length;
			continue;
		}
		const char = pattern[index]!;
		if (char === "\\") {
			const next = pattern[index + 1] ?? "";
			out += next === "h" ? " \\t\\xa0" : next === "a" ? "\\x07" : next === "e" ? "\\x1b" : char + next;
			index += 2;
		} else {
			out += char === "[" ? "\\[" : char;
			index++;
		}
	}
	if (pattern[index] !== "]") return fail("a bracket expression is not closed");
	return [`${out}]`, index + 1];
}

function codeUnit(code: number): string {
	if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
	if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, "0")}`;
	return String.fromCodePoint(code);
}

export interface SearchBounds {
	/** A match must begin at or after this byte. */
	readonly minOffset: number;
	/** …and at or before this one; null is no bound. */
	readonly maxOffset: number | null;
}

/** Whether `regex` matches in `body` with its beginning inside the bounds. Bytes are characters unless the pattern is UTF. */
export function searchBody(regex: RegExp, body: Uint8Array, bounds: SearchBounds): boolean {
	const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
	const text = regex.unicode ? bytes.toString("utf8") : bytes.toString("latin1");
	if (bounds.minOffset > bytes.length) return false;
	regex.lastIndex = regex.unicode
		? bytes.subarray(0, bounds.minOffset).toString("utf8").length
		: bounds.minOffset;
	const match = regex.exec(text);
	if (match === null || bounds.maxOffset === null) return match !== null;
	const at = regex.unicode ? Buffer.byteLength(text.slice(0, match.index)) : match.index;
	return at <= bounds.maxOffset;
}
