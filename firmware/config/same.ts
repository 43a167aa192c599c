/** Whether two parts of a configuration mean the same. Pure. */

export function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Where they were written does not matter. */
export function same(a: unknown, b: unknown): boolean {
	if (a === b) return true;
	if (Array.isArray(a) && Array.isArray(b))
		return a.length === b.length && a.every((value, index) => same(value, b[index]));
	if (!isRecord(a) || !isRecord(b)) return false;
	for (const key in a) if (key !== "location" && !same(a[key], b[key])) return false;
	for (const key in b) if (key !== "location" && !(key in a) && b[key] !== undefined) return false;
	return true;
}
