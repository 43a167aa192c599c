/** vmod cookie: the request's cookies as a list, per task. Reference §8.2. */
import { formatTime } from "../format.ts";
import type { Matcher } from "../regex/regex.ts";
import type { VclContext } from "../runtime.ts";
import { vmod } from "./vmod.ts";

const key = {};

/** A Map keeps the order of first appearance and the last value, as the list does. */
type Jar = Map<string, string>;

function jarOf(context: VclContext): Jar {
	let jar = context.taskState.get(key) as Jar | undefined;
	if (jar === undefined) {
		jar = new Map();
		context.taskState.set(key, jar);
	}
	return jar;
}

function set(jar: Jar, name: string | null, value: string | null): void {
	if (name === null || name === "" || value === null || value === "") return;
	jar.set(name, value);
}

/** What is a blank in ASCII: of the bytes above it none is. */
const blank = /[ \t\n\r\f\v]/;

function parse(context: VclContext, header: string | null): void {
	if (header === null || header === "") {
		context.log("Debug", "cookie: nothing to parse");
		return;
	}
	const jar = jarOf(context);
	jar.clear();
	let at = 0;
	let count = 0;
	while (at < header.length) {
		while (at < header.length && blank.test(header[at]!)) at++;
		const equals = header.indexOf("=", at);
		if (equals < 0) break;
		const name = header.slice(at, equals);
		let end = header.indexOf(";", equals + 1);
		if (end < 0) end = header.length;
		set(jar, name, header.slice(equals + 1, end));
		count++;
		at = end + 1;
	}
	context.log("Debug", `cookie: parsed ${count} cookies.`);
}

function remove(context: VclContext, drop: (name: string) => boolean): void {
	const jar = jarOf(context);
	for (const name of [...jar.keys()]) if (drop(name)) jar.delete(name);
}

function names(list: string | null): Set<string> {
	return new Set(
		(list ?? "")
			.split(",")
			.map((name) => name.trimStart())
			.filter((name) => name !== ""),
	);
}

const formatDate = (_context: VclContext, _host: unknown, now: number, delta: number) =>
	formatTime(now + delta);

export const cookie = vmod("cookie", [
	["clean", "", "VOID", (context) => jarOf(context).clear()],
	[
		"delete",
		"STRING cookiename",
		"VOID",
		(context, _host, name: string | null) => {
			if (name !== null) jarOf(context).delete(name);
		},
	],
	[
		"filter",
		"STRING filterstring",
		"VOID",
		(context, _host, list: string | null) => {
			const unwanted = names(list);
			remove(context, (name) => unwanted.has(name));
		},
	],
	[
		"filter_re",
		"REGEX expression",
		"VOID",
		(context, _host, regex: Matcher) => remove(context, (name) => regex.test(name)),
	],
	[
		"keep",
		"STRING filterstring",
		"VOID",
		(context, _host, list: string | null) => {
			const wanted = names(list);
			remove(context, (name) => !wanted.has(name));
		},
	],
	[
		"keep_re",
		"REGEX expression",
		"VOID",
		(context, _host, regex: Matcher) => remove(context, (name) => !regex.test(name)),
	],
	["format_date", "TIME now, DURATION timedelta", "STRING", formatDate],
	["format_rfc1123", "TIME now, DURATION timedelta", "STRING", formatDate],
	[
		"get",
		"STRING cookiename",
		"STRING",
		(context, _host, name: string | null) => (name === null ? null : (jarOf(context).get(name) ?? null)),
	],
	[
		"get_re",
		"REGEX expression",
		"STRING",
		(context, _host, regex: Matcher) => {
			for (const [name, value] of jarOf(context)) if (regex.test(name)) return value;
			return null;
		},
	],
	[
		"get_string",
		"",
		"STRING",
		(context) => [...jarOf(context)].map(([name, value]) => `${name}=${value};`).join(" "),
	],
	[
		"isset",
		"STRING cookiename",
		"BOOL",
		(context, _host, name: string | null) => name !== null && jarOf(context).has(name),
	],
	["parse", "STRING cookieheader", "VOID", (context, _host, header: string | null) => parse(context, header)],
	[
		"set",
		"STRING cookiename, STRING value",
		"VOID",
		(context, _host, name: string | null, value: string | null) => set(jarOf(context), name, value),
	],
]);
