/** regsub() and regsuball(). Replacement text knows `\0` … `\9`; a backslash before anything else vanishes. */
import type { Match, Matcher } from "./regex/regex.ts";

/** Literal text and group numbers, in turn. */
export type Template = readonly (string | number)[];

export function parseTemplate(replacement: string): Template {
	const parts: (string | number)[] = [];
	let text = "";
	for (let index = 0; index < replacement.length; index++) {
		const character = replacement[index]!;
		if (character !== "\\" || index + 1 >= replacement.length) {
			text += character;
			continue;
		}
		const next = replacement[++index]!;
		if (next >= "0" && next <= "9") {
			if (text !== "") parts.push(text);
			text = "";
			parts.push(Number(next));
		} else text += next;
	}
	if (text !== "") parts.push(text);
	return parts;
}

function expand(template: Template, match: Match): string {
	let text = "";
	for (const part of template) text += typeof part === "string" ? part : (match[part] ?? "");
	return text;
}

export function regsub(matcher: Matcher, subject: string, template: Template): string {
	const match = matcher.exec(subject, 0, false);
	if (match === null) return subject;
	return (
		subject.slice(0, match.index) + expand(template, match) + subject.slice(match.index + match[0]!.length)
	);
}

/**
 * Every match from left to right. After the first one a match must not be empty, as the stock library asks of PCRE.
 */
export function regsuball(matcher: Matcher, subject: string, template: Template): string {
	let match = matcher.exec(subject, 0, false);
	if (match === null) return subject;
	let out = "";
	let at = 0;
	while (match !== null) {
		out += subject.slice(at, match.index) + expand(template, match);
		at = match.index + match[0]!.length;
		if (at >= subject.length) break;
		match = matcher.exec(subject, at, true);
	}
	return out + subject.slice(at);
}
