/** Where the director's verdict is another than keepalived 2.2.7's on purpose, and why: what a storm does not report. */
import { leadingNumber } from "../../../firmware/config/keepalived/numbers.ts";
import { numbers, type PlannedCheck, type PlannedServer } from "./health-storm-plan.ts";

interface Known {
	readonly kinds: RegExp;
	/** What is done to the check. */
	readonly behaviour: RegExp;
	/** The check's text; absent: any. */
	readonly text?: RegExp;
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
];

/** Why a check of a server leads to the director's verdict where keepalived has the other one; null: it should not. */
export function whyOtherwise(check: PlannedCheck, phase: number, up: boolean): string | null {
	if (check.weight !== undefined) return whyOtherwiseOfFile(check, check.weight, phase, up);
	const behaviour = check.behaviours[phase]!;
	const text = check.text.replaceAll("\n", "; ");
	const found = known.find(
		(one) =>
			one.up === up &&
			one.kinds.test(check.kind) &&
			one.behaviour.test(behaviour) &&
			(one.text?.test(text) ?? true),
	);
	return found?.why ?? null;
}

/** Whether keepalived has the server in from the start; it says so of none. */
export function isInAtStart({ checks, alpha }: PlannedServer): boolean {
	return checks.every(({ weight, behaviours }) =>
		weight === undefined ? !alpha : isUpAtStart(weight, numberIn(behaviours[0]!)),
	);
}

const numberIn = (behaviour: string) => leadingNumber(numbers[behaviour]!) ?? 0;
/** None of the storm's numbers is so far out that another weight than 0 makes a verdict of it. */
const decides = (weight: string) => /^0\b/.test(weight);
/** keepalived 2.2.7 forgets `reverse` there, and asks neither for alpha (observed: quorums at the start). */
const isUpAtStart = (weight: string, value: number) => !decides(weight) || value === 0;

/** keepalived 2.2.7 acts on changes of what a file says (observed), so that its odd start with `reverse` lasts. */
function whyOtherwiseOfFile(
	{ behaviours }: PlannedCheck,
	weight: string,
	phase: number,
	up: boolean,
): string | null {
	const values = behaviours.slice(0, phase + 1).map(numberIn);
	const isBad = (value: number) => decides(weight) && (value !== 0) !== weight.endsWith("reverse");
	let isUp = isUpAtStart(weight, values[0]!);
	for (let index = 1; index < values.length; index++)
		if (isBad(values[index]!) !== isBad(values[index - 1]!)) isUp = !isBad(values[index]!);
	const isUpForUs = !isBad(values.at(-1)!);
	return isUpForUs === up && isUp !== up ? "keepalived reads its file without reverse at the start" : null;
}
