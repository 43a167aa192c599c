/**
 * vmod header, as the widespread module collection has it: headers that occur several times (Set-Cookie).
 * Not part of the stock distribution; offered because so many programs import it.
 */
import type { Matcher } from "../regex/regex.ts";
import { parseTemplate, regsub } from "../regsub.ts";
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
		"HEADER header, REGEX regex, STRING sub",
		"VOID",
		(_context, _host, target: HeaderReference, regex: Matcher, replacement: string | null) => {
			const template = parseTemplate(replacement ?? "");
			replace(
				target,
				valuesOf(target).map((value) => regsub(regex, value, template)),
			);
		},
	],
]);
