/** Where the log goes besides the box itself. Pure. */

import { SEVERITIES } from "../../appliance/settings/services.ts";
import { fileName, host } from "../../appliance/settings/words.ts";
import { changeByCommand } from "./change.ts";
import { changeSettings, removeSection } from "./change-settings.ts";
import { askFor, type Dialogue, settings } from "./dialogue.ts";
import { oneOf, wholeNumber, word } from "./setting-words.ts";
import { submenu } from "./submenu.ts";

export function syslogMenu(): Dialogue {
	return submenu("syslog", "Syslog", [
		{ label: "Add a receiver", command: "config set syslog.receivers[+]...", dialogue: add },
		{
			label: "Remove a receiver",
			command: "config set --remove syslog.receivers[N]",
			*dialogue() {
				const found = yield* settings();
				if (found !== null)
					yield* removeSection(
						"receiver",
						"syslog.receivers",
						found.syslog.receivers.map((receiver) => `${receiver.host} (${receiver.transport})`),
					);
			},
		},
		{
			label: "How much is sent",
			command: "config set syslog.level=LEVEL",
			*dialogue() {
				const found = yield* settings();
				if (found !== null)
					yield* changeSettings([
						{
							prompt: `Level: ${SEVERITIES.join(", ")}`,
							path: "syslog.level",
							now: found.syslog.level,
							read: oneOf(...SEVERITIES),
						},
					]);
			},
		},
	]);
}

const DEFAULT_PORTS = { udp: "514", tcp: "514", tls: "6514" } as const;

function* add(): Dialogue {
	const name = yield* askFor("Address or name of the receiver", word(host));
	if (name === null) return;
	const transport = yield* askFor("udp, tcp or tls", oneOf("udp", "tcp", "tls"), "udp");
	if (transport === null) return;
	const usual = DEFAULT_PORTS[transport as keyof typeof DEFAULT_PORTS];
	const port = yield* askFor("Port", wholeNumber(1, 65_535), usual);
	if (port === null) return;
	const ca =
		transport === "tls"
			? yield* askFor('Certificates to trust, a PEM file of this revision, or "system"', caFile, "system")
			: "system";
	if (ca === null) return;
	const receiver = "syslog.receivers[+]";
	yield* changeByCommand([
		...["config", "set", `${receiver}.host=${name}`, `${receiver}.transport=${transport}`],
		...(port === usual ? [] : [`${receiver}.port=${port}`]),
		...(ca === "system" ? [] : [`${receiver}.ca=${ca}`]),
	]);
}

const caFile = (text: string) => (text === "system" ? text : word(fileName)(text));
