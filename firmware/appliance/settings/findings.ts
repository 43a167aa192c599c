/** What the schema has against a file, in the operator's words. Pure. */
import { z } from "zod";
import { nearest } from "../../config/keepalived/diagnostics.ts";
import { type TomlPath, valueAt } from "../toml.ts";

export interface SettingsFinding {
	readonly severity: "error" | "warning";
	/** Stable name of the finding, for programs. */
	readonly code: string;
	/** One sentence without a full stop. */
	readonly message: string;
	readonly suggestion?: string;
	readonly path: TomlPath;
	/** Whether the key or the value is meant. */
	readonly at: "key" | "value";
}

/** `value` is what the file says, `error` what `schema` answered to it. */
export function issueFindings(schema: z.ZodType, value: unknown, error: z.ZodError): SettingsFinding[] {
	return error.issues.flatMap((issue) => describe(schema, value, issue as z.core.$ZodIssue));
}

function describe(schema: z.ZodType, value: unknown, issue: z.core.$ZodIssue): SettingsFinding[] {
	const path = issue.path.map((part) => (typeof part === "symbol" ? String(part) : part));
	const name = pathText(path);
	const finding = (code: string, message: string, suggestion?: string): SettingsFinding[] => [
		{
			severity: "error",
			code,
			message,
			path,
			at: "value",
			...(suggestion === undefined ? {} : { suggestion }),
		},
	];
	const wrongChoice = (choices: readonly string[]) => {
		const text = choices.map((choice) => `"${choice}"`).join(" or ");
		const written = valueAt(value, path);
		if (written === undefined) return finding("missing", `${name} is missing`, `it is ${text}`);
		const near = typeof written === "string" ? nearest(written, choices) : null;
		const suggestion = near === null ? undefined : `did you mean "${near}"?`;
		return finding("wrong-value", `${name} must be ${text}`, suggestion);
	};
	switch (issue.code) {
		case "unrecognized_keys":
			return issue.keys.map((key) => unknownKey(schema, path, key));
		case "invalid_type": {
			const wanted = kinds[issue.expected] ?? issue.expected;
			if (valueAt(value, path) === undefined)
				return finding("missing", `${name} is missing`, `it is ${wanted}`);
			return finding("wrong-kind", `${name} must be ${wanted}`);
		}
		case "invalid_value": {
			const choices = issue.values.map(String);
			return wrongChoice(choices);
		}
		case "invalid_union": {
			const options = "options" in issue ? (issue.options as unknown[]) : [];
			if (options.length > 0) return wrongChoice(options.map(String));
			const wanted = issue.errors.flat().flatMap((inner) => ("expected" in inner ? [inner.expected] : []));
			return finding(
				"wrong-kind",
				`${name} must be ${wanted.map((kind) => kinds[kind] ?? kind).join(" or ")}`,
			);
		}
		case "too_big":
		case "too_small":
			return finding("out-of-range", `${name} ${bound(issue)}`);
		case "not_multiple_of":
			return finding("wrong-kind", `${name} must be a whole number`);
		case "invalid_key":
		case "invalid_element":
			return issue.issues.flatMap((inner) =>
				finding("wrong-value", `${name} ${inner.message}`).map((each) => ({ ...each, at: "key" as const })),
			);
		default:
			return finding("wrong-value", `${name} ${issue.message}`);
	}
}

const kinds: Readonly<Record<string, string>> = {
	string: "a text in quotes",
	number: "a number",
	int: "a whole number",
	boolean: "true or false",
	array: "a list in brackets",
	object: "a section",
	record: "a section",
};

function bound(issue: z.core.$ZodIssueTooBig | z.core.$ZodIssueTooSmall): string {
	const limit = issue.code === "too_big" ? issue.maximum : issue.minimum;
	const most = issue.code === "too_big" ? "at most" : "at least";
	switch (issue.origin) {
		case "string":
			return `must have ${most} ${limit} characters`;
		case "array":
			return `must have ${most} ${limit} entries`;
		default:
			return `must be ${most} ${limit}`;
	}
}

function unknownKey(schema: z.ZodType, path: TomlPath, key: string): SettingsFinding {
	const known = keysAt(schema, path);
	const near = nearest(key, known);
	const where = path.length === 0 ? "" : ` in ${pathText(path)}`;
	return {
		severity: "error",
		code: "unknown-key",
		message: `there is no setting "${key}"${where}`,
		suggestion:
			near !== null
				? `did you mean "${near}"?`
				: known.length > 0
					? `there are: ${known.join(", ")}`
					: "remove it",
		path: [...path, key],
		at: "key",
	};
}

/** The keys that a section knows; of several forms, those of all. */
export function keysAt(schema: z.ZodType, path: TomlPath): readonly string[] {
	const objects = fieldsAt(schema, path).filter((type) => type instanceof z.ZodObject);
	return [...new Set(objects.flatMap((type) => Object.keys(type.shape)))];
}

/** What may stand at `path`, without defaults around it; of several forms, those of all. Empty: nothing. */
export function fieldsAt(schema: z.ZodType, path: TomlPath): readonly z.ZodType[] {
	let found: readonly z.ZodType[] = [schema];
	for (const part of path)
		found = found
			.flatMap((type) => forms(type))
			.flatMap((type) => {
				if (type instanceof z.ZodArray) return [type.element as z.ZodType];
				if (type instanceof z.ZodRecord) return [type.valueType as z.ZodType];
				if (type instanceof z.ZodObject) return (type.shape[part] as z.ZodType | undefined) ?? [];
				return [];
			});
	return found.flatMap(forms);
}

/** Without defaults and options around it; a union's members. */
function forms(type: z.ZodType): readonly z.ZodType[] {
	if (type instanceof z.ZodDefault || type instanceof z.ZodPrefault || type instanceof z.ZodOptional)
		return forms(type.unwrap() as z.ZodType);
	if (type instanceof z.ZodUnion) return (type.options as z.ZodType[]).flatMap(forms);
	return [type];
}

/** `snmp.users[1].name`: counted from one, as people count. */
export function pathText(path: TomlPath): string {
	return path
		.map((part, index) => (typeof part === "number" ? `[${part + 1}]` : `${index === 0 ? "" : "."}${part}`))
		.join("");
}
