/** How an answer came about, in the words of the Cache-Status field (RFC 9211). Pure. */

import type { FieldList } from "../http/headers.ts";
import type { Departure } from "../store/departures.ts";
import { type FreshnessParameters, initialLifetime, isUnsafe } from "../store/freshness.ts";
import { varySpecification } from "../store/vary.ts";

/** For Cache-Status, the access log and `drover cache why`. */
export type Handling = "hit" | "miss" | "pass" | "pipe" | "synth" | "error";

/** How a miss is named (RFC 9211 §2.2); bypass: it is known to be no case for the cache. */
export type Missed = "uri-miss" | "vary-miss" | "stale" | "request" | "bypass";

export const NOTHING_STORED =
	"nothing is stored for it: not asked for yet, or gone so long ago that it is forgotten";

/** Why there is nothing. `ban`: the text of the one that took it, if that is known. */
export function whyGone({ cause, at }: Departure, ban: string | undefined, now: number): string {
	const ago = `${Math.max(0, Math.floor(now - at))} s ago`;
	switch (cause) {
		case "evicted":
			return `it was evicted ${ago}: others needed the room`;
		case "expired":
			return `it expired: lifetime, grace and keep were over ${ago}`;
		case "purged":
			return `it was purged ${ago}`;
		case "banned":
			return `it was banned${ban === undefined ? "" : ` by "${ban}"`}, and taken out ${ago}`;
		case "invalidated":
			return `a request that changes it took it out ${ago} (RFC 9111 §4.4)`;
		case "damaged":
			return `it was found damaged ${ago}`;
	}
}

/** Between the reason of a miss and the reason why its answer was not stored. */
export const NOT_STORED = "; not stored: ";

/** The answer, as far as it matters here. Times and durations in seconds. */
interface Answered {
	readonly status: number;
	readonly fields: FieldList;
	readonly tOrigin: number;
	readonly ttl: number;
	readonly grace: number;
	readonly keep: number;
	readonly uncacheable: boolean;
	readonly fault: string | undefined;
	readonly backendStatus: number;
	/** Of a page with ESI tags: what it is made of. */
	readonly esi?: { readonly steps: readonly { readonly kind: string }[] } | undefined;
	readonly body: { readonly kind: string };
}

interface Handled {
	readonly handling: Handling;
	/** In the operator's words. */
	readonly why: string;
	readonly missed: Missed;
	/** Unix seconds. */
	readonly now: number;
	readonly req: { readonly method: string; readonly fields: FieldList };
}

/** A stored page says nothing of its parts: each of them is looked up by itself. */
function partsOf({ steps }: NonNullable<Answered["esi"]>): string {
	const count = steps.filter(({ kind }) => kind === "include").length;
	return `a page with ${count} ESI include${count === 1 ? "" : "s"}, each a request of its own`;
}

/** Why a miss's answer is not stored: its own words, or the VCL's. Undefined when it is stored. */
export function whyNotStored(
	answer: Answered,
	request: FieldList,
	parameters: FreshnessParameters,
): string | undefined {
	const { fields, status, tOrigin } = answer;
	if (!answer.uncacheable && answer.ttl + answer.grace + answer.keep > 0) return undefined;
	const vary = fields.joined("vary");
	if (varySpecification(vary, request) === undefined) return `Vary: ${vary}`;
	const lifetime = initialLifetime(status, fields, tOrigin, parameters);
	// The order of the built-in VCL: a lifetime that is over comes first.
	if (lifetime.ttl <= 0) return lifetime.source;
	if (!answer.uncacheable) return "the VCL left it no lifetime";
	if (fields.has("set-cookie")) return "Set-Cookie";
	if (/no-store/i.test(fields.joined("surrogate-control") ?? "")) return "Surrogate-Control: no-store";
	const control = fields.joined("cache-control") ?? "";
	const forbidding = /no-cache|no-store|private/i.exec(control)?.[0];
	if (forbidding !== undefined && !fields.has("surrogate-control")) return `Cache-Control: ${forbidding}`;
	if (vary === "*") return "Vary: *";
	return "the VCL set beresp.uncacheable";
}

/** sf-string (RFC 8941 §3.3.3): printable ASCII only. */
const quoted = (text: string) => `"${text.replace(/[^ -~]/g, "?").replace(/["\\]/g, "\\$&")}"`;

/** The one member that this cache adds. */
export function cacheStatus(request: Handled, answer: Answered, parameters: FreshnessParameters): string {
	const { handling, req, why } = request;
	switch (handling) {
		case "hit":
			// It came while it was fetched for another request (RFC 9211 §2.7).
			if (answer.body.kind === "stream") return '"Drover"; fwd=uri-miss; collapsed';
			return `"Drover"; hit; ttl=${Math.floor(answer.tOrigin + answer.ttl - request.now)}${answer.esi === undefined ? "" : `; detail=${quoted(partsOf(answer.esi))}`}`;
		case "miss": {
			const notStored = whyNotStored(answer, req.fields, parameters);
			const told = answer.esi === undefined ? why : `${why}; ${partsOf(answer.esi)}`;
			const detail =
				notStored === undefined || answer.fault !== undefined ? told : `${told}${NOT_STORED}${notStored}`;
			const stored = notStored === undefined && (answer.fault === undefined || answer.body.kind === "bytes");
			return `${forwarded(request.missed, answer)}${stored ? "; stored" : ""}; detail=${quoted(detail)}`;
		}
		default:
			return `${forwarded(isUnsafe(req.method) ? "method" : "bypass", answer)}; detail=${quoted(why)}`;
	}
}

/** What the next hop said is left out where it said nothing (RFC 9211 §2.3). */
const forwarded = (forward: string, { backendStatus }: Answered) =>
	`"Drover"; fwd=${forward}${backendStatus > 0 ? `; fwd-status=${backendStatus}` : ""}`;

/** For who asks about an answer of the VCL's own; clients are told nothing then (RFC 9211 §2). */
export const madeHere = (why: string) => `"Drover"; detail=${quoted(why)}`;
