/**
 * The grammar of keepalived.conf as data: what a keyword takes, where it may stand, since when,
 * and whether Drover acts on it. The tables beside this file are the whole language.
 */

import { keyOf, type Lexer } from "../lexer.ts";

/** What follows a keyword on its line. */
export type Argument =
	/** Nothing is read. */
	| { readonly kind: "flag" }
	/** `on|true|yes|off|false|no`; the bare keyword means on. */
	| { readonly kind: "boolean" }
	/** A whole number. `bare` is its value without an argument; `clamp` takes the nearest bound instead. */
	| {
			readonly kind: "integer";
			readonly min: number;
			readonly max: number;
			readonly bare?: number;
			readonly clamp?: boolean;
	  }
	/** Seconds; read into microseconds. `whole` refuses decimals. */
	| {
			readonly kind: "seconds";
			readonly min: number;
			readonly max: number;
			readonly whole: boolean;
			readonly bare?: number;
			readonly clamp?: boolean;
	  }
	/** Milliseconds with at most three decimals; read into microseconds. */
	| { readonly kind: "milliseconds"; readonly min: number; readonly max: number }
	/** One word. */
	| { readonly kind: "word"; readonly max?: number; readonly optional?: boolean }
	/** One of a few words. */
	| { readonly kind: "choice"; readonly values: readonly string[]; readonly anyCase?: boolean }
	/** One IP address. */
	| { readonly kind: "address"; readonly family?: "inet" | "inet6"; readonly multicast?: boolean }
	/** A network interface: at most 15 bytes. */
	| { readonly kind: "interface" }
	/** A program to run. "script" and "misc" take their words as argv; "notify" takes COMMAND [USER [GROUP]]. */
	| { readonly kind: "command"; readonly style: "script" | "notify"; readonly optional?: boolean }
	/** USER [GROUP]. */
	| { readonly kind: "identity" }
	/** A number and an optional `reverse`. */
	| { readonly kind: "weight"; readonly min: number; readonly max: number }
	/** Words with a grammar of their own, read where the meaning is built. */
	| { readonly kind: "words"; readonly grammar: string; readonly least: number; readonly most?: number }
	/** A block whose lines are data. */
	| { readonly kind: "lines"; readonly grammar: string; readonly named?: boolean }
	/** A block of keywords; `names` words stand between the keyword and the brace. */
	| {
			readonly kind: "block";
			readonly block: BlockName;
			readonly names: "none" | "one" | "service" | "server";
	  };

export type BlockName =
	| "root"
	| "global_defs"
	| "SSL"
	| "track_group"
	| "garp_group"
	| "vrrp_sync_group"
	| "vrrp_instance"
	| "authentication"
	| "auth_hmac"
	| "vrrp_script"
	| "vrrp_track_process"
	| "track_file"
	| "bfd_instance"
	| "virtual_server"
	| "real_server"
	| "TCP_CHECK"
	| "PING_CHECK"
	| "UDP_CHECK"
	| "DNS_CHECK"
	| "SMTP_CHECK"
	| "host"
	| "HTTP_GET"
	| "SSL_GET"
	| "HTTP_GET/url"
	| "SSL_GET/url"
	| "MISC_CHECK"
	| "FILE_CHECK"
	| "BFD_CHECK";

/** First keepalived release that has it; everything in 2.2.7 and before is "2.2.7". */
export type Since = "2.2.7" | "2.2.8" | "2.3.0" | "2.3.2" | "2.3.3" | "2.4.0" | "head" | "drover";

/** A sentence for the operator, without a full stop. */
export type NoEffect =
	/** What it asks for is lost. */
	| { readonly kind: "lost"; readonly because: string }
	/** What it asks for is so in any case, or is set elsewhere. */
	| { readonly kind: "not-needed"; readonly because: string };

export interface Keyword {
	readonly name: string;
	readonly argument: Argument;
	/** What happens without it, as the manual has it; "" is nothing to say. */
	readonly fallback: string;
	/** What it does, in a few words: used for help and to say what is lost. */
	readonly effect: string;
	readonly since: Since;
	/** Why Drover does not act on it, and what there is instead; null when it does. One finding says so. */
	readonly noEffect: NoEffect | null;
	/** The spelling to use instead; "" is to leave it out. */
	readonly replacedBy: string | null;
	/** keepalived 2.2.7 complains about the old spelling (its -t gives 5), or does not know the word. */
	readonly old: "deprecated" | "unknown" | "alias" | null;
	/** keepalived without the argument: stops with 2, or reports the line (5) and goes on. */
	readonly withoutArgument: 2 | 5;
}

/** The keywords of one block, by name. */
export type BlockGrammar = ReadonlyMap<string, Keyword>;

/** The same, to be found by what a lexer knows of a word before it makes a string of it. */
export class KeywordIndex {
	readonly #slots: (Keyword | undefined)[];
	/** Slots less one: their number is a power of two, and a good part of them is empty. */
	readonly #mask: number;

	constructor(grammar: BlockGrammar) {
		let size = 16;
		while (size < 4 * grammar.size) size *= 2;
		this.#slots = new Array(size);
		this.#mask = size - 1;
		for (const keyword of grammar.values()) {
			let slot = keyOfName(keyword.name) & this.#mask;
			while (this.#slots[slot] !== undefined) slot = (slot + 1) & this.#mask;
			this.#slots[slot] = keyword;
		}
	}

	/** The keyword that is word 0 of the lexer's line. */
	find(lexer: Lexer): Keyword | undefined {
		for (let slot = lexer.firstWordKey() & this.#mask; ; slot = (slot + 1) & this.#mask) {
			const keyword = this.#slots[slot];
			if (keyword === undefined || lexer.isWord(0, keyword.name)) return keyword;
		}
	}
}

function keyOfName(name: string): number {
	return keyOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1));
}

export const flag: Argument = { kind: "flag" };
export const boolean: Argument = { kind: "boolean" };
export const word: Argument = { kind: "word" };
export const netInterface: Argument = { kind: "interface" };
export const address: Argument = { kind: "address" };
export const identity: Argument = { kind: "identity" };
export const script: Argument = { kind: "command", style: "script" };
export const notify: Argument = { kind: "command", style: "notify" };

const UINT_MAX = 4_294_967_295;
const INT_MAX = 2_147_483_647;
/** keepalived keeps times as unsigned microseconds in 32 bits. */
const SECONDS_MAX = 4294.967295;
const WHOLE_SECONDS_MAX = 4294;

export const integer = (
	min: number,
	max = INT_MAX,
	more: { bare?: number; clamp?: boolean } = {},
): Argument => ({ kind: "integer", min, max, ...more });
export const unsigned = (min = 0, max = UINT_MAX): Argument => ({ kind: "integer", min, max });
export const seconds = (min: number, max = SECONDS_MAX): Argument => ({
	kind: "seconds",
	min,
	max,
	whole: false,
});
export const wholeSeconds = (
	min: number,
	max = WHOLE_SECONDS_MAX,
	more: { bare?: number; clamp?: boolean } = {},
): Argument => ({ kind: "seconds", min, max, whole: true, ...more });
/** Times that keepalived does not bound: thirty years. */
export const anySeconds = (min: number): Argument => seconds(min, 1_000_000_000);
export const choice = (...values: readonly string[]): Argument => ({ kind: "choice", values });
export const words = (grammar: string, least = 1, most?: number): Argument =>
	most === undefined ? { kind: "words", grammar, least } : { kind: "words", grammar, least, most };
export const lines = (grammar: string): Argument => ({ kind: "lines", grammar });
export const weight = (bound: number): Argument => ({ kind: "weight", min: -bound, max: bound });
export const block = (name: BlockName, names: "none" | "one" | "service" | "server" = "none"): Argument => ({
	kind: "block",
	block: name,
	names,
});

interface Notes {
	readonly since?: Since;
	readonly noEffect?: NoEffect;
	readonly replacedBy?: string;
	readonly old?: "deprecated" | "unknown" | "alias";
}

/** One row of a table. */
export function keyword(
	name: string,
	argument: Argument,
	fallback: string,
	effect: string,
	notes: Notes = {},
): Keyword {
	return {
		name,
		argument,
		fallback,
		effect,
		since: notes.since ?? "2.2.7",
		noEffect: notes.noEffect ?? null,
		replacedBy: notes.replacedBy ?? null,
		old: notes.old ?? (notes.replacedBy === undefined ? null : "deprecated"),
		withoutArgument: 2,
	};
}

/**
 * A table from its rows, made when somebody asks for it: few files have every block. Two rows of one name are a
 * mistake in the table. `lenient` names those whose missing argument does not stop keepalived.
 */
export function grammar(rows: () => readonly Keyword[], lenient = ""): () => BlockGrammar {
	let table: Map<string, Keyword> | null = null;
	return () => {
		if (table !== null) return table;
		const goOn = new Set(lenient.split(" "));
		table = new Map<string, Keyword>();
		for (const row of rows()) {
			if (table.has(row.name)) throw new Error(`keyword table: ${row.name} stands twice`);
			table.set(row.name, goOn.has(row.name) ? { ...row, withoutArgument: 5 } : row);
		}
		return table;
	};
}
