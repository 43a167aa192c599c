/** HTTP/1.1 response heads from backends (RFC 9112 §4 and §6.3). */
import { headOverLimit, type Malformed, type More, more, parseHeaders } from "./head.ts";
import { lineValue, listMembers } from "./headers.ts";
import { reasonPhrase } from "./status.ts";
import { DEFAULT_LIMITS, type HeadLimits, hasControl, parseLength } from "./syntax.ts";

/** How the body's end is known. "eof": it ends with the connection, which is no proof that it is whole. */
export type ResponseFraming =
	| { readonly kind: "none" }
	| { readonly kind: "length"; readonly bytes: number }
	| { readonly kind: "chunked" }
	| { readonly kind: "eof" };

export interface ResponseHead {
	readonly kind: "response";
	readonly proto: "HTTP/1.0" | "HTTP/1.1";
	readonly status: number;
	readonly reason: string;
	readonly lines: string[];
	readonly keys: string[];
	/** Members of Connection, lower case. */
	readonly connection: readonly string[];
	readonly framing: ResponseFraming;
	/** The connection can carry another request after this response. */
	readonly keepAlive: boolean;
	readonly end: number;
}

interface StatusLine {
	readonly proto: "HTTP/1.0" | "HTTP/1.1";
	readonly status: number;
	readonly reason: string;
}

/** Most answers begin so. */
const USUAL_LINE = "HTTP/1.1 200 OK";
const usual: StatusLine = { proto: "HTTP/1.1", status: 200, reason: "OK" };

function statusLine(line: string): StatusLine | undefined {
	if (line === USUAL_LINE) return usual;
	const match = /^HTTP\/1\.(\d) +([1-9]\d\d)(?: +(.*))?$/.exec(line);
	if (match === null || hasControl(line)) return undefined;
	// RFC 9110 §6.2: a later minor version is read as the one known here.
	const status = Number(match[2]);
	const reason = match[3] || reasonPhrase(status);
	return { proto: match[1] === "0" ? "HTTP/1.0" : "HTTP/1.1", status, reason };
}

const bad = (reason: string): Malformed => ({ kind: "bad", reason });

/** RFC 9110 §9.3.6: behind such a head come the bytes of a tunnel, and no body. */
export const opensTunnel = (method: string, status: number): boolean =>
	method === "CONNECT" && status >= 200 && status < 300;

/** Parses the head of the answer to a `method` request from `text` at `start`. */
export function parseResponse(
	text: string,
	start: number,
	method: string,
	limits: HeadLimits = DEFAULT_LIMITS,
): ResponseHead | Malformed | More {
	const newline = text.indexOf("\n", start);
	if (newline < 0) return text.length - start > limits.headBytes ? headOverLimit : more;
	const lineEnd = newline > start && text.charCodeAt(newline - 1) === 0x0d ? newline - 1 : newline;
	const first = statusLine(text.slice(start, lineEnd));
	if (first === undefined) return bad("status line is malformed");
	const { proto, status, reason } = first;
	const section = parseHeaders(text, newline + 1, start, limits);
	if (section.kind !== "headers") return section;
	const { lines, keys, end } = section;

	let length: number | undefined;
	let codings: string[] = [];
	const connection: string[] = [];
	for (let index = 0; index < keys.length; index++) {
		const key = keys[index]!;
		if (key === "content-length") {
			const bytes = parseLength(lineValue(lines[index]!, key.length));
			if (bytes === undefined) return bad("Content-Length is not a number");
			if (length !== undefined && length !== bytes) return bad("Content-Length conflicts with another");
			length = bytes;
		} else if (key === "transfer-encoding")
			codings = codings.concat(listMembers(lineValue(lines[index]!, key.length)));
		else if (key === "connection") connection.push(...listMembers(lineValue(lines[index]!, key.length)));
	}
	// Whoever sends it anyway would have it read as the next answer.
	if (status === 204 && method !== "HEAD" && (codings.length > 0 || (length ?? 0) > 0))
		return bad("204 with a body");
	let keepAlive = proto === "HTTP/1.1" ? !connection.includes("close") : connection.includes("keep-alive");
	let framing: ResponseFraming;
	if (opensTunnel(method, status)) {
		// RFC 9110 §9.3.6: whatever its fields say, what follows is no answer.
		framing = { kind: "none" };
		keepAlive = false;
	} else if (method === "HEAD" || status < 200 || status === 204 || status === 304)
		framing = { kind: "none" };
	else if (codings.length > 0) {
		if (codings.length > 1 || codings[0] !== "chunked")
			return bad("Transfer-Encoding is not exactly chunked");
		if (length !== undefined) return bad("both Content-Length and Transfer-Encoding");
		framing = { kind: "chunked" };
	} else if (length !== undefined)
		framing = length === 0 ? { kind: "none" } : { kind: "length", bytes: length };
	else {
		framing = { kind: "eof" };
		keepAlive = false;
	}
	return { kind: "response", proto, status, reason, lines, keys, connection, framing, keepAlive, end };
}
