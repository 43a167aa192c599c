/**
 * What the reader has to say to the operator: where, what, what is lost by it, and what was meant.
 *
 *   drover.conf:12:5: error: there is no keyword "prioritty" in vrrp_instance
 *       prioritty 100
 *       ^^^^^^^^^
 *       lost: this line; the priority stays at its default
 *       did you mean "priority"?
 */
import type { Location } from "../model.ts";
import { limits } from "./limits.ts";
import { type Place, type Placed, placeOfRecord, type Source } from "./source.ts";

/**
 * "error": something the operator wrote does not take effect; a running director refuses the file.
 * "warning": it takes effect, but perhaps not as meant. "hint": an old spelling, a default worth knowing.
 */
export type Severity = "error" | "warning" | "hint";

/** What `keepalived -t` exits with for this finding: 0 says nothing, 2 stops, 4 unusable, 5 error, 6 security. */
export type ExitStatus = 0 | 2 | 4 | 5 | 6;

/** The code of a finding about an interface that is not there. */
export const MISSING_INTERFACE = "no-interface";

export interface Diagnostic {
	readonly severity: Severity;
	/** Stable name of the finding, for programs. */
	readonly code: string;
	/** One sentence without a full stop. */
	readonly message: string;
	/** What does not take effect, or null when nothing is lost. */
	readonly lost: string | null;
	/** What to write instead, or null. */
	readonly suggestion: string | null;
	readonly location: Location;
	/** Characters that are meant, from the column on. */
	readonly length: number;
	/** The physical line. */
	readonly sourceLine: string;
	/** The line after definitions and sequences were replaced; null when there were none. */
	readonly expandedLine: string | null;
	readonly exitStatus: ExitStatus;
}

export interface Finding {
	readonly severity: Severity;
	readonly code: string;
	readonly message: string;
	readonly lost?: string;
	readonly suggestion?: string;
	/** Default: 5 for an error, else 0. */
	readonly exitStatus?: ExitStatus;
}

/** Collects findings; the first `limits.diagnostics` are kept, the rest is counted. */
export class Findings {
	readonly list: Diagnostic[] = [];
	dropped = 0;
	/** Calls of `report` and `reportOnce`, whatever came of them. */
	mentions = 0;
	droppedErrors = 0;
	/** The greatest of all exit statuses; keepalived stops at once on 2. */
	exitStatus: ExitStatus = 0;
	readonly #sources: readonly Source[];
	readonly #once = new Set<string>();

	constructor(sources: readonly Source[]) {
		this.#sources = sources;
	}

	report(spot: Place | Placed, finding: Finding): void {
		this.mentions++;
		const exitStatus = finding.exitStatus ?? (finding.severity === "error" ? 5 : 0);
		this.exitStatus = worse(this.exitStatus, exitStatus);
		if (this.list.length >= limits.diagnostics) {
			this.dropped++;
			if (finding.severity === "error") this.droppedErrors++;
			return;
		}
		const place = placeOfRecord(spot);
		const source = this.#sources[place.file];
		this.list.push({
			severity: finding.severity,
			code: finding.code,
			message: clip(finding.message, TEXT_LIMIT),
			lost: finding.lost === undefined ? null : clip(finding.lost, TEXT_LIMIT),
			suggestion: finding.suggestion === undefined ? null : clip(finding.suggestion, TEXT_LIMIT),
			location: { file: source?.name ?? "", line: place.line, column: place.column },
			length: Math.max(1, place.length),
			sourceLine: clip(source?.lineText(place.line) ?? ""),
			expandedLine: place.expanded === undefined ? null : clip(place.expanded),
			exitStatus,
		});
	}

	/** Reports a finding of this code and key only the first time. */
	reportOnce(key: string, place: Place | Placed, finding: Finding): void {
		this.mentions++;
		if (this.#once.has(key)) return;
		this.#once.add(key);
		this.report(place, finding);
	}

	/** Further findings are only counted: what goes into them need not be worked out. */
	get isFull(): boolean {
		return this.list.length >= limits.diagnostics;
	}

	get hasErrors(): boolean {
		return this.droppedErrors > 0 || this.list.some((diagnostic) => diagnostic.severity === "error");
	}

	/** By file and line, in the order in which they were found. */
	sorted(): Diagnostic[] {
		const order = new Map(this.#sources.map((source, index) => [source.name, index]));
		return [...this.list].sort(
			(a, b) =>
				(order.get(a.location.file) ?? 0) - (order.get(b.location.file) ?? 0) ||
				a.location.line - b.location.line ||
				a.location.column - b.location.column,
		);
	}
}

/** keepalived's precedence: a missing parameter stops it at once; security outranks any other error. */
function worse(a: ExitStatus, b: ExitStatus): ExitStatus {
	const rank = (status: ExitStatus) => (status === 2 ? 7 : status);
	return rank(b) > rank(a) ? b : a;
}

const LINE_SHOWN_LIMIT = 160;
const TEXT_LIMIT = 400;

function clip(line: string, limit = LINE_SHOWN_LIMIT): string {
	return line.length <= limit ? line : `${line.slice(0, limit)}…`;
}

/** Control characters are shown as `\xHH`, so that a binary file cannot paint the terminal. */
export function printable(text: string): string {
	return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (character) => {
		return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
	});
}

/** FILE:LINE:COLUMN; a finding about the whole file has no line. */
export const placeOf = ({ file, line, column }: Diagnostic["location"]): string =>
	line > 0 ? `${file}:${line}:${column}` : file;

/** What is wrong, in a line: the first error and what to do about it, and how many others there are. */
export function problemOf(diagnostics: readonly Diagnostic[]): string {
	const errors = diagnostics.filter(({ severity }) => severity === "error");
	const [first] = errors;
	if (first === undefined) return "it has errors";
	const { location, message, suggestion } = first;
	const text = printable(`${placeOf(location)}: ${message}${suggestion === null ? "" : `; ${suggestion}`}`);
	const others = errors.length - 1;
	if (others === 0) return text;
	return `${text} (and ${others} more ${others === 1 ? "error" : "errors"}: drover config check shows all)`;
}

/** A finding as text of several lines, without a line end. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
	const { column } = diagnostic.location;
	const lines = [`${placeOf(diagnostic.location)}: ${diagnostic.severity}: ${printable(diagnostic.message)}`];
	const before = diagnostic.sourceLine.slice(0, column - 1);
	if (diagnostic.sourceLine.trim() !== "" && column <= LINE_SHOWN_LIMIT) {
		const shown = printable(diagnostic.sourceLine.slice(column - 1).replace(/\t/g, " "));
		const lead = printable(before.trimStart().replace(/\t/g, " "));
		lines.push(`    ${lead}${shown}`);
		const width = Math.max(1, Math.min(diagnostic.length, shown.length));
		lines.push(`    ${" ".repeat(lead.length)}${"^".repeat(width)}`);
	}
	if (diagnostic.expandedLine !== null && !diagnostic.sourceLine.trimEnd().endsWith(diagnostic.expandedLine))
		lines.push(`    which reads: ${printable(diagnostic.expandedLine)}`);
	if (diagnostic.lost !== null) lines.push(`    lost: ${printable(diagnostic.lost)}`);
	if (diagnostic.suggestion !== null) lines.push(`    ${printable(diagnostic.suggestion)}`);
	return lines.join("\n");
}

/** Changes of one character that lead from `a` to `b` (with neighbours swapped), at most `bound` + 1. */
export function editDistance(a: string, b: string, bound: number): number {
	if (Math.abs(a.length - b.length) > bound) return bound + 1;
	let beforeLast: number[] = [];
	let last = Array.from({ length: b.length + 1 }, (_, index) => index);
	for (let i = 1; i <= a.length; i++) {
		const row = [i];
		for (let j = 1; j <= b.length; j++) {
			const same = a[i - 1] === b[j - 1];
			let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
			if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
				cost = Math.min(cost, beforeLast[j - 2]! + 1);
			row.push(cost);
		}
		beforeLast = last;
		last = row;
	}
	return last[b.length]!;
}

/** The nearest of `candidates`, when one is near enough to be meant: by its letters, or as the only one that begins so. */
export function nearest(wanted: string, candidates: Iterable<string>): string | null {
	const all = [...candidates];
	const byLetters = nearestByLetters(wanted, all);
	// HTTP_CHECK is HTTP_GET rather than TCP_CHECK; "prio" is priority.
	const beginning = /^[a-z0-9]{3,}(_|$)/.exec(wanted.toLowerCase())?.[0];
	if (beginning === undefined || byLetters?.toLowerCase().startsWith(beginning)) return byLetters;
	const alike = all.filter((candidate) => candidate.toLowerCase().startsWith(beginning));
	return alike.length === 1 ? alike[0]! : byLetters;
}

function nearestByLetters(wanted: string, candidates: readonly string[]): string | null {
	if (wanted.length < 2 || wanted.length > 64) return null;
	const bound = wanted.length <= 4 ? 1 : wanted.length <= 8 ? 2 : 3;
	let best: string | null = null;
	let bestDistance = bound + 1;
	const lower = wanted.toLowerCase();
	for (const candidate of candidates) {
		const distance = editDistance(lower, candidate.toLowerCase(), bound);
		if (distance < bestDistance) {
			best = candidate;
			bestDistance = distance;
		}
	}
	return best;
}
