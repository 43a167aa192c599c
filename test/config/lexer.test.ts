/** keepalived.conf(5), lexical rules. What keepalived 2.2.7 makes of each line was read off its own messages. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { commandWords, decodeEscapes, Lexer, wordsOf } from "../../firmware/config/keepalived/lexer.ts";

/** Logical lines: words, then `{` or `}`. */
function lines(text: string): string[][] {
	const lexer = new Lexer();
	lexer.reset(text);
	const found: string[][] = [];
	while (lexer.next()) {
		const words = Array.from({ length: lexer.count }, (_, index) => lexer.word(index));
		if (lexer.opens) words.push("{");
		if (lexer.closes) words.push("}");
		found.push(words);
	}
	return found;
}

describe("lines and words", () => {
	test.each([
		[
			"blanks are space, tab, form feed, vertical tab, carriage return",
			" a\tb\fc\vd \r\n",
			[["a", "b", "c", "d"]],
		],
		["empty lines are nothing", "\n\n a\n\n", [["a"]]],
		["the last line needs no end", "a b", [["a", "b"]]],
		["# and ! begin a comment", "a # b\n! c\nd!e\n#", [["a"], ["d"]]],
		["\\# and \\! are the characters", "foo\\#x \\!y # z\n", [["foo#x", "!y"]]],
		["quotes make one word and keep comments out", '"a b" "fo#o" ""\n', [["a b", "fo#o", ""]]],
		["a quote ends a word", 'a"b"c\n', [["a", "b", "c"]]],
		["inside quotes a backslash stays", '"a\\#b"\n', [["a\\#b"]]],
		["single quotes are ordinary", "'a b'\n", [["'a", "b'"]]],
		["braces split lines", "foo bar{baz}qux\n", [["foo", "bar", "{"], ["baz"], ["}"], ["qux"]]],
		["one-line blocks", "g { r A }\n", [["g", "{"], ["r", "A"], ["}"]]],
		["a brace alone", "a\n{\nb\n}\n", [["a"], ["{"], ["b"], ["}"]]],
		["braces in quotes are text", '"{" "}"\n', [["{", "}"]]],
	])("%s", (_title, text, expected) => {
		expect(lines(text)).toEqual(expected);
	});

	test("an open quote ends with its line, and is noted", () => {
		const lexer = new Lexer();
		lexer.reset('a "b c\nd\n');
		lexer.next();
		expect([lexer.word(0), lexer.word(1), lexer.unterminated]).toEqual(["a", "b c", true]);
		lexer.next();
		expect([lexer.word(0), lexer.unterminated]).toEqual(["d", false]);
	});

	test("lines and columns", () => {
		const lexer = new Lexer();
		lexer.reset('\n# c\n\t a  "b"{ d }\n');
		const places: [number, number][] = [];
		while (lexer.next())
			if (lexer.count > 0) places.push([lexer.line, lexer.wordStart(lexer.count - 1) - lexer.lineStart + 1]);
		expect(places).toEqual([
			[3, 6],
			[3, 11],
		]);
	});

	test("words of plain text come back (property)", () => {
		const word = fc.stringMatching(/^[A-Za-z0-9_.:/@$~é-]{1,12}$/);
		fc.assert(
			fc.property(
				fc.array(word, { minLength: 1, maxLength: 20 }),
				fc.constantFrom(" ", "\t", "  \t"),
				(words, gap) => {
					expect(wordsOf(words.join(gap))).toEqual(words);
				},
			),
		);
	});
});

describe("commands (CMD)", () => {
	test.each([
		['/a/b c "d e"', ["/a/b", "c", "d e"]],
		["/bin/sh -c 'test -e \"/x y\"'", ["/bin/sh", "-c", 'test -e "/x y"']],
		["a'b c'd\"e f\"", ["ab cde f"]],
		["a\\ b c", ["a\\ b", "c"]],
		["''", [""]],
		["'open", null],
	])("%s", (text, expected) => {
		expect(commandWords(text)).toEqual(expected);
	});

	test.each([
		["\\t\\x41\\101\\cA\\q", "\tAA\x01q"],
		["a\\\\b", "a\\b"],
	])("escapes of regex: %s", (text, expected) => {
		expect(decodeEscapes(text)).toBe(expected);
	});
});
