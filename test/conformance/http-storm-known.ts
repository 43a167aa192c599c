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

export function whyOtherwise({ what }: Difference, scenario: Scenario): string | undefined {
	const fields = [...scenario.resources.flat(), ...scenario.requests].flatMap((each) => each.fields);
	return known.find((each) => each.what.test(what) && fields.some((field) => each.field.test(field)))?.why;
}
