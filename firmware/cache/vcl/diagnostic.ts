/**
 * Compile errors and warnings in the shape of Varnish's compiler: message, `('file' Line N Pos N)`, the source line
 * with tabs expanded, and a line of dashes with `#` under the offending tokens. Reference §10.
 */
import type { Token } from "./token.ts";

/** Where an error points, for tools that want no text. Line and position are 1-based; a tab advances to a multiple of 8. */
export interface Place {
	readonly file: string;
	readonly line: number;
	readonly position: number;
}

export interface VclError {
	/** The blocks of the message, without `Message from VCC-compiler:` and without the closing lines. */
	readonly text: string;
	/** Null when the mistake has no place (no backend at all). */
	readonly place: Place | null;
	/** What to do, in one or a few plain sentences. */
	readonly hint: string | null;
}

/** Thrown inside the compiler only; the text is in the `Diagnostics`. */
export class Refused extends Error {}

export class Diagnostics {
	text = "";
	place: Place | null = null;
	hint: string | null = null;

	private readonly tokens: readonly Token[];

	/** The stream as it grows: a range ends at the token before its end in it. */
	constructor(tokens: readonly Token[]) {
		this.tokens = tokens;
	}

	append(text: string): void {
		this.text += text;
	}

	/** Message, then one token's place. */
	at(message: string, token: Token): void {
		this.text += message;
		this.where(token);
	}

	/** Message, then the place from `first` up to, not including, `after`. */
	between(message: string, first: Token, after: Token): void {
		this.text += message;
		this.whereBetween(first, after);
	}

	fail(message: string, token: Token): never {
		this.at(message, token);
		throw new Refused();
	}

	failBetween(message: string, first: Token, after: Token): never {
		this.between(message, first, after);
		throw new Refused();
	}

	where(token: Token): void {
		this.note(token);
		const line = lineOf(token, false);
		this.text += `${coordinates(token, "first")}\n${quote(token, line)}${mark(token, line, token.begin, token.end)}\n`;
	}

	/** The last token is the one before `after` in the stream. */
	whereBetween(first: Token, after: Token): void {
		this.note(first);
		const last = this.tokens[Math.max(after.index - 1, 0)] ?? after;
		const firstLine = lineOf(first, false);
		const lastLine = lineOf(last, true);
		const end = last.source === first.source ? last.end : first.end;
		if (last.source !== first.source || firstLine === lastLine) {
			this.text += `${coordinates(first, "first")} -- ${coordinates(last, "position")}\n`;
			this.text += quote(first, firstLine) + mark(first, firstLine, first.begin, end);
		} else {
			const next = first.source.text.indexOf("\n", firstLine) + 1;
			this.text += coordinates(first, "first");
			if (next === lastLine) this.text += ` -- ${coordinates(last, "last")}`;
			this.text += `\n${quote(first, firstLine)}${mark(first, firstLine, first.begin, end)}`;
			if (next !== lastLine) this.text += `[...]\n${coordinates(last, "last")}\n`;
			this.text += quote(last, lastLine) + mark(last, lastLine, first.begin, end);
		}
		this.text += "\n";
	}

	/** Turns what was just reported into a warning. */
	warned(): void {
		this.text += "(That was just a warning)\n";
		this.place = null;
	}

	/** The first place of the error counts. */
	private note(token: Token): void {
		if (this.place !== null) return;
		const { line, position } = lineAndPosition(token, false);
		this.place = { file: token.source.name, line, position };
	}
}

function lineOf(token: Token, tail: boolean): number {
	const limit = tail ? token.end - 1 : token.begin;
	return limit <= 0 ? 0 : token.source.text.lastIndexOf("\n", limit - 1) + 1;
}

export function lineAndPosition(token: Token, tail: boolean): { line: number; position: number } {
	const { text } = token.source;
	const limit = tail ? token.end - 1 : token.begin;
	let line = 1;
	let position = 0;
	for (let index = 0; index < limit; index++) {
		const code = text.charCodeAt(index);
		if (code === 10) {
			line++;
			position = 0;
		} else if (code === 9) position = (position & ~7) + 8;
		else position++;
	}
	return { line, position: position + 1 };
}

function coordinates(token: Token, part: "first" | "last" | "position"): string {
	const { line, position } = lineAndPosition(token, part !== "first");
	return part === "position" ? `(Pos ${position})` : `('${token.source.name}' Line ${line} Pos ${position})`;
}

function lineEnd(token: Token, begin: number): number {
	const end = token.source.text.indexOf("\n", begin);
	return end < 0 ? token.source.text.length : end;
}

function quote(token: Token, begin: number): string {
	let out = "";
	const end = lineEnd(token, begin);
	for (let index = begin; index < end; index++) {
		const character = token.source.text[index]!;
		out += character === "\t" ? " ".repeat((out.length & ~7) + 8 - out.length) : character;
	}
	return `${out}\n`;
}

function mark(token: Token, begin: number, from: number, to: number): string {
	let out = "";
	const end = lineEnd(token, begin);
	for (let index = begin; index < end; index++) {
		const sign = index >= from && index < to ? "#" : "-";
		out += token.source.text[index] === "\t" ? sign.repeat((out.length & ~7) + 8 - out.length) : sign;
	}
	return `${out}\n`;
}

/** The whole reply of a failed compilation, as the management protocol prints it (status 106). */
export function formatFailure(error: VclError): string {
	const hint = error.hint === null ? "" : `Hint: ${error.hint}\n`;
	return `Message from VCC-compiler:\n${error.text}${hint}Running VCC-compiler failed, exited with 2\n\nVCL compilation failed`;
}
