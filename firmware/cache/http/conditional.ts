/** Conditional requests (RFC 9110 §13). */
import { parseHttpDate } from "./date.ts";
import type { FieldList } from "./headers.ts";

const opaque = (tag: string) => (tag.startsWith("W/") ? tag.slice(2) : tag);

/** RFC 9110 §8.8.3.2. */
export function etagsMatch(a: string, b: string, kind: "strong" | "weak"): boolean {
	if (kind === "strong" && (a.startsWith("W/") || b.startsWith("W/"))) return false;
	return opaque(a) === opaque(b);
}

/** The entity tags of an If-Match or If-None-Match list; commas inside quotes belong to the tag. */
export function etagList(value: string): string[] {
	return value.match(/(?:W\/)?"[^"]*"|\*|[^\s,"]+/g) ?? [];
}

/**
 * RFC 9110 §13.2.2 for GET and HEAD on a stored or fetched 200: true when the client's copy is still good (304).
 * If-None-Match, when present, decides alone.
 */
export function notModified(
	request: FieldList,
	etag: string | undefined,
	lastModified: string | undefined,
): boolean {
	const ifNoneMatch = request.joined("if-none-match");
	if (ifNoneMatch !== undefined) {
		if (ifNoneMatch.trim() === "*") return true;
		if (etag === undefined) return false;
		return etagList(ifNoneMatch).some((tag) => etagsMatch(tag, etag, "weak"));
	}
	const ifModifiedSince = request.get("if-modified-since");
	if (ifModifiedSince === undefined || lastModified === undefined) return false;
	const since = parseHttpDate(ifModifiedSince);
	const modified = parseHttpDate(lastModified);
	return since !== undefined && modified !== undefined && modified <= since;
}

/** RFC 9110 §13.1.5: a Range applies only to the representation that If-Range names. */
export function rangeApplies(
	request: FieldList,
	etag: string | undefined,
	lastModified: string | undefined,
): boolean {
	const ifRange = request.get("if-range");
	if (ifRange === undefined) return true;
	if (ifRange.startsWith('"') || ifRange.startsWith("W/"))
		return etag !== undefined && etagsMatch(ifRange, etag, "strong");
	return lastModified !== undefined && ifRange === lastModified;
}
