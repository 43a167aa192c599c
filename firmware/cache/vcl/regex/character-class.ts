/** `[…]`: its members, as PCRE2 reads them. */
import { addAll, addByte, addRange, type ByteSet, complement, emptySet } from "./byte-set.ts";
import { escapedByte, refuseCharacterName } from "./escaped-byte.ts";
import { posixClass, shorthand } from "./named-sets.ts";
import { endsWithBackslash, type PatternText } from "./pattern-text.ts";

const badRange = "invalid range in character class";
const notInClass = "escape sequence is invalid in character class";

/** What follows `[` when it looks like the name of a POSIX class: its end decides. */
const posixName = /\[([:.=])((?:\\[\]\\]|(?!\1\]|\[\1)[^\]])*)\1\]/y;

/** `[:alpha:]` where no class is open; the cursor stands at the bracket. */
export function refusePosixOutside(source: PatternText): void {
	const { at } = source;
	const written = source.take(posixName);
	source.at = at;
	if (written === null) return;
	source.fail(
		written[1] === ":"
			? "POSIX named classes are supported only within a class"
			: "POSIX collating elements are not supported",
	);
}

/** Before the first member nothing may stand but the negation and empty quotes. */
function classOpening(source: PatternText, ignoresBlanks: boolean): boolean {
	let negated = false;
	while (true) {
		if (source.eat("\\E") || source.eat("\\Q\\E")) {
			if (source.ended) source.fail(endsWithBackslash);
		} else if (ignoresBlanks && /[ \t]/.test(source.peek())) source.at++;
		else if (!negated && source.eat("^")) negated = true;
		else return negated;
	}
}

/**
 * The class whose `[` is behind the cursor, which moves behind its end. `members` are those as written, before a
 * negation. `ignoresBlanks`: (?xx).
 */
export function characterClass(
	source: PatternText,
	ignoresBlanks: boolean,
): { readonly members: ByteSet; readonly negated: boolean } {
	const negated = classOpening(source, ignoresBlanks);
	const members = emptySet();
	/** A byte that a hyphen would make the beginning of a range. */
	let low: number | null = null;
	let inRange = false;
	const refuseHyphen = () => {
		if (source.peek() === "-" && source.peek(1) !== "]" && source.peek(1) !== "") source.fail(badRange);
	};
	const refuseRange = () => {
		if (inRange) source.fail(badRange);
	};
	const literal = (byte: number, offset: number) => {
		if (!inRange) {
			addByte(members, byte);
			low = byte;
			return;
		}
		if (byte < low!) source.fail("range out of order in character class", offset);
		addRange(members, low!, byte);
		low = null;
		inRange = false;
	};
	let quoting = false;
	for (let first = true; first || quoting || source.peek() !== "]"; first = false) {
		if (source.ended) source.fail("missing terminating ] for character class");
		const offset = source.at;
		if (quoting) {
			if (source.eat("\\E")) quoting = false;
			else literal(source.text.charCodeAt(source.at++), offset);
			continue;
		}
		const character = source.peek();
		if (ignoresBlanks && /[ \t]/.test(character)) {
			source.at++;
			continue;
		}
		const posix = source.take(posixName);
		if (posix !== null) {
			refuseRange();
			if (posix[1] !== ":") source.fail("POSIX collating elements are not supported");
			const [, sign, name] = /^\[:(\^?)(.*):\]$/s.exec(posix)!;
			const set = posixClass(name!);
			if (set === undefined) source.fail("unknown POSIX class name");
			addAll(members, sign === "^" ? complement(set!) : set!);
			low = null;
			refuseHyphen();
			continue;
		}
		source.at++;
		if (character === "-" && low !== null && !inRange) {
			inRange = true;
			continue;
		}
		if (character !== "\\") {
			literal(character.charCodeAt(0), offset);
			continue;
		}
		if (source.eat("E")) continue;
		if (source.eat("Q")) quoting = true;
		else if (source.eat("b")) literal(8, offset);
		else if (/[89g]/.test(source.peek())) literal(source.text.charCodeAt(source.at++), offset);
		else if (/[A-Za-z]/.test(source.peek()) && isSetOrAssertion(source.peek())) {
			const letter = source.text[source.at++]!;
			if (letter === "N") refuseCharacterName(source);
			if (/[BRX]/.test(letter)) source.fail(notInClass);
			refuseRange();
			if (letter === "N") source.fail("\\N is not supported in a class");
			if (letter === "p" || letter === "P") source.unsupported("Unicode properties (\\p, \\P)");
			const set = shorthand(letter);
			if (set === undefined) source.fail(notInClass);
			addAll(members, set!);
			low = null;
			refuseHyphen();
		} else {
			if (source.ended) source.fail(endsWithBackslash);
			literal(escapedByte(source), offset);
		}
	}
	// A hyphen that nothing followed.
	if (inRange) addByte(members, 45);
	source.at++;
	return { members, negated };
}

/** Letters that stand for no single byte behind a backslash. */
const isSetOrAssertion = (letter: string) => /[ABCDGHKNPRSVWXZdhkpsvwz]/.test(letter);
