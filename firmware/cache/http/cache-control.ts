/** Cache-Control directives (RFC 9111 §5.2). */

import { flat } from "./headers.ts";

export type Directives = ReadonlyMap<string, string | undefined>;

const none: Directives = new Map();

/** Values seen lately: an origin has a handful. Emptied when full, and long ones are not kept. */
const KNOWN_LIMIT = 256;
const KNOWN_VALUE_BYTES = 256;
const known = new Map<string, Directives>();

/**
 * Directive names in lower case with their arguments, unquoted. A repeated directive keeps its first value
 * (RFC 9111 §4.2.1). Commas inside a quoted string do not end a directive.
 */
export function parseDirectives(value: string | undefined): Directives {
	if (value === undefined) return none;
	const before = known.get(value);
	if (before !== undefined) return before;
	const directives = new Map<string, string | undefined>();
	for (const match of value.matchAll(/([^\s,=";]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/g)) {
		const name = match[1]!.toLowerCase();
		if (directives.has(name)) continue;
		directives.set(name, match[2] !== undefined ? match[2].replace(/\\(.)/g, "$1") : match[3]);
	}
	if (value.length <= KNOWN_VALUE_BYTES) {
		if (known.size >= KNOWN_LIMIT) known.clear();
		// A copy: a slice would keep the whole message that it came with alive.
		known.set(flat(value), directives);
	}
	return directives;
}

/** delta-seconds (RFC 9111 §1.2.2): junk is stale (0), too large is 2^31. Undefined when the directive is absent. */
export function deltaSeconds(directives: Directives, name: string): number | undefined {
	const text = directives.get(name);
	if (text === undefined) return directives.has(name) ? 0 : undefined;
	if (!/^\d+$/.test(text)) return 0;
	return Math.min(Number.parseInt(text, 10), 2 ** 31);
}

/**
 * Surrogate-Control (Edge Architecture Specification): directives may be meant for one device, ";NAME" after them;
 * those are not for us. "max-age=60+30" has the time to serve it stale behind the plus.
 */
export function surrogateDirectives(value: string | undefined): Directives {
	if (value === undefined) return none;
	const untargeted = value.split(",").filter((member) => !/;(?=(?:[^"]*"[^"]*")*[^"]*$)/.test(member));
	return parseDirectives(untargeted.join(",").replace(/(\d)\+\d+/g, "$1"));
}
