/**
 * Regular expressions of VCL: PCRE2 syntax over bytes, run by JavaScript's own engine where that gives the same
 * answer in bounded time, and by the bounded matcher otherwise. A condition and a substitution are judged apart.
 */
import { VclFailure } from "../runtime.ts";
import { type Degree, finiteChoicesLog2, worstDegree } from "./ambiguity.ts";
import { MatchLimit, run } from "./backtrack.ts";
import { members } from "./byte-set.ts";
import { parsePattern } from "./parse.ts";
import type { Pattern } from "./pattern.ts";
import { PatternError } from "./pattern-text.ts";
import { compileProgram, type Program, ProgramTooLarge } from "./program.ts";
import { type Translation, translate } from "./translate.ts";

/** Like RegExp's match array. Groups that took no part are undefined. */
export interface Match {
	readonly index: number;
	readonly [group: number]: string | undefined;
}

export interface Matcher {
	test(subject: string): boolean;
	/** First match at or after `from`; `notEmpty` refuses the empty one. */
	exec(subject: string, from: number, notEmpty: boolean): Match | null;
}

export interface Regex {
	readonly pattern: string;
	readonly matcher: Matcher;
	/** How it is run, for `drover vcl show` and the tests. */
	readonly engine: "javascript" | "mixed" | "bounded";
	readonly degree: Degree;
	/** For conditions: JavaScript's own expression, good for subjects up to `limitBytes`; null: not to be used. */
	readonly native: RegExp | null;
	readonly limitBytes: number;
	/** The whole expression is plain text, perhaps at the start of the subject. */
	readonly plain: { readonly kind: "prefix" | "inside"; readonly text: string } | null;
}

export type RegexResult =
	| { readonly ok: true; readonly regex: Regex }
	| { readonly ok: false; readonly error: string; readonly hint: string | null };

/** Steps that JavaScript's engine may be asked for on one subject: some milliseconds. */
const nativeSteps = 4_000_000;
/** With a loop that goes around in two ways over the same text, only the shortest subjects. */
const maxExponentialBytes = 18;

/** Finite choices that no subject is long enough to notice: 32 ways. */
const harmlessChoicesLog2 = 5;

/** The longest subject that cannot keep the native engine busy for longer. */
export function nativeLimitBytes(degree: Degree, choicesLog2: number): number {
	if (degree <= 1 && choicesLog2 <= harmlessChoicesLog2) return Number.POSITIVE_INFINITY;
	const steps = nativeSteps / 2 ** Math.max(0, choicesLog2 - harmlessChoicesLog2);
	if (degree === Number.POSITIVE_INFINITY) return Math.min(maxExponentialBytes, Math.floor(steps));
	let factorial = 1;
	for (let factor = 2; factor < degree; factor++) factorial *= factor;
	return Math.floor((steps * factorial) ** (1 / degree));
}

export function compileRegex(text: string): RegexResult {
	let pattern: Pattern;
	let program: Program;
	try {
		pattern = parsePattern(text);
		program = compileProgram(pattern);
	} catch (error) {
		if (error instanceof PatternError)
			return {
				ok: false,
				error: error.message,
				hint: error.unsupported
					? "The stock compiler accepts this; here it would have to mean something else, so it is refused. Write the expression without it."
					: `At byte ${error.offset + 1} of the expression.`,
			};
		if (error instanceof ProgramTooLarge)
			return { ok: false, error: error.message, hint: "Counted repeats multiply: use a smaller bound." };
		throw error;
	}
	const translation = translate(pattern);
	const degree = worstDegree(pattern);
	const limitBytes = nativeLimitBytes(degree, finiteChoicesLog2(pattern.root));
	const native = translation === null ? null : nativeMatcher(translation);
	const facts = {
		pattern: text,
		degree,
		limitBytes,
		native: native?.testing ?? null,
		plain: plainText(pattern),
	};
	if (native === null)
		return { ok: true, regex: { ...facts, matcher: boundedMatcher(program), engine: "bounded" } };
	if (limitBytes === Number.POSITIVE_INFINITY && native.sameGroups)
		return { ok: true, regex: { ...facts, matcher: nativeOnly(native, program), engine: "javascript" } };
	return {
		ok: true,
		regex: { ...facts, matcher: mixedMatcher(native, program, limitBytes), engine: "mixed" },
	};
}

/** `^/static/` and `foo` need no expression at all. */
function plainText({ root }: Pattern): Regex["plain"] {
	const items = root.kind === "sequence" ? root.items : [root];
	const anchored = items[0]?.kind === "assertion" && items[0].what === "subject-start";
	let text = "";
	for (const item of anchored ? items.slice(1) : items) {
		if (item.kind !== "set") return null;
		const bytes = members(item.set);
		if (bytes.length !== 1) return null;
		text += String.fromCharCode(bytes[0]!);
	}
	return text === "" ? null : { kind: anchored ? "prefix" : "inside", text };
}

interface Native {
	/** Without `g`: keeps no position between calls. */
	readonly testing: RegExp;
	readonly searching: RegExp;
	readonly sameGroups: boolean;
}

function nativeMatcher(translation: Translation): Native | null {
	try {
		return {
			testing: new RegExp(translation.source, translation.flags),
			searching: new RegExp(translation.source, `${translation.flags}g`),
			sameGroups: translation.sameGroups,
		};
	} catch {
		// Too large for the native engine: the bounded one takes it.
		return null;
	}
}

function bounded(program: Program, subject: string, from: number, notEmpty: boolean): Int32Array | null {
	try {
		return run(program, subject, from, notEmpty);
	} catch (error) {
		if (error instanceof MatchLimit) throw new VclFailure(`Regexp matching failed: ${error.message}`);
		throw error;
	}
}

function boundedExec(program: Program, subject: string, from: number, notEmpty: boolean): Match | null {
	const slots = bounded(program, subject, from, notEmpty);
	if (slots === null) return null;
	const match: { index: number; [group: number]: string | undefined } = { index: slots[0]! };
	// \K can put the beginning behind the end.
	match[0] = subject.slice(slots[0]!, Math.max(slots[0]!, slots[1]!));
	for (let group = 1; group <= program.groups; group++) {
		const begin = slots[2 * group]!;
		const end = slots[2 * group + 1]!;
		match[group] = begin < 0 || end < 0 ? undefined : subject.slice(begin, end);
	}
	return match;
}

function boundedMatcher(program: Program): Matcher {
	return {
		test: (subject) => bounded(program, subject, 0, false) !== null,
		exec: (subject, from, notEmpty) => boundedExec(program, subject, from, notEmpty),
	};
}

function nativeExec(native: Native, program: Program, subject: string, from: number, notEmpty: boolean) {
	const { searching } = native;
	searching.lastIndex = from;
	const match = searching.exec(subject);
	// JavaScript cannot be told to look for another match at the same place.
	return match !== null && notEmpty && match[0] === ""
		? boundedExec(program, subject, from, true)
		: (match as Match | null);
}

function nativeOnly(native: Native, program: Program): Matcher {
	const { testing } = native;
	return {
		test: (subject) => testing.test(subject),
		exec: (subject, from, notEmpty) => nativeExec(native, program, subject, from, notEmpty),
	};
}

function mixedMatcher(native: Native, program: Program, limitBytes: number): Matcher {
	const { testing } = native;
	return {
		test: (subject) =>
			subject.length <= limitBytes ? testing.test(subject) : bounded(program, subject, 0, false) !== null,
		exec: (subject, from, notEmpty) =>
			native.sameGroups && subject.length <= limitBytes
				? nativeExec(native, program, subject, from, notEmpty)
				: boundedExec(program, subject, from, notEmpty),
	};
}
