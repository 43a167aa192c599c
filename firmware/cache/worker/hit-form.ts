/**
 * All records of a hit by a pattern as one form: for hits whose URL, header lines and numbers are as long as those of an
 * earlier one, which most of a busy worker's are. What differs is written into the gaps of the form, in place of being
 * put together record by record.
 */
import { digitsOf } from "../log/digits.ts";
import { payloadLimit, record } from "../log/records.ts";
import { Tag } from "../log/tags.ts";
import { DIGITS_LIMIT, isPlain, putAccount, putHit, putNumber } from "../log/transaction-log.ts";
import { type HitPattern, LINE_LIMIT, lines, placed } from "./hit-pattern.ts";
import { GAPPED, type Gap, LogForm, type LoggedRecord, type Run } from "./log-form.ts";

/** What the gaps are filled with. Times in whole microseconds; what is not below DIGITS_LIMIT has no form. */
export interface HitRecord {
	/** The request, and where its URL is in there. */
	readonly request: Uint8Array;
	readonly urlAt: number;
	readonly urlEnd: number;
	/** The stored head, whose lines are `lines`. */
	readonly storedHead: Uint8Array;
	/** The head that was sent, whose numbers are at `placed`. */
	readonly sentHead: Uint8Array;
	readonly sentHeadBytes: number;
	readonly bodyBytes: number;
	readonly objectTransaction: number;
	readonly remainingMicros: number;
	readonly graceMicros: number;
	readonly keepMicros: number;
}

/** A power of two. Each has some 2 KB, and 23 at most. */
const FORMS = 1024;
/** A gap for each line of the stored head, and some more. */
const GAP_LIMIT = LINE_LIMIT + 32;
/** Texts that are made of numbers are shorter than this. */
const NUMBERS_BYTES = 128;
const MICROS = 1e6;
const CONTENT_LENGTH = Buffer.from("Content-Length: ");

interface HitForm {
	readonly pattern: HitPattern;
	/** shapeOf() the run. */
	readonly shape: number;
	readonly lengths: Int32Array;
	readonly log: LogForm;
}

/** Of the hit at hand: its gaps' tags and lengths. */
const gaps = { count: 0, tags: new Int32Array(GAP_LIMIT), lengths: new Int32Array(GAP_LIMIT) };

function gap(tag: number, length: number): void {
	const at = gaps.count++;
	if (at >= GAP_LIMIT) return;
	gaps.tags[at] = tag;
	gaps.lengths[at] = length;
}

const microsLength = (micros: number) => digitsOf(Math.floor(micros / MICROS)) + 7;

/** Length of six numbers with blanks between them. */
const accountLength = (headA: number, headB: number, bodyB: number) =>
	2 * digitsOf(headA) + digitsOf(headB) + digitsOf(bodyB) + digitsOf(headB + bodyB) + 6;

/** Measures the gaps of a hit, in the order of its pattern's steps; false: there is no form for such a one. */
function measure(pattern: HitPattern, hit: HitRecord): boolean {
	gaps.count = 0;
	const { steps } = pattern;
	const most = payloadLimit - 1;
	for (let index = 0; index < steps.length; index++) {
		const step = steps[index]!;
		switch (step.kind) {
			case "form":
				break;
			case "url":
				gap(Tag.ReqURL, Math.min(most, hit.urlEnd - hit.urlAt));
				break;
			case "hit":
				gap(
					Tag.Hit,
					digitsOf(hit.objectTransaction) +
						microsLength(hit.remainingMicros) +
						microsLength(hit.graceMicros) +
						microsLength(hit.keepMicros) +
						3,
				);
				break;
			case "fields":
				for (let line = 0; line < lines.count; line++)
					gap(Tag.RespHeader, Math.min(most, lines.ends[line]! - lines.starts[line]!));
				break;
			case "x-varnish":
				if (placed.varnishEnd === 0) return false;
				gap(step.tag, placed.varnishEnd - placed.varnishAt);
				break;
			case "age":
				if (placed.ageEnd === 0) return false;
				gap(step.tag, placed.ageEnd - placed.ageAt);
				break;
			case "length":
				gap(Tag.RespHeader, CONTENT_LENGTH.length + digitsOf(hit.bodyBytes));
				break;
			case "account":
				gap(Tag.ReqAcct, accountLength(hit.request.length, hit.sentHeadBytes, hit.bodyBytes));
				break;
			default:
				step satisfies never;
		}
	}
	return gaps.count <= GAP_LIMIT;
}

/** The same steps with the gaps that were measured. */
function gapped(pattern: HitPattern): readonly (LoggedRecord | Gap)[] {
	let next = 0;
	const nextGap = (): Gap => ({ kind: "gap", tag: gaps.tags[next]!, length: gaps.lengths[next++]! });
	const records = pattern.steps.flatMap((step): readonly (LoggedRecord | Gap)[] =>
		step.kind === "form"
			? step.records
			: Array.from({ length: step.kind === "fields" ? lines.count : 1 }, nextGap),
	);
	const end = record(Tag.End, "");
	return end === "" ? records : [...records, { kind: "constant", text: end }];
}

function copyInto(bytes: Uint8Array, at: number, source: Uint8Array, start: number, length: number): void {
	for (let index = 0; index < length; index++) bytes[at + index] = source[start + index]!;
}

/** Fills the gaps of a form that fits the hit. */
function fill({ pattern, lengths, log }: HitForm, hit: HitRecord): void {
	const { bytes, gapsAt } = log;
	const { steps } = pattern;
	let next = 0;
	for (let index = 0; index < steps.length; index++) {
		const step = steps[index]!;
		if (step.kind === "form") continue;
		if (step.kind === "fields") {
			for (let line = 0; line < lines.count; line++, next++)
				copyInto(bytes, gapsAt[next]!, hit.storedHead, lines.starts[line]!, lengths[next]!);
			continue;
		}
		const at = gapsAt[next]!;
		const length = lengths[next++]!;
		switch (step.kind) {
			case "url":
				copyInto(bytes, at, hit.request, hit.urlAt, length);
				break;
			case "hit":
				putHit(bytes, at, hit.objectTransaction, hit.remainingMicros, hit.graceMicros, hit.keepMicros);
				break;
			case "x-varnish":
				copyInto(bytes, at, hit.sentHead, placed.varnishAt, length);
				break;
			case "age":
				copyInto(bytes, at, hit.sentHead, placed.ageAt, length);
				break;
			case "length":
				copyInto(bytes, at, CONTENT_LENGTH, 0, CONTENT_LENGTH.length);
				putNumber(bytes, at + CONTENT_LENGTH.length, hit.bodyBytes);
				break;
			case "account":
				putAccount(bytes, at, hit.request.length, 0, hit.sentHeadBytes, hit.bodyBytes);
				break;
			default:
				step satisfies never;
		}
	}
}

export class HitForms {
	readonly #forms: (HitForm | undefined)[] = new Array(FORMS).fill(undefined);
	/** What asked in vain last, by place. */
	readonly #seen = new Int32Array(FORMS);

	forget(): void {
		this.#forms.fill(undefined);
	}

	/**
	 * The records of the hit but for its run's numbers; undefined when there is no form for it: one is made when the
	 * like is asked for again. `shape` is shapeOf(run).
	 */
	of(pattern: HitPattern, hit: HitRecord, run: Run, shape: number): LogForm | undefined {
		const { bodyBytes, sentHeadBytes, remainingMicros, graceMicros, keepMicros } = hit;
		if (
			payloadLimit <= NUMBERS_BYTES ||
			sentHeadBytes + bodyBytes > DIGITS_LIMIT ||
			!(isPlain(remainingMicros / MICROS) && isPlain(graceMicros / MICROS) && isPlain(keepMicros / MICROS)) ||
			!measure(pattern, hit)
		)
			return undefined;
		const { count, lengths } = gaps;
		let sum = shape ^ pattern.serial;
		for (let index = 0; index < count; index++) sum = Math.imul(sum ^ lengths[index]!, 0x9e3779b1);
		const place = (sum >>> 16) & (FORMS - 1);
		let form = this.#forms[place];
		if (form === undefined || !isFor(form, pattern, shape)) {
			if (this.#seen[place] !== sum) {
				this.#seen[place] = sum;
				return undefined;
			}
			const log = new LogForm(gapped(pattern), run, GAPPED);
			form = { pattern, shape, lengths: lengths.slice(0, count), log };
			this.#forms[place] = form;
		}
		fill(form, hit);
		return form.log;
	}
}

function isFor(form: HitForm, pattern: HitPattern, shape: number): boolean {
	const { lengths } = form;
	if (form.pattern !== pattern || form.shape !== shape || lengths.length !== gaps.count) return false;
	for (let index = 0; index < lengths.length; index++)
		if (lengths[index] !== gaps.lengths[index]) return false;
	return true;
}
