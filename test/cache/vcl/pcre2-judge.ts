/** One regular expression and its subjects, here and in PCRE2: where they differ. */
import { compileRegex, type Match } from "../../../firmware/cache/vcl/regex/regex.ts";
import { VclFailure } from "../../../firmware/cache/vcl/runtime.ts";
import { compilePcre2, type Spans } from "./pcre2.ts";

export interface Trial {
	readonly subject: string;
	readonly from: number;
	readonly notEmpty: boolean;
}

export interface Judgement {
	readonly outcome: "refused" | "not translated" | "compared";
	readonly differences: readonly { readonly kind: string; readonly shown: string }[];
}

const notTranslated = "cannot be translated exactly";

/** PCRE2 10.42's shortcuts overlook a match, or find a later one. */
const overlooks = (pattern: string, spans: Spans | null) =>
	// \R is held to have no byte in common with ".", \N and \s.
	/\\R/.test(pattern) ||
	// A group that is never entered decides where lines begin.
	(spans === null && pattern.includes("{0") && pattern.includes("^"));

const textsOf = (spans: Spans, subject: string) => [
	spans[0]![0],
	// \K can put the beginning behind the end.
	...spans.map((span) => (span === null ? undefined : subject.slice(span[0], Math.max(span[0], span[1])))),
];

const found = (match: Match, groups: number) => [
	match.index,
	...Array.from({ length: groups }, (_, group) => match[group]),
];

export function judge(pattern: string, trials: readonly Trial[]): Judgement {
	const theirs = compilePcre2(pattern);
	const ours = compileRegex(pattern);
	const differences: { kind: string; shown: string }[] = [];
	const tell = (kind: string, ...shown: readonly unknown[]) =>
		differences.push({ kind, shown: JSON.stringify([pattern, ...shown]) });
	const untranslated = !ours.ok && ours.error.includes(notTranslated);
	if (!theirs.ok) {
		if (ours.ok) tell(`accepted, PCRE2: ${theirs.error}`);
		else if (ours.error !== theirs.error && !untranslated) tell(`"${ours.error}", PCRE2: ${theirs.error}`);
		return { outcome: "refused", differences };
	}
	if (!ours.ok) {
		theirs.code.free();
		if (!untranslated) tell(`refused: ${ours.error}`);
		return { outcome: "not translated", differences };
	}
	const { matcher } = ours.regex;
	for (const { subject, from, notEmpty } of trials) {
		const spans = theirs.code.match(subject, from, notEmpty);
		if (typeof spans === "number") {
			tell(`PCRE2 ended with ${spans}`, subject);
			continue;
		}
		try {
			const match = matcher.exec(subject, from, notEmpty);
			const expected = spans === null ? null : textsOf(spans, subject);
			const actual = match === null ? null : found(match, spans?.length ?? 1);
			if (JSON.stringify(actual) !== JSON.stringify(expected) && !overlooks(pattern, spans))
				tell(
					actual === null || expected === null
						? "match"
						: actual[0] !== expected[0] || actual[1] !== expected[1]
							? "place"
							: "groups",
					{ subject, from, notEmpty, engine: ours.regex.engine, actual, expected },
				);
			if (from === 0 && !notEmpty && matcher.test(subject) !== (match !== null)) tell("test()", subject);
		} catch (error) {
			if (!(error instanceof VclFailure)) throw error;
			tell("limit", subject);
		}
	}
	theirs.code.free();
	return { outcome: "compared", differences };
}
