/**
 * `~SEQ(var, [start, [step,]] end) text`, `~SEQx(…)` and `~LST(…) text`: one line that stands for
 * many. keepalived.conf(5), "SEQUENCE BLOCKS" and "LIST BLOCKS". Pure.
 */
import { limits } from "./limits.ts";

/** One round: the text, its own variables replaced, and what they stand for. */
export interface Round {
	readonly text: string;
	readonly variables: ReadonlyMap<string, string>;
}

export type Sequence = { readonly rounds: readonly Round[] } | { readonly fault: string };

const START = /^~(SEQx?|LST)\(/;

export function isSequence(line: string): boolean {
	return line.startsWith("~") && START.test(line);
}

/**
 * The rounds that `line` stands for, its own variables replaced and nothing else.
 * `replace` resolves definitions within the parameters.
 */
export function expandSequence(line: string, replace: (text: string) => string): Sequence {
	const match = START.exec(line);
	if (match === null) return { fault: "this is no ~SEQ or ~LST" };
	const close = closingParenthesis(line, match[0].length);
	if (close < 0) return { fault: `~${match[1]} has no closing parenthesis` };
	let inside = line.slice(match[0].length, close);
	for (let round = 0; round < limits.definitionDepth; round++) {
		const replaced = replace(inside);
		if (replaced === inside) break;
		inside = replaced;
	}
	const text = line.slice(close + 1).trim();
	return match[1] === "LST" ? list(inside, text) : counted(inside, text, match[1] === "SEQx");
}

function closingParenthesis(line: string, from: number): number {
	let depth = 0;
	for (let index = from; index < line.length; index++) {
		if (line[index] === "(") depth++;
		else if (line[index] === ")" && depth-- === 0) return index;
	}
	return -1;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `~SEQ` and `~SEQx`. */
function counted(inside: string, text: string, hexadecimal: boolean): Sequence {
	const word = hexadecimal ? "~SEQx" : "~SEQ";
	const [name = "", ...rest] = inside.split(",").map((part) => part.trim());
	if (!NAME.test(name)) return { fault: `${word}: "${name}" is no name for a variable` };
	if (rest.length < 1 || rest.length > 3) return { fault: `${word} takes (variable, [start, [step,]] end)` };
	const numbers = rest.map(wholeNumber);
	const wrong = numbers.indexOf(null);
	if (wrong >= 0) return { fault: `${word}: "${rest[wrong]}" is no whole number` };
	const end = numbers.at(-1)!;
	const start = numbers.length > 1 ? numbers[0]! : end < 0 ? -1 : 1;
	const step = numbers.length === 3 ? numbers[1]! : start <= end ? 1 : -1;
	if (step === 0 || (start < end && step < 0) || (start > end && step > 0))
		return { fault: `${word}: step ${step} never leads from ${start} to ${end}` };
	if (hexadecimal && (start < 0 || end < 0)) return { fault: "~SEQx counts only from 0 up" };
	const count = Math.floor((end - start) / step) + 1;
	if (count > limits.sequenceLines)
		return { fault: `${word} would repeat ${count} times; the limit is ${limits.sequenceLines}` };
	const rounds: Round[] = [];
	for (let index = 0; index < count; index++) {
		const value = start + index * step;
		rounds.push(bind(text, [name], [hexadecimal ? value.toString(16) : String(value)]));
	}
	return { rounds };
}

/** A whole number as strtol(3) with base 0 takes it. */
function wholeNumber(text: string): number | null {
	const match = /^([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)$/.exec(text);
	if (match === null) return null;
	const digits = match[2]!;
	const value = /^0[xX]/.test(digits)
		? Number.parseInt(digits, 16)
		: Number.parseInt(digits, digits.startsWith("0") && digits.length > 1 ? 8 : 10);
	if (!Number.isSafeInteger(value) || value > 2_147_483_647) return null;
	return match[1] === "-" ? -value : value;
}

/** `~LST(a, v1, v2)` and `~LST({a,b}, {a1,b1}, {a2,b2})`. */
function list(inside: string, text: string): Sequence {
	const parts = splitOutsideBraces(inside);
	if (parts === null) return { fault: "~LST: braces do not match" };
	const names = group(parts[0] ?? "");
	const wrong = names.find((name) => !NAME.test(name));
	if (wrong !== undefined) return { fault: `~LST: "${wrong}" is no name for a variable` };
	if (parts.length - 1 > limits.sequenceLines)
		return { fault: `~LST has more than ${limits.sequenceLines} values` };
	const rounds: Round[] = [];
	for (const part of parts.slice(1)) {
		const values = group(part);
		if (values.length > names.length)
			return { fault: `~LST has ${names.length} variables, but "${part}" has ${values.length} values` };
		rounds.push(
			bind(
				text,
				names,
				names.map((_, index) => values[index] ?? ""),
			),
		);
	}
	return { rounds };
}

function group(part: string): string[] {
	const inner = /^\{(.*)\}$/s.exec(part);
	return inner === null ? [part] : inner[1]!.split(",").map((word) => word.trim());
}

function splitOutsideBraces(text: string): string[] | null {
	const parts: string[] = [];
	let depth = 0;
	let start = 0;
	for (let index = 0; index < text.length; index++) {
		if (text[index] === "{") depth++;
		else if (text[index] === "}" && --depth < 0) return null;
		else if (text[index] === "," && depth === 0) {
			parts.push(text.slice(start, index).trim());
			start = index + 1;
		}
	}
	parts.push(text.slice(start).trim());
	return depth === 0 ? parts : null;
}

/** Replaces `${name}`, and `$name` before a blank, a comma, a parenthesis or the end. */
function bind(text: string, names: readonly string[], values: readonly string[]): Round {
	const variables = new Map(names.map((name, index) => [name, values[index]!]));
	const bound = text.replace(
		/\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*)(?=[ \t,)]|$))/g,
		(all, braced?: string, bare?: string) => variables.get(braced ?? bare!) ?? all,
	);
	return { text: bound, variables };
}
