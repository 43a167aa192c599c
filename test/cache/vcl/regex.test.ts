/**
 * Regular expressions: the same match and the same groups as Perl (PCRE's model, installed everywhere), the two
 * engines against each other, and no subject that keeps a worker busy.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { worstDegree } from "../../../firmware/cache/vcl/regex/ambiguity.ts";
import { lastSteps, MatchLimit, run } from "../../../firmware/cache/vcl/regex/backtrack.ts";
import { parsePattern } from "../../../firmware/cache/vcl/regex/parse.ts";
import { compileProgram } from "../../../firmware/cache/vcl/regex/program.ts";
import { compileRegex, type Regex } from "../../../firmware/cache/vcl/regex/regex.ts";
import { translate } from "../../../firmware/cache/vcl/regex/translate.ts";
import { VclFailure } from "../../../firmware/cache/vcl/runtime.ts";
import { randomFrom } from "../../sim/random.ts";
import { patternFrom, trialsFrom } from "./pattern-writer.ts";
import { judge } from "./pcre2-judge.ts";
import { StockCompiler } from "./stock.ts";

// Other work on the machine must not decide.
setDefaultTimeout(60_000);

function regex(pattern: string): Regex {
	const result = compileRegex(pattern);
	if (!result.ok) throw new Error(`${pattern}: ${result.error}`);
	return result.regex;
}

/** [begin, whole, group 1, …] or null, from Perl; one process for all cases. */
function perl(cases: readonly (readonly [string, string])[]): (readonly (string | number | null)[] | null)[] {
	const script = `
		use JSON::PP; local $/; my $in = decode_json(<STDIN>); my @out;
		for my $c (@$in) { my ($p, $s) = @$c; my $r = eval { no warnings; use bytes; if ($s =~ /$p/) {
			my @g = map { defined $-[$_] ? substr($s, $-[$_], $+[$_] - $-[$_]) : undef } 1 .. $#-;
			my $n = $#+; push @g, undef while @g < $n; [$-[0] + 0, substr($s, $-[0], $+[0] - $-[0]), @g] } else { 0 } };
			push @out, $r; }
		print JSON::PP->new->ascii->encode(\\@out);`;
	const child = Bun.spawnSync(["perl", "-e", script], { stdin: Buffer.from(JSON.stringify(cases)) });
	if (child.exitCode !== 0) throw new Error(child.stderr.toString());
	return (JSON.parse(child.stdout.toString()) as (0 | (string | number | null)[])[]).map((each) =>
		each === 0 ? null : each,
	);
}

function ours(pattern: string, subject: string): readonly (string | number | null)[] | null {
	const { matcher } = regex(pattern);
	const match = matcher.exec(subject, 0, false);
	expect(matcher.test(subject)).toBe(match !== null);
	if (match === null) return null;
	const groups: (string | number | null)[] = [match.index, match[0]!];
	for (let group = 1; group <= parsePattern(pattern).groups; group++) groups.push(match[group] ?? null);
	return groups;
}

const sections: Readonly<Record<string, readonly (readonly [string, ...string[]])[]>> = {
	"pcre2pattern: circumflex and dollar": [
		["^abc$", "abc", "abc\n", "abc\n\n", "xabc"],
		["a$", "a\nb", "ba\n"],
		["(?m)^b$", "a\nb", "a\nb\n", "a\nbc"],
		["(?m)^", "a\n"],
		["\\Aabc\\z", "abc", "abc\n"],
		["abc\\Z", "abc\n", "abc"],
	],
	"full stop and \\N": [
		["a.c", "abc", "a\nc", "a\rc"],
		["(?s)a.c", "a\nc"],
		["a\\Nc", "a\nc", "axc"],
	],
	"character classes": [
		["[a-c]+", "xxabcd"],
		["[^a-c]+", "abcxyz"],
		["[]a]+", "a]b"],
		["[^]a]+", "a]b"],
		["[a\\]b]+", "a]b"],
		["[\\w.-]+", "a.b-c d"],
		["[[:alpha:][:digit:]]+", "--ab12--"],
		["[[:^space:]]+", " ab "],
		["[\\x41-\\x43]+", "ABCD"],
		["[-a]+", "a-b"],
		["[a-]+", "a-b"],
		["\\s+", "a \t\v\fb"],
		["\\h+", "a \tb"],
		["[\\s]", "\xa0"],
	],
	"internal options": [
		["(?i)abc", "ABC", "aBc"],
		["a(?i)b", "aB", "AB"],
		["(a(?i)b)c", "aBc", "aBC"],
		["a(?i:b)c", "aBc", "aBC"],
		["(?i)a(?-i)b", "Ab", "AB"],
		["(?x) a b # comment\n c", "abc"],
		["(?i)[^a]", "A"],
		["(a(?i)b|c)", "C", "aB"],
	],
	"groups and repetition": [
		["(a)|(b)", "b"],
		["((a)(b))c", "abc"],
		["(?:(a)|b)*", "ab", "ba"],
		["(a*)*", "aab", "b"],
		["(a*)+", "aab", "b"],
		["(?:a|b)*c", "ababc"],
		["(a|ab)(c|bcd)(d*)", "abcd"],
		["a{2}", "aaa"],
		["a{2,}", "aaaa"],
		["a{1,2}b", "aaab"],
		["x{2", "x{2"],
		["a+?b*?", "aab"],
		["<.+?>", "<a><b>"],
		["(a?)*?b", "aab"],
		["(|a)+", "aa"],
		["(?:|a)*", "aa"],
		["(a|)+b", "aab"],
		["((a)|(b))+", "ab"],
		["^(?:(\\d+)x)?(\\d+)$", "12", "1x2"],
	],
	"atomic and possessive": [
		["a++b", "aab", "aaa"],
		["(?>a+)b", "aab"],
		["(?>a|ab)c", "abc"],
		["a*+a", "aaa"],
		["(?>(a+))b", "aab"],
	],
	"back references": [
		["(.)\\1", "abba"],
		["(a)?b\\1", "b", "aba"],
		["(?<n>a+)-\\k<n>", "aa-aa"],
		["(?i)(a)\\1", "aA"],
		["(a)\\g1", "aa"],
		["(a)(b)\\g{-1}", "abb"],
	],
	assertions: [
		["foo(?=bar)", "foobar", "foobaz"],
		["foo(?!bar)", "foobaz", "foobar"],
		["(?<=foo)bar", "foobar", "bar"],
		["(?<!foo)bar", "foobar", "xbar"],
		["(?<=a|bc)d", "bcd", "ad"],
		["(?=(a+))a*b\\1", "aabaa"],
		["\\bfoo\\b", "a foo b", "foobar"],
		["\\Boo", "foo"],
		["foo\\Kbar", "foobar"],
		["^(?!.*(?:login|admin)).*$", "/index", "/admin"],
		["wordpress_(?!test_cookie)|wp-postpass_", "wordpress_test_cookie=1", "wordpress_x"],
	],
	"escapes and quoting": [
		["\\x41\\x{42}\\103", "ABC"],
		["\\.", "a.b"],
		["\\/", "a/b"],
		["\\t\\n", "\t\n"],
		["a(?#comment)b", "ab"],
		["\\e\\cA", "\x1b\x01"],
	],
	"what people write in VCL": [
		["\\.(png|gif|jpe?g|css|js)(\\?.*)?$", "/a.png?x=1", "/a.pngx", "/a.jpeg"],
		["(^|;\\s*)(_[_a-z]+|has_js)=[^;]*", "a=1; _ga=GA1.2; b=2"],
		["^([^?]*)\\?(.*)$", "/path?query=1"],
		["(?i)mobile|android|iphone", "Mozilla Android"],
		["^(www\\.)?example\\.(com|org)(:\\d+)?$", "www.example.org:8080", "example.net"],
		["(\\?|&)(utm_[a-z]+|gclid)=[^&]+", "/?a=1&utm_source=x&b=2"],
		["^\\s*$", "", "  ", "x"],
		["(?i:no-cache|no-store|private)", "No-Store, max-age=0"],
		["[[:upper:]]", "abC"],
	],
};

describe("the same match as Perl", () => {
	for (const [section, rows] of Object.entries(sections))
		test(section, () => {
			const cases = rows.flatMap(([pattern, ...subjects]) =>
				subjects.map((subject) => [pattern, subject] as const),
			);
			const expected = perl(cases);
			const results = cases.map(([pattern, subject]) => [pattern, subject, ours(pattern, subject)]);
			expect(results).toEqual(cases.map(([pattern, subject], index) => [pattern, subject, expected[index]!]));
		});
});

/** Where a reading of one's own goes wrong: pattern, subjects. */
const corners: readonly (readonly [string, ...string[]])[] = [
	["[\\Qa\\E-c]", "b", "-"],
	["[a\\E-c]", "b", "-"],
	["[a\\Q-\\Ec]+", "b", "-c"],
	["[\\8\\9\\g]+", "89g"],
	["[\\d-z]", "5"],
	["[[:alpha:]-z]", "5"],
	["[\\w-]", "-"],
	["[\\400]", "a"],
	["[\\N]", "a"],
	["[[:cn=rl:]]", "c"],
	["[:alpha:]", "a"],
	["[[.a|.]]", "a"],
	["[[:<:]]\\w+[[:>:]]", " ab "],
	["a[[:>:]]*b", "ab"],
	["a{2}(?#x)?b", "aab"],
	["a*\\E+a", "aa"],
	["(?x)a* +a", "aa"],
	["(?x)a\x85b", "ab"],
	["a\\Q\\E+", "aa"],
	["\\w\\Kx|", "b"],
	["(?=a\\K)", "a"],
	["(a|\\g{-1}b)*c", "aabc", "ab"],
	["(?:(a)|b\\1)+", "abab"],
	["(a\\{0|\\g-1)*", "aa"],
	["\\10()()()()()()()()()()", "\b"],
	["()()()()()()()()()(a)\\10", "aa"],
	["\\81", "81"],
	["\\X\\C", "\r\na", "a\n"],
	["\\x{zz}", "z"],
	["\\x{}", "z"],
	["\\x{100", "z"],
	["\\N{U+41}", "A"],
	["\\N{2}", "ab"],
	["\\c\xdf", "z"],
	["(?--i)a", "a"],
	["(?^-i)a", "a"],
	["(?<=(?:a|bc))d", "ad"],
	["(?<=(?=a)?b)c", "bc"],
	["(?<1a>b)", "b"],
	["(?<n)a", "b"],
	["(?-1)", "b"],
	["(?Px)", "b"],
	["(*foo)", "b"],
	["(*F0O)", "b"],
	["(?J)(?:(?<n>a)|(?<n>b))\\k<n>", "bb"],
	["(?|(?<n>a)|(?<m>b))", "b"],
	["(?<=\\k<n>)a", "b"],
];
const RANDOM_PATTERNS = 8000;

describe("the same as PCRE2: what compiles, what is said of it, what it finds", () => {
	test("corners", () => {
		for (const [pattern, ...subjects] of corners)
			expect(
				judge(
					pattern,
					subjects.map((subject) => ({ subject, from: 0, notEmpty: false })),
				).differences,
			).toEqual([]);
	});

	test(`${RANDOM_PATTERNS} patterns from a grammar`, () => {
		const outcomes = { refused: 0, compared: 0, "not translated": 0 };
		for (let number = 0; number < RANDOM_PATTERNS; number++) {
			const random = randomFrom(number);
			const { outcome, differences } = judge(patternFrom(random), trialsFrom(random));
			outcomes[outcome]++;
			expect(differences).toEqual([]);
		}
		expect(outcomes.compared).toBeGreaterThan(RANDOM_PATTERNS / 3);
		expect(outcomes["not translated"]).toBeLessThan(RANDOM_PATTERNS / 50);
	});
});

describe("accepted and refused like the stock compiler", () => {
	const patterns = [
		"(",
		")",
		"[a",
		"a**",
		"*a",
		"a{2}{3}",
		"a{3,2}",
		"(?z)",
		"(?<n>a)(?<n>b)",
		"\\",
		"[b-a]",
		"[[:foo:]]",
		"(a)\\2",
		"(?<=a+)b",
		"(?<=ab|c)d",
		"a{65536}",
		"\\x{100}",
		"\\y",
		"a|*",
		"(?:a",
		"[[.a.]]",
		"(?#a",
		"x{1,2}{3}",
		"a++",
		"a+*",
		"\\8",
		"(?P<1a>x)",
		"^*",
		"$+",
		"\\b+",
		"(?i",
		"a{1000}",
		"[a-\\d]",
		"(?|(a)|(b))",
		"\\Q[",
		"[\\Q]\\E]",
		"(?=a)*b",
		"(?:)",
		"()*",
	];
	test(`${patterns.length} patterns`, () => {
		const stock = new StockCompiler();
		try {
			const verdicts = patterns.map((pattern) => {
				const expected = stock.compile(
					`vcl 4.1;\nbackend a none;\nsub vcl_recv { if (req.url ~ {"${pattern}"}) { } }`,
				);
				return [pattern, expected.ok];
			});
			expect(patterns.map((pattern) => [pattern, compileRegex(pattern).ok])).toEqual(verdicts);
		} finally {
			stock.close();
		}
	}, 60_000);
});

/** Patterns over a small alphabet, so that they match and clash. */
const randomPattern = fc.letrec<{ node: string }>((tie) => ({
	node: fc.oneof(
		{ maxDepth: 4, depthIdentifier: "pattern" },
		fc.constantFrom("a", "b", "c", ".", "[ab]", "[^a]", "\\w", "^", "$", "\\b"),
		fc.tuple(tie("node"), tie("node")).map(([left, right]) => `${left}${right}`),
		fc.tuple(tie("node"), tie("node")).map(([left, right]) => `(?:${left}|${right})`),
		tie("node").map((inner) => `(${inner})`),
		fc
			.tuple(tie("node"), fc.constantFrom("*", "+", "?", "*?", "+?", "{2}", "{1,2}"))
			.map(([inner, sign]) => `(?:${inner})${sign}`),
	),
})).node;
const randomSubject = fc.stringMatching(/^[abc\n]{0,12}$/);

describe("properties", () => {
	test("the bounded engine and JavaScript's agree wherever both are used", () => {
		fc.assert(
			fc.property(randomPattern, randomSubject, (text, subject) => {
				const pattern = parsePattern(text);
				const translation = translate(pattern);
				if (translation === null) return;
				const slots = run(compileProgram(pattern), subject, 0, false);
				const native = new RegExp(translation.source, translation.flags).exec(subject);
				expect(slots === null ? null : [slots[0]!, slots[1]!]).toEqual(
					native === null ? null : [native.index, native.index + native[0].length],
				);
				if (native === null || slots === null || !translation.sameGroups) return;
				for (let group = 1; group <= pattern.groups; group++) {
					const begin = slots[2 * group]!;
					const end = slots[2 * group + 1]!;
					expect(begin < 0 || end < 0 ? undefined : subject.slice(begin, end)).toBe(native[group]!);
				}
			}),
			{ numRuns: 1500, seed: 1 },
		);
	});

	test("random patterns match as in Perl", () => {
		const cases = fc.sample(fc.tuple(randomPattern, randomSubject), { numRuns: 1200, seed: 7 });
		const expected = perl(cases);
		cases.forEach(([pattern, subject], index) => {
			const mine = ours(pattern, subject);
			// Where and what; Perl and PCRE themselves differ on groups of empty turns.
			expect([pattern, subject, mine?.slice(0, 2) ?? null]).toEqual([
				pattern,
				subject,
				expected[index]?.slice(0, 2) ?? null,
			]);
		});
	});

	test("any text is a pattern or an error with words, never a crash", () => {
		fc.assert(
			fc.property(fc.string({ maxLength: 40, unit: "binary" }), (text) => {
				const bytes = text.replace(/[^\x00-\xff]/g, "?");
				const result = compileRegex(bytes);
				if (!result.ok) expect(result.error).not.toBe("");
			}),
			{ numRuns: 800, seed: 2 },
		);
		fc.assert(
			fc.property(fc.stringMatching(/^[()[\]{}|*+?^$\\a-c0-2,:<=!#&.-]{0,24}$/), (text) => {
				const result = compileRegex(text);
				if (result.ok) result.regex.matcher.exec("abcabc012", 0, false);
			}),
			{ numRuns: 1200, seed: 3 },
		);
	});
});

describe("a hostile subject does not stop a worker", () => {
	/** Pattern, a subject made for it, and how much its worst case grows. */
	const cases: readonly [string, string, number][] = [
		["(a+)+$", `${"a".repeat(8000)}b`, Number.POSITIVE_INFINITY],
		["^(\\w+\\s?)*$", `${"a ".repeat(4000)}!`, Number.POSITIVE_INFINITY],
		["(x+x+)+y", "x".repeat(8000), Number.POSITIVE_INFINITY],
		["^(([a-z])+.)+[A-Z]([a-z])+$", "a".repeat(8000), Number.POSITIVE_INFINITY],
		["(a|a)*b", "a".repeat(8000), Number.POSITIVE_INFINITY],
		["(a|ab|b)*c", "ab".repeat(4000), Number.POSITIVE_INFINITY],
		["\\s+$", `${" ".repeat(8000)}x`, 2],
		["^.*foo.*bar", "foo".repeat(2700), 2],
		["(.*)(.*)(.*)(.*)x$", "y".repeat(8000), 5],
		["(.*a){12}x", "a".repeat(8000), 13],
		["(.)\\1+x", "a".repeat(8000), Number.POSITIVE_INFINITY],
		["(?:a?){30}a{30}b", "a".repeat(8000), 1],
	];
	for (const [pattern, subject, degree] of cases)
		test(pattern, () => {
			expect(worstDegree(parsePattern(pattern))).toBeGreaterThanOrEqual(Math.min(degree, 2));
			expect(regex(pattern).engine).not.toBe("javascript");
			const { matcher } = regex(pattern);
			const begin = performance.now();
			let outcome: unknown;
			try {
				outcome = matcher.test(subject);
			} catch (error) {
				outcome = error;
			}
			const elapsedMs = performance.now() - begin;
			// Never another answer: it does not match, or the task fails.
			if (outcome !== false) expect(outcome).toBeInstanceOf(VclFailure);
			// The bound is in steps; the clock only catches a missing bound, on a busy machine too.
			expect(elapsedMs).toBeLessThan(1000);
			expect(lastSteps).toBeLessThanOrEqual(600_000);
			expect(MatchLimit.name).toBe("MatchLimit");
		});

	test("a pattern whose parts can all follow each other is judged in bounded time", () => {
		for (const pattern of ["(?>(?>(b{0,50}|\\d)?){1,3}){0,50}", "(?>([ab]{0,50}|\\R){1,}){0,50}"]) {
			const before = process.cpuUsage();
			expect(worstDegree(parsePattern(pattern))).toBe(Number.POSITIVE_INFINITY);
			const { user, system } = process.cpuUsage(before);
			// Half a second here; without the bound 4 and 26.
			expect((user + system) / 1e6).toBeLessThan(2.5);
		}
	});

	test("looks and atomic groups, which copy the groups, count for more steps", () => {
		const program = compileProgram(parsePattern("^(?>(a)|b)*c\\1"));
		const subject = "ab".repeat(Math.ceil(lastSteps / 28));
		expect(() => run(program, subject, 0, false)).toThrow(MatchLimit);
	});

	test("harmless patterns keep the native engine", () => {
		for (const pattern of [
			"(?i)mobile|android",
			"^/static/",
			"(^|;\\s*)(_[_a-z]+|has_js)=[^;]*",
			"[[:upper:]]",
		])
			expect([pattern, regex(pattern).engine]).toEqual([pattern, "javascript"]);
	});
});
