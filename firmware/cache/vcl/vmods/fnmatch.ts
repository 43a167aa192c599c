/** POSIX fnmatch(3) over bytes, in the C locale. Linear in pattern × subject. */

export interface FnmatchFlags {
	/** `*`, `?` and `[…]` do not match a slash. */
	readonly pathname: boolean;
	/** A backslash is an ordinary character. */
	readonly noescape: boolean;
	/** A leading period must be matched by a period. */
	readonly period: boolean;
}

type Element =
	| { readonly kind: "any-run" }
	| { readonly kind: "one"; matches(code: number): boolean; readonly literal: boolean };

const classes: Readonly<Record<string, RegExp>> = {
	alnum: /[A-Za-z0-9]/,
	alpha: /[A-Za-z]/,
	blank: /[ \t]/,
	cntrl: /[\x00-\x1f\x7f]/,
	digit: /[0-9]/,
	graph: /[\x21-\x7e]/,
	lower: /[a-z]/,
	print: /[\x20-\x7e]/,
	punct: /[!-/:-@[-`{-~]/,
	space: /[\t-\r ]/,
	upper: /[A-Z]/,
	xdigit: /[0-9A-Fa-f]/,
};

export function fnmatch(pattern: string, subject: string, flags: FnmatchFlags): boolean {
	const elements = parse(pattern, flags);
	const leads = (at: number) =>
		flags.period && subject[at] === "." && (at === 0 || (flags.pathname && subject[at - 1] === "/"));
	// Positions of the pattern that are alive before each character of the subject.
	let alive = new Uint8Array(elements.length + 1);
	alive[0] = 1;
	const spread = (states: Uint8Array) => {
		for (let index = 0; index < elements.length; index++)
			if (states[index] === 1 && elements[index]!.kind === "any-run") states[index + 1] = 1;
	};
	spread(alive);
	for (let at = 0; at < subject.length; at++) {
		const code = subject.charCodeAt(at);
		const next = new Uint8Array(elements.length + 1);
		const slash = flags.pathname && code === 47;
		for (let index = 0; index < elements.length; index++) {
			if (alive[index] === 0) continue;
			const element = elements[index]!;
			if (element.kind === "any-run") {
				if (!slash && !leads(at)) next[index] = 1;
			} else if (element.literal) {
				if (element.matches(code)) next[index + 1] = 1;
			} else if (!slash && !leads(at) && element.matches(code)) next[index + 1] = 1;
		}
		spread(next);
		alive = next;
	}
	return alive[elements.length] === 1;
}

function parse(pattern: string, flags: FnmatchFlags): Element[] {
	const elements: Element[] = [];
	const literal = (character: string): Element => {
		const code = character.charCodeAt(0);
		return { kind: "one", literal: true, matches: (other) => other === code };
	};
	for (let at = 0; at < pattern.length; at++) {
		const character = pattern[at]!;
		if (character === "*") elements.push({ kind: "any-run" });
		else if (character === "?") elements.push({ kind: "one", literal: false, matches: () => true });
		else if (character === "\\" && !flags.noescape && at + 1 < pattern.length)
			elements.push(literal(pattern[++at]!));
		else if (character === "[") {
			const set = parseSet(pattern, at, flags);
			if (set === null) elements.push(literal("["));
			else {
				elements.push({ kind: "one", literal: false, matches: set.matches });
				at = set.end;
			}
		} else elements.push(literal(character));
	}
	return elements;
}

function parseSet(
	pattern: string,
	begin: number,
	flags: FnmatchFlags,
): { readonly end: number; matches(code: number): boolean } | null {
	let at = begin + 1;
	const negated = pattern[at] === "!" || pattern[at] === "^";
	if (negated) at++;
	const members = new Uint8Array(256);
	for (let first = true; ; first = false) {
		let character = pattern[at];
		if (character === undefined) return null;
		if (character === "]" && !first) break;
		const named = /^\[:([a-z]+):\]/.exec(pattern.slice(at, at + 12));
		if (named !== null && Object.hasOwn(classes, named[1]!)) {
			for (let code = 0; code < 256; code++)
				if (classes[named[1]!]!.test(String.fromCharCode(code))) members[code] = 1;
			at += named[0].length;
			continue;
		}
		if (character === "\\" && !flags.noescape) character = pattern[++at] ?? "\\";
		const low = character.charCodeAt(0);
		at++;
		let high = low;
		if (pattern[at] === "-" && pattern[at + 1] !== undefined && pattern[at + 1] !== "]") {
			at++;
			if (pattern[at] === "\\" && !flags.noescape) at++;
			high = (pattern[at] ?? "").charCodeAt(0);
			at++;
		}
		for (let code = low; code <= high; code++) members[code] = 1;
	}
	return { end: at, matches: (code) => (members[code] === 1) !== negated };
}
