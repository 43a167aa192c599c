/** The text of a pattern with a cursor, and its errors. */

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

export const endsWithBackslash = "\\ at end of pattern";
export const noSuchGroup = "reference to non-existent subpattern";

/** Longest name of a group. */
const maxNameBytes = 32;
/** Groups have numbers up to this one. */
const maxGroupNumber = 65_535;

export class PatternText {
	readonly text: string;
	at = 0;

	constructor(text: string) {
		this.text = text;
	}

	fail(message: string, offset = this.at): never {
		throw new PatternError(message, offset);
	}

	unsupported(what: string): never {
		throw new PatternError(`${what} cannot be translated exactly`, this.at, true);
	}

	get ended(): boolean {
		return this.at >= this.text.length;
	}

	peek(ahead = 0): string {
		return this.text[this.at + ahead] ?? "";
	}

	eat(text: string): boolean {
		if (!this.text.startsWith(text, this.at)) return false;
		this.at += text.length;
		return true;
	}

	/** What the expression (with the flag y) finds at the cursor, which moves behind it. */
	take(expression: RegExp): string | null {
		expression.lastIndex = this.at;
		const match = expression.exec(this.text);
		if (match === null) return null;
		this.at += match[0].length;
		return match[0];
	}

	/** The name of a group and what ends it. */
	name(terminator: string): string {
		if (this.ended) this.fail("subpattern name expected");
		if (/\d/.test(this.peek())) this.fail("subpattern name must start with a non-digit");
		const name = this.take(/\w*/y)!;
		if (name.length > maxNameBytes)
			this.fail(`subpattern name is too long (maximum ${maxNameBytes} code units)`);
		if (name === "") this.fail("subpattern name expected");
		if (!this.eat(terminator)) this.fail("syntax error in subpattern name (missing terminator?)");
		return name;
	}

	/** The number of a group, perhaps counted from the last of `groups`; null: there is none. 0: no group has it. */
	groupNumber(groups: number): number | null {
		const written = this.take(/[+-]?\d+/y);
		if (written === null) return null;
		const value = Number(written.replace(/^[+-]/, ""));
		if (value > maxGroupNumber) this.fail("subpattern number is too big");
		if (/^\d/.test(written)) return value;
		if (value === 0) this.fail("a numbered reference must not be zero");
		if (written.startsWith("+")) return groups + value;
		if (value > groups) this.fail(noSuchGroup);
		return groups + 1 - value;
	}
}
