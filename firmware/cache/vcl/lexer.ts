/** Source text to tokens. Reference §1. */
import { type Diagnostics, Refused } from "./diagnostic.ts";
import { fixedTokens, type SourceFile, type Token, type TokenKind } from "./token.ts";

/** Larger sources are refused: no policy written by people comes near. */
export const maxSourceBytes = 8 << 20;

const delimiters: readonly {
	readonly name: string;
	readonly open: string;
	readonly close: string;
	readonly manyLines: boolean;
	readonly kind: TokenKind;
}[] = [
	{ name: "long-string", open: '"""', close: '"""', manyLines: true, kind: "CSTR" },
	{ name: "long-string", open: '{"', close: '"}', manyLines: true, kind: "CSTR" },
	{ name: "string", open: '"', close: '"', manyLines: false, kind: "CSTR" },
	{ name: "inline C source", open: "C{", close: "}C", manyLines: true, kind: "CSRC" },
];

/** RFC 8941 limits, as the stock compiler applies them. */
const maxIntegerDigits = 15;
const maxRealWholeDigits = 12;
const maxRealFractionDigits = 3;

const isDigit = (code: number) => code >= 48 && code <= 57;
const isLetter = (code: number) => (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
const isWord = (code: number) => isLetter(code) || isDigit(code) || code === 95 || code === 45;

/** Tokens of one source, ending with EOI. Throws `Refused` after reporting. */
export function lex(source: SourceFile, diagnostics: Diagnostics): Token[] {
	const { text } = source;
	const tokens: Token[] = [];
	const token = (kind: TokenKind, begin: number, end: number, value?: string): Token => ({
		kind,
		text: text.slice(begin, end),
		value: value ?? text.slice(begin, end),
		source,
		begin,
		end,
		index: -1,
	});
	if (text.length > maxSourceBytes)
		diagnostics.fail(
			`VCL source is larger than ${maxSourceBytes} bytes\n`,
			token("EOI", 0, Math.min(1, text.length)),
		);
	let at = 0;
	scan: while (at < text.length) {
		const code = text.charCodeAt(at);
		if (code === 32 || (code >= 9 && code <= 13)) {
			at++;
			continue;
		}
		if (code === 35 || (code === 47 && text.charCodeAt(at + 1) === 47)) {
			const end = text.indexOf("\n", at);
			at = end < 0 ? text.length : end;
			continue;
		}
		if (code === 47 && text.charCodeAt(at + 1) === 42) {
			at = skipComment(at);
			continue;
		}
		if (code === 58) {
			at = lexBlob(at);
			continue;
		}
		for (const delimiter of delimiters) {
			if (!text.startsWith(delimiter.open, at)) continue;
			const size = delimiter.open.length;
			let close = text.indexOf(delimiter.close, at + size);
			if (close >= 0 && !delimiter.manyLines) {
				for (let index = at + size; index < close; index++) {
					const inside = text.charCodeAt(index);
					if (inside === 10 || inside === 13) {
						close = -1;
						break;
					}
				}
			}
			if (close < 0)
				diagnostics.fail(`Unterminated ${delimiter.name}, starting at\n`, token("EOI", at, at + size));
			tokens.push(token(delimiter.kind, at, close + size, text.slice(at + size, close)));
			at = close + size;
			continue scan;
		}
		if (isLetter(code)) {
			let end = at + 1;
			while (end < text.length && isWord(text.charCodeAt(end))) end++;
			tokens.push(token("ID", at, end));
			at = end;
			continue;
		}
		const fixed = fixedTokens.find((sign) => text.startsWith(sign, at));
		if (fixed !== undefined) {
			tokens.push(token(fixed, at, at + fixed.length));
			at += fixed.length;
			continue;
		}
		if (isDigit(code)) {
			at = lexNumber(at);
			continue;
		}
		diagnostics.fail("Syntax error at\n", token("EOI", at, at + 1));
	}
	tokens.push(token("EOI", text.length, text.length));
	return tokens;

	function skipComment(begin: number): number {
		for (let index = begin + 2; index < text.length; index++) {
			const here = text.charCodeAt(index);
			if (here === 47 && text.charCodeAt(index + 1) === 42) {
				diagnostics.at("/* ... */ comment contains /*\n", token("EOI", begin, begin + 2));
				diagnostics.where(token("EOI", index, index + 2));
				throw new Refused();
			}
			if (here === 42 && text.charCodeAt(index + 1) === 47) return index + 2;
		}
		return diagnostics.fail("Unterminated /* ... */ comment, starting at\n", token("EOI", begin, begin + 2));
	}

	/** `:base64:`, a structured-field binary. The text that is looked at ends with the last whole group of four. */
	function lexBlob(begin: number): number {
		const first = begin + 1;
		const end = strayInBase64(text, first, text.length - ((text.length - first) % 4));
		if (end === null)
			return diagnostics.fail("Missing colon at end of BLOB:\n", token("CBLOB", begin, text.length));
		const blob = token("CBLOB", begin, end + 1);
		if (text[end] === ":" && (end - first) % 4 !== 0)
			diagnostics.fail("BLOB must have n*4 base64 characters\n", blob);
		if (text[end] === "=") diagnostics.fail("Wrong padding ('=') in BLOB:\n", blob);
		if (text[end] !== ":") diagnostics.fail("Illegal BLOB character:\n", blob);
		tokens.push(token("CBLOB", begin, end + 1, atob(text.slice(first, end))));
		return end + 1;
	}

	function lexNumber(begin: number): number {
		let end = begin;
		while (isDigit(text.charCodeAt(end))) end++;
		if (text[end] !== ".") {
			const number = token("CNUM", begin, end);
			if (end - begin > maxIntegerDigits) diagnostics.fail("Too many digits for integer.\n", number);
			tokens.push(number);
			return end;
		}
		const whole = end - begin;
		const point = end++;
		while (isDigit(text.charCodeAt(end))) end++;
		const number = token("FNUM", begin, end);
		if (whole > maxRealWholeDigits || end - point - 1 > maxRealFractionDigits)
			diagnostics.fail("Too many digits for real.\n", number);
		tokens.push(number);
		return end;
	}
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * Where base 64 ends: the first character between `from` and `to` that cannot stand there, or the one before it, when
 * that one is wrong because of what follows (padding in the middle, a digit that leaves bits over); null: all is well.
 */
function strayInBase64(text: string, from: number, to: number): number | null {
	let padded = false;
	/** Bits of the last digit that belong to no whole byte yet. */
	let left = 0;
	for (let at = from; at < to; at++) {
		const place = (at - from) % 4;
		const isPadding = text[at] === "=";
		const digit = isPadding ? 0 : base64Digits.indexOf(text[at]!);
		if (digit < 0 || (isPadding && place < 2)) return at;
		if (padded && !isPadding) return at - 1;
		padded ||= isPadding;
		if (padded && left !== 0) return at - 1;
		left = place === 3 ? 0 : digit & (place === 0 ? 0x3f : place === 1 ? 0x0f : 0x03);
	}
	return null;
}
