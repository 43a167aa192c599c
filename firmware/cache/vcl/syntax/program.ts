/** A whole program as the parser leaves it: declarations resolved, subroutines still to be cross-checked. */
import type { AclRule } from "../acl.ts";
import type { MethodMask } from "../methods.ts";
import type { Regex } from "../regex/regex.ts";
import type { ActionKind, BackendDefinition, ProbeDefinition } from "../runtime.ts";
import type { Token } from "../token.ts";
import type { Block } from "./statement.ts";

/** One use of a variable or an action that not every method allows. */
export interface Use {
	readonly first: Token;
	readonly after: Token;
	readonly what: "read" | "write" | "unset" | "action";
	readonly allowed: MethodMask;
	/** Where the same variable may be read: an illegal write is reported by it. */
	readonly readable: MethodMask;
}

export interface Sub {
	readonly name: string;
	/** Where it was first defined; null while only called. */
	defined: Token | null;
	readonly bodies: Block[];
	readonly uses: Use[];
	readonly calls: { readonly sub: string; readonly token: Token }[];
	/** First token of each action returned. */
	readonly returns: Map<ActionKind, Token>;
	referenced: Token | null;
}

export interface AclDefinition {
	readonly name: string;
	readonly logs: boolean;
	readonly rules: readonly AclRule[];
}

export interface Program {
	readonly syntax: number;
	/** By lower-cased name. */
	readonly subs: ReadonlyMap<string, Sub>;
	readonly backends: readonly BackendDefinition[];
	readonly defaultBackend: string | null;
	readonly probes: readonly ProbeDefinition[];
	readonly acls: readonly AclDefinition[];
	readonly regexes: readonly Regex[];
	/** Objects in order of creation. */
	readonly instances: readonly string[];
	readonly stevedores: readonly string[];
	readonly labels: readonly string[];
	readonly vmods: readonly string[];
	/** It calls a function that waits. */
	readonly waits: boolean;
}
