/** VCL's own subroutines, the actions each may return, and sets of them as bit masks. Reference §4. */
import type { ActionKind, MethodName } from "./runtime.ts";

export interface Method {
	readonly name: MethodName;
	readonly side: "client" | "backend" | "housekeeping";
	/** In the order the stock compiler lists them. */
	readonly returns: readonly ActionKind[];
	readonly bit: number;
}

/** Order of the list "Legal returns are:". */
export const actionNames: readonly ActionKind[] = [
	"abandon",
	"deliver",
	"error",
	"fail",
	"fetch",
	"hash",
	"lookup",
	"ok",
	"pass",
	"pipe",
	"purge",
	"restart",
	"retry",
	"synth",
	"vcl",
];

const table: readonly [MethodName, Method["side"], string][] = [
	["vcl_recv", "client", "fail synth restart pass pipe hash purge vcl"],
	["vcl_pipe", "client", "fail synth pipe"],
	["vcl_pass", "client", "fail synth restart fetch"],
	["vcl_hash", "client", "fail lookup"],
	["vcl_purge", "client", "fail synth restart"],
	["vcl_miss", "client", "fail synth restart pass fetch"],
	["vcl_hit", "client", "fail synth restart pass deliver"],
	["vcl_deliver", "client", "fail synth restart deliver"],
	["vcl_synth", "client", "fail restart deliver"],
	["vcl_backend_fetch", "backend", "fail fetch abandon error"],
	["vcl_backend_response", "backend", "fail deliver retry abandon pass error"],
	["vcl_backend_error", "backend", "fail deliver retry abandon"],
	["vcl_init", "housekeeping", "ok fail"],
	["vcl_fini", "housekeeping", "ok"],
];

export const methods: readonly Method[] = table.map(([name, side, returns], index) => ({
	name,
	side,
	returns: actionNames.filter((action) => returns.split(" ").includes(action)),
	bit: 1 << index,
}));

export const methodByName: ReadonlyMap<string, Method> = new Map(
	methods.map((method) => [method.name, method]),
);

/** A set of methods. */
export type MethodMask = number;

export const everywhere: MethodMask = methods.reduce((mask, { bit }) => mask | bit, 0);

const sideMask = (side: Method["side"]): MethodMask =>
	methods.filter((method) => method.side === side).reduce((mask, { bit }) => mask | bit, 0);

/**
 * "client, backend", "hit, deliver", "all", "b_response" … as the variable table writes them; "" is nowhere.
 * `both` was the old name for everything but house-keeping.
 */
export function methodMask(words: string): MethodMask {
	let mask = 0;
	for (const word of words.split(/[ ,]+/)) {
		if (word === "") continue;
		if (word === "all") mask |= everywhere;
		else if (word === "client" || word === "backend" || word === "housekeeping") mask |= sideMask(word);
		else {
			const method = methodByName.get(`vcl_${word.replace(/^b_/, "backend_")}`);
			if (method === undefined) throw new RangeError(`no such subroutine: ${word}`);
			mask |= method.bit;
		}
	}
	return mask;
}
