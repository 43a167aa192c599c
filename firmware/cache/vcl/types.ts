/** VCL's types, what converts into what, and which operators they know. Reference §3. */

export type SimpleType =
	| "ACL"
	| "BACKEND"
	| "BLOB"
	| "BODY"
	| "BOOL"
	| "BYTES"
	| "DURATION"
	| "ENUM"
	| "HEADER"
	| "HTTP"
	| "INSTANCE"
	| "INT"
	| "IP"
	| "PROBE"
	| "REAL"
	| "REGEX"
	| "STEVEDORE"
	| "STRANDS"
	| "STRING"
	/** Compiler-internal: one or more text parts, not yet joined. Shown as STRING. */
	| "STRINGS"
	| "SUB"
	| "TIME"
	| "VCL"
	| "VOID";

/** A type, or the type of an object that a vmod makes ("directors.random"). */
export type Type = SimpleType | ObjectType;
export interface ObjectType {
	readonly object: string;
}

export function typeName(type: Type): string {
	if (typeof type === "object") return type.object;
	return type === "STRINGS" || isStringForm(type) ? "STRING" : type;
}

/** Types an expression of text is asked for as. */
export function isStringForm(type: Type): boolean {
	return type === "STRING" || type === "STRANDS" || type === "BODY";
}

/** What `* /` expects on the right of this left operand, besides INT; undefined when they are not defined. */
export const multiplicand: { readonly [Name in SimpleType]?: SimpleType } = {
	INT: "INT",
	REAL: "REAL",
	DURATION: "REAL",
	BYTES: "REAL",
};

export const additions: readonly {
	readonly operator: "+" | "-" | "%";
	readonly left: SimpleType;
	readonly right: SimpleType;
	readonly result: SimpleType;
}[] = [
	{ operator: "+", left: "BYTES", right: "BYTES", result: "BYTES" },
	{ operator: "-", left: "BYTES", right: "BYTES", result: "BYTES" },
	{ operator: "+", left: "DURATION", right: "DURATION", result: "DURATION" },
	{ operator: "-", left: "DURATION", right: "DURATION", result: "DURATION" },
	{ operator: "+", left: "INT", right: "INT", result: "INT" },
	{ operator: "-", left: "INT", right: "INT", result: "INT" },
	{ operator: "+", left: "INT", right: "REAL", result: "REAL" },
	{ operator: "-", left: "INT", right: "REAL", result: "REAL" },
	{ operator: "+", left: "REAL", right: "INT", result: "REAL" },
	{ operator: "-", left: "REAL", right: "INT", result: "REAL" },
	{ operator: "+", left: "REAL", right: "REAL", result: "REAL" },
	{ operator: "-", left: "REAL", right: "REAL", result: "REAL" },
	{ operator: "-", left: "TIME", right: "TIME", result: "DURATION" },
	{ operator: "+", left: "TIME", right: "DURATION", result: "TIME" },
	{ operator: "-", left: "TIME", right: "DURATION", result: "TIME" },
];

/** Types compared by number. */
export const ordered: ReadonlySet<Type> = new Set(["INT", "DURATION", "BYTES", "REAL", "TIME"]);
/** Types compared by identity only. */
export const identities: ReadonlySet<Type> = new Set([
	"BACKEND",
	"ACL",
	"PROBE",
	"STEVEDORE",
	"SUB",
	"INSTANCE",
]);

/** Types that have a text form of their own ("BACKEND" its name, "TIME" an RFC 1123 date …). */
export const withText: ReadonlySet<Type> = new Set([
	"BACKEND",
	"BOOL",
	"BYTES",
	"DURATION",
	"HEADER",
	"INT",
	"IP",
	"REAL",
	"STEVEDORE",
	"TIME",
	"BLOB",
	"ACL",
]);

/** Seconds per unit of a duration. */
export const durationUnits: Readonly<Record<string, number>> = {
	ms: 0.001,
	s: 1,
	m: 60,
	h: 3600,
	d: 86400,
	w: 604800,
	y: 31536000,
};

/** Bytes per unit. */
export const byteUnits: Readonly<Record<string, number>> = {
	B: 1,
	KB: 1024,
	MB: 1024 ** 2,
	GB: 1024 ** 3,
	TB: 1024 ** 4,
};
