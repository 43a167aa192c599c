/** The required and optimal tests of the suite that Drover does not pass as it comes, and why. */

const noAnswer =
	"the origin hangs up, and the suite looks for a field that only the origin's answer could carry: no cache passes";
const partial =
	"a miss asks for the whole object, as Varnish does; and the suite's part has 5 bytes where its Content-Range says 6";
const setCookie = "the built-in VCL does not store answers with Set-Cookie; a policy may";
const authorization = "the built-in VCL passes requests with Authorization, and what is passed is not stored";

const lie =
	"the suite's origin sends 36 bytes under Content-Length 5: an answer that contradicts itself is a 503 here, not a cut 200";

export const knownMisses: ReadonlyMap<string, string> = new Map([
	[
		"age-parse-prefix",
		"its name asks for stale, its check for fresh; Age with two members is stale here, as in its sister tests",
	],
	["stale-close-must-revalidate", noAnswer],
	["stale-close-proxy-revalidate", noAnswer],
	["stale-close-no-cache", noAnswer],
	["stale-close-s-maxage=2", noAnswer],
	["headers-store-Content-Length", lie],
	["304-etag-update-response-Content-Length", lie],
	["headers-store-Set-Cookie", setCookie],
	["304-etag-update-response-Set-Cookie", setCookie],
	[
		"headers-store-Transfer-Encoding",
		"a backend that sends an unknown Transfer-Encoding beside Content-Length is refused: request smuggling",
	],
	["other-set-cookie", setCookie],
	["other-cookie", "the built-in VCL passes requests with Cookie; a policy may look them up"],
	["method-POST", "the built-in VCL passes POST, and what is passed is not stored"],
	["other-authorization-public", authorization],
	["other-authorization-must-revalidate", authorization],
	["other-authorization-smaxage", authorization],
	[
		"conditional-lm-fresh-no-lm",
		"the stored Date is later than If-Modified-Since, so RFC 9110 §13.1.3 asks for a 200; the suite for a 304",
	],
	["partial-store-partial-reuse-partial", partial],
	["partial-store-partial-reuse-partial-byterange", partial],
	["partial-store-partial-reuse-partial-absent", partial],
	["partial-store-partial-reuse-partial-suffix", partial],
	[
		"partial-store-partial-complete",
		"parts are not stored: a miss asks for the whole object, as Varnish does",
	],
]);

const heuristic = "a lifetime that nobody stated is at most default_ttl, which is 0 here";
const target =
	"its target is the name that a cache announces in Surrogate-Capability; Drover, as Varnish, announces none of itself";

/** What it misses besides with default_ttl 0, default_grace 0 and default_keep 3600. */
export const knownMissesWithoutDefaults: ReadonlyMap<string, string> = new Map([
	...[200, 203, 204, 404, 405, 410, 414, 501, 599].map(
		(status) => [`heuristic-${status}-cached`, heuristic] as const,
	),
	["surrogate-fresh-cc-nostore", target],
	["surrogate-max-age-me-target", target],
]);
