/**
 * Changes to a TOML text that leave everything else as it stands: comments, order, blank lines. What is
 * changed is read again, and must say what was meant. Pure.
 */
import { isDeepStrictEqual } from "node:util";
import {
	parseToml,
	type TomlDocument,
	type TomlEntry,
	type TomlPath,
	type TomlTable,
	valueAt,
} from "./toml.ts";

/** The text cannot be changed here without rewriting what somebody wrote; the message says what to do. */
export class TomlEditError extends Error {}

export type TomlValue =
	| string
	| number
	| boolean
	| readonly TomlValue[]
	| { readonly [key: string]: TomlValue };

const BARE_KEY = /^[A-Za-z0-9_-]+$/;
const ESCAPES: Readonly<Record<string, string>> = { '"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n" };

/** A value as TOML writes it, on one line. */
export function formatTomlValue(value: TomlValue): string {
	if (typeof value === "string")
		return `"${value.replace(
			/["\\\x00-\x1f\x7f]/g,
			(character) =>
				ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`,
		)}"`;
	if (Array.isArray(value)) return `[${value.map(formatTomlValue).join(", ")}]`;
	if (typeof value === "object")
		return `{ ${Object.entries(value)
			.map(([key, inner]) => `${formatKey(key)} = ${formatTomlValue(inner)}`)
			.join(", ")} }`;
	return String(value);
}

const formatKey = (key: string) => (BARE_KEY.test(key) ? key : formatTomlValue(key));

/**
 * The text with `value` at `path`; sections that are missing are added at the end. An element of an array of
 * tables that is one behind the last becomes a new one. Throws a TomlError when the text is no TOML, and a
 * TomlEditError when the place is within something that is written on one line with others.
 */
export function setTomlValue(text: string, path: TomlPath, value: TomlValue): string {
	const document = parseToml(text);
	const wanted = withValue(document.value, path, value);
	return verified(setText(text, document, path, value), wanted, path);
}

/** The text without what is at `path`: a key, a section, or an element of an array of tables. */
export function removeTomlValue(text: string, path: TomlPath): string {
	const document = parseToml(text);
	const wanted = withValue(document.value, path, undefined);
	const entry = entryAt(document, path);
	if (entry !== undefined) {
		const [start, end] = entry.kind === "header" ? sectionOf(document, entry, text) : wholeLines(text, entry);
		return verified(text.slice(0, start) + text.slice(end), wanted, path);
	}
	// Within a value, which is written anew.
	const holder = ancestors(path).find((above) => entryAt(document, above)?.kind === "value");
	if (holder === undefined) throw byHand(path);
	return verified(setText(text, document, holder, valueAt(wanted, holder) as TomlValue), wanted, path);
}

/** From the nearest to the farthest. */
const ancestors = (path: TomlPath): TomlPath[] =>
	path.slice(1).map((_, index) => path.slice(0, path.length - 1 - index));

function setText(text: string, document: TomlDocument, path: TomlPath, value: TomlValue): string {
	const found = entryAt(document, path);
	if (found?.kind === "value")
		return text.slice(0, found.valueStart) + formatTomlValue(value) + text.slice(found.end);
	if (found !== undefined) throw byHand(path);
	const parent = path.slice(0, -1);
	const name = path.at(-1)!;
	// A value that holds this one is written anew.
	const holder = ancestors(path).find((above) => entryAt(document, above)?.kind === "value");
	if (holder !== undefined)
		return setText(
			text,
			document,
			holder,
			valueAt(withValue(document.value, path, value), holder) as TomlValue,
		);
	const around = entryAt(document, parent);
	if (typeof name === "number") {
		if (typeof value !== "object" || Array.isArray(value)) throw byHand(path);
		return append(text, `[[${headerName(parent)}]]`, Object.entries(value));
	}
	if (parent.length === 0) return insertAfter(text, lastOf(document, null), name, value);
	if (around !== undefined) return insertAfter(text, lastOf(document, around) ?? around, name, value);
	const isNewElement = typeof parent.at(-1) === "number";
	const header = headerName(parent.filter((part) => typeof part === "string"));
	return append(text, isNewElement ? `[[${header}]]` : `[${header}]`, [[name, value]]);
}

const headerName = (path: TomlPath) => path.map((part) => formatKey(String(part))).join(".");

function append(text: string, header: string, entries: readonly (readonly [string, TomlValue])[]): string {
	const before = text === "" ? "" : text.endsWith("\n") ? `${text}\n` : `${text}\n\n`;
	const lines = entries.map(([key, value]) => `${formatKey(key)} = ${formatTomlValue(value)}\n`);
	return `${before}${header}\n${lines.join("")}`;
}

function insertAfter(text: string, entry: TomlEntry | null, name: string, value: TomlValue): string {
	const line = `${formatKey(name)} = ${formatTomlValue(value)}\n`;
	if (entry === null) return `${line}${/^\s*\[/.test(text) ? "\n" : ""}${text}`;
	const end = lineEnd(text, entry.end);
	const closed = text[end - 1] === "\n" ? "" : "\n";
	return text.slice(0, end) + closed + line + text.slice(end);
}

/** The last `key = value` right under a header (null: before the first one); null when there is none. */
function lastOf(document: TomlDocument, header: TomlEntry | null): TomlEntry | null {
	const start = header?.end ?? 0;
	const next = document.entries.find((entry) => entry.kind === "header" && entry.start >= start);
	const own = document.entries.filter(
		(entry) => entry.kind === "value" && entry.start >= start && entry.end <= (next?.start ?? Infinity),
	);
	return own.at(-1) ?? null;
}

/** From a header's line to the end of the last line that belongs to it, and one blank line. */
function sectionOf(document: TomlDocument, header: TomlEntry, text: string): readonly [number, number] {
	const isInside = ({ path }: TomlEntry) => header.path.every((part, index) => path[index] === part);
	const after = document.entries.filter(({ start }) => start >= header.start);
	const next = after.find((entry) => entry.kind === "header" && !isInside(entry));
	const own = after.filter(({ start }) => start < (next?.start ?? Infinity));
	// Comments behind its last line belong to what follows.
	const end = lineEnd(text, Math.max(...own.map((entry) => entry.end)));
	const start = lineStart(text, header.start);
	return [start, end + (/^[ \t]*\r?\n/.exec(text.slice(end))?.[0].length ?? 0)];
}

function wholeLines(text: string, entry: TomlEntry): readonly [number, number] {
	const start = lineStart(text, entry.start);
	if (text.slice(start, entry.start).trim() !== "") throw byHand(entry.path);
	return [start, lineEnd(text, entry.end)];
}

const lineStart = (text: string, at: number) => text.lastIndexOf("\n", at - 1) + 1;

/** Behind the line break that ends the line of `at`. */
function lineEnd(text: string, at: number): number {
	const found = text.indexOf("\n", at);
	return found < 0 ? text.length : found + 1;
}

const entryAt = (document: TomlDocument, path: TomlPath) =>
	document.entries.findLast((entry) => isDeepStrictEqual(entry.path, path));

/** A copy with another value at `path`; undefined takes it out. Sections on the way are made. */
function withValue(root: unknown, path: TomlPath, value: TomlValue | undefined): TomlTable {
	const copy = structuredClone(root) as TomlTable;
	let inner: Record<string | number, unknown> = copy;
	path.slice(0, -1).forEach((part, index) => {
		if (!Object.hasOwn(inner, part)) inner[part] = typeof path[index + 1] === "number" ? [] : {};
		inner = inner[part] as Record<string | number, unknown>;
	});
	const last = path.at(-1)!;
	if (value !== undefined) inner[last] = value;
	else if (Array.isArray(inner)) inner.splice(Number(last), 1);
	else delete inner[last];
	return copy;
}

function verified(text: string, wanted: TomlTable, path: TomlPath): string {
	try {
		if (isDeepStrictEqual(written(parseToml(text).value), written(wanted))) return text;
	} catch {
		// The form does not allow it.
	}
	throw byHand(path);
}

/** Sections without anything in them, and lists of sections without one, may stand in a text or not. */
function written(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(written);
	if (typeof value !== "object" || value === null) return value;
	const isEmpty = (inner: unknown) =>
		typeof inner === "object" && inner !== null && Object.keys(inner).length === 0;
	return Object.fromEntries(
		Object.entries(value)
			.map(([key, inner]) => [key, written(inner)] as const)
			.filter(([, inner]) => !isEmpty(inner)),
	);
}

const byHand = (path: TomlPath) =>
	new TomlEditError(
		`${path.join(".")} is written in a form of its own: edit it by hand ("drover config edit")`,
	);
