/**
 * Services that appliance.toml switches on. Each that is wanted has a mark in /run/drover/wanted, which its run
 * script looks for; the mark holds what it runs with, so that a commit restarts what changed and nothing else.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ntpConfiguration } from "./ntp-configuration.ts";
import type { ApplianceSettings } from "./settings/schema.ts";
import { NTP_FILE } from "./start-files.ts";
import { wantedServices } from "./wanted-services.ts";

/** Writes the marks, and tells the supervisors of what changed; before they run there is nobody to tell. */
export function applyServices(settings: ApplianceSettings, runDirectory: string): void {
	const directory = join(runDirectory, "wanted");
	mkdirSync(directory, { recursive: true });
	if (settings.ntp.servers.length > 0)
		writeFileSync(join(runDirectory, NTP_FILE), ntpConfiguration(settings.ntp.servers));
	for (const [name, now] of Object.entries(wantedServices(settings))) {
		const mark = join(directory, name);
		const before = existsSync(mark) ? readFileSync(mark, "utf8") : null;
		if (before === now) continue;
		// It holds passwords of SNMP users.
		if (now === null) rmSync(mark);
		else writeFileSync(mark, now, { mode: 0o600 });
		const service = `/run/sv/${name}`;
		if (!existsSync(join(service, "supervise/ok"))) continue;
		Bun.spawnSync(["sv", now === null ? "down" : before === null ? "up" : "restart", service]);
	}
}
