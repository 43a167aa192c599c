/** Item 2: the box's own network. Pure. */

import { editSettings } from "./configuration.ts";
import { choose, type Dialogue, facts, run, say } from "./dialogue.ts";
import { portList } from "./port-list.ts";
import { submenu } from "./submenu.ts";

export function networkMenu(): Dialogue {
	return submenu("network", "Network", [
		{
			label: "Ports, addresses, routes",
			command: "network",
			*dialogue() {
				yield* run(["network"]);
			},
		},
		{
			label: "Change them (appliance.toml)",
			command: "config edit",
			dialogue: editSettings,
		},
		{ label: "Let a port's light blink", command: "ports blink NAME", dialogue: blink },
		{
			label: "Set them again as configured",
			command: "network apply",
			*dialogue() {
				yield* run(["network", "apply"]);
			},
		},
	]);
}

const BLINK_SECONDS = "10";

function* blink(): Dialogue {
	const { ports } = yield* facts();
	if (ports.length === 0) return yield* say(["No network port was found."]);
	yield* say(portList(ports));
	const port = yield* choose("Which port", ports);
	if (port !== null) yield* run(["ports", "blink", port.name, BLINK_SECONDS]);
}
