/** Item 2: the box's own network. Pure. */

import { editSettings } from "./configuration.ts";
import type { Dialogue } from "./dialogue.ts";
import { run } from "./dialogue.ts";
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
		{
			label: "Set them again as configured",
			command: "network apply",
			*dialogue() {
				yield* run(["network", "apply"]);
			},
		},
	]);
}
