/** What becomes of a stored answer when the origin says 304 to our question (RFC 9111 §3.2, §4.3.4). Pure. */
import type { FieldList } from "../http/headers.ts";

/** Fields that describe the stored bytes as they are: a 304 does not change them. */
const ofTheBody = new Set(["content-encoding", "content-length", "content-md5", "content-range", "etag"]);

/** The stored fields with those of the 304 in their place. */
export function updatedFields(stored: FieldList, notModified: FieldList): FieldList {
	const fresh = notModified.copy();
	// An answer that was stored without one may be given its validator now.
	fresh.filter((key) => !ofTheBody.has(key) || (key === "etag" && !stored.has("etag")));
	const merged = stored.copy();
	const replaced = new Set(fresh.keys);
	merged.filter((key) => !replaced.has(key));
	for (let index = 0; index < fresh.keys.length; index++)
		merged.appendLine(fresh.lines[index]!, fresh.keys[index]!);
	return merged;
}
