/** State of one compilation: the token stream with its cursor, the symbol table, and what has been declared so far. */
import { isToken } from "../http/syntax.ts";
import { type Diagnostics, Refused } from "./diagnostic.ts";
import { everywhere, methods } from "./methods.ts";
import type { Regex } from "./regex/regex.ts";
import type { BackendDefinition, ProbeDefinition } from "./runtime.ts";
import type { ActionWord, SymbolKind, VclSymbol } from "./symbol.ts";
import type { HeaderName } from "./syntax/expression.ts";
import type { AclDefinition, Sub, Use } from "./syntax/program.ts";
import { kindName, type Token, type TokenKind, tokenName } from "./token.ts";
import { type Variable, variables } from "./variables.ts";
import type { Vmod } from "./vmods/vmod.ts";

export type Resolution =
	| { readonly ok: true; readonly addresses: readonly string[] }
	| { readonly ok: false; readonly error: string };

export interface CompilationSettings {
	readonly stevedores: readonly string[];
	readonly labels: readonly string[];
	readonly vmods: ReadonlyMap<string, Vmod>;
	/** vcc_err_unref: an unused declaration is an error. */
	readonly unusedIsError: boolean;
	readonly unsafePath: boolean;
	/** Host names; null when names cannot be looked up now. */
	readonly resolve: ((name: string) => Resolution) | null;
	/** For `.path`: null = it is a socket, else what is wrong. */
	readonly checkSocket: ((path: string) => SocketProblem | null) | null;
	/** For `.ssl_ca`: null = it can be read, else what is wrong. */
	readonly checkFile: ((path: string) => string | null) | null;
}

export interface SocketProblem {
	readonly kind: "missing" | "forbidden" | "no-socket" | "other";
	readonly text: string;
}

export type Lookup = "create" | "existing" | "partial" | "partial-quiet";

/** Bound of nested blocks and parentheses: deeper programs are refused before the stack ends. */
export const maxNesting = 400;

/** Bound of a dotted name's parts. */
const maxNameParts = 16;

/** Longest name of a header that VCL may speak of. */
const HEADER_NAME_BYTES = 126;

/** One byte as C would write it. */
function shown(char: string): string {
	const code = char.charCodeAt(0);
	if (char === "\t") return "\\t";
	if (char === "\n") return "\\n";
	if (char === "\r") return "\\r";
	return code >= 0x20 && code < 0x7f ? char : `\\${code.toString(8).padStart(3, "0")}`;
}

export class Compilation {
	position = 0;
	syntax = 0;
	depth = 0;
	readonly symbols = new Map<string, VclSymbol[]>();
	readonly backends: BackendDefinition[] = [];
	readonly probes: ProbeDefinition[] = [];
	readonly acls: AclDefinition[] = [];
	readonly regexes: Regex[] = [];
	readonly instances: string[] = [];
	readonly imported: string[] = [];
	/** A function that waits is called. */
	waits = false;
	readonly usedLabels: string[] = [];
	readonly subs = new Map<string, Sub>();
	defaultProbe: ProbeDefinition | null = null;
	defaultBackend: string | null = null;
	/** The first backend, while it stands in for a `default` one. */
	firstBackend: VclSymbol | null = null;
	currentSub: Sub | null = null;

	readonly tokens: readonly Token[];
	readonly diagnostics: Diagnostics;
	readonly settings: CompilationSettings;

	constructor(tokens: readonly Token[], diagnostics: Diagnostics, settings: CompilationSettings) {
		this.tokens = tokens;
		this.diagnostics = diagnostics;
		this.settings = settings;
		for (const variable of variables) {
			if (variable.name.endsWith(".")) {
				this.add({ ...this.base(variable.name.slice(0, -1)), kind: "none", wildcard: variable });
			} else
				this.add({
					...this.base(variable.name),
					lowest: variable.lowest,
					highest: variable.highest,
					kind: "var",
					variable,
					header: null,
				});
		}
		for (const word of ["regsub", "regsuball", "true", "false", "default"] as const)
			this.add({ ...this.base(word), kind: "func", word });
		const actions: readonly ActionWord[] = [
			"ban",
			"call",
			"hash_data",
			"if",
			"new",
			"return",
			"set",
			"synthetic",
			"unset",
		];
		for (const action of actions) this.add({ ...this.base(action), kind: "action", action });
		for (const word of ["acl", "sub", "backend", "probe", "import", "vcl"])
			this.add({ ...this.base(word), lowest: 41, kind: "reserved" });
		for (const { name } of methods) this.add({ ...this.base(name), kind: "sub", sub: this.sub(name) });
		for (const name of settings.stevedores) this.add({ ...this.base(`storage.${name}`), kind: "stevedore" });
		for (const name of settings.labels) this.add({ ...this.base(name), kind: "vcl" });
	}

	base(name: string) {
		return {
			name,
			lowest: 40,
			highest: 41,
			defined: null as Token | null,
			referenced: null as Token | null,
			exempt: true,
		};
	}

	add(symbol: VclSymbol): VclSymbol {
		const key = symbol.name.toLowerCase();
		const list = this.symbols.get(key);
		if (list === undefined) this.symbols.set(key, [symbol]);
		else list.push(symbol);
		return symbol;
	}

	sub(name: string): Sub {
		const key = name.toLowerCase();
		const known = this.subs.get(key);
		if (known !== undefined) return known;
		const sub: Sub = {
			name,
			defined: null,
			bodies: [],
			uses: [],
			calls: [],
			returns: new Map(),
			referenced: null,
		};
		this.subs.set(key, sub);
		return sub;
	}

	// ── cursor ──

	get token(): Token {
		return this.tokens[this.position]!;
	}

	peek(distance = 1): Token {
		return this.tokens[Math.min(this.position + distance, this.tokens.length - 1)]!;
	}

	next(): void {
		if (this.position + 1 >= this.tokens.length) {
			this.diagnostics.append("Ran out of input, something is missing or maybe unbalanced (...) or {...}\n");
			this.diagnostics.fail("", this.token);
		}
		this.position++;
	}

	expect(kind: TokenKind): Token {
		const { token } = this;
		if (token.kind !== kind)
			this.diagnostics.fail(`Expected ${kindName(kind)} got ${tokenName(token)}\nat\n`, token);
		return token;
	}

	/**
	 * `+name` or `-name` before something: whether it is on. The name, which is the next token, has to follow the sign at
	 * once; `otherwise` is said behind the complaint.
	 */
	flag(otherwise: string): boolean {
		const sign = this.token;
		if (this.peek().begin !== sign.end) {
			this.diagnostics.at("Expected a flag at:\n", sign);
			this.diagnostics.append(otherwise);
			this.stop();
		}
		this.next();
		return sign.kind === "+";
	}

	skip(kind: TokenKind): Token {
		const token = this.expect(kind);
		this.next();
		return token;
	}

	/** As a call, because the cursor moves under the compiler's eyes. */
	isAt(kind: TokenKind): boolean {
		return this.token.kind === kind;
	}

	isWord(word: string, token: Token = this.token): boolean {
		return token.kind === "ID" && token.text === word;
	}

	/** A name of something declared: an identifier without dots. */
	expectName(what: string): Token {
		const first = this.expect("ID");
		let ahead = 1;
		while (this.peek(ahead).kind === "." && ahead < 2 * maxNameParts) {
			ahead++;
			if (this.peek(ahead).kind !== "ID") break;
			ahead++;
		}
		if (ahead > 1) {
			const after = this.peek(ahead);
			const written = this.tokens
				.slice(first.index, after.index)
				.map(({ text }) => text)
				.join("");
			this.diagnostics.failBetween(
				`Name of ${what}, '${written}', contains illegal character '.'\n`,
				first,
				after,
			);
		}
		return first;
	}

	/** Guards recursion; call `leave` when done. */
	enter(): void {
		if (++this.depth > maxNesting)
			this.diagnostics.fail(`Nested more than ${maxNesting} levels deep\n`, this.token);
	}

	leave(): void {
		this.depth--;
	}

	// ── names ──

	/** The symbol of that name and syntax version, made on the fly for header fields. */
	find(name: string, kind: SymbolKind | null, anyVersion = false): VclSymbol | undefined {
		const list = this.symbols.get(name.toLowerCase());
		if (list !== undefined)
			for (const symbol of list) {
				if (!anyVersion && (symbol.lowest > this.syntax || symbol.highest < this.syntax)) continue;
				if (symbol.kind === "none") continue;
				// Before 4.1 every kind had its own name space.
				if (
					this.syntax < 41 &&
					symbol.name.toLowerCase() !== "default" &&
					kind !== null &&
					kind !== symbol.kind
				)
					continue;
				return symbol;
			}
		return undefined;
	}

	private findHeader(parent: string, part: string, whole: string): VclSymbol | undefined {
		const wildcard = this.symbols.get(parent.toLowerCase())?.[0];
		if (wildcard?.kind !== "none" || part === "") return undefined;
		this.checkHeaderName(part);
		const { variable, message } = { variable: wildcard.wildcard, message: wildcard.wildcard.member };
		const name: HeaderName = { lower: part.toLowerCase(), written: part, message };
		return this.add({ ...this.base(whole), kind: "var", variable, header: name });
	}

	/** A name that is written in quotes need not be one: what it would send is a header, or a message, of its own. */
	private checkHeaderName(name: string): void {
		const wrong = [...name].find((char) => !isToken(char));
		if (wrong !== undefined) this.diagnostics.append(`Invalid character '${shown(wrong)}' in header name.\n`);
		else if (name.length > HEADER_NAME_BYTES)
			this.diagnostics.append(`HTTP header (${name.slice(0, 20)}..) is too long.\n`);
		else return;
		this.stop();
	}

	/**
	 * Reads a dotted name and finds its symbol. "partial" stops at the longest known prefix and leaves the rest;
	 * "create" returns undefined for an unknown name; "partial-quiet" too, without moving the cursor.
	 */
	lookup(kind: SymbolKind | null, mode: "existing" | "partial"): VclSymbol;
	lookup(kind: SymbolKind | null, mode: Lookup): VclSymbol | undefined;
	lookup(kind: SymbolKind | null, mode: Lookup): VclSymbol | undefined {
		const first = this.token;
		let symbol: VclSymbol | undefined;
		let symbolEnd = -1;
		let at = this.position;
		let name = "";
		let parent = "";
		for (let parts = 0; parts < maxNameParts; parts++) {
			const token = this.tokens[at]!;
			if (token.kind === "CSTR" && this.syntax < 41)
				this.diagnostics.fail("Quoted headers are available for VCL >= 4.1.\nAt:", token);
			parent = name;
			name = name === "" ? token.value : `${name}.${token.value}`;
			const found = this.find(name, kind) ?? this.findHeader(parent, token.value, name);
			if (found !== undefined) {
				symbol = found;
				symbolEnd = at;
			}
			const after = this.tokens[at + 1];
			const part = this.tokens[at + 2];
			if (after?.kind !== "." || part === undefined) break;
			const wildcard = this.symbols.get(name.toLowerCase())?.[0]?.kind === "none";
			if (part.kind !== "ID" && !(part.kind === "CSTR" && wildcard)) break;
			at += 2;
		}
		const wasVmod = symbol?.kind === "vmod";
		if (symbol !== undefined && symbolEnd !== at) {
			if ((mode === "partial" || mode === "partial-quiet") && !wasVmod) at = symbolEnd;
			else symbol = undefined;
		}
		if (symbol === undefined && mode === "partial-quiet" && !wasVmod) return undefined;
		this.position = at;
		this.next();
		if (symbol === undefined) {
			if (mode === "create") return undefined;
			const other = this.find(name, kind, true);
			const written = this.tokens
				.slice(first.index, this.token.index)
				.map(({ text }) => text)
				.join("");
			if (kind !== null && this.symbols.get(name.toLowerCase())?.[0]?.kind === "none") {
				this.diagnostics.between(
					`Symbol '${written}' has wrong type (none), expected ${kind}:\nAt: `,
					first,
					this.token,
				);
				this.diagnostics.append("Symbol was builtin\n");
				this.stop();
			}
			let message = `Symbol not found: '${written}'`;
			if (other !== undefined)
				message += ` (Only available when${other.lowest > 40 ? ` ${(other.lowest / 10).toFixed(1)} <=` : ""} VCL syntax${other.highest < 41 || other.kind === "reserved" ? ` <= ${(other.highest / 10).toFixed(1)}` : ""})`;
			this.diagnostics.failBetween(`${message}\nAt: `, first, this.token);
		}
		if (kind !== null && symbol.kind !== kind) {
			this.diagnostics.between(
				`Symbol '${this.tokens
					.slice(first.index, this.token.index)
					.map(({ text }) => text)
					.join("")}' has wrong type (${symbol.kind}), expected ${kind}:\nAt: `,
				first,
				this.token,
			);
			if (symbol.defined !== null) this.diagnostics.fail("Symbol was defined here: ", symbol.defined);
			if (symbol.referenced !== null) this.diagnostics.fail("Symbol was declared here: ", symbol.referenced);
			this.diagnostics.append("Symbol was builtin\n");
			this.stop();
		}
		return symbol;
	}

	/** Ends the compilation with what has been reported. */
	stop(): never {
		throw new Refused();
	}

	/** Declares an acl, backend, probe or object: the name must be free. */
	declare(kind: "acl" | "backend" | "probe" | "instance", make: (name: string) => VclSymbol): VclSymbol {
		const { token } = this;
		const known = this.find(token.text, null);
		if (known !== undefined && known.defined !== null) {
			const title = kind.charAt(0).toUpperCase() + kind.slice(1);
			this.diagnostics.at(
				known.kind === kind
					? `${title} '${token.text}' redefined.\n`
					: `Name '${token.text}' already defined.\n`,
				token,
			);
			this.diagnostics.fail("First definition:\n", known.defined);
		}
		if (known !== undefined && known.kind !== kind)
			this.diagnostics.fail(`Name ${token.text} must have type '${known.kind}'.\n`, token);
		if (this.syntax >= 41 && /^vcl_/i.test(token.text))
			this.diagnostics.fail("Symbols named 'vcl_*' are reserved.\nAt:", token);
		const symbol = known ?? this.add(make(token.text));
		symbol.defined = token;
		symbol.exempt = false;
		return symbol;
	}

	// ── uses ──

	use(what: Use["what"], variable: Variable, first: Token, after: Token): void {
		const allowed = what === "read" ? variable.read : what === "write" ? variable.set : variable.unset;
		this.currentSub?.uses.push({ first, after, what, allowed, readable: variable.read });
	}

	useAction(allowed: number, first: Token): void {
		if (allowed !== everywhere)
			this.currentSub?.uses.push({
				first,
				after: this.tokens[first.index + 1] ?? first,
				what: "action",
				allowed,
				readable: everywhere,
			});
	}
}
