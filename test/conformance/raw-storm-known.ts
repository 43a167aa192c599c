/** Where Drover reads bytes otherwise than varnishd 7.1 on purpose, and why: what a storm of raw bytes does not report. */
import { ChunkedDecoder } from "../../firmware/cache/http/chunked.ts";
import { parseProxyHeader } from "../../firmware/cache/http/proxy.ts";
import { parseRequest } from "../../firmware/cache/http/request.ts";
import { parseResponse } from "../../firmware/cache/http/response.ts";
import { ReceivedBody } from "../../firmware/cache/worker/received-body.ts";
import type { Difference } from "./http-storm-compare.ts";
import { PROBE, type RawScenario } from "./raw-storm-plan.ts";

/** A last chunk with a field line behind it. */
const trailer = /\n0+(;.*)?\r\n[^\r]/;

/** What Drover finds wrong with what the client sends, or what is special in its framing; undefined: nothing. */
function ofRequests({ listener, client, halfClosed }: RawScenario): string | undefined {
	const text = client.lines.join("") + (halfClosed ? "" : PROBE);
	const bytes = Buffer.from(text, "latin1");
	let at = 0;
	if (listener === "proxy") {
		const header = parseProxyHeader(bytes);
		if (header.kind === "bad") return header.reason;
		if (header.kind === "more") return undefined;
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
		const chunks = text.slice(at - 1, end);
		if (trailer.test(chunks)) return "trailer";
		if (/\n[0-9a-f]+;/i.test(chunks)) return "chunk extension";
		cut = !decoder.done;
		at = end;
	}
	return cut && halfClosed ? "body ends early" : undefined;
}

/** The same of an answer. */
function ofAnswer(text: string): string | undefined {
	const head = parseResponse(text, 0, "GET");
	if (head.kind === "bad") return `answer: ${head.reason}`;
	if (head.kind === "more") return undefined;
	if (head.status < 200) return "informational answer";
	if (head.framing.kind === "eof") return "answer ends with its connection";
	const body = Buffer.from(text.slice(head.end), "latin1");
	const progress = new ReceivedBody(head.framing).take(body, () => {});
	if (progress.kind === "bad") return `answer: ${progress.reason}`;
	if (progress.kind === "more") return "answer: it has no end";
	const chunks = text.slice(head.end - 1);
	if (trailer.test(chunks)) return "answer: trailer";
	if (head.framing.kind === "chunked" && /\n[0-9a-f]+;/i.test(chunks)) return "answer: chunk extension";
	return undefined;
}

/** Lines of client or origin that known differences are about. */
const lines = [
	...[/^If-None-Match: \*/im, /^PROXY UNKNOWN/m, /^Range:/im, /^Connection:\s*close/im],
	...[
		/^X-Way: cache-body/m,
		/^CONNECT /m,
		/^(PUT|POST|DELETE|PATCH) /m,
		/^Content-Encoding: gzip/im,
		/^Expires: 0/m,
	],
	...[/^Content-Range:/im, /^Content-Length:\s*0\d/im, /^Transfer-Encoding:\s*(?:,|chunked,|$)/im],
	/^Connection: Content-Encoding/im,
	...[/^Expect:[^\n]*\n(?:[^\n]+\n)*?Expect:/im, /^fffffffff/m],
];

/** What a scenario has that may be read otherwise. */
function traitsOf(scenario: RawScenario): string[] {
	const answers = scenario.answers.map((answer) => answer.lines.join(""));
	const client = scenario.client.lines.join("");
	const several = (client.match(/ HTTP\/1/g)?.length ?? 0) > 1;
	return [
		...[ofRequests(scenario), ...answers.map(ofAnswer)].filter((trait) => trait !== undefined),
		...lines.flatMap((line) => [client, ...answers].flatMap((text) => line.exec(text)?.[0] ?? [])),
		...(several && scenario.answers.some(({ closes }) => closes) ? ["closes between requests"] : []),
	];
}

interface Known {
	/** Undefined: any scenario. */
	readonly trait?: RegExp;
	/** The differences that follow from it. */
	readonly what: RegExp;
	readonly why: string;
}

/** Drover answers 400 and ends, whatever varnishd makes of it; nobody is asked what comes behind it. */
const refused =
	/^answers: .*, Drover (\d+ )*400$|^status: .*, Drover "HTTP\/1\.1 400 |^connection: varnishd open, Drover closed|^origin: asked/;
const refused417 = new RegExp(refused.source.replaceAll("400", "417"));
/** varnishd refuses it, or ends, and Drover goes on. */
const goesOn =
	/^answers: varnishd (\d+ )*([45]\d\d )?, |^answers: varnishd (\d+ )*[45]\d\d, |^status: varnishd "HTTP\/1\.1 (400|503) |^connection: varnishd closed, Drover open|^origin: asked/;

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
		what: /varnishd alone has "Content-Length: 0"/,
		why: "RFC 9110 §8.6: no body is not said where none is expected",
	},
	{
		trait: /^Content-Length:\s*0\d/i,
		what: /^origin: .*"Content-Length: /,
		why: "the framing is ours: leading zeros are not passed on",
	},
	{
		trait: /^Transfer-Encoding:/i,
		what: goesOn,
		why: "RFC 9110 §5.6.1: empty members of a list are none",
	},
	{
		what: /^origin: varnishd alone has "Connection: /,
		why: "a pipe says close once",
	},
	{
		what: /^status: varnishd "HTTP\/1.1 503 Service Unavailable", Drover "HTTP\/1.1 503 /,
		why: "a bad body is found before the head of the answer has left",
	},
	{
		trait:
			/^(more than one|both|Content-Length is not|Transfer-Encoding is not|HTTP\/1.0 with|Connection names)/,
		what: refused,
		why: "RFC 9112 §6.3: exactly one way to tell the body's length, or a 400",
	},
	{
		trait: /^(header line starts with a blank|protocol is not|method is not|Host is not|absolute target)/,
		what: refused,
		why: "RFC 9112 §3, §5.2, RFC 9110 §4.2.1: a 400",
	},
	{
		trait: /^head is over its limit/,
		what: refused,
		why: "a 400, not an end without a word",
	},
	{
		trait: /^(chunk(?! extension)|bare (CR|LF) in the trailer)/,
		// It may have been answered before its body was found bad.
		what: new RegExp(`${refused.source}|^origin: another body|^answer: .*"Connection: `),
		why: "RFC 9112 §7.1: bad chunks are a 400",
	},
	{
		trait: /^(trailer|chunk extension)/,
		what: new RegExp(`${goesOn.source}|^answers: |^origin: another body|^answer: .*"Connection: `),
		why: "RFC 9112 §7.1: extensions are passed over, trailers are read to their end",
	},
	{
		trait: /^answer: (trailer|chunk extension)/,
		what: new RegExp(
			`${goesOn.source}|^answers: varnishd (\\d+ )*200, |^body: (whole from Drover alone|varnishd \\d+ bytes, )|^answer: .*"(Connection|Content-Length|Transfer-Encoding): `,
		),
		why: "RFC 9112 §7.1: the same in answers",
	},
	{
		trait: /^(TRACE with a body|body ends early)/,
		what: refused,
		why: "RFC 9110 §9.3.8, RFC 9112 §8: a 400",
	},
	{
		trait: /^Connection: Content-Encoding/i,
		what: /^answer: .*"Content-Encoding: /,
		why: "RFC 9110 §7.6.1: what Connection names is for one hop",
	},
	{
		trait: /^Expect:/i,
		what: refused417,
		why: "RFC 9110 §10.1.1, §5.3: several fields are one list",
	},
	{
		trait: /^fffffffff/,
		what: new RegExp(`${goesOn.source}|^body: varnishd \\d+ bytes, `),
		why: "a chunk of 64 GB is passed on as it comes",
	},
	{
		trait: /^If-None-Match/i,
		what: /^status: varnishd "HTTP\/1\.1 200 .*, Drover "HTTP\/1\.1 304 /,
		why: "RFC 9110 §13.1.2: * stands for every stored answer",
	},
	{
		trait: /^(PROXY UNKNOWN|PROXY1: Cannot resolve)/,
		what: /^answers: (varnishd , |.*, Drover $)|^connection: |^origin: asked/,
		why: "PROXY protocol §2: the rest of an unknown line is ignored; no zeros in front, no port over 65535, no cut address",
	},
	{
		trait: /^X-Way: cache-body/,
		what: /^origin: (another body|varnishd alone has "Content-Length: )/,
		why: "unset bereq.body (of each GET, by the built-in VCL) leaves out a body that was kept, too",
	},
	{
		trait: /^Range/i,
		what: /^status: .*(206|416|503)|Content-Range|^(body|answers|connection): /,
		why: "RFC 9110 §14.2: a range of what has no length yet, of HEAD, or that makes no sense, is ignored",
	},
	{
		trait: /^Content-Range/i,
		what: /^status: varnishd ".* 503 .*Drover ".* (?!503|400)\d\d\d |^(body|answers|connection|origin): |alone has "/,
		why: "RFC 9110 §14.4: Content-Range has a meaning in a 206 and a 416 alone",
	},
	{
		trait: /^Connection/i,
		what: /^connection: varnishd open, Drover closed|^answers: |"Connection: |^origin: asked/,
		why: "RFC 9112 §9.3: close in any of the fields closes",
	},
	{
		trait: /^(PUT|POST|DELETE|PATCH)/,
		what: /^origin: (asked|"GET)|"(X-Varnish|Age): /,
		why: "RFC 9111 §4.4: an unsafe request makes what is stored under its target useless",
	},
	{
		trait: /^CONNECT/,
		what: /^(body|answers|connection|answer|origin: asked)/,
		why: "RFC 9110 §9.3.6: behind a yes to CONNECT comes no body, and the connection ends",
	},
	{
		trait: /^Expires: 0/,
		what: /^origin: (asked|")|^answer: .*"(Vary|ETag|Content-Encoding): |"(X-Varnish|Age): |varnishd alone has "Accept-Ranges: /,
		why: "RFC 9111 §5.3: an invalid date has expired",
	},
	{
		what: /^origin: varnishd alone has "Accept-Encoding: /,
		why: "what all clients are asked about is said once",
	},
	{
		what: /^origin: "\w+ http:/,
		why: "RFC 9112 §3.2.2, §3.2.1: the authority goes into Host, and an empty path is /",
	},
	{
		what: /Drover alone has "Content-Encoding: br"/,
		why: "what is passed to HEAD stays as it is: there is no body to unpack",
	},
	{
		trait: /^request line has no|^Illegal char 0x|^Header has ctrl char/,
		what: /^(connection|answers): /,
		why: "a 400 as soon as it is seen, not when the head is whole",
	},
	{
		trait: /^answer: (?!trailer|chunk extension)/,
		what: /^status: .*, Drover "HTTP\/1\.1 503 |^body: (whole from varnishd alone|varnishd \d+ bytes, )|^connection: |^answers: |^origin: asked/,
		why: "a backend that lies is a 503 that says why, or a broken connection (lying-backends.test.ts)",
	},
	{
		trait: /^informational answer/,
		what: /^status: varnishd "HTTP\/1\.1 503 |^answers: |^connection: |^origin: asked/,
		why: "RFC 9110 §15.2: informational answers are waited through",
	},
	{
		trait: /^answer ends with its connection/,
		what: /^(status|body|answers|connection|answer): /,
		why: "it is passed on as it comes, whatever Connection says",
	},
	{
		trait: /^Content-Encoding/i,
		what: /^(status|body|answers|connection|answer|origin: asked)/,
		why: "what is passed is not unpacked on its way, an empty body is not judged, and a bad one is found before the head has left",
	},
	{
		trait: /^closes between requests/,
		what: /^(origin: asked|status|answers|connection|answer|body)/,
		why: "whether a connection is found closed before the next request goes out on it is a matter of moments",
	},
];

export function whyRawOtherwise({ what }: Difference, scenario: RawScenario): string | undefined {
	const traits = traitsOf(scenario);
	return known.find(
		(each) =>
			each.what.test(what) && (each.trait === undefined || traits.some((trait) => each.trait!.test(trait))),
	)?.why;
}
