/** Where the director's verdict is another than keepalived 2.2.7's on purpose, and why: what a storm does not report. */
import type { PlannedCheck } from "./health-storm-plan.ts";

interface Known {
	readonly kinds: RegExp;
	/** What is done to the check. */
	readonly behaviour: RegExp;
	/** The check's text; absent: any. */
	readonly text?: RegExp;
	readonly alpha?: boolean;
	/** What was done to it in the phase before; absent: any. */
	readonly before?: RegExp;
	/** The director's verdict. */
	readonly up: boolean;
	readonly why: string;
}

const web = /^(HTTP|SSL)_GET$/;
/** What a page may be read from; whatever the pattern, nothing else makes a server of it. */
const aPage =
	/^(a good answer|an answer|one byte every|head and body|the head in|a blank line|bare line|200 without|two blanks|HTTP\/2|http\/1|ICY|a line feed|a long head|a length|chunked|10[03]|404|503|NULs (before|in)|a body of|good and|(one|two) good)/;
const known: readonly Known[] = [
	{
		kinds: web,
		behaviour: /stays open/,
		up: true,
		why: "a whole answer is an answer: its end need not be waited for",
	},
	{
		kinds: web,
		behaviour: /then a reset|before the question/,
		up: true,
		why: "the same: a reset comes after it",
	},
	{
		kinds: web,
		behaviour: /without a reason|two blanks|bare line feeds/,
		up: true,
		why: "RFC 9112 §4: read as blanks leave it",
	},
	{ kinds: web, behaviour: /6 kB|NULs/, up: true, why: "a head may be longer than 4 kB, and hold NULs" },
	{
		kinds: web,
		behaviour: /^chunked/,
		text: /digest|regex/,
		up: true,
		why: "the page's own digest counts, too",
	},
	{
		kinds: web,
		behaviour: /^chunked, without a size/,
		up: false,
		why: "RFC 9112 §7.1: no client could read it",
	},
	{
		kinds: web,
		behaviour: aPage,
		text: /regex "(\^|[^"]*\$")|regex_m(in|ax)_offset/,
		up: true,
		why: "keepalived counts from the head's beginning and never sees the page's end; a pattern may fit either way",
	},
	{
		kinds: web,
		behaviour: aPage,
		text: /regex "(\^[^"]*|[^"]*\$)"; regex_no_match|regex_no_match;.*regex_m(in|ax)_offset/,
		up: false,
		why: "the same: it stands in the page",
	},
	{ kinds: web, behaviour: /300 kB/, text: /regex/, up: true, why: "a match may go over more than one read" },
	{
		kinds: web,
		behaviour: /of three|in turn/,
		text: /url.*url/,
		up: true,
		why: "chance: who asks for what when",
	},
	{
		kinds: web,
		behaviour: /of three|in turn/,
		text: /url.*url/,
		up: false,
		why: "chance: who asks for what when",
	},
	{
		kinds: /^TCP_CHECK$/,
		behaviour: /reset at once/,
		up: true,
		why: "it was accepted; keepalived's verdict hangs on who is quicker",
	},
	{
		kinds: /^SMTP_CHECK$/,
		behaviour: /of two lines|without text|3 kB/,
		up: true,
		why: "RFC 5321 §4.2: replies have several lines, or no text",
	},
	{
		kinds: /^FILE_CHECK$/,
		behaviour: /./,
		alpha: true,
		up: true,
		why: "with alpha keepalived has a file that has not yet taken its server out and in for down",
	},
	{
		kinds: /^FILE_CHECK$/,
		behaviour: /./,
		alpha: false,
		up: false,
		why: "keepalived acts on changes of a file's verdict: one that is bad from the start is none without alpha",
	},
	{
		kinds: /^FILE_CHECK$/,
		behaviour: /./,
		before: /^(words|nothing|a number and words)$/,
		up: false,
		why: "nor at the one after words",
	},
];

/** Why a check of a server leads to the director's verdict where keepalived has the other one; null: it should not. */
export function whyOtherwise(check: PlannedCheck, phase: number, alpha: boolean, up: boolean): string | null {
	const behaviour = check.behaviours[phase]!;
	const text = check.text.replaceAll("\n", "; ");
	const found = known.find(
		(one) =>
			one.up === up &&
			one.kinds.test(check.kind) &&
			one.behaviour.test(behaviour) &&
			(one.text?.test(text) ?? true) &&
			(one.alpha === undefined || one.alpha === alpha) &&
			(one.before === undefined || one.before.test(check.behaviours[phase - 1] ?? "")),
	);
	return found?.why ?? null;
}
