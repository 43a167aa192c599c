/** Item 10: who gets in, and what goes out: password, SSH, SNMP, syslog, NTP. Pure. */
import { editSettings } from "./configuration.ts";
import type { Dialogue } from "./dialogue.ts";
import { run } from "./dialogue.ts";
import { password } from "./password.ts";
import { submenu } from "./submenu.ts";

export function accessMenu(): Dialogue {
	return submenu("access", "Access", [
		{ label: "Password", command: "password", dialogue: password },
		{
			label: "What is set: SSH, SNMP, syslog, NTP",
			command: "access",
			*dialogue() {
				yield* run(["access"]);
			},
		},
		{ label: "Change it (appliance.toml)", command: "config edit", dialogue: editSettings },
	]);
}
