/** Statements of a subroutine. One record per kind. */
import type { ActionKind } from "../runtime.ts";
import type { Variable } from "../variables.ts";
import type { VmodFunction } from "../vmods/vmod.ts";
import type { Expression, HeaderName } from "./expression.ts";

export interface Block {
	readonly kind: "block";
	readonly statements: readonly Statement[];
}
export interface If {
	readonly kind: "if";
	readonly branches: readonly { readonly condition: Expression; readonly body: Block }[];
	readonly otherwise: Block | null;
}
export type AssignmentOperator = "=" | "+=" | "-=" | "*=" | "/=";
export interface SetVariable {
	readonly kind: "set-variable";
	readonly variable: Variable;
	readonly operator: AssignmentOperator;
	readonly value: Expression;
}
export interface SetHeader {
	readonly kind: "set-header";
	readonly name: HeaderName;
	readonly operator: "=" | "+=";
	readonly value: Expression;
}
export interface SetBody {
	readonly kind: "set-body";
	readonly message: string;
	readonly operator: "=" | "+=";
	readonly value: Expression;
}
export interface UnsetHeader {
	readonly kind: "unset-header";
	readonly name: HeaderName;
}
export interface UnsetBody {
	readonly kind: "unset-body";
	readonly message: string;
}
export interface Call {
	readonly kind: "call";
	readonly sub: string;
}
/** Leaves a sub that is not one of VCL's own, without deciding. */
export interface Leave {
	readonly kind: "leave";
}
export interface Return {
	readonly kind: "return";
	readonly action: ActionKind;
	/** synth, error: status and reason; pass: duration; fail: message. */
	readonly arguments: readonly Expression[];
	/** vcl(label) */
	readonly label: string | null;
}
export interface New {
	readonly kind: "new";
	readonly name: string;
	readonly object: string;
	readonly callee: VmodFunction;
	readonly arguments: readonly Expression[];
}
export interface Ban {
	readonly kind: "ban";
	readonly expression: Expression;
}
export interface HashData {
	readonly kind: "hash-data";
	readonly value: Expression;
}
export interface Synthetic {
	readonly kind: "synthetic";
	readonly value: Expression;
}
/** A vmod function or method called for its effect. */
export interface Evaluate {
	readonly kind: "evaluate";
	readonly expression: Expression;
}

export type Statement =
	| Block
	| If
	| SetVariable
	| SetHeader
	| SetBody
	| UnsetHeader
	| UnsetBody
	| Call
	| Leave
	| Return
	| New
	| Ban
	| HashData
	| Synthetic
	| Evaluate;
