/** Item 10: who gets in, and what goes out: password, SSH, SNMP, syslog, NTP. Pure. */

import { host, network } from "../../appliance/settings/words.ts";
import { consoleSpeeds, parseConsoleSpeed } from "../../update/console-speed.ts";
import { UsageError } from "../usage-error.ts";
import { changeSettings } from "./change-settings.ts";
import { editSettings } from "./configuration.ts";
import type { Dialogue } from "./dialogue.ts";
import { askFor, run, settings } from "./dialogue.ts";
import { password } from "./password.ts";
import { listText, onOff, switchText, wholeNumber, words } from "./setting-words.ts";
import { snmpMenu } from "./snmp.ts";
import { sshMenu } from "./ssh.ts";
import { submenu } from "./submenu.ts";
import { syslogMenu } from "./syslog.ts";

export function accessMenu(): Dialogue {
	return submenu("access", "Access", [
		{ label: "Password", command: "password", dialogue: password },
		{
			label: "What is set",
			command: "access",
			*dialogue() {
				yield* run(["access"]);
			},
		},
		{ label: "SSH", command: "config set ssh.enabled=on", dialogue: sshMenu },
		{ label: "SNMP", command: "config set snmp.enabled=on", dialogue: snmpMenu },
		{ label: "Syslog", command: "config set syslog...", dialogue: syslogMenu },
		{ label: "NTP", command: "config set ntp.servers=...", dialogue: ntp },
		{ label: "Metrics (HTTP)", command: "config set metrics.enabled=on", dialogue: metrics },
		{ label: "This console", command: "config set console...", dialogue: consoleSettings },
		{ label: "Speed of the serial line", command: "console speed BAUD", dialogue: speed },
		{ label: "All settings, in an editor", command: "config edit", dialogue: editSettings },
	]);
}

function* ntp(): Dialogue {
	const found = yield* settings();
	if (found !== null)
		yield* changeSettings([
			{
				prompt: "Time servers (none: the clock is left alone)",
				path: "ntp.servers",
				now: listText(found.ntp.servers),
				read: words(host),
			},
		]);
}

function* metrics(): Dialogue {
	const found = yield* settings();
	if (found === null) return;
	const { enabled, port, sources } = found.metrics;
	yield* changeSettings([
		{
			prompt: "/metrics and /healthz on the inside: on or off",
			path: "metrics.enabled",
			now: switchText(enabled),
			read: onOff,
		},
		{ prompt: "Port", path: "metrics.port", now: String(port), read: wholeNumber(1, 65_535) },
		{
			prompt: "Which networks may ask (none: all inside)",
			path: "metrics.sources",
			now: listText(sources),
			read: words(network),
		},
	]);
}

function* consoleSettings(): Dialogue {
	const found = yield* settings();
	if (found === null) return;
	const { idle_minutes, password_recovery } = found.console;
	yield* changeSettings([
		{
			prompt: "Logged out after how many idle minutes, or never",
			path: "console.idle_minutes",
			now: idle_minutes === 0 ? "never" : String(idle_minutes),
			read: (text) => (text === "never" ? "0" : wholeNumber(1, 1_440, "or never")(text)),
		},
		{
			prompt: "The loader's entry may set a new password",
			path: "console.password_recovery",
			now: switchText(password_recovery),
			read: onOff,
		},
	]);
}

function* speed(): Dialogue {
	if ((yield* run(["console", "speed"])) !== 0) return;
	const chosen = yield* askFor(`Which speed: ${consoleSpeeds.join(", ")}`, (text) => {
		const baud = parseConsoleSpeed(text);
		if (baud === null) throw new UsageError(`"${text.slice(0, 20)}" is none of them`);
		return String(baud);
	});
	if (chosen !== null) yield* run(["console", "speed", chosen]);
}
