/** Where Drover answers otherwise than varnishd 7.1 on purpose, and why: what a storm of HTTP does not report. */
import type { Difference } from "./http-storm-compare.ts";
import type { Scenario } from "./http-storm-plan.ts";

interface Known {
	readonly what: RegExp;
	/** Some field of a request or of an answer. */
	readonly field: RegExp;
	readonly why: string;
}

const known: readonly Known[] = [
	{
		what: /"x-grace: /,
		field: /^Cache-Control: .*must-revalidate/,
		why: "RFC 9111 §5.2.2.2: never served stale, so there is no grace",
	},
	{
		what: /^status: varnishd "HTTP\/1.1 (206|416) .*, Drover "HTTP\/1.1 200 /,
		field: /^Range: /,
		why: "RFC 9110 §14.2: a range of what has no length yet may be ignored; varnishd waits for it",
	},
	{
		what: /^status: varnishd "HTTP\/1.1 (200|206|416) .*, Drover "HTTP\/1.1 304 /,
		field: /^If-None-Match: /,
		why: "RFC 9110 §13.2.2: conditions go before the range, and §13.1.2: validators are compared weakly",
	},
	{
		what: /^status: varnishd "HTTP\/1.1 200 OK", Drover "HTTP\/1.1 (206|416) /,
		field: /^Range: /,
		why: "what is unpacked for a client has ranges, too",
	},
	{
		what: /./,
		field: /^x-response: (grace|ttl0)/,
		why: "what has no lifetime left can still be asked about: its fields stand, and no body comes",
	},
	{
		what: /"(x-was-304|If-None-Match|If-Modified-Since): /,
		field: /^x-recv: purge/,
		why: "what was purged is not asked about, a moment ago or not",
	},
	{
		what: /has "X-Forwarded-For: /,
		field: /^x-\w+: (restart|fail)/,
		why: "a request that is rolled back keeps its client's address",
	},
	{
		what: /varnishd alone has "Content-Length: 0"/,
		field: /./,
		why: "RFC 9110 §8.6: no body is not said where none is expected",
	},
	{
		what: /Drover alone has "Connection: close"/,
		field: /^x-synth: fail/,
		why: "the connection ends there with varnishd, too, which does not say so",
	},
	{
		what: /Drover alone has "Content-Encoding: (gzip|br)"/,
		field: /^(Authorization|Cookie|x-\w+): /,
		why: "what is passed to HEAD stays as it is: there is no body to unpack",
	},
];

/** The same where lifetimes end (--times). */
const knownOfTimes: readonly Known[] = [
	{
		what: /./,
		field: /^Cache-Control: .*must-revalidate/,
		why: "RFC 9111 §5.2.2.2: never served stale, so there is no grace",
	},
	{
		what: /./,
		field: /^x-recv: always-miss/,
		why: "what is fetched anew is in place of what was stored, be it a hit-for-miss or older and fresh for longer",
	},
	{
		what: /has "(If-None-Match|If-Modified-Since|x-was-304|ETag|Vary): |^body: /,
		field: /^(x-req-ttl: |x-recv: soft-2)/,
		why: "what is too old for one request, or was purged softly to before its beginning, is asked about",
	},
	{
		what: /Drover alone has "(Last-Modified|x-set-\w+): /,
		field: /^(x-req-ttl: |x-recv: soft-2)/,
		why: "the same: what a 304 does not send again stays",
	},
	{
		what: /varnishd alone has "x-is-fresh: yes"/,
		field: /^x-recv: soft-1/,
		why: "nothing becomes fresh again by a purge",
	},
	{
		what: /^status: varnishd "HTTP\/1.1 200 OK", Drover "HTTP\/1.1 206 |^connection: varnishd closed/,
		field: /^Range: /,
		why: "of a body that is still coming, the moment decides whether its length is known",
	},
	{
		what: /"Content-Range: /,
		field: /^x-recv: purge/,
		why: "the page has the transaction's number, and with it a length of its own",
	},
	{
		what: /"ETag: /,
		field: /^ETag: /,
		why: "RFC 9110 §8.8.1: what a 304 does not send again keeps its validator",
	},
];

export function whyOtherwise({ what }: Difference, scenario: Scenario): string | undefined {
	const { requests, resources } = scenario;
	const fields = [...resources.flat(), ...requests].flatMap((each) => each.fields);
	const inTime = requests.some(({ atMs }) => atMs !== undefined);
	const all = inTime ? [...known, ...knownOfTimes] : known;
	return all.find((each) => each.what.test(what) && fields.some((field) => each.field.test(field)))?.why;
}
