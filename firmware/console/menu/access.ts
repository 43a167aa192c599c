/** Item 10: who gets in, and what goes out: password, SSH, SNMP, syslog, NTP. Pure. */

import { consoleSpeeds, parseConsoleSpeed } from "../../update/console-speed.ts";
import { UsageError } from "../usage-error.ts";
import { editSettings } from "./configuration.ts";
import type { Dialogue } from "./dialogue.ts";
import { askFor, run } from "./dialogue.ts";
import { password } from "./password.ts";
import { submenu } from "./submenu.ts";

function* speed(): Dialogue {
	if ((yield* run(["console", "speed"])) !== 0) return;
	const chosen = yield* askFor(`Which speed: ${consoleSpeeds.join(", ")}`, (text) => {
		const baud = parseConsoleSpeed(text);
		if (baud === null) throw new UsageError(`"${text.slice(0, 20)}" is none of them`);
		return String(baud);
	});
	if (chosen !== null) yield* run(["console", "speed", chosen]);
}

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
		{ label: "Speed of the serial line", command: "console speed BAUD", dialogue: speed },
		{ label: "Change it (appliance.toml)", command: "config edit", dialogue: editSettings },
	]);
}
