/** `drover cache why URL`: asks a running cache and says what it would do with the request, and why. */

/** Prints the answer's Cache-Status (RFC 9211) in words; exit status 0 when the cache answered. */
export async function why(words: readonly string[]): Promise<number> {
	const [target] = words;
	if (target === undefined) {
		console.error("usage: drover cache why URL");
		return 2;
	}
	const url = new URL(/^\w+:\/\//.test(target) ? target : `http://${target}`);
	let response: Response;
	try {
		response = await fetch(url, { redirect: "manual", headers: { "drover-why": "1" } });
	} catch (error) {
		console.error(`drover: ${url.href}: ${error instanceof Error ? error.message : error}`);
		return 1;
	}
	await response.arrayBuffer();
	console.log(`${response.status} ${response.statusText}`);
	for (const name of ["cache-status", "x-varnish", "age", "cache-control", "vary", "expires"]) {
		const value = response.headers.get(name);
		if (value !== null) console.log(`${name}: ${value}`);
	}
	return 0;
}
