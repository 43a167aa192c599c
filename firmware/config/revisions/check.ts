/** Is a folder fit to become a revision? Every file is read as its service would read it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ApplianceSettings } from "../../appliance/settings/schema.ts";
import { parseSettings, readSettings } from "../../appliance/settings.ts";
import { formatDiagnostic, MISSING_INTERFACE } from "../keepalived/diagnostics.ts";
import { loadConfig, namedIn } from "../keepalived/load.ts";
import type { DroverConfig } from "../model.ts";
import { formatChange, planChanges } from "../plan.ts";
import { settingsChanges } from "./settings-plan.ts";

export interface Checked {
	/** What keeps it from being committed, ready to print; empty when nothing does. */
	readonly problems: readonly string[];
	/** What the operator should know and may ignore. */
	readonly remarks: readonly string[];
	/** Those remarks that are about an interface that is not there. */
	readonly missing: readonly string[];
	/** Null when there is no keepalived.conf. */
	readonly config: DroverConfig | null;
	/** Null when there is no appliance.toml, or it cannot be used. */
	readonly settings: ApplianceSettings | null;
}

/** `before`: what is in force, whose interfaces may be missing. */
export async function checkFolder(folder: string, before: Checked | null): Promise<Checked> {
	const problems: string[] = [];
	const missing: string[] = [];
	const remarks: string[] = [];
	let config: DroverConfig | null = null;
	const keepalived = join(folder, "keepalived.conf");
	if (existsSync(keepalived)) {
		const loaded = loadConfig(keepalived, namedIn(before?.config ?? null));
		config = loaded.config;
		for (const diagnostic of loaded.diagnostics) {
			const text = formatDiagnostic(diagnostic);
			(diagnostic.severity === "error" ? problems : remarks).push(text);
			if (diagnostic.severity !== "error" && diagnostic.code === MISSING_INTERFACE) missing.push(text);
		}
		if (loaded.acceptable) remarks.push(...problems.splice(0));
	}
	let settings: ApplianceSettings | null = null;
	const appliance = join(folder, "appliance.toml");
	if (existsSync(appliance)) {
		const read = readSettings(readFileSync(appliance, "utf8"), appliance);
		settings = read.settings;
		for (const diagnostic of read.diagnostics)
			(diagnostic.severity === "error" ? problems : remarks).push(formatDiagnostic(diagnostic));
		if (read.settings?.cache.enabled === true)
			try {
				// Loaded on demand: most boxes have no cache, and the compiler is large.
				const { readRevision } = await import("../../cache/service/revision.ts");
				const warnings = (await readRevision(folder, config))?.warnings ?? "";
				if (warnings !== "") remarks.push(warnings);
			} catch (error) {
				problems.push(error instanceof Error ? error.message : String(error));
			}
	}
	return { problems, remarks, missing, config, settings };
}

/** A line or two for each change of what runs; null is a box without a configuration. */
export function planLines(before: Checked | null, after: Checked): string[] {
	const none = parseSettings("");
	const changes = settingsChanges(before?.settings ?? none, after.settings ?? none);
	const [had, has] = [before?.config ?? null, after.config];
	return had === null || has === null ? changes : [...planChanges(had, has).map(formatChange), ...changes];
}
