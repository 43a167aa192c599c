/**
 * The shape of a vmod: a table of functions and objects, typed as VCL types them. A signature is written as in the
 * manual ("REAL lo, REAL hi"), and parsed once when the module is loaded.
 */
import type { VclContext, VclHost } from "../runtime.ts";
import type { SimpleType } from "../types.ts";

/**
 * A VCL value at run time. STRING and STRANDS: byte string (a STRING may be null; STRANDS* is a list of both); INT, REAL, BYTES: number; DURATION,
 * TIME: seconds; BLOB: byte string; ENUM: its word; HEADER: `HeaderReference`; HTTP: the message; not given: undefined.
 */
// biome-ignore lint/suspicious/noExplicitAny: arguments are checked by the compiler against the signature
export type Value = any;

export interface HeaderReference {
	readonly message: import("../runtime.ts").HeaderFields;
	readonly lower: string;
	readonly written: string;
}

export interface VmodArgument {
	readonly type: SimpleType;
	readonly name: string | null;
	/** Undefined: none. */
	readonly fallback: Value;
	readonly words: readonly string[];
	readonly optional: boolean;
	/** STRANDS* in a signature: the text's parts as they stand in the program, not joined. */
	readonly inParts: boolean;
}

export type Implementation = (context: VclContext, host: VclHost, ...values: Value[]) => Value;
export type MethodImplementation = (self: Value, context: VclContext, ...values: Value[]) => Value;

export interface VmodFunction {
	readonly vmod: string;
	readonly name: string;
	readonly result: SimpleType;
	readonly arguments: readonly VmodArgument[];
	/** Plain functions. */
	readonly call: Implementation | null;
	/** Methods of an object. */
	readonly method: MethodImplementation | null;
	/** What it returns is a WaitRequest: the program stands still until it is granted, and its value comes then. */
	readonly waits: boolean;
	/** Constructors: makes the object. */
	readonly make: ((host: VclHost, name: string, ...values: Value[]) => Value) | null;
}

export interface VmodObject {
	readonly name: string;
	readonly constructor_: VmodFunction;
	readonly methods: ReadonlyMap<string, VmodFunction>;
}

export interface Vmod {
	readonly name: string;
	readonly functions: ReadonlyMap<string, VmodFunction>;
	readonly objects: ReadonlyMap<string, VmodObject>;
}

/** "ENUM {A, B} by=A, [INT key], BOOL x = 1" → arguments. */
export function parseSignature(text: string): VmodArgument[] {
	const parsed: VmodArgument[] = [];
	const pattern =
		/\s*(\[)?\s*([A-Z]+)(\*)?\s*(\{[^}]*\})?\s*([a-z_][A-Za-z0-9_]*)?\s*(?:=\s*("[^"]*"|[A-Za-z0-9_.-]+))?\s*(\])?\s*(?:,|$)/gy;
	let rest = text.trim();
	while (rest.length > 0) {
		pattern.lastIndex = 0;
		const match = pattern.exec(rest);
		if (match === null || match[0] === "") throw new SyntaxError(`bad vmod signature: ${text}`);
		const [whole, bracket, type, star, words, name, fallback] = match;
		parsed.push({
			type: type as SimpleType,
			name: name ?? null,
			words:
				words === undefined
					? []
					: words
							.slice(1, -1)
							.trim()
							.split(/\s*,\s*/),
			fallback: fallback === undefined ? undefined : parseDefault(type as SimpleType, fallback),
			optional: bracket !== undefined,
			inParts: star !== undefined,
		});
		rest = rest.slice(whole!.length);
	}
	return parsed;
}

function parseDefault(type: SimpleType, text: string): Value {
	switch (type) {
		case "BOOL":
			return text === "1" || text === "true";
		case "STRING":
			return text.startsWith('"') ? text.slice(1, -1) : null;
		case "BLOB":
		case "BACKEND":
			return null;
		case "ENUM":
			return text;
		default:
			return Number(text);
	}
}

export type FunctionRow = readonly [
	name: string,
	signature: string,
	result: SimpleType,
	Implementation,
	waits?: "waits",
];
export type MethodRow = readonly [name: string, signature: string, result: SimpleType, MethodImplementation];

export interface ObjectRow {
	readonly name: string;
	readonly signature: string;
	make(host: VclHost, name: string, ...values: Value[]): Value;
	readonly methods: readonly MethodRow[];
}

export function vmod(
	name: string,
	functions: readonly FunctionRow[],
	objects: readonly ObjectRow[] = [],
): Vmod {
	return {
		name,
		functions: new Map(
			functions.map(([called, signature, result, call, waits]) => [
				called,
				{
					vmod: name,
					name: called,
					result,
					arguments: parseSignature(signature),
					call,
					method: null,
					waits: waits !== undefined,
					make: null,
				},
			]),
		),
		objects: new Map(
			objects.map((row) => [
				row.name,
				{
					name: `${name}.${row.name}`,
					constructor_: {
						vmod: name,
						name: row.name,
						result: "VOID" as const,
						arguments: parseSignature(row.signature),
						call: null,
						method: null,
						waits: false,
						make: row.make,
					},
					methods: new Map(
						row.methods.map(([called, signature, result, method]) => [
							called,
							{
								vmod: name,
								name: called,
								result,
								arguments: parseSignature(signature),
								call: null,
								method,
								waits: false,
								make: null,
							},
						]),
					),
				},
			]),
		),
	};
}
