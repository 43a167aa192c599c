/** The header section that requests and responses share (RFC 9112 §5). */
import { fieldKey, knownKey } from "./headers.ts";
import { type HeadLimits, hasControl, isToken, START_LINE_SLOTS } from "./syntax.ts";

export interface HeaderSection {
	readonly kind: "headers";
	readonly lines: string[];
	readonly keys: string[];
	/** Index after the empty line. */
	readonly end: number;
}

export interface Malformed {
	readonly kind: "bad";
	/** For the log, such as "header name is not a token". */
	readonly reason: string;
}

export const more = { kind: "more" } as const;
export type More = typeof more;

/** More than one message may have (http_req_size, http_resp_size). */
export const headOverLimit: Malformed = { kind: "bad", reason: "head is over its limit" };

const isBlank = (code: number) => code === 0x20 || code === 0x09;
const bad = (reason: string): Malformed => ({ kind: "bad", reason });

/** What the log shows of a line that is refused. */
const SHOWN_CHARACTERS = 20;
const begin = (text: string, at: number, end: number) => text.slice(at, Math.min(end, at + SHOWN_CHARACTERS));

/** The first character of which that is true, as 0x0d. */
function code(text: string, isWrong: (character: string) => boolean): string {
	const wrong = [...text].find(isWrong) ?? "";
	return `0x${wrong.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/**
 * Reads header lines from `start` to the empty line. `headStart` is where the message began; the limit on
 * the whole head counts from there. A line ends with CRLF or LF (RFC 9112 §2.2); a CR elsewhere is refused.
 */
export function parseHeaders(
	text: string,
	start: number,
	headStart: number,
	limits: HeadLimits,
): HeaderSection | Malformed | More {
	const lines: string[] = [];
	const keys: string[] = [];
	let at = start;
	for (;;) {
		const newline = text.indexOf("\n", at);
		if (newline < 0) {
			if (text.length - headStart > limits.headBytes) return headOverLimit;
			if (text.length - at > limits.lineBytes) return bad("header line is over its limit");
			return more;
		}
		if (newline + 1 - headStart > limits.headBytes) return headOverLimit;
		const end = newline > at && text.charCodeAt(newline - 1) === 0x0d ? newline - 1 : newline;
		if (end === at) return { kind: "headers", lines, keys, end: newline + 1 };
		if (end - at > limits.lineBytes) return bad("header line is over its limit");
		const first = text.charCodeAt(at);
		if (first === 0x20 || first === 0x09)
			return bad(
				lines.length === 0
					? `1st header has white space: ${begin(text, at, end)}`
					: "header line starts with a blank (obsolete line folding)",
			);
		// Blanks at the end are no part of the value (RFC 9112 §5), and are not passed on.
		let valueEnd = end;
		while (isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--;
		const line = text.slice(at, valueEnd);
		const colon = line.indexOf(":");
		if (colon === 0) return bad(`Missing header name: ${begin(text, at, end)}`);
		const name = colon < 0 ? line : line.slice(0, colon);
		const known = knownKey(name);
		if (hasControl(line)) return bad(`Header has ctrl char ${code(line, hasControl)}`);
		if (known === undefined && !isToken(name))
			return bad(`Illegal char ${code(name, (each) => !isToken(each))} in header name`);
		if (colon < 0) return bad(`Header without ':' ${begin(text, at, end)}`);
		if (lines.length + START_LINE_SLOTS >= limits.headerLines)
			return bad(`Too many headers: ${begin(text, at, end)}`);
		lines.push(line);
		keys.push(known ?? fieldKey(name));
		at = newline + 1;
	}
}
