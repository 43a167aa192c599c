/**
 * How a service starts that appliance.toml switches on: it reads the settings, says what to set when it is off
 * (exit status 0: nothing is wrong, so nobody starts it again), and runs until it is told to end.
 */
import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { SETTINGS_PATH } from "../appliance/network.ts";
import type { ApplianceSettings } from "../appliance/settings/schema.ts";
import { parseSettings } from "../appliance/settings.ts";
import { endSoon, toldBySignals } from "../ending.ts";
import type { Log } from "./log.ts";

/** What was written last has so long to leave. */
const LAST_BYTES_MS = 1_000;

export interface OptionalService<Option extends string> {
	/** As `drover NAME` and its section of appliance.toml are called. */
	readonly name: string;
	readonly about: string;
	/** Beside --config: each with what holds without it, and its line of help. */
	readonly options: Readonly<Record<Option, { readonly otherwise: string; readonly about: string }>>;
	/** Null when it is switched on; else what the section lacks. */
	readonly lacks: (settings: ApplianceSettings) => string | null;
	/** Resolves with the exit status once the service has ended. */
	readonly run: (
		settings: ApplianceSettings,
		values: Readonly<Record<Option | "config", string>>,
	) => Promise<number>;
}

/** Runs `drover NAME WORDS…`; resolves with the exit status. */
export async function runOptionalService<Option extends string>(
	{ name, about, options, lacks, run }: OptionalService<Option>,
	words: readonly string[],
): Promise<number> {
	const all = {
		config: { otherwise: SETTINGS_PATH, about: "the appliance's settings" },
		...options,
	} as Readonly<Record<Option | "config", { readonly otherwise: string; readonly about: string }>>;
	const names = Object.keys(all) as (Option | "config")[];
	const { values } = parseArgs({
		args: [...words],
		options: {
			help: { type: "boolean", short: "h" },
			...Object.fromEntries(names.map((each) => [each, { type: "string" as const }])),
		},
	});
	if (values.help === true) {
		const lines = names.map(
			(each) => `  ${`--${each} PATH`.padEnd(18)} ${all[each].about} (${all[each].otherwise})`,
		);
		console.log(`usage: drover ${name} [OPTIONS]\n\n${about}\n\n${lines.join("\n")}`);
		return 0;
	}
	const given = values as Readonly<Record<string, string | undefined>>;
	const paths = Object.fromEntries(names.map((each) => [each, given[each] ?? all[each].otherwise])) as Record<
		Option | "config",
		string
	>;
	let settings: ApplianceSettings;
	try {
		const text = existsSync(paths.config) ? readFileSync(paths.config, "utf8") : "";
		settings = parseSettings(text, paths.config);
	} catch (error) {
		console.error(error instanceof Error ? error.message : error);
		return 1;
	}
	const missing = lacks(settings);
	if (missing !== null) {
		console.error(
			`drover ${name}: not switched on: set ${missing} in the [${name}] section of appliance.toml`,
		);
		return 0;
	}
	return endSoon(await run(settings, paths), LAST_BYTES_MS);
}

/** Resolves when the process is told to end. */
export async function toldToEnd(log: Log): Promise<void> {
	const ending = toldBySignals(log);
	await ending.asked;
	ending.waitsFor = "what was being sent";
}
