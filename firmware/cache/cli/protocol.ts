/** The management protocol (varnish-cli(7)): words, here-documents, reply framing, the challenge. Pure. */
import { createHash } from "node:crypto";

export const Status = {
	syntax: 100,
	unknown: 101,
	unimplemented: 102,
	tooFew: 104,
	tooMany: 105,
	parameter: 106,
	auth: 107,
	ok: 200,
	truncated: 201,
	cannot: 300,
	comms: 400,
	close: 500,
} as const;

/** Longest line before the client has authenticated, bytes. */
export const UNAUTHENTICATED_LINE_BYTES = 80;
/** Longest command, a here-document included. */
export const COMMAND_BYTES = 16 * 1024 * 1024;

/** One reply: status and length in 13 bytes, the body, a line feed. Text is a byte string. */
export function encodeReply(status: number, body: string, limitBytes: number): string {
	let code = status;
	let text = body;
	if (text.length > limitBytes) {
		text = text.slice(0, limitBytes - 1);
		if (code === Status.ok) code = Status.truncated;
	}
	return `${String(code).padEnd(3)} ${String(text.length).padEnd(8)}\n${text}\n`;
}

/** The answer to a challenge: SHA-256 over challenge, line feed, secret, challenge, line feed. */
export function authResponse(challenge: string, secret: Uint8Array): string {
	return createHash("sha256").update(`${challenge}\n`).update(secret).update(`${challenge}\n`).digest("hex");
}

export type Words =
	| { readonly ok: true; readonly words: string[] }
	| { readonly ok: false; readonly message: string };

/** Splits a line into words: blanks separate, double quotes group, backslash escapes. */
export function splitWords(line: string): Words {
	const words: string[] = [];
	let at = 0;
	const blank = (char: string | undefined) => char === " " || char === "\t" || char === "\r" || char === "\n";
	for (;;) {
		while (blank(line[at])) at++;
		if (at >= line.length) return { ok: true, words };
		let word = "";
		const quoted = line[at] === '"';
		if (quoted) at++;
		for (;;) {
			const char = line[at];
			if (char === undefined) {
				if (quoted) return { ok: false, message: "Missing '\"'" };
				break;
			}
			if (quoted ? char === '"' : blank(char)) break;
			if (char === "\\") {
				const escaped = readEscape(line, at);
				if (escaped === undefined) return { ok: false, message: "Invalid backslash sequence" };
				word += escaped.text;
				at = escaped.end;
				continue;
			}
			if (!quoted && char === '"') return { ok: false, message: "Quote in the middle of a word" };
			word += char;
			at++;
		}
		if (quoted) at++;
		words.push(word);
	}
}

function readEscape(line: string, at: number): { text: string; end: number } | undefined {
	const next = line[at + 1];
	const simple: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\" };
	if (next !== undefined && simple[next] !== undefined) return { text: simple[next], end: at + 2 };
	const octal = /^[0-3][0-7]{2}/.exec(line.slice(at + 1, at + 4));
	if (octal !== null) return { text: String.fromCharCode(Number.parseInt(octal[0], 8)), end: at + 4 };
	const hex = /^x([0-9a-fA-F]{2})/.exec(line.slice(at + 1, at + 4));
	if (hex !== null) return { text: String.fromCharCode(Number.parseInt(hex[1]!, 16)), end: at + 4 };
	return undefined;
}

export type Input =
	| { readonly kind: "command"; readonly words: string[] }
	| { readonly kind: "syntax"; readonly message: string }
	/** More than the limit without an end: the connection is closed. */
	| { readonly kind: "overflow" };

const lineEnd = /[\n\r]/g;

/** Cuts a byte stream into commands. */
export class CommandReader {
	#buffer = "";
	/** What is before this place in the buffer has been read. */
	#at = 0;
	#here: { readonly words: string[]; readonly end: string } | undefined;
	/** Here-documents are read only from those who have authenticated. */
	authenticated = false;

	push(text: string): Input[] {
		this.#buffer += text;
		const inputs: Input[] = [];
		for (;;) {
			const input = this.#here === undefined ? this.#line() : this.#hereDocument();
			if (input === undefined) break;
			inputs.push(input);
			if (input.kind === "overflow") break;
		}
		this.#buffer = this.#buffer.slice(this.#at);
		this.#at = 0;
		return inputs;
	}

	get #waiting(): number {
		return this.#buffer.length - this.#at;
	}

	#line(): Input | undefined {
		const limit = this.authenticated ? COMMAND_BYTES : UNAUTHENTICATED_LINE_BYTES;
		for (;;) {
			lineEnd.lastIndex = this.#at;
			const end = lineEnd.test(this.#buffer) ? lineEnd.lastIndex - 1 : -1;
			if (end < 0) return this.#waiting > limit ? { kind: "overflow" } : undefined;
			if (end - this.#at > limit) return { kind: "overflow" };
			const line = this.#buffer.slice(this.#at, end);
			this.#at = end + 1;
			const split = splitWords(line.replace(/^\s*-?/, ""));
			if (!split.ok) return { kind: "syntax", message: split.message };
			const { words } = split;
			if (words.length === 0) {
				// A blank line is no command; a lone "-", which asks for silence in the log, is an empty one.
				if (line.trim() === "") continue;
				return { kind: "syntax", message: "Empty CLI command." };
			}
			if (this.authenticated && words.length >= 3 && words.at(-2) === "<<") {
				this.#here = { words: words.slice(0, -2), end: words.at(-1)! };
				return this.#hereDocument();
			}
			return { kind: "command", words };
		}
	}

	#hereDocument(): Input | undefined {
		const { words, end } = this.#here!;
		let from = this.#at;
		for (;;) {
			const at = this.#buffer.indexOf(end, from);
			if (at < 0) return this.#waiting > COMMAND_BYTES ? { kind: "overflow" } : undefined;
			const after = this.#buffer[at + end.length];
			if (after === undefined) return undefined;
			if (after === "\n" || after === "\r") {
				const text = this.#buffer.slice(this.#at, at);
				this.#at = at + end.length + 1;
				this.#here = undefined;
				return { kind: "command", words: [...words, text] };
			}
			from = at + 1;
		}
	}
}

/** The JSON envelope of replies: version, the command, the time, then the payload. */
export function jsonReply(
	version: number,
	command: readonly string[],
	now: number,
	payload: readonly unknown[],
): string {
	const parts = payload.map((part) => `,\n  ${JSON.stringify(part)}`).join("");
	return `[ ${version}, ${JSON.stringify(command)}, ${now.toFixed(3)}${parts}\n]\n`;
}
