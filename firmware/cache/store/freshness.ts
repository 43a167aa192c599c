/**
 * How long an answer may be used (RFC 9111 §4.2, with Varnish's grace and keep on top).
 * Pure: times are Unix seconds (fractions allowed) and come in as arguments; durations are seconds.
 */
import { deltaSeconds, parseDirectives } from "../http/cache-control.ts";
import { parseHttpDate } from "../http/date.ts";
import type { FieldList } from "../http/headers.ts";

export interface FreshnessParameters {
	/** default_ttl, default_grace, default_keep, clock_skew: seconds. */
	readonly defaultTtl: number;
	readonly defaultGrace: number;
	readonly defaultKeep: number;
	readonly clockSkew: number;
}

export interface Lifetime {
	/** When the origin made the answer: the receipt less its Age. */
	readonly tOrigin: number;
	/** Fresh until tOrigin + ttl; 0 or less: not to be reused. */
	readonly ttl: number;
	/** After that usable for so long while a new one is fetched. */
	readonly grace: number;
	/** After that kept for so long only to be revalidated. */
	readonly keep: number;
	/** What decided, in the operator's words, such as "Cache-Control: max-age=60". */
	readonly source: string;
}

/** RFC 9110 §15.1: statuses that may be given a default lifetime, as Varnish 7.1 has them. */
const cacheableByDefault = new Set([200, 203, 204, 300, 301, 304, 404, 410, 414]);
/** Cacheable only when the answer says for how long. */
const cacheableWhenSaid = new Set([302, 307]);

/** The Age field as a number; junk is 0. The first of several members counts (RFC 9111 §5.1). */
export function ageOf(headers: FieldList): number {
	const text = headers.get("age");
	if (text === undefined) return 0;
	const match = /^(\d+)/.exec(text);
	return match === null ? 0 : Math.min(Number(match[1]), 2 ** 31);
}

/** Lifetime of a fetched answer before vcl_backend_response sees it; `now` is when its head was complete. */
export function initialLifetime(
	status: number,
	headers: FieldList,
	now: number,
	parameters: FreshnessParameters,
): Lifetime {
	const tOrigin = now - ageOf(headers);
	const { defaultGrace, defaultKeep } = parameters;
	let grace = defaultGrace;
	const keep = defaultKeep;
	if (!cacheableByDefault.has(status) && !cacheableWhenSaid.has(status))
		return { tOrigin, ttl: -1, grace, keep, source: `status ${status} is not cacheable` };
	const directives = parseDirectives(headers.joined("cache-control"));
	let ttl = cacheableWhenSaid.has(status) ? -1 : parameters.defaultTtl;
	let source = cacheableWhenSaid.has(status)
		? `status ${status} without an explicit lifetime`
		: `no lifetime given, default_ttl=${parameters.defaultTtl}`;
	const shared = deltaSeconds(directives, "s-maxage");
	const own = shared ?? deltaSeconds(directives, "max-age");
	if (own !== undefined) {
		ttl = own;
		source = `Cache-Control: ${shared === undefined ? "max-age" : "s-maxage"}=${own}`;
	} else {
		const expiresText = headers.get("expires");
		if (expiresText !== undefined) {
			ttl = expiresLifetime(expiresText, headers.get("date"), now, parameters.clockSkew);
			source = `Expires: ${expiresText}`;
		}
	}
	const revalidate = deltaSeconds(directives, "stale-while-revalidate");
	if (revalidate !== undefined && ttl >= 0) grace = revalidate;
	// RFC 9111 §5.2.2.2 and §5.2.2.8: these forbid stale answers, so there is no grace.
	if (forbidsStale(headers)) grace = 0;
	return { tOrigin, ttl, grace, keep, source };
}

function expiresLifetime(
	expiresText: string,
	dateText: string | undefined,
	now: number,
	clockSkew: number,
): number {
	const expires = parseHttpDate(expiresText);
	// RFC 9111 §5.3: an invalid date, "0" above all, means already expired.
	if (expires === undefined) return 0;
	const date = dateText === undefined ? undefined : parseHttpDate(dateText);
	if (date !== undefined && expires < date) return 0;
	if (date === undefined || Math.abs(date - now) < clockSkew) return Math.max(0, expires - now);
	return Math.trunc(expires - date);
}

/** The answer may never be served stale: must-revalidate, proxy-revalidate, s-maxage (RFC 9111 §5.2.2). */
export function forbidsStale(headers: FieldList): boolean {
	const value = headers.joined("cache-control");
	if (value === undefined) return false;
	const directives = parseDirectives(value);
	return directives.has("must-revalidate") || directives.has("proxy-revalidate");
}

/** RFC 5861 §4: for how many seconds past its freshness the answer may replace an error. */
export function staleIfError(headers: FieldList): number {
	if (forbidsStale(headers)) return 0;
	return deltaSeconds(parseDirectives(headers.joined("cache-control")), "stale-if-error") ?? 0;
}

export interface Stored {
	readonly tOrigin: number;
	readonly ttl: number;
	readonly grace: number;
	readonly keep: number;
}

export type Age =
	| { readonly kind: "fresh" }
	/** Stale, usable while it is fetched anew. */
	| { readonly kind: "grace" }
	/** Only good to be revalidated. */
	| { readonly kind: "keep" }
	| { readonly kind: "expired" };

const fresh: Age = { kind: "fresh" };
const grace: Age = { kind: "grace" };
const keep: Age = { kind: "keep" };
const expired: Age = { kind: "expired" };

/** How usable a stored answer is at `now`; `ttlCap` and `graceCap` are req.ttl and req.grace, negative for none. */
export function ageAt(stored: Stored, now: number, ttlCap = -1, graceCap = -1): Age {
	const ttl = ttlCap >= 0 && ttlCap < stored.ttl ? ttlCap : stored.ttl;
	const freshUntil = stored.tOrigin + ttl;
	if (freshUntil > now) return fresh;
	const graceSeconds = graceCap >= 0 && graceCap < stored.grace ? graceCap : stored.grace;
	if (freshUntil + graceSeconds > now) return grace;
	if (stored.tOrigin + stored.ttl + stored.grace + stored.keep > now) return keep;
	return expired;
}

/** RFC 9111 §4.4: methods that are not known to be safe invalidate what is stored for the target. */
export const isUnsafe = (method: string) =>
	method !== "GET" && method !== "HEAD" && method !== "OPTIONS" && method !== "TRACE";

/**
 * What a Vary field asks to be equal: "name\x01value" lines over the named request fields, sorted; undefined
 * for a malformed field; "" when nothing varies.
 */
export function varySpecification(vary: string | undefined, request: FieldList): string | undefined {
	if (vary === undefined) return "";
	const names: string[] = [];
	for (const part of vary.split(",")) {
		const name = part.trim().toLowerCase();
		if (name === "") continue;
		if (name === "*") return undefined;
		if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)) return undefined;
		if (!names.includes(name)) names.push(name);
	}
	return names
		.sort()
		.map((name) => `${name}\x01${varyValue(name, request)}`)
		.join("\n");
}

const varyValue = (name: string, request: FieldList) => normalise(name, request.joined(name));

/** A field absent is not the same as a field empty. Blanks around list members do not matter (RFC 9111 §4.1). */
function normalise(name: string, value: string | undefined): string {
	if (value === undefined) return "\x02";
	if (name === "accept-encoding" || name === "accept-language" || name === "accept") {
		const members = value.split(",").map((member) =>
			member
				.trim()
				.toLowerCase()
				.replace(/\s*;\s*/g, ";"),
		);
		return members.join(",");
	}
	return value;
}

/** Whether a request selects the variant stored under `specification`. */
export function varyMatches(specification: string, request: FieldList): boolean {
	if (specification === "") return true;
	for (const line of specification.split("\n")) {
		const mark = line.indexOf("\x01");
		const name = line.slice(0, mark);
		if (varyValue(name, request) !== line.slice(mark + 1)) return false;
	}
	return true;
}
