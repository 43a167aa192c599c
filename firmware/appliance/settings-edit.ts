/**
 * Changes to an appliance.toml in an operator's words. Pure.
 *
 *   ssh.enabled=true                    a switch also takes on and off, yes and no
 *   ntp.servers=192.0.2.1,192.0.2.2     a list, all of it; += adds an entry, -= takes one out
 *   port[eth0].mtu=9000                 the section of that name; it is made when there is none
 *   syslog.receivers[2].port=514        the second one
 *   syslog.receivers[+].host=10.0.0.7   a new one; every [+] of one command is the same
 *   snmp.users[1]                       to remove
 */
import { z } from "zod";
import { nearest } from "../config/keepalived/diagnostics.ts";
import { fieldsAt } from "./settings/findings.ts";
import { applianceSchema } from "./settings/schema.ts";
import { settingPaths } from "./settings/setting-paths.ts";
import { parseToml, TomlError, type TomlPath, type TomlTable, valueAt } from "./toml.ts";
import { removeTomlValue, setTomlValue, type TomlValue } from "./toml-edit.ts";

/** What was typed names no setting, or gives it no value; the message says what would. */
export class SettingsWordError extends Error {}

export interface SettingsWords {
	/** `PATH=VALUE`, `PATH+=VALUE`, `PATH-=VALUE`. */
	readonly set: readonly string[];
	/** `PATH`. */
	readonly remove: readonly string[];
}

/** Paths and values together; a file has less. */
const WORD_LIMIT_CHARACTERS = 32_768;

/** The text with these changes. Throws a SettingsWordError, or a TomlEditError or TomlError of the text. */
export function editSettingsText(text: string, { set, remove }: SettingsWords): string {
	// Where [+] stands: one behind the last element that the text has now.
	const before = parseToml(text).value;
	let edited = text;
	for (const word of set) edited = setOne(edited, before, word);
	for (const word of remove) {
		const path = resolvePath(parseToml(edited).value, before, word);
		if (valueAt(parseToml(edited).value, path) === undefined)
			throw new SettingsWordError(`${word} is not set, so there is nothing to remove`);
		edited = removeTomlValue(edited, path);
	}
	return edited;
}

function setOne(text: string, before: TomlTable, word: string): string {
	const match = /^([^=]*?)([+-]?)=(.*)$/s.exec(word);
	if (match === null || word.length > WORD_LIMIT_CHARACTERS)
		throw new SettingsWordError(`"${word.slice(0, 40)}" is not PATH=VALUE, such as ssh.enabled=true`);
	const [, pathWord = "", sign = "", typed = ""] = match;
	const now = parseToml(text).value;
	const path = resolvePath(now, before, pathWord);
	const type = fieldAt(path, pathWord);
	let edited = text;
	// A section that is chosen by a name that is not there yet begins with that name.
	const name = newName(now, path, pathWord);
	if (name !== null) edited = setTomlValue(edited, [...path.slice(0, -1), "name"], name);
	if (sign === "") return setTomlValue(edited, path, readValue(type, typed, pathWord));
	if (!(type instanceof z.ZodArray))
		throw new SettingsWordError(`${pathWord} is no list: say ${pathWord}=VALUE`);
	const had = (valueAt(parseToml(edited).value, path) ?? []) as TomlValue[];
	if (sign === "+")
		return had.includes(typed)
			? edited
			: setTomlValue(edited, path, [...had, readEntry(type, typed, pathWord)]);
	if (!had.includes(typed)) throw new SettingsWordError(`${pathWord} does not hold ${typed}`);
	return setTomlValue(
		edited,
		path,
		had.filter((entry) => entry !== typed),
	);
}

const PART = /([A-Za-z0-9_-]+)(?:\[([^\]]{1,64})\])?(?:\.|$)/y;

/** Names and numbers in brackets become positions. */
function resolvePath(now: TomlTable, before: TomlTable, word: string): TomlPath {
	const path: (string | number)[] = [];
	PART.lastIndex = 0;
	while (PART.lastIndex < word.length) {
		const match = PART.exec(word);
		if (match === null)
			throw new SettingsWordError(
				`"${word.slice(0, 40)}" is no setting's path, such as port[eth0].addresses`,
			);
		path.push(match[1]!);
		const chosen = match[2];
		if (chosen === undefined) continue;
		const list = (valueAt(now, path) ?? []) as readonly { readonly name?: unknown }[];
		if (!Array.isArray(list)) throw new SettingsWordError(`${match[1]} is no list`);
		if (chosen === "+") path.push(((valueAt(before, path) ?? []) as readonly unknown[]).length);
		else if (/^\d{1,4}$/.test(chosen)) {
			if (Number(chosen) < 1 || Number(chosen) > list.length)
				throw new SettingsWordError(`${word}: there are ${list.length}`);
			path.push(Number(chosen) - 1);
		} else {
			const found = list.findIndex(({ name }) => name === chosen);
			path.push(found < 0 ? list.length : found);
		}
	}
	if (path.length === 0) throw new SettingsWordError("a setting's path is missing, such as ssh.enabled");
	return path;
}

/** The name of the section at the path's end that is not there yet; null when it is, or has none. */
function newName(now: TomlTable, path: TomlPath, word: string): string | null {
	if (typeof path.at(-2) !== "number" || valueAt(now, path.slice(0, -1)) !== undefined) return null;
	const chosen = /\[([^\]]+)\]\.[^.[\]]+$/.exec(word)?.[1];
	return chosen === undefined || chosen === "+" || path.at(-1) === "name" ? null : chosen;
}

function fieldAt(path: TomlPath, word: string): z.ZodType {
	const [found] = fieldsAt(applianceSchema, path);
	if (found !== undefined) return found;
	const meant = nearestPath(word);
	throw new SettingsWordError(
		`there is no setting ${word}${meant === null ? "" : `; did you mean ${meant}?`}`,
	);
}

/** What was nearly typed, with the sections that were chosen. */
function nearestPath(word: string): string | null {
	const chosen = word.match(/\[[^\]]*\]/g) ?? [];
	const near = nearest(word.replace(/\[[^\]]*\]/g, "[+]"), settingPaths({}));
	return near?.replaceAll("[+]", () => chosen.shift() ?? "[+]") ?? null;
}

function readValue(type: z.ZodType, typed: string, word: string): TomlValue {
	if (type instanceof z.ZodBoolean) {
		if (/^(true|on|yes)$/i.test(typed)) return true;
		if (/^(false|off|no)$/i.test(typed)) return false;
		throw new SettingsWordError(`${word} is true or false, not "${typed.slice(0, 40)}"`);
	}
	if (type instanceof z.ZodNumber) {
		if (!/^-?\d{1,15}$/.test(typed))
			throw new SettingsWordError(`${word} is a whole number, not "${typed.slice(0, 40)}"`);
		return Number(typed);
	}
	if (type instanceof z.ZodArray) {
		if (typed.trim().startsWith("[")) return readToml(typed, word);
		const entries = typed.split(",").flatMap((entry) => (entry.trim() === "" ? [] : [entry.trim()]));
		return entries.map((entry) => readEntry(type, entry, word));
	}
	if (type instanceof z.ZodObject || type instanceof z.ZodRecord) return readToml(typed, word);
	return typed;
}

function readEntry(type: z.ZodArray, typed: string, word: string): TomlValue {
	const element = type.element as z.ZodType;
	return element instanceof z.ZodString ? typed : readToml(typed, word);
}

/** A value in TOML's own spelling. */
function readToml(typed: string, word: string): TomlValue {
	try {
		return parseToml(`value = ${typed}`).value["value"] as TomlValue;
	} catch (error) {
		if (!(error instanceof TomlError)) throw error;
		throw new SettingsWordError(`${word}: ${error.message}`);
	}
}
