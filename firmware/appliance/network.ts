/**
 * `drover network apply [-f FILE]`: gives the box its name, addresses and routes from appliance.toml.
 * Without the file every port comes up without an address, so that the console can say so.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type NetworkSettings, networkPlan, networkRemovals } from "./network-plan.ts";
import { physicalPorts } from "./ports.ts";
import { applyServices } from "./services.ts";
import { type ApplianceSettings, applianceSchema, parseSettings } from "./settings.ts";

export const SETTINGS_PATH = "/data/config/current/appliance.toml";

const RUN_DIRECTORY = "/run/drover";
const APPLIED_PATH = `${RUN_DIRECTORY}/network.json`;
const appliedSchema = applianceSchema.pick({ port: true, route: true });

export async function main(words: readonly string[]): Promise<number> {
	if (words.includes("--help") || words.length === 1 || (words.length === 2 && words[0] !== "-f")) {
		console.log(`usage: drover network apply [-f FILE]\n\nApplies FILE (${SETTINGS_PATH}).`);
		return words.includes("--help") ? 0 : 2;
	}
	const path = words[1] ?? SETTINGS_PATH;
	let settings: ApplianceSettings;
	try {
		settings = existsSync(path) ? parseSettings(readFileSync(path, "utf8"), path) : withoutFile();
	} catch (error) {
		// A box that cannot be reached at all is worse than one whose ports are merely up.
		console.error(`drover: ${error instanceof Error ? error.message : String(error)}`);
		settings = withoutFile();
	}
	return apply(settings);
}

/** Every port up, none with an address. */
function withoutFile(): ApplianceSettings {
	return applianceSchema.parse({ port: physicalPorts().map((name) => ({ name, role: "outside" })) });
}

/** resolv.conf(5). */
const resolverLines = ({ dns, search }: ApplianceSettings) =>
	[
		...(search.length > 0 ? [`search ${search.join(" ")}\n`] : []),
		...dns.map((server) => `nameserver ${server}\n`),
	].join("");

async function apply(settings: ApplianceSettings): Promise<number> {
	writeFileSync("/proc/sys/kernel/hostname", settings.hostname);
	if (existsSync(RUN_DIRECTORY)) writeFileSync(`${RUN_DIRECTORY}/resolv.conf`, resolverLines(settings));
	const before = readApplied();
	const isWhole = await batch(networkPlan(settings), console.error);
	if (before !== null) await batch(networkRemovals(before, settings), () => {});
	if (existsSync(RUN_DIRECTORY)) {
		writeFileSync(APPLIED_PATH, JSON.stringify({ port: settings.port, route: settings.route }));
		applyServices(settings, RUN_DIRECTORY);
	}
	return isWhole ? 0 : 1;
}

/** What was set last time, so that it can be taken away again; null after the box's start. */
function readApplied(): NetworkSettings | null {
	try {
		return appliedSchema.parse(JSON.parse(readFileSync(APPLIED_PATH, "utf8")));
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
