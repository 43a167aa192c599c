/** Escapes that stand for one byte: \n, \x41, \o{101}, \101, \cA, or a sign. */
import type { PatternText } from "./pattern-text.ts";

const controls: Readonly<Record<string, number>> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 };
const tooLarge = "character code point value in \\x{} or \\o{} is too large";
const noDigits = "digits missing in \\x{} or \\o{} or \\N{U+}";
const noName = "PCRE2 does not support \\F, \\L, \\l, \\N{name}, \\U, or \\u";

/** The byte of the escape whose backslash is behind the cursor, which moves to its end. */
export function escapedByte(source: PatternText): number {
	const character = source.peek();
	if (Object.hasOwn(controls, character)) {
		source.at++;
		return controls[character]!;
	}
	if (/[0-7]/.test(character)) {
		const code = Number.parseInt(source.take(/[0-7]{1,3}/y)!, 8);
		if (code > 0xff) source.fail("octal value is greater than \\377 in 8-bit non-UTF-8 mode");
		return code;
	}
	source.at++;
	switch (character) {
		case "x":
			if (source.eat("{"))
				return braced(source, 16, /[0-9A-Fa-f]*/y, "non-hex character in \\x{} (closing brace missing?)");
			return Number.parseInt(`0${source.take(/[0-9A-Fa-f]{0,2}/y)!}`, 16);
		case "o":
			if (!source.eat("{")) source.fail("missing opening brace after \\o");
			return braced(source, 8, /[0-7]*/y, "non-octal character in \\o{} (closing brace missing?)");
		case "c":
			return control(source);
		case "F":
		case "L":
		case "l":
		case "U":
		case "u":
			return source.fail(noName);
		default:
			if (/[A-Za-z]/.test(character)) source.fail("unrecognized character follows \\");
			return character.charCodeAt(0);
	}
}

function braced(source: PatternText, base: number, digits: RegExp, otherCharacter: string): number {
	if (source.ended || source.peek() === "}") source.fail(noDigits);
	const written = source.take(digits)!;
	const code = written === "" ? 0 : Number.parseInt(written, base);
	if (code > 0xff) source.fail(tooLarge);
	if (!source.eat("}")) source.fail(otherCharacter);
	return code;
}

function control(source: PatternText): number {
	if (source.ended) source.fail("\\c at end of pattern");
	const code = source.peek().charCodeAt(0);
	if (code < 32 || code > 126) source.fail("\\c must be followed by a printable ASCII character");
	source.at++;
	return (code >= 97 && code <= 122 ? code - 32 : code) ^ 64;
}

/** Behind \N: a brace is a quantifier there, or the name of a character, which PCRE2 has only with UTF. */
export function refuseCharacterName(source: PatternText): void {
	if (source.peek() !== "{" || /^\{\d+(?:,\d*)?\}/.test(source.text.slice(source.at))) return;
	if (source.text.startsWith("{U+", source.at))
		source.fail("\\N{U+dddd} is supported only in Unicode (UTF) mode");
	source.fail(noName);
}
