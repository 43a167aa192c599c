/** The box's own network as an operator reads it: name, ports, routes, name servers. Pure. */
import type { Port } from "../status/port.ts";
import { cut, wrap } from "./wrap.ts";

export interface NetworkFacts {
	readonly hostname: string;
	readonly ports: readonly (Port & { readonly role: "outside" | "inside" | null })[];
	/** As ip(8) prints them, both families. */
	readonly routes: readonly string[];
	readonly nameServers: readonly string[];
	/** Whether the addresses come from an appliance.toml. */
	readonly settings: "set" | "none";
}

const ROUTES_SHOWN = 16;

export function networkScreen(facts: NetworkFacts): string[] {
	const rest = facts.routes.length - ROUTES_SHOWN;
	return [
		`Host name     ${facts.hostname}`,
		...wrap(facts.nameServers.join(" ") || "none", "Name servers  ", " ".repeat(14)),
		...(facts.settings === "none" ? ["Addresses     not set: there is no appliance.toml yet"] : []),
		"",
		...(facts.ports.length === 0 ? ["No network port was found."] : facts.ports.flatMap(portLines)),
		"",
		"Routes",
		...(facts.routes.length === 0 ? ["  none"] : []),
		...facts.routes.slice(0, ROUTES_SHOWN).flatMap((route) => wrap(route, "  ", "      ")),
		...(rest > 0 ? [`  and ${rest} more`] : []),
	];
}

export function linkWords(port: Port): string {
	if (!port.enabled) return "off";
	if (!port.carrier) return "NO LINK";
	return port.speedMegabits === null ? "link" : `${port.speedMegabits} Mb/s`;
}

function portLines(port: NetworkFacts["ports"][number]): string[] {
	const head = `${cut(port.name, 15).padEnd(8)} ${(port.role ?? "-").padEnd(8)} ${linkWords(port).padEnd(11)} ${port.macAddress}  `;
	const addresses = port.addresses.length > 0 ? port.addresses.join(" ") : "no address";
	return wrap(addresses, head, " ".repeat(head.length));
}
