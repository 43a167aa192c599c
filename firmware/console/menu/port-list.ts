/** The ports, numbered, to choose one. Pure. */
import type { Port } from "../../status/port.ts";
import { linkWords } from "../network-screen.ts";
import { wrap } from "../wrap.ts";

export function portList(ports: readonly Port[]): string[] {
	return ports.flatMap((port, index) =>
		wrap(
			[linkWords(port), port.macAddress, ...port.addresses].join(" "),
			`${String(index + 1).padStart(2)} ${port.name.slice(0, 15)} `,
			"     ",
		),
	);
}
