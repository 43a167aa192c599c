/** `drover cache why URL`: asks a cache on this machine for a URL and says in words how the answer came about. */

const forwards: Readonly<Record<string, string>> = {
	bypass: "it was not looked up: the request or the VCL asks for the origin's own answer",
	method: "its method is not cached",
	"uri-miss": "it was not in the cache",
	"vary-miss": "it was in the cache, but not in the variant that this request needs",
	stale: "it was in the cache, but too old",
};

/** What a Cache-Status member says, for a person. */
export function explain(status: string): string {
	const detail = /detail="([^"]*)"/.exec(status)?.[1];
	const ttl = /ttl=(-?\d+)/.exec(status)?.[1];
	if (/;\s*hit\b/.test(status)) {
		const left = Number(ttl);
		return left >= 0
			? `hit: fresh for another ${left} s`
			: `hit: ${-left} s past its lifetime, served in grace`;
	}
	const forward = /fwd=([a-z-]+)/.exec(status)?.[1] ?? "";
	const stored = /;\s*stored\b/.test(status) ? "the answer is stored now" : "the answer is not stored";
	return `not from the cache: ${forwards[forward] ?? forward}${detail === undefined || detail === "" ? "" : ` (${detail})`}; ${stored}`;
}

/** Why an answer with these fields may not be stored, as far as its own fields say. */
export function storageReason(headers: Headers): string | undefined {
	const control = headers.get("cache-control") ?? "";
	if (headers.has("set-cookie")) return "it carries Set-Cookie: hit-for-miss";
	const forbidding = /\b(no-store|private|no-cache)\b/i.exec(control)?.[1];
	if (forbidding !== undefined) return `it says Cache-Control: ${forbidding}`;
	if (headers.get("vary") === "*") return "it says Vary: *";
	const lifetime = /\b(?:s-maxage|max-age)=0*(?![1-9])/i.exec(control)?.[0];
	if (lifetime !== undefined) return `its lifetime is over at once: ${lifetime}`;
	return undefined;
}

/** Prints how the answer came about; exit status 0 when the cache answered. Extra words are request headers, "Name: value". */
export async function why(words: readonly string[]): Promise<number> {
	const [target, ...fields] = words;
	if (target === undefined) {
		console.error('usage: drover cache why URL ["Name: value" …]');
		return 2;
	}
	const headers = new Headers({ "drover-why": "1" });
	for (const field of fields) {
		const colon = field.indexOf(":");
		if (colon < 1) {
			console.error(`drover: "${field}" is no header: "Name: value" was expected`);
			return 2;
		}
		headers.set(field.slice(0, colon), field.slice(colon + 1).trim());
	}
	let response: Response;
	try {
		response = await fetch(/^\w+:\/\//.test(target) ? target : `http://${target}`, {
			redirect: "manual",
			headers,
		});
	} catch (error) {
		console.error(`drover: ${target}: ${error instanceof Error ? error.message : error}`);
		return 1;
	}
	await response.arrayBuffer();
	console.log(`${response.status} ${response.statusText}`);
	const status = response.headers.get("cache-status");
	if (status === null) {
		console.log(
			"the answer has no Cache-Status field: either it was made by the VCL, or this is no Drover on this machine",
		);
		return 0;
	}
	console.log(explain(status));
	const reason = storageReason(response.headers);
	if (reason !== undefined && !/;\s*hit\b/.test(status)) console.log(`the answer: ${reason}`);
	return 0;
}
