/**
 * `appliance.toml`: what the box itself is, as opposed to what it balances. Pure.
 *
 * ```toml
 * hostname = "director-a"
 * dns = ["192.168.80.1"]
 *
 * [[port]]
 * name = "eth0"
 * role = "outside"
 * addresses = ["192.168.80.100/24", "fd00:80::100/64"]
 * gateways = ["192.168.80.1"]
 *
 * [[route]]
 * to = "10.1.0.0/16"
 * via = "10.80.0.1"
 *
 * [snmp]
 * enabled = true
 * communities = ["watch"]
 * sources = ["10.80.0.0/24"]
 * ```
 *
 * `docs/appliance.schema.json` is made from this schema (`drover config schema`).
 */
import { z } from "zod";
import { type Diagnostic, formatDiagnostic } from "../config/keepalived/diagnostics.ts";
import { contradictions } from "./settings/contradictions.ts";
import { issueFindings, type SettingsFinding } from "./settings/findings.ts";
import { type ApplianceSettings, applianceSchema } from "./settings/schema.ts";
import { parseToml, type TomlDocument, TomlError, type TomlPlace } from "./toml.ts";

/** Everything in a revision together stays far below this. */
export const SETTINGS_LIMIT_BYTES = 256 * 1024;
/** More findings than these help nobody. */
export const FINDINGS_LIMIT = 50;

/** The JSON schema (draft 2020-12) of the file, as editors understand it. */
export function settingsJsonSchema(): object {
	const { $schema, ...rest } = z.toJSONSchema(applianceSchema, { io: "input" });
	const description = 'What contradicts something else in the file is found by "drover config check" alone.';
	return { $schema, title: "Drover appliance.toml", description, ...rest };
}

export interface ReadSettings {
	/** Null when the file cannot be used. */
	readonly settings: ApplianceSettings | null;
	/** In the order of the file. An "error" keeps the file from being used. */
	readonly diagnostics: readonly Diagnostic[];
}

/** Reads the file's text; `file` is its name in what is found. Never throws. */
export function readSettings(text: string, file = "appliance.toml"): ReadSettings {
	if (text.length > SETTINGS_LIMIT_BYTES)
		return {
			settings: null,
			diagnostics: [
				diagnostic(file, "", null, {
					severity: "error",
					code: "too-long",
					message: `longer than ${SETTINGS_LIMIT_BYTES} bytes`,
				}),
			],
		};
	let document: TomlDocument;
	try {
		document = parseToml(text);
	} catch (error) {
		if (!(error instanceof TomlError)) throw error;
		const finding = { severity: "error", code: "not-toml", message: `not TOML: ${error.message}` } as const;
		return { settings: null, diagnostics: [diagnostic(file, text, error.place, finding)] };
	}
	const result = applianceSchema.safeParse(document.value);
	const findings = result.success
		? contradictions(result.data)
		: issueFindings(applianceSchema, document.value, result.error);
	const diagnostics = findings
		.slice(0, FINDINGS_LIMIT)
		.map((finding) => diagnostic(file, text, placeOf(document, finding), finding))
		.sort((a, b) => a.location.line - b.location.line || a.location.column - b.location.column);
	const acceptable = result.success && diagnostics.every(({ severity }) => severity !== "error");
	return { settings: acceptable ? result.data : null, diagnostics };
}

/** The settings. Throws an Error in the operator's words: where in the file, what is wrong, what to do. */
export function parseSettings(text: string, file = "appliance.toml"): ApplianceSettings {
	const { settings, diagnostics } = readSettings(text, file);
	if (settings === null) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
	return settings;
}

/** The place of the value or key; for what is not there, of the nearest thing around it. */
function placeOf(document: TomlDocument, { path, at }: SettingsFinding): TomlPlace | null {
	const own = at === "key" ? document.keyPlace(path) : document.valuePlace(path);
	for (let length = path.length; length > 0; length--) {
		const found = length === path.length ? own : document.keyPlace(path.slice(0, length));
		if (found !== null) return found;
	}
	return null;
}

function diagnostic(
	file: string,
	text: string,
	place: TomlPlace | null,
	finding: Pick<SettingsFinding, "severity" | "code" | "message"> & { readonly suggestion?: string },
): Diagnostic {
	return {
		severity: finding.severity,
		code: finding.code,
		message: finding.message,
		lost: null,
		suggestion: finding.suggestion ?? null,
		location: { file, line: place?.line ?? 0, column: place?.column ?? 0 },
		length: place?.length ?? 1,
		sourceLine: place === null ? "" : (text.split("\n", place.line)[place.line - 1] ?? "").replace(/\r$/, ""),
		expandedLine: null,
		exitStatus: finding.severity === "error" ? 5 : 0,
	};
}
