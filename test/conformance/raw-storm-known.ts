/** Where Drover reads bytes otherwise than varnishd 7.1 on purpose, and why: what a storm of raw bytes does not report. */
import { ChunkedDecoder } from "../../firmware/cache/http/chunked.ts";
import { parseProxyHeader } from "../../firmware/cache/http/proxy.ts";
import { parseRequest } from "../../firmware/cache/http/request.ts";
import { parseResponse } from "../../firmware/cache/http/response.ts";
import { ReceivedBody } from "../../firmware/cache/worker/received-body.ts";
import type { Difference } from "./http-storm-compare.ts";
import type { RawScenario } from "./raw-storm-plan.ts";

/** What Drover finds wrong with what the client sends; undefined: nothing. */
function requestFault({ listener, client, halfClosed }: RawScenario): string | undefined {
	const text = client.lines.join("");
	const bytes = Buffer.from(text, "latin1");
	let at = 0;
	if (listener === "proxy") {
		const header = parseProxyHeader(bytes);
		if (header.kind === "bad") return header.reason;
		if (header.kind === "more") return "PROXY header is cut";
		at = header.end;
	}
	let cut = false;
	while (at < text.length) {
		const head = parseRequest(text, at);
		if (head.kind === "bad") return head.reason;
		if (head.kind === "more") return undefined;
		at = head.end;
		const { framing } = head.fields;
		if (framing.kind === "length") at += framing.bytes;
		cut = at > text.length;
		if (framing.kind !== "chunked") continue;
		const decoder = new ChunkedDecoder();
		const end = decoder.push(bytes, at, () => {});
		if (typeof end === "string") return end;
		if (/\n0+(;.*)?\r\n[^\r]/.test(text.slice(at - 1, end))) return "trailer";
		if (/\n[0-9a-f]+;/i.test(text.slice(at - 1, end))) return "chunk extension";
		cut = !decoder.done;
		at = end;
	}
	return cut ? (halfClosed ? "body ends early" : "body is cut") : undefined;
}

/** What Drover finds wrong with what the origin sends. */
function answerFaults({ answers }: RawScenario): string[] {
	return answers.flatMap(({ lines }) => {
		const text = lines.join("");
		const head = parseResponse(text, 0, "GET");
		if (head.kind === "response" && head.status < 200) return ["early hints"];
		if (head.kind === "bad") return [head.reason];
		if (head.kind === "more") return ["head is cut"];
		if (/\n0+(;.*)?\r\n[^\r]/.test(text.slice(head.end - 1))) return ["answer trailer"];
		if (head.framing.kind === "eof") return ["ends with its connection"];
		const progress = new ReceivedBody(head.framing).take(
			Buffer.from(text.slice(head.end), "latin1"),
			() => {},
		);
		return progress.kind === "bad" ? [progress.reason] : [];
	});
}

/** What is special in what the client sends, though nothing is wrong with it. */
function requestTraits({ client }: RawScenario): string[] {
	const text = client.lines.join("");
	return [
		/^Expect:/im,
		/^If-None-Match: \*/im,
		/^PROXY UNKNOWN/m,
		/^Range:/im,
		/^Connection: close/im,
	].flatMap((each) => each.exec(text)?.[0] ?? []);
}

export const traits = (scenario: RawScenario): string[] => [
	...[requestFault(scenario) ?? []].flat(),
	...requestTraits(scenario),
	...scenario.answers.flatMap(({ lines }) =>
		[/^Content-Encoding: gzip/im, /^Expires: 0/m].flatMap((each) => each.exec(lines.join(""))?.[0] ?? []),
	),
	...(scenario.answers.some(({ closes }) => closes) &&
	(scenario.client.lines.join("").match(/ HTTP\/1/g)?.length ?? 0) > 1
		? ["closes between requests"]
		: []),
	...answerFaults(scenario).map((each) =>
		/^(answer trailer|early hints|ends with)/.test(each) ? each : `answer: ${each}`,
	),
];

interface Known {
	/** What Drover finds wrong, or what the scenario has; undefined: nothing. */
	readonly trait?: RegExp;
	readonly what: RegExp;
	readonly why: string;
}

/** Where a body has to end, the peer may not have looked for it. */
const refused = /./;

const known: readonly Known[] = [
	{
		what: /Drover alone has "Connection: close"/,
		why: "RFC 9112 §9.6: who closes says so, in a refusal too",
	},
	{
		what: /varnishd alone has "Proxy-Connection: /,
		why: "RFC 9110 §7.6.1: it is for one hop, and is not passed on",
	},
	{
		trait: /^(Expect|If-None-Match: \*)/,
		what: refused,
		why: "RFC 9110 §10.1.1, §13.1.2: who sends no body needs no 100, and * stands for every stored answer",
	},
	{
		trait: /^header line starts with a blank/,
		what: refused,
		why: "RFC 9112 §5.2: folded lines are a 400",
	},
	{
		trait: /^(chunk|bare (CR|LF) in the trailer|trailer)/,
		what: refused,
		why: "RFC 9112 §7.1: bad chunks are a 400, trailers are read",
	},
	{
		trait: /^(TRACE with a body|head is over its limit|body ends early)/,
		what: refused,
		why: "RFC 9110 §9.3.8, RFC 6585 §5, RFC 9112 §8: a 400",
	},
	{
		trait: /^(Connection names|HTTP\/1.0 with Transfer-Encoding|protocol is not|Host is not an authority)/,
		what: refused,
		why: "read in two ways it would smuggle",
	},
	{
		trait: /^answer: (?!status line)/,
		what: refused,
		why: "a backend that lies is a 503 that says why, or a broken connection (test/cache/http/lying-backends.test.ts)",
	},
	{
		trait: /^answer: status line/,
		what: refused,
		why: "RFC 9112 §4: what does not begin as HTTP/1 does is none",
	},
	{
		trait: /^X-Way: cache-body/,
		what: refused,
		why: "std.cache_req_body keeps no body that comes in chunks; varnishd ends the connection of one that is too large",
	},
	{
		trait: /^Content-Encoding: gzip/i,
		what: /^(status|body|answers|connection|answer): /,
		why: "what is passed is not unpacked on its way, an empty body is not judged, and a bad one is found before the head has left",
	},
	{
		trait: /^ends with its connection/,
		what: /^(status|body|answers|connection|answer): /,
		why: "a body that ends with its connection is passed on as it comes, whatever Connection says",
	},
	{
		trait: /^(request line is over its limit|method is not a token)/,
		what: refused,
		why: "a request line has the limit of a line, http_req_hdr_len, and a method is a token",
	},
	{
		what: /^origin: varnishd alone has "Connection: /,
		why: "a pipe says close once",
	},
	{
		trait: /^(PUT|POST|DELETE|PATCH) /,
		what: /^origin: asked|"X-Varnish: |^answer: .* has "Age: |^origin: "GET/,
		why: "RFC 9111 §4.4: an unsafe request makes what is stored under its target useless",
	},
	{
		trait: /^(absolute target has no host|chunk extension)/,
		what: refused,
		why: "RFC 9110 §4.2.1, RFC 9112 §7.1.1: a host is never empty, and extensions of chunks are passed over",
	},
	{
		trait: /^Expires: 0/,
		what: /^origin: asked|"X-Varnish: |^answer: .* has "Age: /,
		why: "RFC 9111 §5.3: an invalid date has expired",
	},
	{
		trait: /^closes between requests/,
		what: /^(origin: asked|status|answers|connection|answer|body)/,
		why: "whether a connection is found closed before the next request goes out is a matter of moments",
	},
	{
		trait: /^answer trailer/,
		what: refused,
		why: "RFC 9112 §7.1.2: trailers are read, to their end",
	},
	{
		trait: /^early hints/,
		what: refused,
		why: "RFC 9110 §15.2: informational answers are waited through",
	},
	{
		what: /^status: varnishd "HTTP\/1.1 503 Service Unavailable", Drover "HTTP\/1.1 503 Backend fetch failed"/,
		why: "that of a body is found before the head has left",
	},
	{
		trait: /^Range:/i,
		what: /^status: .*(206|416|503)|Content-Range|body: /,
		why: "RFC 9110 §14.2: a range of what has no length yet, or that makes no sense, is ignored",
	},
	{
		what: /varnishd alone has "Content-Length: 0"/,
		why: "RFC 9110 §8.6: no body is not said where none is expected",
	},
	{
		trait: /^Connection: close/i,
		what: /^connection: varnishd open, Drover closed|^answers: /,
		why: "RFC 9112 §9.3: close in any of the fields closes",
	},
	{
		trait: /^(more than one|both|Content-Length is not|Transfer-Encoding is not)/,
		what: refused,
		why: "RFC 9112 §6.3: exactly one way to tell the body's length, or a 400",
	},
	{
		trait: /^PROXY UNKNOWN/,
		what: refused,
		why: "PROXY protocol §2.1: the rest of an unknown line is ignored",
	},
];

export function whyRawOtherwise({ what }: Difference, scenario: RawScenario): string | undefined {
	const has = traits(scenario);
	return known.find(
		(each) =>
			each.what.test(what) && (each.trait === undefined || has.some((trait) => each.trait!.test(trait))),
	)?.why;
}
