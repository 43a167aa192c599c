/**
 * HTTP/1.1 request heads (RFC 9112 §3), strict where a lenient reading would let two parties
 * disagree about where a request ends.
 */
import { headOverLimit, type Malformed, type More, more, parseHeaders } from "./head.ts";
import { fieldKey, flat, lineValue, listMembers } from "./headers.ts";
import { DEFAULT_LIMITS, type HeadLimits, hasControl, isToken, parseLength } from "./syntax.ts";

export type RequestFraming =
	| { readonly kind: "none" }
	| { readonly kind: "length"; readonly bytes: number }
	| { readonly kind: "chunked" };

/** What the header lines mean, worked out once for every request that carries the same bytes. */
export interface RequestFields {
	readonly lines: string[];
	readonly keys: string[];
	readonly framing: RequestFraming;
	readonly hostCount: number;
	/** Members of Connection, lower case. */
	readonly connection: readonly string[];
	readonly expect: string | undefined;
	/** Accept-Encoding takes gzip or x-gzip with q > 0. */
	readonly canGzip: boolean;
}

export interface RequestHead {
	readonly kind: "request";
	readonly method: string;
	/** Origin form; the authority of an absolute form has moved to `host`. */
	readonly url: string;
	readonly proto: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2.0";
	/** Authority of an absolute-form target: it replaces the Host field (RFC 9112 §3.2.2). */
	readonly host: string | undefined;
	readonly fields: RequestFields;
	/** Index after the head. */
	readonly end: number;
}

export interface RequestRules extends HeadLimits {
	/** The authority of an https target counts as that of an http one does (varnishd's feature https_scheme). */
	readonly httpsTargets?: boolean;
}

const HTTP_TARGET = /^http:\/\/([^/?#]*)(.*)$/i;
const HTTP_OR_HTTPS_TARGET = /^https?:\/\/([^/?#]*)(.*)$/i;

const bad = (reason: string): Malformed => ({ kind: "bad", reason });
const noBody: RequestFraming = { kind: "none" };
const chunked: RequestFraming = { kind: "chunked" };

/** Header blocks seen lately, by a cheap fingerprint: a browser sends the same block again and again. */
const MEMO_SLOTS = 256;
/** A longer block is parsed every time, so that the memo stays under 2 MB. */
const MEMO_BLOCK_BYTES = 4096;
interface Known {
	readonly block: string;
	readonly limits: HeadLimits;
	readonly fields: RequestFields;
}
const memo: (Known | undefined)[] = new Array(MEMO_SLOTS);

function memoSlot(text: string, start: number, length: number): number {
	const middle = text.charCodeAt(start + (length >> 1));
	const quarter = text.charCodeAt(start + (length >> 2));
	const late = text.charCodeAt(start + length - 3);
	return (length * 31 + middle * 17 + quarter * 7 + late) & (MEMO_SLOTS - 1);
}

/**
 * Parses one request head from `text` (one character per byte) at index `start`.
 * "more" asks for more bytes; "bad" is answered with 400 and a close.
 */
export function parseRequest(
	text: string,
	start = 0,
	limits: RequestRules = DEFAULT_LIMITS,
): RequestHead | Malformed | More {
	let at = start;
	// RFC 9112 §2.2: empty lines before the request line are ignored.
	while (text.charCodeAt(at) === 0x0d && text.charCodeAt(at + 1) === 0x0a) at += 2;
	while (text.charCodeAt(at) === 0x0a) at++;
	const newline = text.indexOf("\n", at);
	if (newline < 0) return text.length - at > limits.headBytes ? headOverLimit : more;
	const lineEnd = text.charCodeAt(newline - 1) === 0x0d ? newline - 1 : newline;
	const methodEnd = text.indexOf(" ", at);
	if (methodEnd < 0 || methodEnd >= lineEnd) return bad("request line has no target");
	const method = text.slice(at, methodEnd);
	const urlEnd = text.indexOf(" ", methodEnd + 1);
	if (urlEnd < 0 || urlEnd >= lineEnd) return bad("request line has no protocol");
	let url = text.slice(methodEnd + 1, urlEnd);
	const proto = text.slice(urlEnd + 1, lineEnd);
	if (proto !== "HTTP/1.1" && proto !== "HTTP/1.0")
		return bad(
			proto === "HTTP/2.0"
				? "HTTP/2 is not spoken here (feature http2): use HTTP/1.1"
				: "protocol is not HTTP/1.0 or HTTP/1.1",
		);
	if (method !== "GET" && !isToken(method)) return bad("method is not a token");
	if (url.length === 0 || hasControl(url) || url.includes("\t"))
		return bad("target holds a control character");
	let host: string | undefined;
	if (url.charCodeAt(0) !== 0x2f) {
		const absolute = (limits.httpsTargets === true ? HTTP_OR_HTTPS_TARGET : HTTP_TARGET).exec(url);
		if (absolute !== null) {
			host = absolute[1]!;
			if (host === "") return bad("absolute target has no host");
			const rest = absolute[2]!;
			url = rest.startsWith("/") ? rest : `/${rest}`;
		}
	}

	const headersAt = newline + 1;
	const blank = text.indexOf("\r\n\r\n", newline - 1);
	let fields: RequestFields | undefined;
	let end = 0;
	let slot = -1;
	let block = "";
	if (blank >= headersAt && blank - headersAt < MEMO_BLOCK_BYTES && blank + 4 - at <= limits.headBytes) {
		const length = blank + 4 - headersAt;
		slot = memoSlot(text, headersAt, length);
		block = text.slice(headersAt, blank + 4);
		const known = memo[slot];
		if (known !== undefined && known.block === block && known.limits === limits) {
			fields = known.fields;
			end = blank + 4;
		}
	}
	if (fields === undefined) {
		// A block to be remembered is read from a copy of its own: slices of `text` would keep all of it alive.
		const own = slot >= 0 ? flat(block) : text;
		const from = slot >= 0 ? headersAt : 0;
		const section = parseHeaders(own, headersAt - from, at - from, limits);
		if (section.kind !== "headers") return section;
		const read = readFields(section.lines, section.keys);
		if ("reason" in read) return read;
		fields = read;
		end = section.end + from;
		if (slot >= 0 && section.end === own.length) memo[slot] = { block: own, limits, fields };
	}
	const framing = checkFraming(method, proto, fields);
	if (framing !== undefined) return framing;
	return { kind: "request", method, url, proto, host, fields, end };
}

/** What else is wrong with how a body is announced, by the method and the protocol. */
export function checkFraming(method: string, proto: string, fields: RequestFields): Malformed | undefined {
	const { framing } = fields;
	if (framing.kind === "none") {
		if (proto === "HTTP/1.0" && (method === "POST" || method === "PUT"))
			return bad(`HTTP/1.0 ${method} without Content-Length`);
		return undefined;
	}
	const isEmpty = framing.kind === "length" && framing.bytes === 0;
	if ((method === "HEAD" || method === "TRACE") && !isEmpty) return bad(`${method} with a body`);
	if (framing.kind === "chunked" && proto === "HTTP/1.0") return bad("HTTP/1.0 with Transfer-Encoding");
	return undefined;
}

/**
 * Not meant for one hop (RFC 9110 §7.6.1): what frames or routes a message, and the fields that varnishd knows and passes
 * on. A client could have them taken off here, and what is said of it behind the cache would not be true.
 */
const endToEnd: ReadonlySet<string> = new Set(
	(
		"accept accept-charset accept-encoding accept-language age allow authorization cache-control content-encoding " +
		"content-language content-length content-location content-md5 content-range content-type cookie date etag " +
		"expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified " +
		"location max-forwards pragma range referer retry-after server set-cookie transfer-encoding user-agent vary via " +
		"warning www-authenticate x-forwarded-for"
	).split(" "),
);

/** Whether what a client expects is met here (RFC 9110 §10.1.1: several fields are one list). */
export const isMet = (expectation: string) =>
	/^100-continue(?:[ \t]*,[ \t]*100-continue)*$/i.test(expectation);

/** RFC 9112 §6.3: exactly one way to tell the body's length, or the request is refused. */
export function readFields(lines: string[], keys: string[]): RequestFields | Malformed {
	let framing = noBody;
	let lengths = 0;
	let codings = 0;
	let hostCount = 0;
	let expect: string | undefined;
	let canGzip = false;
	const connection: string[] = [];
	for (let index = 0; index < keys.length; index++) {
		const key = keys[index]!;
		switch (key) {
			case "content-length": {
				const bytes = parseLength(lineValue(lines[index]!, key.length));
				if (bytes === undefined) return bad("Content-Length is not a number");
				if (++lengths > 1) return bad("more than one Content-Length");
				framing = bytes === 0 ? { kind: "length", bytes: 0 } : { kind: "length", bytes };
				break;
			}
			case "transfer-encoding":
				if (lineValue(lines[index]!, key.length).toLowerCase() !== "chunked")
					return bad("Transfer-Encoding is not exactly chunked");
				if (++codings > 1) return bad("more than one Transfer-Encoding");
				break;
			case "host":
				hostCount++;
				break;
			case "connection":
				connection.push(...listMembers(lineValue(lines[index]!, key.length)));
				break;
			case "expect":
				expect =
					expect === undefined
						? lineValue(lines[index]!, key.length)
						: `${expect}, ${lineValue(lines[index]!, key.length)}`;
				break;
			case "accept-encoding":
				canGzip ||= acceptsGzip(lineValue(lines[index]!, key.length));
				break;
		}
	}
	// Named as hop-by-hop they would be taken off on the way, and the body or its destination with them.
	const unframed = connection.find((name) => endToEnd.has(name));
	if (unframed !== undefined) return bad(`Connection names ${unframed}`);
	if (hostCount > 1) return bad("more than one Host");
	if (hostCount === 1) {
		const host = lineValue(lines[keys.indexOf(fieldKey("Host"))]!, 4);
		if (/[\s/\\@?#,]/.test(host)) return bad("Host is not an authority");
	}
	if (codings > 0) {
		if (lengths > 0) return bad("both Content-Length and Transfer-Encoding");
		framing = chunked;
	}
	return { lines, keys, framing, hostCount, connection, expect, canGzip };
}

/** RFC 9110 §12.5.3: gzip or its old name x-gzip is acceptable, or everything is. */
export function acceptsGzip(value: string): boolean {
	for (const part of value.toLowerCase().split(",")) {
		const [coding, ...parameters] = part.split(";").map((word) => word.trim());
		if (coding !== "gzip" && coding !== "x-gzip") continue;
		const quality = parameters.find((word) => word.startsWith("q="));
		if (quality === undefined || Number(quality.slice(2)) > 0) return true;
	}
	return false;
}
