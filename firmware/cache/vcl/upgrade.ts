/**
 * VCL 3 (and 2), as the old tutorials have it, to VCL 4.1, or 4.0 where it needs that. Works on tokens and leaves comments and layout alone; every
 * idiom it changes is noted. What has no counterpart stays as it is, and the compiler then says what is wrong.
 * Reference §9.
 */
import { parseAddress } from "../../wire/ip.ts";
import { maskBytes } from "./acl.ts";
import { toByteString, toText } from "./byte-string.ts";
import { Diagnostics, lineAndPosition, Refused } from "./diagnostic.ts";
import { lex } from "./lexer.ts";
import type { SourceFile, Token } from "./token.ts";
import { byteUnits, durationUnits } from "./types.ts";
import {
	closingIndex,
	goesOnToFetch,
	isAction,
	leftOut,
	plainActions,
	type TokenRange,
	writesBereq,
} from "./upgrade-fetch-part.ts";

export interface UpgradeNote {
	readonly line: number;
	readonly position: number;
	/** "req.request -> req.method" */
	readonly text: string;
}

export type UpgradeSyntax = "4.0" | "4.1";

export interface Upgrade {
	/** Byte string. */
	readonly text: string;
	readonly notes: readonly UpgradeNote[];
	/** The version that it needs: req.esi is there in 4.0 only. */
	readonly syntax: UpgradeSyntax;
	/** Directors that it declares, for the files that it includes. */
	readonly directors: ReadonlyMap<string, string>;
}

export interface UpgradeOptions {
	readonly name?: string;
	/** An included file: no version line of its own. */
	readonly fragment?: boolean;
	/** Of its version line, where a part that it includes needs another than the program itself; default: its own need. */
	readonly syntax?: UpgradeSyntax;
	/** Directors that other files declare. */
	readonly directors?: ReadonlyMap<string, string>;
}

/** Does the program begin with `vcl N.N`? */
export function hasVersion(source: string | Uint8Array): boolean {
	const tokens = lexOrNull(toByteString(source), "");
	return tokens === null || (tokens[0]?.text === "vcl" && tokens[1]?.kind === "FNUM");
}

/** Null when the text does not even lex. */
export function upgradeVcl(source: string | Uint8Array, options: UpgradeOptions = {}): Upgrade | null {
	const text = toByteString(source);
	const tokens = lexOrNull(text, options.name ?? "");
	return tokens === null ? null : new Upgrader(text, tokens, options).run();
}

/** The notes as the compiler prints warnings. */
export function formatNotes(name: string, notes: readonly UpgradeNote[]): string {
	return notes
		.map(
			({ line, position, text }) =>
				`VCL 3: ${text}\n('${name}' Line ${line} Pos ${position})\n(That was just a warning)\n`,
		)
		.join("");
}

function lexOrNull(text: string, name: string): Token[] | null {
	const source: SourceFile = { name, text, includedFrom: null };
	try {
		const tokens = lex(source, new Diagnostics([]));
		tokens.forEach((token, index) => {
			token.index = index;
		});
		return tokens;
	} catch (error) {
		if (error instanceof Refused) return null;
		throw error;
	}
}

/**
 * Where a body runs decides what its words mean. "miss": where VCL 3 had a request to the backend on the client's side;
 * "bereq": what of it goes into vcl_backend_fetch; "fetch": vcl_fetch.
 */
type Place = "client" | "miss" | "bereq" | "fetch" | "synth" | "backend-error";

const isBackendSide = (place: Place) => place === "bereq" || place === "fetch" || place === "backend-error";

interface Edit {
	readonly begin: number;
	readonly end: number;
	readonly text: string;
}

interface SubSource {
	readonly name: Token;
	/** Indexes of the braces. */
	readonly open: number;
	readonly close: number;
}

/** There VCL 3 let the request to the backend be changed; on the client's side VCL 4 has none yet. */
const beforeFetch: ReadonlyMap<string, string> = new Map([
	["vcl_miss", "!bereq.uncacheable"],
	["vcl_pass", "bereq.uncacheable"],
]);

const gone: ReadonlySet<string> = new Set(["vcl_timeout", "vcl_prefetch", "vcl_discard"]);

class Upgrader {
	private readonly text: string;
	private readonly tokens: readonly Token[];
	private readonly fragment: boolean;
	private syntax: UpgradeSyntax;
	private readonly notes: UpgradeNote[] = [];
	private readonly noted = new Set<string>();
	private readonly imports = new Set<string>();
	private readonly imported = new Set<string>();
	/** Name to kind, as VCL 3 calls it. */
	private readonly directors: Map<string, string>;
	private readonly renamed = new Map<string, string>();
	private readonly subs: SubSource[] = [];
	/** Subroutines of the user's that vcl_miss and vcl_pass call to change the request to the backend. */
	private readonly bereqWriters = new Set<string>();

	constructor(text: string, tokens: readonly Token[], options: UpgradeOptions) {
		this.text = text;
		this.tokens = tokens;
		this.fragment = options.fragment ?? false;
		this.syntax = options.syntax ?? "4.1";
		this.directors = new Map(options.directors ?? []);
	}

	run(): Upgrade {
		this.survey();
		this.findBereqWriters();
		const edits = this.topLevel();
		const body = this.apply(0, this.text.length, edits);
		const head: string[] = this.fragment ? [] : [`vcl ${this.syntax};`];
		for (const name of [...this.imports].sort()) if (!this.imported.has(name)) head.push(`import ${name};`);
		return {
			text: head.length === 0 ? body : `${head.join("\n")}\n${body}`,
			notes: this.notes,
			syntax: this.syntax,
			directors: this.directors,
		};
	}

	private note(token: Token, text: string): void {
		const { line, position } = lineAndPosition(token, false);
		const key = `${line}:${position}:${text}`;
		if (this.noted.has(key)) return;
		this.noted.add(key);
		this.notes.push({ line, position, text: toText(text) });
	}

	private apply(begin: number, end: number, edits: readonly Edit[]): string {
		let out = "";
		let at = begin;
		for (const edit of [...edits].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
			if (edit.begin < at) continue;
			out += this.text.slice(at, edit.begin) + edit.text;
			at = edit.end;
		}
		return out + this.text.slice(at, end);
	}

	private at(index: number): Token {
		return this.tokens[Math.min(Math.max(index, 0), this.tokens.length - 1)]!;
	}

	private closing(open: number): number {
		return closingIndex(this.tokens, open);
	}

	// ── first pass: what is declared ──

	private survey(): void {
		for (let index = 0; index < this.tokens.length; index++) {
			const token = this.at(index);
			if (token.kind === "{") {
				index = this.closing(index);
				continue;
			}
			const name = this.at(index + 1);
			if (token.text === "director" && name.kind === "ID") {
				let kind = this.at(index + 2).text;
				if (kind === "round" && this.at(index + 3).kind === "-") kind = "round-robin";
				this.directors.set(name.text, kind);
				if (name.text === "default") this.renamed.set("default", "default_director");
			} else if (token.text === "import" && name.kind === "ID") {
				const as = this.at(index + 2).text === "as" ? ` as ${this.at(index + 3).text}` : "";
				this.imported.add(name.text + as);
			} else if (token.text === "sub" && name.kind === "ID" && this.at(index + 2).kind === "{")
				this.subs.push({ name, open: index + 2, close: this.closing(index + 2) });
		}
	}

	/** Only those that decide nothing else: their call moves to the backend's side. */
	private findBereqWriters(): void {
		for (let before = -1; before !== this.bereqWriters.size; ) {
			before = this.bereqWriters.size;
			for (const { name, open, close } of this.subs) {
				if (name.text.startsWith("vcl_") || this.placeOf(name.text) !== "miss") continue;
				const indexes = Array.from({ length: close - open }, (_, offset) => open + offset);
				if (indexes.some((index) => isAction(this.tokens, index))) continue;
				if (indexes.some((index) => writesBereq(this.tokens, index, this.bereqWriters)))
					this.bereqWriters.add(name.text);
			}
		}
	}

	/** A sub of the user's runs where its callers run. */
	private placeOf(name: string, seen: ReadonlySet<string> = new Set()): Place {
		if (name === "vcl_fetch" || name.startsWith("vcl_backend_response") || name === "vcl_backend_fetch")
			return "fetch";
		if (name === "vcl_error" || name === "vcl_synth") return "synth";
		if (name === "vcl_backend_error") return "backend-error";
		if (this.bereqWriters.has(name)) return "bereq";
		if (beforeFetch.has(name)) return "miss";
		if (name.startsWith("vcl_") || seen.has(name)) return "client";
		for (const sub of this.subs)
			for (let index = sub.open; index < sub.close; index++)
				if (this.at(index).text === "call" && this.at(index + 1).text === name)
					return this.placeOf(sub.name.text, new Set([...seen, name]));
		return "client";
	}

	// ── declarations ──

	private topLevel(): Edit[] {
		const edits: Edit[] = [];
		const usesDefaultDirector = this.directors.has("default");
		let placedDefault = false;
		for (let index = 0; index < this.tokens.length; index++) {
			const token = this.at(index);
			switch (token.kind === "ID" ? token.text : "") {
				case "director": {
					const end = this.director(index, edits);
					index = end;
					break;
				}
				case "acl":
					index = this.acl(index, edits);
					break;
				case "backend":
					index = this.backend(index, edits);
					break;
				case "sub": {
					const sub = this.subs.find(({ open }) => open === index + 2);
					if (sub === undefined) break;
					const first = usesDefaultDirector && !placedDefault && sub.name.text === "vcl_recv";
					if (first) {
						placedDefault = true;
						edits.push({
							begin: this.at(sub.open).end,
							end: this.at(sub.open).end,
							text: "\n\tset req.backend_hint = default_director.backend();",
						});
					}
					this.sub(index, sub, edits);
					index = sub.close;
					break;
				}
				default:
			}
		}
		if (usesDefaultDirector && !placedDefault)
			edits.push({
				begin: this.text.length,
				end: this.text.length,
				text: "\nsub vcl_recv {\n\tset req.backend_hint = default_director.backend();\n}\n",
			});
		return edits;
	}

	private directorName(name: string): string {
		return this.renamed.get(name) ?? name;
	}

	/** How a director is asked: its object's method, with a key where it needs one. */
	private directorCall(name: string, place: Place): string {
		const request = isBackendSide(place) ? "bereq" : "req";
		const called = this.directorName(name);
		switch (this.directors.get(name)) {
			case "client":
				return `${called}.backend(client.identity)`;
			case "hash":
				return `${called}.backend(${request}.http.host + ${request}.url)`;
			default:
				return `${called}.backend()`;
		}
	}

	/** `director NAME KIND { … }` becomes an object made in vcl_init, where the declaration stood. */
	private director(index: number, edits: Edit[]): number {
		const name = this.at(index + 1);
		const kind = this.directors.get(name.text) ?? "";
		let open = index + 2;
		while (open < this.tokens.length - 1 && this.at(open).kind !== "{") open++;
		const close = this.closing(open);
		const objects: Readonly<Record<string, string>> = {
			"round-robin": "round_robin",
			random: "random",
			fallback: "fallback",
			hash: "hash",
			client: "hash",
		};
		const object = Object.hasOwn(objects, kind) ? objects[kind] : undefined;
		if (object === undefined) return close;
		this.imports.add("directors");
		const called = this.directorName(name.text);
		this.note(
			this.at(index),
			`director ${name.text} ${kind} -> new ${called} = directors.${object}() in vcl_init`,
		);
		let declared = "";
		const added: string[] = [];
		for (let member = open + 1; member < close; member++) {
			if (this.at(member).kind !== "{") continue;
			const end = this.closing(member);
			let backend = "";
			let weight = "1";
			for (let at = member + 1; at < end; at++) {
				if (this.at(at).kind !== ".") continue;
				const field = this.at(at + 1).text;
				const value = at + 3;
				if (field === "weight") weight = this.at(value).text;
				if (field !== "backend") continue;
				if (this.at(value).kind === "{") {
					const inline = this.closing(value);
					backend = `${called}_${added.length + 1}`;
					declared += `backend ${backend} ${this.text.slice(this.at(value).begin, this.at(inline).end)}\n`;
					at = inline;
				} else backend = this.directorMember(this.at(value).text);
			}
			if (backend !== "")
				added.push(
					object === "random" || object === "hash"
						? `\t${called}.add_backend(${backend}, ${weight}.0);`
						: `\t${called}.add_backend(${backend});`,
				);
			member = end;
		}
		edits.push({
			begin: this.at(index).begin,
			end: this.at(close).end,
			text: `${declared}sub vcl_init {\n\tnew ${called} = directors.${object}();\n${added.join("\n")}\n}`,
		});
		return close;
	}

	private directorMember(name: string): string {
		return this.directors.has(name) ? `${this.directorName(name)}.backend()` : name;
	}

	/** Host bits under the mask were cut off silently. */
	private acl(index: number, edits: Edit[]): number {
		const open = index + 2;
		if (this.at(open).kind !== "{") return index;
		const close = this.closing(open);
		for (let at = open + 1; at < close; at++) {
			const token = this.at(at);
			if (token.kind !== "CSTR" || this.at(at + 1).kind !== "/") continue;
			const bytes = parseAddress(token.value);
			const length = Number(this.at(at + 2).text);
			if (bytes === null || !(length <= bytes.length * 8)) continue;
			if (!maskBytes(bytes, length).some((byte, place) => byte !== bytes[place])) continue;
			this.note(
				token,
				`${token.text}/${length} has bits outside its mask -> acl ${this.at(index + 1).text} -pedantic`,
			);
			edits.push({ begin: this.at(open).begin, end: this.at(open).begin, text: "-pedantic " });
			break;
		}
		return close;
	}

	private backend(index: number, edits: Edit[]): number {
		const open = index + 2;
		if (this.at(open).kind !== "{") return index;
		const close = this.closing(open);
		for (let at = open + 1; at < close; at++) {
			const field = this.at(at + 1);
			if (this.at(at).kind === "." && field.text === "saintmode_threshold") {
				let end = at;
				while (end < close && this.at(end).kind !== ";") end++;
				this.note(field, ".saintmode_threshold -> removed: probes and retries do its work");
				edits.push({ begin: this.at(at).begin, end: this.at(end).end, text: "" });
				at = end;
			} else if (
				// `.port = 80;` and `.port = "80"`: the number was accepted bare.
				this.at(at).kind === "." &&
				field.text === "port" &&
				this.at(at + 3).kind === "CNUM"
			)
				edits.push({
					begin: this.at(at + 3).begin,
					end: this.at(at + 3).end,
					text: `"${this.at(at + 3).text}"`,
				});
		}
		// A stray `;` after the block was accepted.
		if (this.at(close + 1).kind === ";")
			edits.push({ begin: this.at(close + 1).begin, end: this.at(close + 1).end, text: "" });
		return close;
	}

	// ── subroutines ──

	private sub(index: number, sub: SubSource, edits: Edit[]): void {
		const name = sub.name.text;
		const begin = this.at(index).begin;
		const end = this.at(sub.close).end;
		if (gone.has(name)) {
			this.note(sub.name, `${name} -> removed: there is no such state any more`);
			edits.push({ begin, end, text: "" });
			return;
		}
		if (name === "vcl_fetch") {
			this.note(sub.name, "vcl_fetch -> vcl_backend_response");
			edits.push({ begin: sub.name.begin, end: sub.name.end, text: "vcl_backend_response" });
		}
		if (name === "vcl_error") {
			this.note(sub.name, "vcl_error -> vcl_synth and vcl_backend_error");
			edits.push({ begin: sub.name.begin, end: sub.name.end, text: "vcl_synth" });
			const copy: Edit[] = [];
			this.body(sub, "backend-error", copy);
			edits.push({
				begin: end,
				end,
				text: `\nsub vcl_backend_error ${this.apply(this.at(sub.open).begin, end, copy)}`,
			});
		}
		const condition = beforeFetch.get(name);
		const isWriter = (index: number) => writesBereq(this.tokens, index, this.bereqWriters);
		const moved = condition === undefined ? [] : this.plainStatements(sub).filter(isWriter);
		if (moved.length === 0) {
			this.body(sub, this.placeOf(name), edits);
			return;
		}
		const last = moved.at(-1)!;
		for (const index of moved)
			this.note(
				this.at(index),
				`${this.text.slice(this.at(index).begin, this.at(this.path(index + 1).after - 1).end)} in ${name} -> vcl_backend_fetch`,
			);
		// Who goes on to the fetch before all is said says no more on the backend's side either.
		const keeps = (index: number, depth: number) =>
			isWriter(index) || (depth > 0 && index < last && goesOnToFetch(this.tokens, index));
		const copy: Edit[] = [];
		this.body(sub, "bereq", copy, leftOut(this.tokens, sub.open, sub.close, keeps));
		edits.push({
			begin: end,
			end,
			text: `\nsub vcl_backend_fetch { if (${condition}) ${this.apply(this.at(sub.open).begin, end, copy)} }`,
		});
		const others = leftOut(this.tokens, sub.open, sub.close, (index) => !isWriter(index));
		this.body(sub, "miss", edits, others);
	}

	/** Indexes of the first tokens of its statements that are no blocks. */
	private plainStatements(sub: SubSource): readonly number[] {
		const found: number[] = [];
		leftOut(this.tokens, sub.open, sub.close, (index) => found.push(index) > 0);
		return found;
	}

	/** `omitted`: whole statements that this copy of it goes without. */
	private body(sub: SubSource, place: Place, edits: Edit[], omitted: readonly TokenRange[] = []): void {
		const omittedAt = new Map(omitted.map((range) => [range.begin, range.end]));
		let statement = true;
		for (let index = sub.open + 1; index < sub.close; ) {
			const omittedEnd = omittedAt.get(index);
			if (omittedEnd !== undefined) {
				edits.push({ begin: this.lineBegin(index), end: this.at(omittedEnd - 1).end, text: "" });
				statement = true;
				index = omittedEnd;
				continue;
			}
			const token = this.at(index);
			if (statement && token.kind === "ID") {
				const next = this.statement(index, sub, place, edits);
				if (next > index) {
					statement = true;
					index = next;
					continue;
				}
			}
			statement = token.kind === "{" || token.kind === "}" || token.kind === ";";
			index = this.expression(index, sub.close, place, edits);
		}
	}

	/** Where the token begins, or its line where nothing stands before it. */
	private lineBegin(index: number): number {
		const { begin } = this.at(index);
		const blank = /(?:^|\n)[ \t]*$/.exec(this.text.slice(this.at(index - 1).end, begin));
		return blank === null ? begin : begin - blank[0].length;
	}

	private endOfStatement(index: number, limit: number): number {
		let at = index;
		while (at < limit && this.at(at).kind !== ";") at++;
		return at;
	}

	/** Text of a range with its expressions translated. */
	private rendered(from: number, to: number, place: Place): string {
		if (from >= to) return "";
		const edits: Edit[] = [];
		for (let index = from; index < to; ) index = this.expression(index, to, place, edits);
		return this.apply(this.at(from).begin, this.at(to - 1).end, edits);
	}

	/** Translates a whole statement; returns the index after it, or the same index when it is none of the old kind. */
	private statement(index: number, sub: SubSource, place: Place, edits: Edit[]): number {
		const token = this.at(index);
		const next = this.at(index + 1);
		const end = this.endOfStatement(index, sub.close);
		const name = sub.name.text;
		const replace = (text: string, note: string): number => {
			this.note(token, note);
			edits.push({ begin: token.begin, end: this.at(end).end, text });
			return end + 1;
		};
		switch (token.text) {
			case "remove":
				this.note(token, "remove -> unset");
				edits.push({ begin: token.begin, end: token.end, text: "unset" });
				return index;
			case "error": {
				// `error (404, "text");` too.
				const inside = next.kind === "(" && this.closing(index + 1) === end - 1 ? 1 : 0;
				const split = this.splitError(index + 1 + inside, end - inside);
				const status = this.rendered(index + 1 + inside, split, place).trim();
				const reason = this.rendered(split, end - inside, place)
					.replace(/^,\s*/, "")
					.trim();
				const made = isBackendSide(place) ? "error" : "synth";
				const words = reason === "" ? status : `${status}, ${reason}`;
				return replace(
					`return (${made}(${words === "" ? "503" : words}));`,
					`error -> return (${made}(...))`,
				);
			}
			case "purge":
				if (next.kind === ";") {
					this.imports.add("purge as vmod_purge");
					return replace("vmod_purge.hard();", "purge -> vmod purge's hard()");
				}
				if (next.kind === "(") {
					this.note(token, "purge(...) -> ban(...)");
					edits.push({ begin: token.begin, end: token.end, text: "ban" });
				}
				return index;
			case "ban_url":
			case "purge_url": {
				const close = this.closing(index + 1);
				return replace(
					`ban("req.url ~ " + ${this.rendered(index + 2, close, place)});`,
					`${token.text}(...) -> ban("req.url ~ " + ...)`,
				);
			}
			case "esi":
				if (next.kind !== ";") return index;
				return replace("set beresp.do_esi = true;", "esi -> set beresp.do_esi = true");
			case "log":
				if (next.kind !== "CSTR" && next.kind !== "ID") return index;
				this.imports.add("std");
				return replace(`std.log(${this.rendered(index + 1, end, place)});`, "log -> std.log(...)");
			case "synthetic":
				if (next.kind === "(") return index;
				return replace(
					`synthetic(${this.rendered(index + 1, end, place)});`,
					"synthetic ... -> synthetic(...)",
				);
			case "set":
				return this.set(index, end, name, place, edits, replace);
			case "return": {
				const word = this.at(index + 2);
				const action = next.kind === "(" ? this.returned(word.text, name, place) : null;
				if (action === null) return index;
				return replace(`return (${action});`, `return (${word.text}) -> return (${action})`);
			}
			default:
				if (next.kind === ";" && plainActions.has(token.text)) {
					const action = this.returned(token.text, name, place) ?? token.text;
					return replace(`return (${action});`, `${token.text} -> return (${action})`);
				}
				return index;
		}
	}

	/** `error 405 "text" more;`: where the reason begins. */
	private splitError(from: number, end: number): number {
		let depth = 0;
		for (let index = from; index < end; index++) {
			const { kind } = this.at(index);
			if (kind === "(") depth++;
			if (kind === ")") depth--;
			if (kind === "," && depth <= 1) return index;
			if (index > from && kind === "CSTR" && depth === 0) return index;
			if (index > from && depth === 0 && this.startsOperand(index) && this.endsOperand(index - 1))
				return index;
		}
		return end;
	}

	/** The new name of an action in that state, or null when it is the same. */
	private returned(action: string, sub: string, place: Place): string | null {
		switch (action) {
			case "lookup":
				return sub !== "vcl_hash" && (place === "client" || place === "miss") ? "hash" : null;
			case "hash":
				return sub === "vcl_hash" ? "lookup" : null;
			case "hit_for_pass":
				return "pass(beresp.ttl)";
			case "pass":
				// As vcl_miss says it on the client's side, its part in vcl_backend_fetch goes on.
				if (place === "bereq") return "fetch";
				if (place === "fetch") return "pass(beresp.ttl)";
				return sub === "vcl_pass" ? "fetch" : null;
			case "restart":
				return place === "fetch" || place === "backend-error" ? "retry" : null;
			case "fetch":
				return sub === "vcl_hit" ? "pass" : null;
			case "error":
				return place === "fetch" ? null : "synth(503)";
			default:
				return null;
		}
	}

	private set(
		index: number,
		end: number,
		sub: string,
		place: Place,
		edits: Edit[],
		replace: (text: string, note: string) => number,
	): number {
		const { path, after } = this.path(index + 1);
		const operator = this.at(after);
		const value = (from: number) => this.rendered(from, end, place);
		switch (path) {
			case "req.hash":
				if (operator.kind === "+=")
					return replace(`hash_data(${value(after + 1)});`, "set req.hash += ... -> hash_data(...)");
				return index;
			case "obj.ttl":
				if (sub === "vcl_hit") {
					this.imports.add("purge as vmod_purge");
					const seconds = value(after + 1);
					return replace(
						/^0+\s*(ms|s|m|h|d|w)?$/.test(seconds) ? "vmod_purge.hard();" : `vmod_purge.soft(${seconds});`,
						"set obj.ttl in vcl_hit -> vmod purge",
					);
				}
				return index;
			case "beresp.saintmode":
				return replace("", "set beresp.saintmode -> removed: probes and return (retry) do its work");
			case "beresp.cacheable":
			case "obj.cacheable": {
				const off = this.at(after + 1).text === "false";
				return replace(
					off ? "set beresp.uncacheable = true;" : "",
					`set ${path} -> ${off ? "set beresp.uncacheable = true" : "removed: set a ttl instead"}`,
				);
			}
			case "req.esi":
				if (!isBackendSide(place)) return index;
				return replace("", "set req.esi -> removed: ESI is chosen by beresp.do_esi");
			case "beresp.storage":
				if (this.at(after + 1).kind === "CSTR")
					return replace(
						`set beresp.storage = storage.${this.at(after + 1).value};`,
						"storage by its name, without quotes",
					);
				return index;
			case "req.backend":
			case "bereq.backend": {
				const chosen = this.at(after + 1).text;
				const target = isBackendSide(place) ? "bereq.backend" : "req.backend_hint";
				const backend = this.directors.has(chosen) ? this.directorCall(chosen, place) : chosen;
				return replace(`set ${target} = ${backend};`, `set ${path} -> set ${target}`);
			}
			default:
		}
		void edits;
		return index;
	}

	/** The dotted name at `index`, and the index after it. */
	private path(index: number): { path: string; after: number } {
		let path = this.at(index).text;
		let after = index + 1;
		while (this.at(after).kind === "." && this.at(after + 1).kind === "ID") {
			path += `.${this.at(after + 1).text}`;
			after += 2;
		}
		return { path, after };
	}

	// ── expressions ──

	/** Translates the name at `index`, and joins it to what follows with `+` where that was left out. */
	private expression(index: number, limit: number, place: Place, edits: Edit[]): number {
		const token = this.at(index);
		let after = index + 1;
		if (token.kind === "ID") {
			const name = this.path(index);
			after = Math.min(name.after, limit);
			const mapped = this.mapped(name.path, place, index, after);
			if (name.path.startsWith("std.") && !this.imported.has("std")) this.imports.add("std");
			if (mapped !== null && mapped !== name.path) {
				this.note(token, `${name.path} -> ${mapped}`);
				edits.push({ begin: token.begin, end: this.at(after - 1).end, text: mapped });
			}
		}
		if (after < limit && this.endsOperand(after - 1) && this.startsOperand(after) && this.juxtaposed(after)) {
			this.note(this.at(after), "strings next to each other -> joined with +");
			edits.push({ begin: this.at(after - 1).end, end: this.at(after - 1).end, text: " +" });
		}
		return after;
	}

	private endsOperand(index: number): boolean {
		const token = this.at(index);
		return token.kind === "CSTR" || token.kind === "ID" || token.kind === ")" || token.kind === "CNUM";
	}

	private startsOperand(index: number): boolean {
		const { kind } = this.at(index);
		return kind === "CSTR" || kind === "ID";
	}

	/** Two operands in a row inside a value: not the words of a statement, and not a number with its unit. */
	private juxtaposed(index: number): boolean {
		const before = this.at(index - 1);
		const here = this.at(index);
		if (before.kind === "CNUM" || before.kind === "FNUM") {
			const unit = Object.hasOwn(durationUnits, here.text) || Object.hasOwn(byteUnits, here.text);
			if (here.kind === "ID" && unit) return false;
		}
		const words = new Set([
			"set",
			"unset",
			"remove",
			"call",
			"return",
			"if",
			"else",
			"elsif",
			"elseif",
			"elif",
			"new",
			"error",
			"include",
			"import",
			"synthetic",
			"log",
			"sub",
		]);
		if (before.kind === "ID" && words.has(before.text) && this.at(index - 2).kind !== ".") return false;
		if (here.kind === "ID" && (here.text === "if" || words.has(here.text))) return false;
		return true;
	}

	private needsEsiOfTheRequest(token: Token): void {
		this.syntax = "4.0";
		this.note(token, "req.esi -> vcl 4.0, which has it");
	}

	private mapped(path: string, place: Place, index: number, after: number): string | null {
		const backendSide = isBackendSide(place);
		// The field of a backend or probe, not a variable.
		if (this.at(index - 1).kind === ".") return null;
		switch (path) {
			case "req.backend.healthy":
				this.imports.add("std");
				return `std.healthy(${backendSide ? "bereq.backend" : "req.backend_hint"})`;
			case "req.backend":
				return backendSide ? "bereq.backend" : "req.backend_hint";
			case "req.request":
				return backendSide ? "bereq.method" : "req.method";
			case "bereq.request":
				return place === "miss" ? "req.method" : "bereq.method";
			case "req.esi":
				if (!backendSide) this.needsEsiOfTheRequest(this.at(index));
				return null;
			case "req.restarts":
				// A request to the backend that is made after a restart is a first one.
				if (place === "bereq") return null;
				return backendSide ? "bereq.retries" : null;
			case "server.port":
				this.imports.add("std");
				return "std.port(server.ip)";
			case "client.port":
				this.imports.add("std");
				return "std.port(client.ip)";
			case "beresp.cacheable":
				return "(beresp.ttl > 0s)";
			case "obj.cacheable":
				return place === "fetch" ? "(beresp.ttl > 0s)" : "(obj.ttl > 0s)";
			case "beresp.backend.port":
				return null;
			default:
		}
		const [head, ...rest] = path.split(".");
		const tail = rest
			.map((part, place_) => (place_ === 0 && part === "response" ? "reason" : part))
			.join(".");
		if (rest.length > 0) {
			if (head === "obj" && place === "fetch") return `beresp.${tail}`;
			if (head === "obj" && place === "backend-error") return `beresp.${tail}`;
			if (head === "obj" && place === "synth") return `resp.${tail}`;
			if (head === "req" && backendSide && !rest[0]?.startsWith("esi") && rest[0] !== "restarts")
				return `bereq.${tail}`;
			if (head === "bereq" && place === "miss") return `req.${tail}`;
			if (rest[0] === "response") return `${head}.${tail}`;
			return null;
		}
		// A director where a backend is meant.
		if (this.directors.has(path) && (this.at(index - 1).kind === "==" || this.at(index - 1).kind === "!="))
			return this.directorCall(path, place);
		void after;
		return null;
	}
}
