/** `drover access`: who gets in and what goes out: password, SSH, SNMP, syslog, NTP, as they are set. */
import { existsSync, readFileSync } from "node:fs";
import { SETTINGS_PATH } from "../appliance/network.ts";
import { readPasswordHash } from "../appliance/password-file.ts";
import { recoveryAllowed } from "../appliance/recovery.ts";
import { type ApplianceSettings, applianceSchema } from "../appliance/settings/schema.ts";
import { readSettings } from "../appliance/settings.ts";
import { accessScreen } from "./access-screen.ts";
import type { CommandHelp } from "./command-help.ts";
import { print, runCommand } from "./command-line.ts";
import { UsageError } from "./usage-error.ts";

export const help: CommandHelp = {
	usage: ["access [--json]"],
	about:
		'What is set for the password, SSH, SNMP, syslog and NTP. "drover password" sets the password, appliance.toml the rest ("drover config edit").',
	words: [["--json", "for programs; secrets are left out"]],
	examples: [["access", "who can reach this box, and how"]],
};

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("access", help, words, async () => {
		const odd = words.find((word) => word !== "--json");
		if (odd !== undefined) throw new UsageError(`what is "${odd}"?`);
		const read = existsSync(SETTINGS_PATH) ? readSettings(readFileSync(SETTINGS_PATH, "utf8")) : null;
		const settings: ApplianceSettings = read?.settings ?? applianceSchema.parse({});
		const facts = {
			password: readPasswordHash() === null ? ("none" as const) : ("set" as const),
			file:
				read === null
					? ("none" as const)
					: read.settings === null
						? ("unreadable" as const)
						: ("read" as const),
			ssh: settings.ssh,
			users: settings.user.map(({ name, keys, password_hash }) => ({
				name,
				keys: keys.length,
				password: password_hash !== undefined,
			})),
			snmp: {
				enabled: settings.snmp.enabled,
				address: `${settings.snmp.listen}:${settings.snmp.port}`,
				communities: settings.snmp.communities.length,
				users: settings.snmp.users.map(({ name }) => name),
				sources: settings.snmp.sources,
				receivers: settings.snmp.receivers.map(({ address, port, kind }) => `${address}:${port} (${kind})`),
			},
			syslog: settings.syslog.receivers.map(({ host, transport }) => `${host} (${transport})`),
			ntp: settings.ntp.servers,
			idleMinutes: settings.console.idle_minutes,
			recovery: recoveryAllowed(),
		};
		print(words.includes("--json"), facts, () => accessScreen(facts));
		return 0;
	});
}
