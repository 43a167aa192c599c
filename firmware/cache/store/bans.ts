/**
 * Bans: what must not be served any more, by rule instead of by name. Pure: objects and requests come in as
 * arguments, and what is to be done comes out.
 *
 * Every ban has a number, greater than all before it; an object carries the number of the newest ban that it
 * was tested against (or that stood when it was fetched), so a look-up tests only newer ones. A ban that only
 * looks at objects can be tested by the lurker, in the background; when all objects are past it, it is gone.
 */
import { compileRegex, type Matcher } from "../vcl/regex/regex.ts";
import { VclFailure } from "../vcl/runtime.ts";

export type BanField =
	| { readonly kind: "url" }
	| { readonly kind: "request"; readonly key: string }
	| { readonly kind: "object"; readonly key: string }
	| { readonly kind: "status" }
	| { readonly kind: "seconds"; readonly of: "ttl" | "age" | "grace" | "keep" };

export type BanOperator = "==" | "!=" | "~" | "!~" | "<" | "<=" | ">" | ">=";

export interface BanTest {
	readonly field: BanField;
	readonly operator: BanOperator;
	readonly argument: string;
	readonly pattern: Matcher | undefined;
	readonly seconds: number;
}

export interface Ban {
	readonly number: number;
	/** Unix seconds. */
	readonly addedAt: number;
	readonly tests: readonly BanTest[];
	/** Its words as parseBan() takes them, quoted where it has to be. */
	readonly text: string;
	/** It looks at the request: the lurker cannot test it. */
	readonly needsRequest: boolean;
	/** A later one says the same, or nothing is left to test. */
	completed: boolean;
}

/** What a ban looks at. `request` is undefined for the lurker. */
export interface BanSubject {
	readonly request: { readonly url: string; header(key: string): string | undefined } | undefined;
	readonly object: {
		readonly status: number;
		readonly age: number;
		readonly ttl: number;
		readonly grace: number;
		readonly keep: number;
		header(key: string): string | undefined;
	};
}

/** Words in one expression; a longer one is refused. */
const WORD_LIMIT = 256;
const durationUnits: Readonly<Record<string, number>> = {
	ms: 0.001,
	s: 1,
	m: 60,
	h: 3600,
	d: 86400,
	w: 604800,
	y: 31536000,
};

function parseField(word: string): BanField | undefined {
	if (word === "req.url") return { kind: "url" };
	if (word === "obj.status") return { kind: "status" };
	const key = word.slice("req.http.".length).toLowerCase();
	if (word.startsWith("req.http.") && key !== "") return { kind: "request", key };
	if (word.startsWith("obj.http.") && key !== "") return { kind: "object", key };
	const seconds = /^obj\.(ttl|age|grace|keep)$/.exec(word);
	if (seconds !== null) return { kind: "seconds", of: seconds[1] as "ttl" | "age" | "grace" | "keep" };
	return undefined;
}

export type BanExpression =
	| { readonly ok: true; readonly tests: readonly BanTest[]; readonly text: string }
	| { readonly ok: false; readonly message: string };

const refuse = (message: string): BanExpression => ({ ok: false, message });

export type ParsedBan = Extract<BanExpression, { readonly ok: true }>;

/** Reads the words of `FIELD OP ARG [&& …]`. */
export function parseBan(words: readonly string[]): BanExpression {
	if (words.length > WORD_LIMIT || words.length % 4 !== 3) return refuse("Wrong number of arguments");
	const tests: BanTest[] = [];
	const shown = [...words];
	for (let index = 0; index < words.length; index += 4) {
		if (index > 0 && words[index - 1] !== "&&") return refuse(`Found "${words[index - 1]}" expected &&`);
		const field = parseField(words[index]!);
		if (field === undefined) return refuse(`Unknown or unsupported field "${words[index]}"`);
		const operator = words[index + 1]! as BanOperator;
		const argument = words[index + 2]!;
		const ordered = field.kind === "seconds";
		const allowed = ordered ? ["==", "!=", ">", ">=", "<", "<="] : ["==", "!=", "~", "!~"];
		if (!allowed.includes(operator))
			return refuse(
				`expected conditional (${allowed.slice(0, -1).join(", ")} or ${allowed.at(-1)}) got "${words[index + 1]}"`,
			);
		let pattern: Matcher | undefined;
		let seconds = 0;
		if (operator === "~" || operator === "!~") {
			const result = compileRegex(argument);
			if (!result.ok) return refuse(`Regex compile error: ${result.error}`);
			pattern = result.regex.matcher;
		}
		if (ordered) {
			const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w|y)$/.exec(argument);
			if (match === null) return refuse(`expected duration <n.nn>[ms|s|m|h|d|w|y] got "${argument}"`);
			seconds = Number(match[1]) * durationUnits[match[2]!]!;
			shown[index + 2] = formatDuration(seconds);
		}
		tests.push({ field, operator, argument, pattern, seconds });
	}
	return { ok: true, tests, text: shown.map(quoteWord).join(" ") };
}

/** In the largest unit of which it is a whole number, as ban.list shows it: 90m, not 1.5h. */
function formatDuration(seconds: number): string {
	const milliseconds = Math.round(seconds * 1000);
	if (milliseconds === 0) return "0s";
	if (milliseconds < 1000) return `${milliseconds}ms`;
	for (const unit of ["y", "w", "d", "h", "m"]) {
		const count = milliseconds / (durationUnits[unit]! * 1000);
		if (Number.isInteger(count)) return `${count}${unit}`;
	}
	const whole = milliseconds % 1000 === 0;
	return `${(milliseconds / 1000).toFixed(whole ? 0 : 3)}s`;
}

/** A subject that takes the expression too long does not match, as with varnishd. */
function matches(pattern: Matcher, value: string): boolean {
	try {
		return pattern.test(value);
	} catch (error) {
		if (error instanceof VclFailure) return false;
		throw error;
	}
}

const quoteWord = (word: string) =>
	/[\s"]/.test(word) || word === "" ? `"${word.replace(/["\\]/g, "\\$&")}"` : word;

/** Splits the string of VCL's ban(): blanks separate, and a quote is a character like others (that of an ETag). */
const banWordsOfVcl = (expression: string): string[] =>
	expression.split(/[ \t\r\n]+/).filter((word) => word !== "");

/** A ban of VCL, with varnishd's words for what is missing. */
export function parseVclBan(expression: string): BanExpression {
	const words = banWordsOfVcl(expression);
	for (let at = 0; ; at += 4) {
		if (words[at] === undefined) return refuse("No ban conditions found.");
		if (words[at + 1] === undefined) return refuse("Expected comparison operator.");
		if (words[at + 2] === undefined) return refuse("Expected second operand.");
		const test = parseBan(words.slice(at, at + 3));
		if (!test.ok) return test;
		const joint = words[at + 3];
		if (joint === undefined) return parseBan(words);
		if (joint !== "&&") return refuse(`Expected && between conditions, found "${joint}"`);
	}
}

/** As ban.list has it, in varnishd's manner: the words as they were given, without what keeps them apart. */
export const listedBan = ({ text }: Pick<Ban, "text">) => banWords(text).join(" ");

/** Splits the text of a ban as it is kept; blanks separate, quotes group. */
export function banWords(expression: string): string[] {
	return [...expression.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map((match) =>
		match[1] !== undefined ? match[1].replace(/\\(.)/g, "$1") : match[2]!,
	);
}

function compareNumbers(left: number, operator: BanOperator, right: number): boolean {
	switch (operator) {
		case "==":
			return left === right;
		case "!=":
			return left !== right;
		case "<":
			return left < right;
		case "<=":
			return left <= right;
		case ">":
			return left > right;
		case ">=":
			return left >= right;
		default:
			return false;
	}
}

function testHolds(test: BanTest, subject: BanSubject): boolean {
	const { field, operator, argument } = test;
	let value: string | undefined;
	switch (field.kind) {
		case "seconds":
			return compareNumbers(subject.object[field.of], operator, test.seconds);
		case "status":
			value = String(subject.object.status);
			break;
		case "object":
			value = subject.object.header(field.key);
			break;
		case "url":
			value = subject.request?.url;
			break;
		case "request":
			value = subject.request?.header(field.key);
			break;
	}
	switch (operator) {
		case "==":
			return value === argument;
		case "!=":
			return value !== argument;
		case "~":
			return value !== undefined && matches(test.pattern!, value);
		case "!~":
			return value === undefined || !matches(test.pattern!, value);
		default:
			return false;
	}
}

/** `holds` when every test of the ban does: the object is banned. `tests`: how many were looked at to know. */
export function tryBan(ban: Ban, subject: BanSubject): { readonly holds: boolean; readonly tests: number } {
	const failing = ban.tests.findIndex((test) => !testHolds(test, subject));
	return failing < 0 ? { holds: true, tests: ban.tests.length } : { holds: false, tests: failing + 1 };
}

export const banHolds = (ban: Ban, subject: BanSubject) => tryBan(ban, subject).holds;

const isOfTheMoment: ReadonlySet<string> = new Set(["ttl", "age"]);

/** Bans that are over, by the number of the newest of them. */
export interface BansFinished {
	/** All stored objects are past the bans up to this one. */
	readonly all: number;
	/** They have been tested against those up to this one that look at objects alone. */
	readonly ofObjects: number;
}

/** Bans kept; the oldest are given up only when objects have been tested against them. */
export const BAN_LIMIT = 100_000;

/** Bans that are no more, of which the text is kept. */
const PAST_LIMIT = 1000;

export class BanList {
	/** Oldest first. */
	#bans: Ban[] = [];
	/** Texts of bans that are no more, by number; the oldest first. */
	readonly #past = new Map<number, string>();
	#newest = 0;
	#finished = 0;
	#finishedOfObjects = 0;
	tested = 0;
	testsTested = 0;
	dups = 0;
	added = 0;
	deleted = 0;

	get all(): readonly Ban[] {
		return this.#bans;
	}

	/** Number of the newest ban: what a new object starts from. */
	get newest(): number {
		return this.#newest;
	}

	/** Bans before this number are no more; everything stored has been tested against them. */
	setNewest(number: number): void {
		this.#newest = Math.max(this.#newest, number);
	}

	add(
		number: number,
		addedAt: number,
		tests: readonly BanTest[],
		text: string,
		dropDuplicates: boolean,
	): Ban {
		const needsRequest = tests.some((test) => test.field.kind === "url" || test.field.kind === "request");
		const ban: Ban = { number, addedAt, tests, text, needsRequest, completed: false };
		// What it says of ages and lifetimes left is something else tomorrow.
		const passes = tests.some(({ field }) => field.kind === "seconds" && isOfTheMoment.has(field.of));
		if (dropDuplicates && !passes)
			for (const older of this.#bans)
				if (!older.completed && older.text === text) {
					older.completed = true;
					this.dups++;
				}
		let at = this.#bans.length;
		while (at > 0 && this.#bans[at - 1]!.number > number) at--;
		this.#bans.splice(at, 0, ban);
		this.#newest = Math.max(this.#newest, number);
		this.added++;
		return ban;
	}

	/** Of a ban that stands or has not been dropped for long. */
	textOf(number: number): string | undefined {
		return this.#past.get(number) ?? this.#bans.find((ban) => ban.number === number)?.text;
	}

	/** The first ban newer than `since` that holds for the subject. */
	holds(since: number, subject: BanSubject): Ban | undefined {
		for (let index = this.#bans.length - 1; index >= 0; index--) {
			const ban = this.#bans[index]!;
			if (ban.number <= since) break;
			if (ban.completed) continue;
			if (ban.needsRequest && subject.request === undefined) continue;
			this.tested++;
			const { holds, tests } = tryBan(ban, subject);
			this.testsTested += tests;
			if (holds) return ban;
		}
		return undefined;
	}

	/**
	 * The first ban newer than `since` that looks at objects alone and holds for what is about to be stored: the lurker
	 * may be past the place that it is stored in, and past the ban.
	 */
	holdsForNew(since: number, subject: BanSubject): Ban | undefined {
		if (since >= this.#newest) return undefined;
		return this.#bans.find((ban) => ban.number > since && !ban.needsRequest && banHolds(ban, subject));
	}

	/**
	 * What refers to each ban, in the order of `all`: every object to the newest one that it was tested against.
	 * `references` counts objects by that number; those of bans that are no more belong to the next older one.
	 */
	referenced(references: ReadonlyMap<number, number>): number[] {
		const counts = this.#bans.map(() => 0);
		for (const [number, count] of references) {
			let at = this.#bans.length - 1;
			while (at > 0 && this.#bans[at]!.number > number) at--;
			if (at >= 0) counts[at]! += count;
		}
		return counts;
	}

	/** Completes bans, and drops all but the newest of those that all objects are past; false when none was left to. */
	finish({ all, ofObjects }: BansFinished): boolean {
		if (all <= this.#finished && ofObjects <= this.#finishedOfObjects) return false;
		this.#finished = Math.max(this.#finished, Math.min(all, this.#newest));
		this.#finishedOfObjects = Math.max(this.#finishedOfObjects, Math.min(ofObjects, this.#newest));
		for (const ban of this.#bans)
			if (ban.number <= all || (ban.number <= ofObjects && !ban.needsRequest)) ban.completed = true;
		while (this.#bans.length > 1 && this.#bans[0]!.number < all && this.#bans[0]!.completed)
			this.dropOldest();
		return true;
	}

	dropOldest(): void {
		const ban = this.#bans.shift();
		if (ban === undefined) return;
		this.deleted++;
		this.#past.set(ban.number, ban.text);
		if (this.#past.size > PAST_LIMIT) this.#past.delete(this.#past.keys().next().value!);
	}
}
