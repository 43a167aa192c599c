/**
 * How long an answer may be used (RFC 9111 §4.2, with Varnish's grace and keep on top).
 * Pure: times are Unix seconds (fractions allowed) and come in as arguments; durations are seconds.
 */
import {
	type Directives,
	deltaSeconds,
	parseDirectives,
	surrogateDirectives,
} from "../http/cache-control.ts";
import { parseHttpDate } from "../http/date.ts";
import type { FieldList } from "../http/headers.ts";
import { isRegisteredStatus } from "../http/status.ts";

export interface FreshnessParameters {
	/** default_ttl, default_grace, default_keep, clock_skew: seconds. */
	readonly defaultTtl: number;
	readonly defaultGrace: number;
	readonly defaultKeep: number;
	readonly clockSkew: number;
	/** The parameter of that name: RFC 9111 decides what the built-in VCL leaves open. */
	readonly rfc9111: boolean;
}

/** default_grace as it comes. Another value is an operator's word that stale answers are welcome. */
export const STOCK_GRACE_SECONDS = 10;

export interface Lifetime {
	/** When the origin made the answer: the receipt less its Age. */
	readonly tOrigin: number;
	/** Fresh until tOrigin + ttl; 0 or less: not to be reused. */
	readonly ttl: number;
	/** After that usable for so long while a new one is fetched. */
	readonly grace: number;
	/** After that kept for so long only to be revalidated. */
	readonly keep: number;
	/** The answer itself says for how long it is fresh, and nothing about being used afterwards. */
	readonly explicit: boolean;
	/** Seconds of the max-age or s-maxage that counts; 0: none. */
	readonly maxAge: number;
	/** What decided, in the operator's words, such as "Cache-Control: max-age=60". */
	readonly source: string;
}

/** Statuses that varnishd gives a default lifetime. */
const cacheableByDefault = new Set([200, 203, 204, 300, 301, 304, 404, 410, 414]);
/** Those that RFC 9110 §15.1 adds; they get one only by their Last-Modified. */
const cacheableByHeuristic = new Set([308, 405, 501]);
/** Cacheable only when the answer says for how long, as varnishd has it. */
const cacheableWhenSaid = new Set([302, 307]);
/** Parts of an answer, and answers to questions of our own: never an object by themselves. */
const neverStored = new Set([206, 304]);

/** The Age field as a number; junk is 0. The first of several members counts (RFC 9111 §5.1). */
export function ageOf(headers: FieldList): number {
	const text = headers.get("age");
	if (text === undefined) return 0;
	const match = /^(\d+)/.exec(text);
	return match === null ? 0 : Math.min(Number(match[1]), 2 ** 31);
}

/**
 * Age is absent or one number. Anything else comes from a chain that miscounts: how old the answer is cannot be
 * known, so it counts as stale, where RFC 9111 §5.1 would let us guess.
 */
const ageIsKnown = (headers: FieldList) => {
	const text = headers.joined("age");
	return text === undefined || /^\d+$/.test(text);
};

interface Control {
	/** Field that the directives come from, for the operator. */
	readonly field: string;
	readonly directives: Directives;
}

/** The directives that count: those meant for caches like this one go before Cache-Control (RFC 9213 §2.2). */
function controlOf(headers: FieldList, rfc9111: boolean): Control {
	if (rfc9111) {
		const targeted = parseDirectives(headers.joined("cdn-cache-control"));
		if (targeted.size > 0) return { field: "CDN-Cache-Control", directives: targeted };
		const surrogate = surrogateDirectives(headers.joined("surrogate-control"));
		if (surrogate.has("max-age")) return { field: "Surrogate-Control", directives: surrogate };
	}
	return { field: "Cache-Control", directives: parseDirectives(headers.joined("cache-control")) };
}

/** Lifetime of a fetched answer before vcl_backend_response sees it; `now` is when its head was complete. */
export function initialLifetime(
	status: number,
	headers: FieldList,
	now: number,
	parameters: FreshnessParameters,
): Lifetime {
	const { rfc9111, defaultTtl, clockSkew } = parameters;
	const { field, directives } = controlOf(headers, rfc9111);
	const shared = deltaSeconds(directives, "s-maxage");
	const own = shared ?? deltaSeconds(directives, "max-age");
	const expiresText = field === "Cache-Control" ? headers.get("expires") : undefined;
	let tOrigin = now - ageOf(headers);
	let grace = parameters.defaultGrace;
	let keep = parameters.defaultKeep;
	const maxAge = own ?? 0;
	const refuse = (source: string): Lifetime => ({
		tOrigin,
		ttl: -1,
		grace,
		keep,
		explicit: false,
		maxAge,
		source,
	});

	if (rfc9111 && directives.has("must-understand") && !isRegisteredStatus(status))
		return refuse(`must-understand, and status ${status} is not known`);
	const explicit = own !== undefined || expiresText !== undefined;
	let ttl: number;
	let source: string;
	if (cacheableByDefault.has(status)) {
		ttl = defaultTtl;
		source = `no lifetime given, default_ttl=${defaultTtl}`;
	} else if (explicit && (cacheableWhenSaid.has(status) || (rfc9111 && !neverStored.has(status)))) {
		ttl = -1;
		source = "";
	} else if (rfc9111 && !explicit && (cacheableByHeuristic.has(status) || directives.has("public"))) {
		ttl = neverStored.has(status) ? -1 : heuristicLifetime(headers, now, defaultTtl);
		if (ttl <= 0) return refuse(`status ${status} without an explicit lifetime`);
		source = `Last-Modified, at most default_ttl=${defaultTtl}`;
	} else if (cacheableWhenSaid.has(status)) return refuse(`status ${status} without an explicit lifetime`);
	else return refuse(`status ${status} is not cacheable`);

	if (own !== undefined) {
		ttl = own;
		source = `${field}: ${shared === undefined ? "max-age" : "s-maxage"}=${own}`;
	} else if (expiresText !== undefined) {
		ttl = expiresLifetime(expiresText, headers.get("date"), now, rfc9111 ? 0 : clockSkew);
		source = `Expires: ${expiresText}`;
	}
	if (rfc9111 && !ageIsKnown(headers)) {
		tOrigin = now;
		ttl = Math.min(ttl, 0);
		source = `Age: ${headers.joined("age")} is not one number`;
	}
	const revalidate = deltaSeconds(directives, "stale-while-revalidate");
	if (revalidate !== undefined && ttl >= 0) grace = revalidate;
	// RFC 9111 §5.2.2.2 and §5.2.2.8: these forbid stale answers, so there is no grace.
	if (forbidsStale(directives, rfc9111)) {
		// It is still good to be revalidated for as long.
		if (rfc9111) keep += grace;
		grace = 0;
	} else if (rfc9111 && ttl >= 0)
		keep = Math.max(keep, (deltaSeconds(directives, "stale-if-error") ?? 0) - grace);
	return { tOrigin, ttl, grace, keep, explicit: explicit && revalidate === undefined, maxAge, source };
}

/** RFC 9111 §4.2.2: a tenth of the time since the last change, at most default_ttl. */
function heuristicLifetime(headers: FieldList, now: number, defaultTtl: number): number {
	const modified = parseHttpDate(headers.get("last-modified") ?? "");
	if (modified === undefined) return 0;
	const date = parseHttpDate(headers.get("date") ?? "") ?? now;
	return Math.min(defaultTtl, Math.max(0, (date - modified) / 10));
}

/**
 * Whether an answer's grace is only for its revalidation, because nobody asked for stale answers: neither the origin,
 * nor the VCL, nor an operator who changed default_grace. RFC 9111 §4.2.4 lets a cache serve an answer past the
 * lifetime that its origin gave only when told so. `decided`: the VCL set ttl or grace.
 */
export function isStrict(
	lifetime: Pick<Lifetime, "explicit">,
	decided: boolean,
	parameters: FreshnessParameters,
): boolean {
	return (
		parameters.rfc9111 && lifetime.explicit && !decided && parameters.defaultGrace === STOCK_GRACE_SECONDS
	);
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

/**
 * The answer may never be served stale: must-revalidate, proxy-revalidate, no-cache; s-maxage too, unless the origin
 * says itself what stale answers may be used for (RFC 9111 §5.2.2, RFC 5861).
 */
function forbidsStale(directives: Directives, rfc9111: boolean): boolean {
	if (directives.has("must-revalidate") || directives.has("proxy-revalidate")) return true;
	if (!rfc9111) return false;
	if (directives.has("no-cache") && !directives.get("no-cache")) return true;
	return (
		directives.has("s-maxage") &&
		!directives.has("stale-while-revalidate") &&
		!directives.has("stale-if-error")
	);
}

/**
 * For how many seconds past its freshness a stored answer may replace an error: stale-if-error (RFC 5861 §4). With
 * `disconnected`, when the origin cannot be reached at all, default_grace too (RFC 9111 §4.2.4).
 */
export function staleIfError(
	headers: FieldList,
	disconnected: boolean,
	parameters: Pick<FreshnessParameters, "rfc9111" | "defaultGrace">,
): number {
	const { rfc9111, defaultGrace } = parameters;
	const { directives } = controlOf(headers, rfc9111);
	if (forbidsStale(directives, rfc9111)) return 0;
	const said = deltaSeconds(directives, "stale-if-error") ?? 0;
	return disconnected && rfc9111 ? Math.max(said, defaultGrace) : said;
}

/**
 * An answer that may not be reused unasked, but whose origin lets us keep it to ask (RFC 9111 §5.2.2.4): plain
 * no-cache with a validator, nothing that makes it one user's own.
 */
export function keptForRevalidation(status: number, headers: FieldList): boolean {
	if (status !== 200 || !(headers.has("etag") || headers.has("last-modified"))) return false;
	if (headers.has("set-cookie")) return false;
	const { directives } = controlOf(headers, true);
	return (
		directives.has("no-cache") &&
		!directives.get("no-cache") &&
		!directives.has("private") &&
		!directives.has("no-store")
	);
}

export interface Stored {
	readonly tOrigin: number;
	readonly ttl: number;
	readonly grace: number;
	readonly keep: number;
	/** isStrict(): its grace is only for revalidation. */
	readonly strict: boolean;
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

/** How usable a stored answer is at `now`; `ttlCap` is req.ttl (0 and less: none), `graceCap` req.grace (negative: none). */
export function ageAt(stored: Stored, now: number, ttlCap = -1, graceCap = -1): Age {
	const ttl = ttlCap > 0 && ttlCap < stored.ttl ? ttlCap : stored.ttl;
	const freshUntil = stored.tOrigin + ttl;
	// What has no lifetime is not fresh for a request that began before it was made, either.
	if (freshUntil > now && stored.ttl > 0) return fresh;
	// What is too old for this request alone is not given to it: grace is for what is past its own lifetime.
	if (stored.ttl > 0 && stored.tOrigin + stored.ttl > now) return keep;
	if (stored.strict) return freshUntil + stored.grace + stored.keep > now ? keep : expired;
	const graceSeconds = graceCap >= 0 && graceCap < stored.grace ? graceCap : stored.grace;
	if (freshUntil + graceSeconds > now) return grace;
	if (stored.tOrigin + stored.ttl + stored.grace + stored.keep > now) return keep;
	return expired;
}

/**
 * Lifetime of a stored answer that is purged softly at the age of `age` seconds, with purge.soft's arguments: a grace or
 * keep below zero is left as it is. Nothing becomes fresh again by a purge, and nothing is stored for longer: what is
 * purged again and again would never go.
 */
export function purgedSoftly(
	stored: Pick<Stored, "ttl" | "grace" | "keep">,
	age: number,
	asked: Pick<Stored, "ttl" | "grace" | "keep">,
): Pick<Stored, "ttl" | "grace" | "keep"> {
	const end = stored.ttl + stored.grace + stored.keep;
	const ttl = Math.min(stored.ttl, age + asked.ttl);
	const grace = Math.min(asked.grace < 0 ? stored.grace : asked.grace, end - ttl);
	const keep = Math.min(asked.keep < 0 ? stored.keep : asked.keep, end - ttl - grace);
	return { ttl, grace, keep };
}

/** RFC 9111 §4.4: methods that are not known to be safe invalidate what is stored for the target. */
export const isUnsafe = (method: string) =>
	method !== "GET" && method !== "HEAD" && method !== "OPTIONS" && method !== "TRACE";
