/** How long a console may be left alone before it asks for the password again. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ApplianceSettings } from "../appliance/settings/schema.ts";
import { readSettings } from "../appliance/settings.ts";
import { configDirectory } from "../config/revisions/workspace.ts";

const MINUTE_MS = 60_000;
/** Without a file that says otherwise. */
const IDLE_MINUTES = 10;

/** Null is never. */
export function idleLimitMs(): number | null {
	const minutes = readBoxSettings()?.console.idle_minutes ?? IDLE_MINUTES;
	return minutes === 0 ? null : minutes * MINUTE_MS;
}

/** Those in force; without a file, what holds then. Null when the file cannot be used. */
export function readBoxSettings(): ApplianceSettings | null {
	const path = join(configDirectory(), "current/appliance.toml");
	return readSettings(existsSync(path) ? readFileSync(path, "utf8") : "").settings;
}
