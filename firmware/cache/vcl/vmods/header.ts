/**
 * vmod header, as the widespread module collection has it: headers that occur several times (Set-Cookie).
 * Not part of the stock distribution; offered because so many programs import it.
 */
import type { Matcher } from "../regex/regex.ts";
import { parseTemplate, regsub, regsuball } from "../regsub.ts";
import type { HeaderFields } from "../runtime.ts";
import { headerValue } from "../support.ts";
import { type HeaderReference, vmod } from "./vmod.ts";

function valuesOf(header: HeaderReference): string[] {
	return header.message
		.headerList()
		.filter(({ name }) => name.toLowerCase() === header.lower)
		.map(({ value }) => value);
}

function replace(header: HeaderReference, values: readonly string[]): void {
	header.message.unsetHeader(header.lower);
	for (const value of values)
		header.message.appendHeader(header.lower, header.written, headerValue(header.written, value));
}

/** Gives each field of a message, as "Name: value", to `change`. What is no field any more goes. */
function rewrite(message: HeaderFields, change: (line: string) => string): void {
	const lines = message.headerList().map(({ name, value }) => `${name}: ${value}`);
	const changed = lines.map(change);
	if (changed.every((line, index) => line === lines[index])) return;
	for (const { name } of message.headerList()) message.unsetHeader(name.toLowerCase());
	for (const line of changed) {
		const colon = line.indexOf(":");
		if (colon < 1) continue;
		const name = line.slice(0, colon);
		message.appendHeader(name.toLowerCase(), name, headerValue(name, line.slice(colon + 1).trim()));
	}
}

export const header = vmod("header", [
	[
		"append",
		"HEADER, STRANDS",
		"VOID",
		(_context, _host, target: HeaderReference, value: string) =>
			target.message.appendHeader(target.lower, target.written, headerValue(target.written, value)),
	],
	[
		"copy",
		"HEADER, HEADER",
		"VOID",
		(_context, _host, from: HeaderReference, to: HeaderReference) => {
			for (const value of valuesOf(from)) to.message.appendHeader(to.lower, to.written, value);
		},
	],
	[
		"get",
		"HEADER header, REGEX regex",
		"STRING",
		(_context, _host, from: HeaderReference, regex: Matcher) =>
			valuesOf(from).find((value) => regex.test(value)) ?? null,
	],
	[
		"remove",
		"HEADER header, REGEX regex",
		"VOID",
		(_context, _host, from: HeaderReference, regex: Matcher) =>
			replace(
				from,
				valuesOf(from).filter((value) => !regex.test(value)),
			),
	],
	[
		"regsub",
		"HTTP http, REGEX regex, STRING sub, BOOL all = 0",
		"VOID",
		(_context, _host, message: HeaderFields, regex: Matcher, replacement: string | null, all: boolean) => {
			const template = parseTemplate(replacement ?? "");
			const substitute = all ? regsuball : regsub;
			rewrite(message, (line) => substitute(regex, line, template));
		},
	],
]);
