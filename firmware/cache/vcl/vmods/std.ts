/** vmod std: conversions, files, logging, and what fits nowhere else. Reference §8.2. */
import { ipLiteral, splitHostAndPort } from "../address.ts";
import { parseBytes, parseDuration, parseTime, REAL_LIMIT } from "../format.ts";
import { type VclContext, VclFailure, type WaitRequest } from "../runtime.ts";
import { lowerCase, upperCase } from "../support.ts";
import { fnmatch } from "./fnmatch.ts";
import { strftime } from "./strftime.ts";
import { type HeaderReference, vmod } from "./vmod.ts";

/** Integers pass through a double on their way: beyond 2^53 − 1 they would be rounded. */
const maxInteger = Number.MAX_SAFE_INTEGER;

/** The one source argument that was given, else a VCL failure. */
function only(name: string, given: readonly (readonly [unknown, unknown])[]): [unknown, unknown] {
	const set = given.filter(([value]) => value !== undefined);
	if (set.length !== 1)
		throw new VclFailure(`std.${name}: ${set.length > 1 ? "too many" : "not enough"} arguments`);
	return set[0] as [unknown, unknown];
}

function orFallback<T>(name: string, value: T | null, fallback: T | undefined, why = ""): T {
	if (value !== null) return value;
	if (fallback !== undefined) return fallback;
	throw new VclFailure(`std.${name}: conversion failed${why}`);
}

/** Why a text is no number; nothing when it is one, or is not there. */
const noNumber = (text: string | null | undefined): string =>
	typeof text === "string" && parseNumber(text) === null ? ": Invalid number" : "";

/** At most 15 digits, a point with decimals after them (or nothing before it), blanks around. */
function parseNumber(text: string | null): number | null {
	if (text === null) return null;
	const match = /^[ \t\n\r\f\v]*(-?)(\d*)(?:\.(\d*))?[ \t\n\r\f\v]*$/.exec(text);
	if (match === null || `${match[2]}${match[3] ?? ""}` === "") return null;
	// The fourth decimal and what follows is read, and forgotten.
	const fraction = (match[3] ?? "").slice(0, 3);
	if (match[2]!.length > 15) return null;
	return Number(`${match[1]}0${match[2]}.${fraction}0`);
}

function truncated(value: number): number | null {
	const whole = Math.trunc(value);
	return Number.isFinite(whole) && Math.abs(whole) <= maxInteger ? whole + 0 : null;
}

function roundAway(value: number): number {
	return Math.sign(value) * Math.round(Math.abs(value));
}

/** Files that std.fileread has read, for ever, by path. */
const files = new WeakMap<object, Map<string, string>>();

/** Null: there is no such file, or it cannot be read; the next one who asks looks again. */
function readOnce(host: object & { readFile(path: string): string | null }, path: string): string | null {
	let known = files.get(host);
	if (known === undefined) {
		known = new Map();
		files.set(host, known);
	}
	let text = known.get(path);
	if (text === undefined) {
		const read = host.readFile(path);
		if (read === null) return null;
		text = read;
		known.set(path, text);
	}
	return text;
}

const banErrors = {};

/** Parameters of the query string in byte order; the part before `?` stays. Empty parameters vanish. */
export function querysort(url: string): string {
	const question = url.indexOf("?");
	if (question < 0) return url;
	const parameters = url.slice(question + 1).split("&");
	const sorted = parameters.filter((parameter) => parameter !== "").sort(byBytes);
	return `${url.slice(0, question)}?${sorted.join("&")}`;
}

const byBytes = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function requireMethod(context: VclContext, name: string, methods: readonly string[]): void {
	if (!methods.includes(context.method))
		throw new VclFailure(`${name} can only be called from ${methods.join(" or ")}{}`);
}

export const std = vmod("std", [
	[
		"random",
		"REAL lo, REAL hi",
		"REAL",
		(_context, host, low: number, high: number) => low + host.random() * (high - low),
	],
	["round", "REAL r", "REAL", (_context, _host, value: number) => roundAway(value)],
	[
		"collect",
		'HEADER hdr, STRING sep=", "',
		"VOID",
		(_context, _host, header: HeaderReference, separator: string) =>
			header.message.collectHeader(header.lower, separator || ", "),
	],
	[
		"querysort",
		"STRING",
		"STRING",
		(_context, _host, url: string | null) => (url === null ? null : querysort(url)),
	],
	["toupper", "STRANDS s", "STRING", (_context, _host, text: string) => upperCase(text)],
	["tolower", "STRANDS s", "STRING", (_context, _host, text: string) => lowerCase(text)],
	[
		"strstr",
		"STRING s1, STRING s2",
		"STRING",
		(_context, _host, text: string | null, part: string | null) => {
			if (text === null || part === null) return null;
			const at = text.indexOf(part);
			return at < 0 ? null : text.slice(at);
		},
	],
	[
		"fnmatch",
		"STRING pattern, STRING subject, BOOL pathname=1, BOOL noescape=0, BOOL period=0",
		"BOOL",
		(
			_context,
			_host,
			pattern: string | null,
			subject: string | null,
			pathname: boolean,
			noescape: boolean,
			period: boolean,
		) => {
			if (pattern === null) throw new VclFailure("std.fnmatch(): pattern is NULL");
			if (subject === null) throw new VclFailure("std.fnmatch(): subject is NULL");
			return fnmatch(pattern, subject, { pathname, noescape, period });
		},
	],
	["fileread", "STRING", "STRING", (_context, host, path: string | null) => readOnce(host, path ?? "")],
	["blobread", "STRING", "BLOB", (_context, host, path: string | null) => readOnce(host, path ?? "")],
	[
		"file_exists",
		"STRING path",
		"BOOL",
		(_context, host, path: string | null) => host.fileExists(path ?? ""),
	],
	["healthy", "BACKEND be", "BOOL", (context, _host, backend) => backend?.healthy(context) ?? false],
	["port", "IP ip", "INT", (_context, _host, ip) => ip?.port ?? -1],
	[
		"duration",
		"[STRING s], [DURATION fallback], [REAL real], [INT integer]",
		"DURATION",
		(_context, _host, text, fallback, real, integer) => {
			only("duration", [
				[text, 0],
				[real, 0],
				[integer, 0],
			]);
			if (real !== undefined) return real;
			if (integer !== undefined) return integer;
			return orFallback("duration", text === null ? null : parseDuration(text), fallback);
		},
	],
	[
		"bytes",
		"[STRING s], [BYTES fallback], [REAL real], [INT integer]",
		"BYTES",
		(_context, _host, text, fallback, real, integer) => {
			only("bytes", [
				[text, 0],
				[real, 0],
				[integer, 0],
			]);
			let value: number | null = null;
			if (typeof text === "string") value = parseBytes(text);
			else if (real !== undefined) value = real >= 0 ? truncated(real) : null;
			else if (integer !== undefined) value = integer >= 0 ? integer : null;
			return orFallback("bytes", value !== null && value <= maxInteger ? value : null, fallback);
		},
	],
	[
		"integer",
		"[STRING s], [INT fallback], [BOOL bool], [BYTES bytes], [DURATION duration], [REAL real], [TIME time]",
		"INT",
		(_context, _host, text, fallback, bool, bytes, duration, real, time) => {
			only("integer", [
				[text, 0],
				[bool, 0],
				[bytes, 0],
				[duration, 0],
				[real, 0],
				[time, 0],
			]);
			if (bool !== undefined) return bool ? 1 : 0;
			if (bytes !== undefined) return Math.trunc(bytes);
			let value: number | null;
			if (text !== undefined) {
				const number = parseNumber(text);
				// Without the sign of a zero.
				value = number !== null && Number.isInteger(number) ? number + 0 : null;
			} else value = truncated(duration ?? real ?? time);
			return orFallback("integer", value, fallback, noNumber(text));
		},
	],
	[
		"ip",
		"STRING s, [IP fallback], BOOL resolve = 1, [STRING p]",
		"IP",
		(_context, host, text: string | null, fallback, resolve: boolean, port?: string | null) => {
			const service = port === undefined ? "80" : (port ?? "");
			let address = text === null ? null : parseIp(text, service);
			if (address === null && resolve && text !== null && text !== "")
				address = host.resolveName(text, service);
			return orFallback("ip", address, fallback);
		},
	],
	[
		"real",
		"[STRING s], [REAL fallback], [INT integer], [BOOL bool], [BYTES bytes], [DURATION duration], [TIME time]",
		"REAL",
		(_context, _host, text, fallback, integer, bool, bytes, duration, time) => {
			only("real", [
				[text, 0],
				[integer, 0],
				[bool, 0],
				[bytes, 0],
				[duration, 0],
				[time, 0],
			]);
			if (bool !== undefined) return bool ? 1 : 0;
			const number = integer ?? bytes ?? duration ?? time;
			if (number !== undefined) return number;
			const parsed = parseNumber(text);
			const value = Math.abs(parsed ?? 0) > REAL_LIMIT ? null : parsed;
			return orFallback("real", value, fallback, noNumber(text));
		},
	],
	[
		"time",
		"[STRING s], [TIME fallback], [REAL real], [INT integer]",
		"TIME",
		(_context, _host, text, fallback, real, integer) => {
			only("time", [
				[text, 0],
				[real, 0],
				[integer, 0],
			]);
			if (integer !== undefined) return integer;
			if (real !== undefined) return real;
			const time = text === null ? null : parseTime(text);
			return orFallback("time", time === 0 ? null : time, fallback);
		},
	],
	[
		"strftime",
		"TIME time, STRING format",
		"STRING",
		(_context, _host, time: number, format: string | null) =>
			format === null ? null : strftime(time, format),
	],
	["log", "STRANDS s", "VOID", (context, _host, text: string) => context.log("VCL_Log", text)],
	[
		"syslog",
		"INT priority, STRANDS s",
		"VOID",
		(_context, host, priority: number, text: string) => host.syslog(priority, text),
	],
	["timestamp", "STRING s", "VOID", (context, _host, label: string | null) => context.timestamp(label ?? "")],
	[
		"syntax",
		"REAL",
		"BOOL",
		(context, _host, version: number) => version * 10 <= (context.taskState.get(syntaxKey) as number),
	],
	[
		"getenv",
		"STRING name",
		"STRING",
		(_context, host, name: string | null) => (name ? host.getenv(name) : null),
	],
	[
		"cache_req_body",
		"BYTES size",
		"BOOL",
		(context, _host, sizeBytes: number): WaitRequest => {
			requireMethod(context, "std.cache_req_body()", ["vcl_recv"]);
			return {
				kind: "request-body",
				gather: (done) => context.cacheRequestBody(Math.max(0, sizeBytes), done),
			};
		},
		"waits",
	],
	[
		"late_100_continue",
		"BOOL late",
		"VOID",
		(context, _host, late: boolean) => {
			if (context.method === "vcl_recv") context.late100Continue(late);
		},
	],
	["set_ip_tos", "INT tos", "VOID", (context, _host, tos: number) => context.session.setIpTos(tos)],
	["rollback", "HTTP h", "VOID", (context, _host, message) => context.rollback(message)],
	[
		"ban",
		"STRING",
		"BOOL",
		(context, _host, expression: string | null) => {
			const error = expression === null ? "Null argument" : context.ban(expression);
			context.taskState.set(banErrors, error);
			if (error !== null) context.log("VCL_Error", `ban(): ${error}`);
			return error === null;
		},
	],
	["ban_error", "", "STRING", (context) => context.taskState.get(banErrors) ?? ""],
	[
		"real2integer",
		"REAL r, INT fallback",
		"INT",
		(_context, _host, value: number, fallback: number) =>
			Number.isFinite(value) && Math.abs(value) <= maxInteger ? roundAway(value) : fallback,
	],
	[
		"real2time",
		"REAL r, TIME fallback",
		"TIME",
		(_context, _host, value: number, fallback: number) => (Number.isFinite(value) ? value : fallback),
	],
	[
		"time2integer",
		"TIME t, INT fallback",
		"INT",
		(_context, _host, value: number, fallback: number) =>
			Number.isFinite(value) && Math.abs(value) <= maxInteger ? roundAway(value) : fallback,
	],
	[
		"time2real",
		"TIME t, REAL fallback",
		"REAL",
		(_context, _host, value: number, fallback: number) => (Number.isFinite(value) ? value : fallback),
	],
]);

/** A task has the program's syntax (40, 41) under this key from its beginning. */
export const syntaxKey: object = {};

/** An address, perhaps with a port, as the resolver of the C library reads it without asking anyone. */
function parseIp(text: string, service: string) {
	const split = splitHostAndPort(text);
	if ("error" in split) return null;
	const port = portNumber(split.port ?? service);
	if (port === null) return null;
	// A port alone is one of this machine's.
	if (split.host === "" && text !== "") return ipLiteral("::1", port);
	return ipLiteral(dottedQuad(split.host) ?? split.host, port);
}

/** Names that a port goes by in VCL; others are looked up by whoever resolves names. */
const services: ReadonlyMap<string, number> = new Map([
	["http", 80],
	["https", 443],
]);

/** Past 16 bits it goes around, as it does there. */
/** 0 when nothing is said. */
const portNumber = (text: string) =>
	/^\d{0,9}$/.test(text) ? Number(text) & 0xffff : (services.get(text) ?? null);

/** inet_aton(3): one to four numbers, each decimal, octal or hexadecimal; the last one fills what is left. */
function dottedQuad(text: string): string | null {
	const parts = text.split(".");
	if (parts.length > 4) return null;
	let address = 0;
	for (const [index, part] of parts.entries()) {
		if (!/^(?:0[xX][0-9a-fA-F]{1,8}|0[0-7]{0,11}|[1-9]\d{0,9})$/.test(part)) return null;
		const number = /^0[0-7]/.test(part) ? Number.parseInt(part, 8) : Number(part);
		const bytesLeft = index === parts.length - 1 ? 4 - index : 1;
		if (number >= 256 ** bytesLeft) return null;
		address += number * 256 ** (4 - index - bytesLeft);
	}
	return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}
