/**
 * Requests out of lists of fields (RFC 9113 §8.2 and §8.3), as strict as the HTTP/1 reader: what is passed on from here
 * is written as HTTP/1.1, so nothing may be in a field that means something there and meant nothing here. Pure.
 */
import type { Malformed } from "../http/head.ts";
import { fieldKey, knownKey } from "../http/headers.ts";
import { checkFraming, type RequestFields, type RequestHead, readFields } from "../http/request.ts";
import { type HeadLimits, hasControl, isToken, START_LINE_SLOTS } from "../http/syntax.ts";
import type { HeaderField } from "./hpack.ts";

const bad = (reason: string): Malformed => ({ kind: "bad", reason });

/** RFC 9113 §8.2.2: of one HTTP/1 connection, and nothing here. */
const ofConnection: ReadonlySet<string> = new Set([
	"connection",
	"http2-settings",
	"keep-alive",
	"proxy-connection",
	"transfer-encoding",
	"upgrade",
]);

const isBlank = (code: number) => code === 0x20 || code === 0x09;
/** RFC 9113 §8.2.1 */
const hasOuterBlanks = (value: string) =>
	value !== "" && (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1)));

const SCHEME = /^[a-z][a-z0-9+.-]*$/i;

/** A name that may be sent: a token without capitals. */
const isName = (name: string) => knownKey(name) === name || (isToken(name) && name.toLowerCase() === name);

/** RFC 9113 §8.2.1: a field that may be sent, other than a pseudo-header. */
export const isField = (name: string, value: string): boolean =>
	isName(name) && !hasControl(value) && !hasOuterBlanks(value);

type Pseudo = ":method" | ":scheme" | ":authority" | ":path";
const pseudos: ReadonlySet<string> = new Set<Pseudo>([":method", ":scheme", ":authority", ":path"]);

/**
 * The request that `fields` are. `whole`: no body follows. The authority is its Host, and the scheme a field of that
 * name, as varnishd has them; cookies are one field (§8.2.3). What is malformed is not answered (§8.1.1). `nocheck`:
 * pseudo-headers may come anywhere.
 */
export function readRequest(
	fields: readonly HeaderField[],
	whole: boolean,
	limits: HeadLimits,
	nocheck = false,
): RequestHead | Malformed {
	const pseudo: Partial<Record<Pseudo, string>> = {};
	const lines: string[] = [];
	const keys: string[] = [];
	const cookies: string[] = [];
	let cookieAt = -1;
	let host: string | undefined;
	let isRegular = false;
	for (const [name, value] of fields) {
		if (name.length + value.length + 2 > limits.lineBytes) return bad("header line is over its limit");
		if (hasControl(value)) return bad(`a control character in ${name}`);
		if (hasOuterBlanks(value)) return bad(`blanks around the value of ${name}`);
		if (name.startsWith(":")) {
			if (isRegular && !nocheck) return bad(`${name} behind a header field`);
			if (!pseudos.has(name)) return bad(`unknown pseudo-header ${name.slice(0, 20)}`);
			if (pseudo[name as Pseudo] !== undefined) return bad(`more than one ${name}`);
			pseudo[name as Pseudo] = value;
			continue;
		}
		isRegular = true;
		if (!isName(name)) return bad("header name is not a token in lower case");
		if (ofConnection.has(name)) return bad(`${name} is a field of HTTP/1 connections`);
		if (name === "te" && value.toLowerCase() !== "trailers") return bad("te is not trailers");
		if (name === "host") {
			if (host !== undefined) return bad("more than one host");
			host = value;
			continue;
		}
		if (name === "cookie") {
			if (cookieAt < 0) {
				cookieAt = lines.length;
				lines.push("");
				keys.push(fieldKey(name));
			}
			cookies.push(value);
			continue;
		}
		lines.push(`${name}: ${value}`);
		keys.push(fieldKey(name));
	}
	if (cookieAt >= 0) lines[cookieAt] = `cookie: ${cookies.join("; ")}`;
	const target = readTarget(pseudo, host);
	if ("reason" in target) return target;
	lines.unshift(...target.lines);
	keys.unshift(...target.keys);
	if (lines.length + START_LINE_SLOTS > limits.headerLines) return bad("too many headers");
	const read = readFields(lines, keys);
	if ("reason" in read) return read;
	const framed = withFraming(read, whole);
	if ("reason" in framed) return framed;
	const { method, url } = target;
	const framing = checkFraming(method, "HTTP/2.0", framed);
	if (framing !== undefined) return framing;
	return { kind: "request", method, url, proto: "HTTP/2.0", host: undefined, fields: framed, end: 0 };
}

/** Method, target, and the fields that the rest of the pseudo-headers become. */
function readTarget(pseudo: Partial<Record<Pseudo, string>>, host: string | undefined) {
	const { ":method": method, ":scheme": scheme, ":authority": authority, ":path": url } = pseudo;
	if (method === undefined || !isToken(method)) return bad(":method is not a token");
	// RFC 9113 §8.5: it has no :path. With one it would be passed on, and what follows a yes is a tunnel (RFC 9110 §9.3.6).
	if (method === "CONNECT") return bad("CONNECT, and no tunnels are made here");
	if (scheme === undefined || !SCHEME.test(scheme)) return bad(":scheme is none");
	if (url === undefined) return bad("no :path");
	// RFC 9113 §8.3.1; "*" is for OPTIONS. A blank would end it in the request line of HTTP/1.
	if (!url.startsWith("/") && !(url === "*" && method === "OPTIONS"))
		return bad(":path does not begin with /");
	if (/[ \t]/.test(url)) return bad("a blank in :path");
	if (authority === "") return bad(":authority is empty");
	if (authority !== undefined && host !== undefined && authority.toLowerCase() !== host.toLowerCase())
		return bad("host is not :authority");
	const lines = [`scheme: ${scheme}`];
	const keys = [fieldKey("scheme")];
	const named = authority ?? host;
	if (named !== undefined) {
		lines.unshift(`host: ${named}`);
		keys.unshift(fieldKey("host"));
	}
	return { method, url, lines, keys };
}

/** RFC 9113 §8.1.1: a length says nothing that the frames do not say; without one they have the only word. */
function withFraming(fields: RequestFields, whole: boolean): RequestFields | Malformed {
	const { framing } = fields;
	if (!whole) return framing.kind === "none" ? { ...fields, framing: { kind: "chunked" } } : fields;
	return framing.kind === "length" && framing.bytes > 0 ? bad("content-length without a body") : fields;
}
