/** How an answer of the cache came about, in words. Pure: a Cache-Status field (RFC 9211) and the answer's own fields in. */

import { NOT_STORED } from "./worker/cache-status.ts";

export interface Reason {
	readonly status: number;
	readonly handling: "hit" | "miss" | "pass" | "other";
	/** One sentence each; the first says the handling, the rest why. */
	readonly lines: readonly string[];
	/** As it came; null when the answer has none. */
	readonly cacheStatus: string | null;
	/** Seconds of freshness left, negative in grace; null when it was no hit. */
	readonly ttlSeconds: number | null;
	/** The answer is in the cache now. */
	readonly stored: boolean;
}

const forwards: Readonly<Record<string, string>> = {
	bypass: "it was not looked up, or may not be stored",
	method: "its method is not cached",
	"uri-miss": "it was not in the cache",
	"vary-miss": "it was in the cache, but not in the variant that this request needs",
	stale: "it was in the cache, but too old",
	collapsed: "another request was fetching it, and this one was served along",
	request: "the request asks for a fresh answer",
};

/** Reads the answer to a request that asked why. */
export function reasonOf(status: number, headers: Headers): Reason {
	const cacheStatus = headers.get("cache-status");
	const none = { status, cacheStatus, ttlSeconds: null, stored: false } as const;
	if (cacheStatus === null)
		return {
			...none,
			handling: "other",
			lines: [
				"the answer has no Cache-Status field: the VCL piped it or took the field away, or no Drover of this box answered",
			],
		};
	// Caches on the way add their members in front of this one.
	const member = /"Drover"(?:[^",]|"(?:[^"\\]|\\.)*")*$/.exec(cacheStatus)?.[0] ?? cacheStatus;
	const said = /detail="((?:[^"\\]|\\.)*)"/.exec(member)?.[1]?.replace(/\\(.)/g, "$1") ?? "";
	const [detail = "", storing] = said.split(NOT_STORED);
	const ttl = /ttl=(-?\d+)/.exec(member)?.[1];
	if (/;\s*hit\b/.test(member)) {
		const ttlSeconds = Number(ttl ?? 0);
		return {
			...none,
			handling: "hit",
			ttlSeconds,
			stored: true,
			lines: [
				ttlSeconds >= 0
					? `hit: fresh for another ${ttlSeconds} s`
					: `hit: ${-ttlSeconds} s past its lifetime, served in grace`,
				...(detail === "" ? [] : [detail]),
			],
		};
	}
	if (!/;\s*(?:fwd|collapsed)\b/.test(member))
		return { ...none, handling: "other", lines: [`the answer was made here: ${detail}`] };
	const forward = /;\s*collapsed\b/.test(member) ? "collapsed" : (/fwd=([a-z-]+)/.exec(member)?.[1] ?? "");
	const stored = /;\s*stored\b/.test(member);
	const handling = forward === "bypass" || forward === "method" ? "pass" : "miss";
	return {
		...none,
		handling,
		stored,
		lines: [
			`not from the cache: ${detail === "" ? (forwards[forward] ?? forward) : detail}`,
			stored ? "the answer is stored now" : "the answer is not stored",
			...(storing === undefined ? [] : [`it may not be: ${storing}`]),
		],
	};
}

export const explain = ({ status, lines }: Reason) => [`status ${status}`, ...lines].join("\n");
