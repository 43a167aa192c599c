/**
 * `drover network apply [-f FILE]`: gives the box its name, addresses and routes from appliance.toml.
 * Without the file every port comes up without an address, so that the console can say so.
 * What the current settings came to is left ready for the next start (start-plan.ts).
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type NetworkSettings, networkPlan, networkRemovals } from "./network-plan.ts";
import { physicalPorts } from "./ports.ts";
import { keepRecoveryMark } from "./recovery.ts";
import { applyServices } from "./services.ts";
import { type ApplianceSettings, applianceSchema } from "./settings/schema.ts";
import { parseSettings } from "./settings.ts";
import { APPLIED_FILE, RESOLVER_FILE, startFiles } from "./start-files.ts";
import { START_DIRECTORY, storeStartPlan } from "./start-plan.ts";

export const SETTINGS_PATH = "/data/config/current/appliance.toml";
/** Names the firmware, with a hash of its code. */
const RELEASE_PATH = "/etc/drover-release";

const RUN_DIRECTORY = "/run/drover";
const appliedSchema = applianceSchema.pick({ port: true, route: true });

export async function main(words: readonly string[]): Promise<number> {
	if (words.includes("--help") || words.length === 1 || (words.length === 2 && words[0] !== "-f")) {
		console.log(`usage: drover network apply [-f FILE]\n\nApplies FILE (${SETTINGS_PATH}).`);
		return words.includes("--help") ? 0 : 2;
	}
	const path = words[1] ?? SETTINGS_PATH;
	const text = existsSync(path) ? readFileSync(path, "utf8") : null;
	let settings: ApplianceSettings;
	try {
		settings = text === null ? withoutFile() : parseSettings(text, path);
	} catch (error) {
		// A box that cannot be reached at all is worse than one whose ports are merely up.
		console.error(`drover: ${error instanceof Error ? error.message : String(error)}`);
		return apply(withoutFile());
	}
	const status = await apply(settings);
	if (path === SETTINGS_PATH && text !== null) {
		leaveForNextStart(settings, text);
		keepRecoveryMark();
	}
	return status;
}

/** Every port up, none with an address. */
function withoutFile(): ApplianceSettings {
	return applianceSchema.parse({ port: physicalPorts().map((name) => ({ name, role: "outside" })) });
}

/** A box that cannot keep it starts the long way, as it does after an update. */
function leaveForNextStart(settings: ApplianceSettings, text: string): void {
	// In a lab without an image there is nothing that could start.
	if (!existsSync(RELEASE_PATH)) return;
	const madeBy = readFileSync(RELEASE_PATH, "utf8");
	try {
		storeStartPlan(
			settings,
			new Map([
				[SETTINGS_PATH, text],
				[RELEASE_PATH, madeBy],
			]),
		);
	} catch (error) {
		console.error(`drover: ${START_DIRECTORY}: ${error instanceof Error ? error.message : error}`);
	}
}

async function apply(settings: ApplianceSettings): Promise<number> {
	writeFileSync("/proc/sys/kernel/hostname", settings.hostname);
	const files = startFiles(settings);
	const write = (name: string) => writeFileSync(join(RUN_DIRECTORY, name), files.get(name)!);
	if (existsSync(RUN_DIRECTORY)) write(RESOLVER_FILE);
	const before = readApplied();
	const isWhole = await batch(networkPlan(settings), console.error);
	if (before !== null) await batch(networkRemovals(before, settings), () => {});
	if (existsSync(RUN_DIRECTORY)) {
		write(APPLIED_FILE);
		applyServices(settings, RUN_DIRECTORY);
	}
	return isWhole ? 0 : 1;
}

/** What was set last time, so that it can be taken away again; null after the box's start. */
function readApplied(): NetworkSettings | null {
	try {
		return appliedSchema.parse(JSON.parse(readFileSync(join(RUN_DIRECTORY, APPLIED_FILE), "utf8")));
	} catch {
		return null;
	}
}

/** Runs all lines whatever becomes of each; true when all were taken. */
async function batch(lines: readonly string[], tell: (words: string) => void): Promise<boolean> {
	if (lines.length === 0) return true;
	// -force: one port that is missing must not cost the others.
	const child = Bun.spawn(["ip", "-force", "-batch", "-"], {
		stdin: new TextEncoder().encode(`${lines.join("\n")}\n`),
		stdout: "inherit",
		stderr: "pipe",
	});
	const errors = (await new Response(child.stderr).text()).trim();
	const status = await child.exited;
	for (const line of errors.split("\n").filter((text) => text !== "")) {
		const number = Number(/^Command failed -:(\d+)/.exec(line)?.[1]);
		tell(`drover: ${line}${Number.isNaN(number) ? "" : ` (ip ${lines[number - 1]})`}`);
	}
	return status === 0;
}
