/** Puts the token stream together: lexes the main source, and each include where it stands. Reference §1. */
import { type Diagnostics, Refused } from "./diagnostic.ts";
import { lex } from "./lexer.ts";
import type { SourceFile, Token } from "./token.ts";

export interface IncludeRequest {
	/** As written, or made absolute when it began with "./". */
	readonly name: string;
	readonly glob: boolean;
}

export type IncludeAnswer =
	| { readonly ok: true; readonly files: readonly { readonly name: string; readonly text: string }[] }
	| { readonly ok: false; readonly error: string };

/** Finds files by name (vcl_path) or pattern; texts are byte strings. */
export type Includer = (request: IncludeRequest) => IncludeAnswer;

/** Bounds of one program. */
export const maxIncludes = 1000;
export const maxTokens = 2_000_000;

const noString = "include not followed by string constant.\n";

export interface Gathering {
	readonly tokens: Token[];
	readonly sources: SourceFile[];
	readonly diagnostics: Diagnostics;
	readonly include: Includer;
}

/** Appends the tokens of `source` and its includes; `end` keeps the EOI. */
export function gather(g: Gathering, source: SourceFile, end: boolean): void {
	g.sources.push(source);
	if (g.sources.length > maxIncludes) {
		g.diagnostics.append(`More than ${maxIncludes} sources in one program\n`);
		throw new Refused();
	}
	const tokens = lex(source, g.diagnostics);
	for (let at = 0; at < tokens.length; at++) {
		const token = tokens[at]!;
		if (token.kind === "EOI" && !end) return;
		if (token.kind !== "ID" || token.text !== "include") {
			token.index = g.tokens.push(token) - 1;
			if (g.tokens.length > maxTokens)
				g.diagnostics.fail(`More than ${maxTokens} tokens in one program\n`, token);
			continue;
		}
		let next = tokens[++at]!;
		let glob = false;
		while (next.kind === "+" || next.kind === "-") {
			const flag = tokens[at + 1]!;
			if (flag.begin !== next.end) {
				g.diagnostics.at("Expected a flag at:\n", next);
				g.diagnostics.fail(noString, next);
			}
			if (flag.kind !== "ID" || flag.text !== "glob") g.diagnostics.fail("Unknown include flag:\n", flag);
			glob = next.kind === "+";
			at += 2;
			next = tokens[at]!;
		}
		if (next.kind !== "CSTR") g.diagnostics.fail(noString, next);
		if (tokens[at + 1]?.kind !== ";")
			g.diagnostics.fail("include <string> not followed by semicolon.\n", next);
		at++;
		includeFiles(g, source, next, glob);
	}
}

function includeFiles(g: Gathering, source: SourceFile, token: Token, glob: boolean): void {
	let name = token.value;
	const fail = (message: string): never => {
		g.diagnostics.at(message, token);
		for (let outer = source.includedFrom; outer !== null; outer = outer.source.includedFrom)
			g.diagnostics.where(outer.token);
		throw new Refused();
	};
	if (name.startsWith("./")) {
		if (!source.name.startsWith("/")) fail('include "./xxxxx"; needs absolute filename of including file.\n');
		name = source.name.slice(0, source.name.lastIndexOf("/")) + name.slice(1);
	}
	const answer = g.include({ name, glob });
	if (!answer.ok) {
		fail(answer.error.endsWith("\n") ? answer.error : `${answer.error}\n`);
		return;
	}
	for (const file of answer.files) {
		let outer: SourceFile | null = source;
		while (outer !== null) {
			if (outer.name === file.name) fail(`Recursive include of "${file.name}"\n\n`);
			outer = outer.includedFrom?.source ?? null;
		}
		gather(g, { name: file.name, text: file.text, includedFrom: { source, token } }, false);
	}
}
