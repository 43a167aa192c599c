/** What a name stands for. Names are compared without regard to case, as the stock compiler does. */
import type { HeaderName } from "./syntax/expression.ts";
import type { Sub } from "./syntax/program.ts";
import type { Token } from "./token.ts";
import type { Type } from "./types.ts";
import type { Variable } from "./variables.ts";
import type { Vmod, VmodFunction, VmodObject } from "./vmods/vmod.ts";

interface Base {
	readonly name: string;
	readonly lowest: number;
	readonly highest: number;
	defined: Token | null;
	referenced: Token | null;
	/** May stay unused. */
	exempt: boolean;
}

export type NamedKind = "acl" | "backend" | "probe" | "stevedore" | "vcl";

export type VclSymbol = Base &
	(
		| { readonly kind: "var"; readonly variable: Variable; readonly header: HeaderName | null }
		/** `req.http`: makes a header symbol of whatever follows. */
		| { readonly kind: "none"; readonly wildcard: Variable }
		| { readonly kind: "func"; readonly callee: VmodFunction }
		| { readonly kind: "func"; readonly word: "regsub" | "regsuball" | "true" | "false" | "default" }
		| { readonly kind: "vmod"; readonly vmod: Vmod }
		| { readonly kind: "object"; readonly object: VmodObject }
		| { readonly kind: "instance"; readonly object: VmodObject }
		| { readonly kind: NamedKind }
		| { readonly kind: "sub"; readonly sub: Sub }
		| { readonly kind: "action"; readonly action: ActionWord }
		| { readonly kind: "reserved" }
	);

export type SymbolKind = VclSymbol["kind"];

export type ActionWord =
	| "ban"
	| "call"
	| "hash_data"
	| "if"
	| "new"
	| "return"
	| "set"
	| "synthetic"
	| "unset";

/** Kind of symbol that a global of this type is. */
export function kindOfType(type: Type): "acl" | "backend" | "probe" | "stevedore" | "sub" | null {
	switch (type) {
		case "ACL":
			return "acl";
		case "BACKEND":
			return "backend";
		case "PROBE":
			return "probe";
		case "STEVEDORE":
			return "stevedore";
		case "SUB":
			return "sub";
		default:
			return null;
	}
}
