/** Expressions, already resolved: every node knows its type. One record per kind. */
import type { ActionKind, IpAddress } from "../runtime.ts";
import type { SimpleType, Type } from "../types.ts";
import type { Variable } from "../variables.ts";
import type { VmodFunction } from "../vmods/vmod.ts";

/** A header field's name: as first written in the program, and in lower case. */
export interface HeaderName {
	readonly lower: string;
	readonly written: string;
	/** The record's member of the context: "req", "beresp" … */
	readonly message: string;
}

export interface StringLiteral {
	readonly kind: "string";
	readonly type: "STRINGS";
	readonly value: string;
}
/** INT, REAL; DURATION in seconds; BYTES in bytes. */
export interface NumberLiteral {
	readonly kind: "number";
	readonly type: "INT" | "REAL" | "DURATION" | "BYTES";
	readonly value: number;
}
export interface BooleanLiteral {
	readonly kind: "boolean";
	readonly type: "BOOL";
	readonly value: boolean;
}
export interface BlobLiteral {
	readonly kind: "blob";
	readonly type: "BLOB";
	readonly bytes: string;
}
export interface IpLiteral {
	readonly kind: "ip";
	readonly type: "IP";
	readonly address: IpAddress;
}
/** Index into the program's table of regular expressions. */
export interface RegexLiteral {
	readonly kind: "regex";
	readonly type: "REGEX";
	readonly regex: number;
}
export interface EnumLiteral {
	readonly kind: "enum";
	readonly type: "ENUM";
	readonly value: string;
}
/** A vmod argument that was not given and has no default. */
export interface AbsentArgument {
	readonly kind: "absent";
	readonly type: "VOID";
}
export interface VariableRead {
	readonly kind: "variable";
	readonly type: Type;
	readonly variable: Variable;
}
export interface HeaderRead {
	readonly kind: "header";
	readonly type: "HEADER";
	readonly name: HeaderName;
}
/** A backend, acl, probe, sub or stevedore by its name. */
export interface SymbolRead {
	readonly kind: "symbol";
	readonly type: "ACL" | "BACKEND" | "PROBE" | "STEVEDORE" | "SUB";
	readonly name: string;
}
/** The word `default`. */
export interface DefaultRead {
	readonly kind: "default";
	readonly type: "BACKEND" | "PROBE";
}
/** An object made by `new`. */
export interface InstanceRead {
	readonly kind: "instance";
	readonly type: Type;
	readonly name: string;
}
/** Text parts to be joined; a part may be null (unset). */
export interface Concatenation {
	readonly kind: "concatenation";
	readonly type: "STRINGS";
	readonly parts: readonly Expression[];
}
/** The text form of a value that is no text. */
export interface TextOf {
	readonly kind: "text-of";
	readonly type: "STRINGS";
	readonly from: SimpleType;
	readonly value: Expression;
}
/** A value as a condition. */
export interface Truth {
	readonly kind: "truth";
	readonly type: "BOOL";
	readonly value: Expression;
}
export interface Negation {
	readonly kind: "not";
	readonly type: "BOOL";
	readonly value: Expression;
}
export interface Logical {
	readonly kind: "logical";
	readonly type: "BOOL";
	readonly operator: "&&" | "||";
	readonly operands: readonly Expression[];
}
export type ComparisonOperator = "==" | "!=" | "<" | ">" | "<=" | ">=";
/** Numbers, identities, booleans and addresses; `of` says which. */
export interface Comparison {
	readonly kind: "comparison";
	readonly type: "BOOL";
	readonly of: "number" | "identity" | "boolean" | "ip";
	readonly operator: ComparisonOperator;
	readonly left: Expression;
	readonly right: Expression;
}
export interface TextComparison {
	readonly kind: "text-comparison";
	readonly type: "BOOL";
	readonly operator: ComparisonOperator;
	readonly left: Expression;
	readonly right: Expression;
}
export interface RegexMatch {
	readonly kind: "regex-match";
	readonly type: "BOOL";
	readonly negated: boolean;
	readonly subject: Expression;
	readonly regex: number;
}
export interface AclMatch {
	readonly kind: "acl-match";
	readonly type: "BOOL";
	readonly negated: boolean;
	readonly address: Expression;
	readonly acl: string;
}
export interface Arithmetic {
	readonly kind: "arithmetic";
	readonly type: SimpleType;
	readonly operator: "+" | "-" | "*" | "/" | "%";
	readonly left: Expression;
	readonly right: Expression;
}
export interface Minus {
	readonly kind: "minus";
	readonly type: Type;
	readonly value: Expression;
}
export interface Regsub {
	readonly kind: "regsub";
	readonly type: "STRINGS";
	readonly all: boolean;
	readonly subject: Expression;
	readonly regex: number;
	readonly replacement: Expression;
}
/** `.upper()`, `.lower()`, `.resolve()`, `.free_space` … */
export interface TypeMethod {
	readonly kind: "type-method";
	readonly type: SimpleType;
	readonly method: "upper" | "lower" | "resolve" | "free_space" | "used_space" | "happy";
	readonly value: Expression;
}
export interface VmodCall {
	readonly kind: "vmod-call";
	readonly type: Type;
	readonly callee: VmodFunction;
	/** Name of the object, for a method. */
	readonly instance: string | null;
	readonly arguments: readonly Expression[];
}

export type Expression =
	| StringLiteral
	| NumberLiteral
	| BooleanLiteral
	| BlobLiteral
	| IpLiteral
	| RegexLiteral
	| EnumLiteral
	| AbsentArgument
	| VariableRead
	| HeaderRead
	| SymbolRead
	| DefaultRead
	| InstanceRead
	| Concatenation
	| TextOf
	| Truth
	| Negation
	| Logical
	| Comparison
	| TextComparison
	| RegexMatch
	| AclMatch
	| Arithmetic
	| Minus
	| Regsub
	| TypeMethod
	| VmodCall;

export type { ActionKind };
