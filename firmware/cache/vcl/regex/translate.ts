/**
 * A pattern as JavaScript source, where JavaScript's engine gives the same answer. Two questions, because a condition
 * needs less than a substitution: does it find the same match, and does it set the same groups?
 */
import { type ByteSet, hasByte, members } from "./byte-set.ts";
import { isNullable, type Pattern, type PatternNode, some } from "./pattern.ts";

export interface Translation {
	readonly source: string;
	readonly flags: "" | "i";
	/** The groups come out alike too. */
	readonly sameGroups: boolean;
}

/** Null: JavaScript has no exact form. */
export function translate(pattern: Pattern): Translation | null {
	const { root } = pattern;
	if (pattern.branchReset) return null;
	if (some(root, differs)) return null;
	const caseless = pattern.allCaseless && !some(root, breaksUnderFolding);
	return {
		source: emit(root, caseless),
		flags: caseless ? "i" : "",
		sameGroups: !some(root, groupsDiffer),
	};
}

/** Constructs whose match itself may differ, or that JavaScript lacks. */
function differs(node: PatternNode): boolean {
	switch (node.kind) {
		case "atomic":
		case "backreference":
		case "keep":
			return true;
		case "assertion":
			return node.what === "search-start";
		case "repeat":
			// An empty turn ends PCRE's loop, but makes JavaScript try another way.
			if (!isNullable(node.body) || node.max === node.min) return false;
			return node.max > 1 || (!node.lazy && !emptyLast(node.body));
		default:
			return false;
	}
}

/** The body tries to be empty only when all else has failed: then skipping it comes to the same. */
function emptyLast(node: PatternNode): boolean {
	if (!isNullable(node)) return true;
	switch (node.kind) {
		case "sequence":
			return node.items.every(emptyLast);
		case "alternation":
			return node.options.every((option, index) =>
				index === node.options.length - 1 ? emptyLast(option) : !isNullable(option),
			);
		case "capture":
			return emptyLast(node.body);
		case "repeat":
			return !node.lazy && emptyLast(node.body);
		case "assertion":
		case "look":
			return true;
		default:
			return false;
	}
}

/** JavaScript forgets a loop's groups at each turn; PCRE keeps what an earlier turn set. */
function groupsDiffer(node: PatternNode): boolean {
	switch (node.kind) {
		case "repeat":
			if (isNullable(node.body) && hasCapture(node.body)) return true;
			return node.max > 1 && !everyTurnSets(node.body);
		case "look":
			return hasCapture(node.body) && (!node.ahead || node.negated);
		default:
			return false;
	}
}

function hasCapture(node: PatternNode): boolean {
	return some(node, ({ kind }) => kind === "capture");
}

/** No group of the body can be left out by one turn. */
function everyTurnSets(node: PatternNode): boolean {
	switch (node.kind) {
		case "alternation":
			return !hasCapture(node);
		case "repeat":
			return node.min > 0 ? everyTurnSets(node.body) : !hasCapture(node);
		case "sequence":
			return node.items.every(everyTurnSets);
		case "capture":
		case "atomic":
		case "look":
			return everyTurnSets(node.body);
		default:
			return true;
	}
}

/** JavaScript's `i` also folds À-Þ and à-þ, ÿ and µ, which PCRE's C locale does not. */
function breaksUnderFolding(node: PatternNode): boolean {
	if (node.kind !== "set") return false;
	for (let upper = 0xc0; upper <= 0xde; upper++)
		if (upper !== 0xd7 && hasByte(node.set, upper) !== hasByte(node.set, upper + 32)) return true;
	return false;
}

function emit(node: PatternNode, caseless: boolean): string {
	switch (node.kind) {
		case "set":
			return emitSet(node.set, caseless);
		case "sequence":
			return node.items
				.map((item) => (item.kind === "alternation" ? `(?:${emit(item, caseless)})` : emit(item, caseless)))
				.join("");
		case "alternation":
			return node.options.map((option) => emit(option, caseless)).join("|");
		case "capture":
			return `(${emit(node.body, caseless)})`;
		case "repeat": {
			const body = emit(node.body, caseless);
			const single = node.body.kind === "set" || node.body.kind === "capture";
			const { min, max } = node;
			const sign =
				min === 0 && max === Number.POSITIVE_INFINITY
					? "*"
					: min === 1 && max === Number.POSITIVE_INFINITY
						? "+"
						: min === 0 && max === 1
							? "?"
							: max === Number.POSITIVE_INFINITY
								? `{${min},}`
								: min === max
									? `{${min}}`
									: `{${min},${max}}`;
			return `${single ? body : `(?:${body})`}${sign}${node.lazy ? "?" : ""}`;
		}
		case "assertion":
			switch (node.what) {
				case "subject-start":
					return "^";
				case "subject-end":
					return "$";
				case "subject-end-or-last-newline":
					return "(?:$|(?=\\n$))";
				case "line-start":
					return "(?:^|(?<=\\n)(?!$))";
				case "line-end":
					return "(?=\\n|$)";
				case "word-boundary":
					return "\\b";
				case "no-word-boundary":
					return "\\B";
				default:
					throw new TypeError(`no form of ${node.what}`);
			}
		case "look":
			return `(?${node.ahead ? "" : "<"}${node.negated ? "!" : "="}${emit(node.body, caseless)})`;
		default:
			throw new TypeError(`no form of ${node.kind}`);
	}
}

function escapeByte(code: number, inClass: boolean): string {
	if ((code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95)
		return String.fromCharCode(code);
	if (code < 33 || code > 126) return `\\x${code.toString(16).padStart(2, "0")}`;
	const character = String.fromCharCode(code);
	return (inClass ? /[\\\]^-]/ : /[\\^$.*+?()[\]{}|/]/).test(character) ? `\\${character}` : character;
}

function emitSet(set: ByteSet, caseless: boolean): string {
	const list = members(set);
	if (list.length === 0) return "[]";
	if (list.length === 256) return "[^]";
	if (list.length === 1) return escapeByte(list[0]!, false);
	// Under the flag one case stands for both.
	if (caseless && list.length === 2 && list[1] === list[0]! + 32 && list[0]! >= 65 && list[0]! <= 90)
		return String.fromCharCode(list[1]!);
	const negated = list.length > 128;
	const shown = negated
		? Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !hasByte(set, byte))
		: list;
	let body = "";
	for (let index = 0; index < shown.length; ) {
		let end = index;
		while (end + 1 < shown.length && shown[end + 1] === shown[end]! + 1) end++;
		body += escapeByte(shown[index]!, true);
		if (end > index) body += `${end > index + 1 ? "-" : ""}${escapeByte(shown[end]!, true)}`;
		index = end + 1;
	}
	return `[${negated ? "^" : ""}${body}]`;
}
