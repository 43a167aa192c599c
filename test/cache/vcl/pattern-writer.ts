/** Regular expressions from a grammar that has all of PCRE2's, torn ones among them, and subjects for them. */
import type { Random } from "../../sim/random.ts";

const atoms = [
	..."aabbcxAB1_-. ".split(""),
	...[
		"\\n",
		"\\r",
		"\\t",
		"\\0",
		"\\x80",
		"\\xe9",
		"\\xC9",
		"\\x{ff}",
		"\\o{101}",
		"\\101",
		"\\e",
		"\\a",
		"\\cA",
		"\\c[",
		"é",
		"\xa0",
		"\x85",
		"ß",
	],
	...[
		".",
		".",
		".",
		"\\N",
		"\\d",
		"\\D",
		"\\w",
		"\\W",
		"\\s",
		"\\S",
		"\\h",
		"\\H",
		"\\v",
		"\\V",
		"\\R",
		"\\C",
		"\\X",
	],
	...[
		"\\.",
		"\\-",
		"\\]",
		"\\[",
		"\\{",
		"\\}",
		"\\/",
		"\\@",
		"\\ ",
		"\\#",
		'\\"',
		"\\é",
		"{",
		"}",
		"]",
		"{1",
		"{,2}",
		"{a}",
		"{1,2",
		"#",
		":",
	],
];
const classes = [
	...[
		"[ab]",
		"[^a]",
		"[a-c]",
		"[^\\n]",
		"[\\w-]",
		"[-a]",
		"[a-]",
		"[]a]",
		"[^]a]",
		"[\\d\\s]",
		"[\\W]",
		"[^\\W]",
		"[\\D1]",
		"[\\h]",
		"[\\v]",
		"[\\N]",
	],
	...[
		"[[:alpha:]]",
		"[[:^alpha:]1]",
		"[^[:space:]]",
		"[[:word:]-]",
		"[[:punct:]]",
		"[[:cntrl:]]",
		"[[:blank:]a]",
		"[[:graph:]]",
		"[[:print:]]",
		"[[:<:]]",
		"[[:>:]]",
		"[[:ascii:]]",
		"[[:xdigit:]]",
		"[[:upper:]]",
		"[[:lower:]]",
	],
	...[
		"[\\x80-\\xff]",
		"[^\\x80-\\xff]",
		"[\\xe0-\\xfe]",
		"[\\b]",
		"[\\Qa-c\\E]",
		"[a\\Q-\\Ec]",
		"[\\Qa\\E-c]",
		"[a-\\Qc\\E]",
		"[[]",
		"[[a]",
		"[[:a]",
		"[a[:]b]",
		"[:alpha:]",
		"[a-\\x63]",
		"[\\n-\\r]",
		"[+--]",
		"[ -~]",
		"[\\]a]",
		"[^^]",
		"[a^]",
		"[\\E]a]",
		"[\\Q\\E]a]",
		"[^\\Q\\E]a]",
		"[a-\\E-c]",
		"[a\\E-c]",
		"[\\w-a]",
		"[a-\\w]",
		"[A-z]",
		"[Z-a]",
		"[é]",
		"[\\xC0-\\xDE]",
		"[a-c-e]",
		"[--a]",
		"[\\R]",
		"[\\K]",
		"[\\g]",
		"[\\8]",
		"[\\08]",
		"[\\377]",
		"[\\400]",
		"[[.a.]]",
		"[[=a=]]",
		"[[:foo:]]",
		"[[:^]]",
		"[]",
		"[^]",
		"[ \t]",
		"[\\c\\]",
		"[\\ca]",
	],
];
const assertions = ["^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z", "\\G", "\\K", "^", "$"];
const quantifiers = [
	"*",
	"+",
	"?",
	"{2}",
	"{1,2}",
	"{0}",
	"{0,1}",
	"{,2}",
	"{2,}",
	"{0,0}",
	"{1}",
	"{ 1}",
	"{1, 2}",
];
const flags = [
	"i",
	"-i",
	"m",
	"s",
	"x",
	"xx",
	"U",
	"n",
	"J",
	"i-s",
	"^",
	"^i",
	"-",
	"im",
	"",
	"-m",
	"-xx",
	"x-x",
	"--i",
	"i-",
	"a",
	"^-i",
	"aD",
	"-sU",
];
const verbs = [
	"(*UTF)",
	"(*UCP)",
	"(*CRLF)",
	"(*ANYCRLF)",
	"(*NO_JIT)",
	"(*LIMIT_MATCH=5)",
	"(*ACCEPT)",
	"(*SKIP)",
	"(*F)",
	"(*pla:a)",
	"(*atomic:a)",
	"(*BSR_ANYCRLF)",
	"(*NOTEMPTY)",
	"(*:n)",
];

class Writer {
	readonly #random: Random;
	#groups = 0;

	constructor(random: Random) {
		this.#random = random;
	}

	alternation(depth: number): string {
		const random = this.#random;
		const count = random.chance(0.75) ? 1 : random.integer(2, 3);
		return Array.from({ length: count }, () => this.#sequence(depth)).join("|");
	}

	#sequence(depth: number): string {
		const random = this.#random;
		return Array.from({ length: random.integer(0, random.chance(0.1) ? 0 : 4) }, () =>
			this.#quantified(depth),
		).join("");
	}

	#quantified(depth: number): string {
		const random = this.#random;
		const atom = this.#atom(depth);
		if (!random.chance(0.35)) return atom;
		const sign = random.pick(quantifiers) + (random.chance(0.3) ? random.pick(["?", "+", "+", "*"]) : "");
		return atom + (random.chance(0.05) ? " " : "") + sign;
	}

	#atom(depth: number): string {
		const random = this.#random;
		const kind = random.integer(0, depth <= 0 ? 9 : 17);
		if (kind <= 4) return random.pick(atoms);
		if (kind <= 6) return random.pick(classes);
		if (kind === 7) return random.pick(assertions);
		if (kind === 8)
			return random.chance(0.5)
				? this.#reference()
				: `\\Q${random.pick(["a", "a+", "(", "\\", "", "a\\"])}${random.pick(["\\E", "\\E", ""])}`;
		if (kind === 9)
			return random.pick([
				"(?#x)",
				"\\E",
				" ",
				"\n",
				"#x\n",
				`(?${random.pick(flags)})`,
				random.chance(0.2) ? random.pick(verbs) : "a",
			]);
		const inner = () => this.alternation(depth - 1);
		switch (kind) {
			case 10:
			case 11:
				this.#groups++;
				return `(${inner()})`;
			case 12:
				return `(?:${inner()})`;
			case 13:
				return `(?${random.pick(["=", "!", "<=", "<!"])}${inner()})`;
			case 14:
				return `(?>${inner()})`;
			case 15:
				this.#groups++;
				return `(?${random.pick(["<n>", "'m'", "P<o>", "<n>", "<1>", "<n", "<>", "<é>"])}${inner()})`;
			case 16:
				return `(?${random.pick(flags)}:${inner()})`;
			default:
				return random.chance(0.5)
					? `(?|${inner()})`
					: `(${random.pick(["?(1)", "?R", "?1", "?&n", "?P>n", "?C", "?C1", "?(?=a)", "?(R)", "?(<n>)", "?+1", "?-1", "?", "?<", "?P", "?~", "?P=n"])}${random.pick([")", `${inner()})`])}`;
		}
	}

	#reference(): string {
		const random = this.#random;
		const number = random.integer(1, Math.max(1, this.#groups + (random.chance(0.2) ? 1 : 0)));
		return random.pick([
			`\\${number}`,
			`\\${number}`,
			`\\g${number}`,
			`\\g{${number}}`,
			"\\g{-1}",
			"\\g-1",
			"\\g{+1}",
			"\\g{n}",
			"\\k<n>",
			"\\k'm'",
			"\\k{n}",
			"(?P=n)",
			"\\g{ 1 }",
			"\\g0",
			"\\g{}",
			"\\g",
			"\\k",
			"\\k<1>",
			"\\10",
			"\\11",
			"\\18",
			"\\81",
			"\\9",
			"\\8",
			"\\01",
			"\\0011",
			"\\x",
			"\\x4",
			"\\x{}",
			"\\x{zz}",
			"\\o",
			"\\o{8}",
			"\\o{}",
			"\\u0041",
			"\\L",
			"\\U",
			"\\l",
			"\\N{U+41}",
			"\\N{1,2}",
			"\\N{3}",
			"\\p{L}",
			"\\pL",
			"\\i",
			"\\j",
			"\\c",
			"\\cé",
			"\\x{100}",
			"\\x{041}",
			"\\x{ 41}",
			"\\1{2}",
		]);
	}
}

const tears = [
	"(",
	")",
	"[",
	"]",
	"{",
	"}",
	"*",
	"+",
	"?",
	"|",
	"\\",
	"^",
	"$",
	"-",
	":",
	"<",
	">",
	"=",
	"!",
	"#",
	"P",
	"1",
	"0",
	",",
	"Q",
	"E",
	"K",
	"\\E",
	"\\Q",
	"(?",
	"'",
	"&",
	"R",
	"é",
	"\n",
];

function torn(random: Random, pattern: string): string {
	const at = random.integer(0, pattern.length);
	switch (random.integer(0, 3)) {
		case 0:
			return pattern.slice(0, at) + pattern.slice(at + 1);
		case 1:
			return pattern.slice(0, at) + random.pick(tears) + pattern.slice(at);
		case 2:
			return pattern.slice(0, at) + random.pick(tears) + pattern.slice(at + 1);
		default:
			return pattern.slice(0, at);
	}
}

const letters = [
	..."aaabbbcxAB1_-. ",
	"\n",
	"\n",
	"\r",
	"\t",
	"\0",
	"\x80",
	"\xe9",
	"\xc9",
	"\xff",
	"\xa0",
	"\x85",
	"\xdf",
	"(",
	"\\",
	"a+",
	"[",
	"]",
	"{",
	"{1",
	"ab",
	"\r\n",
	"#",
	"\x1b",
	"\x07",
	"\x01",
	"\v",
	"\f",
];
const subjectFrom = (random: Random) =>
	Array.from({ length: random.integer(0, 10) }, () => random.pick(letters)).join("");

/** One character per byte, none of them NUL. */
export function patternFrom(random: Random): string {
	const pattern = new Writer(random).alternation(random.integer(1, 3));
	return (random.chance(0.25) ? torn(random, pattern) : pattern).replace(/[^\x01-\xff]/g, "?");
}

const TRIALS = 6;

/** From the beginning, and as one goes on behind a match. */
export const trialsFrom = (random: Random) =>
	Array.from({ length: TRIALS }, (_, trial) => {
		const subject = subjectFrom(random);
		const goesOn = trial % 3 === 2;
		return { subject, from: goesOn ? random.integer(0, subject.length) : 0, notEmpty: goesOn };
	});
