/**
 * The header fields of one HTTP message, in the order and spelling they came in.
 *
 * Two parallel arrays: `lines` holds "Name: value" as received (that is what is logged and sent),
 * `keys` the lower-case names that look-ups compare. Parsed blocks are shared between requests that
 * carry the same bytes, so a message copies them before its first change.
 */

import { isToken } from "./syntax.ts";

/** Lower-case names seen so far. Bounded: a client that invents names cannot make it grow. */
const KNOWN_NAMES_LIMIT = 2048;
const knownNames = new Map<string, string>();

/** fieldKey() of a token that was seen before; undefined says nothing about the name. */
export const knownKey = (name: string): string | undefined => knownNames.get(name);

/** The lower-case form of a field name; the same string object for the same name. */
export function fieldKey(name: string): string {
	const known = knownNames.get(name);
	if (known !== undefined) return known;
	if (knownNames.size >= KNOWN_NAMES_LIMIT || name.length > 64 || !isToken(name)) return name.toLowerCase();
	// A copy: a slice would keep the whole message that it came with alive.
	const own = flat(name);
	const key = own.toLowerCase();
	knownNames.set(own, key);
	return key;
}

/** The value of a "Name: value" line whose name has `nameLength` characters, without the blanks around it. */
export function lineValue(line: string, nameLength: number): string {
	// Almost every line has one blank after the colon and none at its end.
	const usual = nameLength + 2;
	if (
		line.charCodeAt(nameLength + 1) === 0x20 &&
		line.length > usual &&
		line.charCodeAt(usual) > 0x20 &&
		line.charCodeAt(line.length - 1) > 0x20
	)
		return line.slice(usual);
	let start = nameLength + 1;
	let end = line.length;
	while (start < end && isBlank(line.charCodeAt(start))) start++;
	while (end > start && isBlank(line.charCodeAt(end - 1))) end--;
	return line.slice(start, end);
}

const isBlank = (code: number) => code === 0x20 || code === 0x09;

/** The same text in one piece: a string built by concatenation is walked again at every use. */
export function flat(text: string): string {
	return Buffer.from(text, "latin1").toString("latin1");
}

/** Fields that a message usually gets on its way. */
const ROOM_FIELDS = 6;

/** A copy that can grow a little without being copied once more. */
function withRoom(texts: readonly string[]): string[] {
	const { length } = texts;
	const copy = new Array<string>(length + ROOM_FIELDS);
	for (let index = 0; index < length; index++) copy[index] = texts[index]!;
	copy.length = length;
	return copy;
}

export class FieldList {
	lines: string[];
	keys: string[];
	#owned: boolean;
	/** text() of the first lines, for lists that share them and only add to them. */
	#base: { readonly text: string; readonly count: number } | undefined;

	/** Shares `lines` and `keys` until the first change. */
	constructor(lines: string[] = [], keys: string[] = []) {
		this.lines = lines;
		this.keys = keys;
		this.#owned = false;
	}

	get count(): number {
		return this.keys.length;
	}

	#own(): void {
		if (this.#owned) return;
		this.lines = withRoom(this.lines);
		this.keys = withRoom(this.keys);
		this.#owned = true;
	}

	/** Others may have the same arrays, which nobody changes any more. */
	get shared(): boolean {
		return !this.#owned;
	}

	/** Another message with the same fields: both share the arrays until one of them is changed. */
	copy(): FieldList {
		this.#owned = false;
		const shared = new FieldList(this.lines, this.keys);
		shared.#base = this.#base;
		return shared;
	}

	/** Works text() out once for all copies that will only add fields. */
	settle(): this {
		this.#base = { text: flat(this.text()), count: this.lines.length };
		return this;
	}

	/** The arrays were made anew: what was worked out for the old ones is void. */
	#replace(lines: string[], keys: string[]): void {
		this.lines = lines;
		this.keys = keys;
		this.#owned = true;
		this.#base = undefined;
	}

	/** First value of a field, by its lower-case name; undefined when there is none. */
	get(key: string): string | undefined {
		const { keys } = this;
		for (let index = 0; index < keys.length; index++)
			if (keys[index] === key) return lineValue(this.lines[index]!, key.length);
		return undefined;
	}

	has(key: string): boolean {
		// A loop is inlined where it is called; the library's search is not.
		const { keys } = this;
		for (let index = 0; index < keys.length; index++) if (keys[index] === key) return true;
		return false;
	}

	/** Every value of a field, joined as RFC 9110 §5.3 allows; undefined when there is none. */
	joined(key: string, separator = ", "): string | undefined {
		let text: string | undefined;
		for (let index = 0; index < this.keys.length; index++)
			if (this.keys[index] === key) {
				const value = lineValue(this.lines[index]!, key.length);
				text = text === undefined ? value : text + separator + value;
			}
		return text;
	}

	countOf(key: string): number {
		let count = 0;
		for (const each of this.keys) if (each === key) count++;
		return count;
	}

	/** Adds a field at the end. */
	append(name: string, value: string): void {
		this.appendLine(`${name}: ${value}`, fieldKey(name));
	}

	/** The same with the whole line and its lower-case name at hand. */
	appendLine(line: string, key: string): void {
		this.#own();
		this.lines.push(line);
		this.keys.push(key);
	}

	/** Replaces all fields of that name by one at the end, as VCL's `set` does. */
	set(name: string, value: string): void {
		this.unset(fieldKey(name));
		this.append(name, value);
	}

	/** Removes every field with that lower-case name. */
	unset(key: string): void {
		if (!this.has(key)) return;
		const lines: string[] = [];
		const keys: string[] = [];
		for (let index = 0; index < this.keys.length; index++)
			if (this.keys[index] !== key) {
				lines.push(this.lines[index]!);
				keys.push(this.keys[index]!);
			}
		this.#replace(lines, keys);
	}

	/** Keeps the fields for which `keep(key)` holds. */
	filter(keep: (key: string, line: string) => boolean): void {
		if (this.keys.every((key, index) => keep(key, this.lines[index]!))) return;
		const lines: string[] = [];
		const keys: string[] = [];
		for (let index = 0; index < this.keys.length; index++)
			if (keep(this.keys[index]!, this.lines[index]!)) {
				lines.push(this.lines[index]!);
				keys.push(this.keys[index]!);
			}
		this.#replace(lines, keys);
	}

	/** Several fields of one name become one at the place of the first (Cache-Control, Vary, X-Forwarded-For). */
	collect(key: string): void {
		if (this.countOf(key) < 2) return;
		const first = this.keys.indexOf(key);
		const name = this.lines[first]!.slice(0, key.length);
		const line = `${name}: ${this.joined(key)}`;
		const lines: string[] = [];
		const keys: string[] = [];
		for (let index = 0; index < this.keys.length; index++)
			if (index === first) {
				lines.push(line);
				keys.push(key);
			} else if (this.keys[index] !== key) {
				lines.push(this.lines[index]!);
				keys.push(this.keys[index]!);
			}
		this.#replace(lines, keys);
	}

	/** The fields as they go on the wire, each with its CRLF, without the empty line. */
	text(): string {
		const { lines } = this;
		let text = "";
		let index = 0;
		if (this.#base !== undefined) {
			text = this.#base.text;
			index = this.#base.count;
		}
		for (; index < lines.length; index++) text += lines[index]! + "\r\n";
		return text;
	}
}

/** The members of a comma-separated list (RFC 9110 §5.6.1), lower-cased, empty ones dropped. */
export function listMembers(value: string): string[] {
	const members: string[] = [];
	for (const part of value.split(",")) {
		const member = part.trim().toLowerCase();
		if (member !== "") members.push(member);
	}
	return members;
}
