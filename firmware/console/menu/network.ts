/** Item 2: the box's own network. Pure. */

import { address, addressWithPrefix, domain, hostLabel } from "../../appliance/settings/words.ts";
import { changeByCommand } from "./change.ts";
import { changeSettings, type Question, removeSection } from "./change-settings.ts";
import { editSettings } from "./configuration.ts";
import { askFor, choose, type Dialogue, facts, run, say, settings } from "./dialogue.ts";
import { portList } from "./port-list.ts";
import { listText, oneOf, wholeNumber, word, words } from "./setting-words.ts";
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
			label: "Addresses of a port",
			command: "config set port[NAME].addresses=...",
			dialogue: addresses,
		},
		{ label: "Name of the box, name servers", command: "config set hostname=...", dialogue: names },
		{ label: "Add a route", command: "config set route[+].to=...", dialogue: addRoute },
		{
			label: "Remove a route",
			command: "config set --remove route[N]",
			*dialogue() {
				const found = yield* settings();
				if (found !== null)
					yield* removeSection(
						"route",
						"route",
						found.route.map(({ to, via }) => `${to} via ${via}`),
					);
			},
		},
		{ label: "Let a port's light blink", command: "ports blink NAME", dialogue: blink },
		{
			label: "Set them again as configured",
			command: "network apply",
			*dialogue() {
				yield* run(["network", "apply"]);
			},
		},
		{ label: "All settings, in an editor", command: "config edit", dialogue: editSettings },
	]);
}

const ETHERNET_MTU = "1500";

function* addresses(): Dialogue {
	const found = yield* settings();
	if (found === null) return;
	const port = yield* pickPort();
	if (port === null) return;
	const set = found.port.find(({ name }) => name === port);
	const path = `port[${port}]`;
	const role = { prompt: "outside (clients) or inside (real servers)", read: oneOf("outside", "inside") };
	const decided: string[] = [];
	// A port that is not in the file yet has no role to leave as it is.
	if (set === undefined) {
		const chosen = yield* askFor(role.prompt, role.read);
		if (chosen === null)
			return yield* say([`${port} is not set up yet: that comes first.`, "Nothing was changed."]);
		decided.push(`${path}.role=${chosen}`);
	}
	const questions: readonly Question[] = [
		...(set === undefined ? [] : [{ ...role, path: `${path}.role`, now: set.role }]),
		{
			prompt: "Addresses, such as 192.0.2.10/24",
			path: `${path}.addresses`,
			now: listText(set?.addresses ?? []),
			read: words(addressWithPrefix),
		},
		{
			prompt: "Default gateways",
			path: `${path}.gateways`,
			now: listText(set?.gateways ?? []),
			read: words(address),
		},
		{
			prompt: "MTU",
			path: `${path}.mtu`,
			now: String(set?.mtu ?? ETHERNET_MTU),
			read: wholeNumber(576, 9_216),
		},
	];
	yield* changeSettings(questions, decided);
}

function* names(): Dialogue {
	const found = yield* settings();
	if (found !== null)
		yield* changeSettings([
			{ prompt: "Name of this box", path: "hostname", now: found.hostname, read: word(hostLabel) },
			{ prompt: "Name servers", path: "dns", now: listText(found.dns), read: words(address) },
			{
				prompt: "Domains that short names are looked for in",
				path: "search",
				now: listText(found.search),
				read: words(domain),
			},
		]);
}

function* addRoute(): Dialogue {
	const to = yield* askFor("To which network, such as 10.1.0.0/16", word(addressWithPrefix));
	if (to === null) return;
	const via = yield* askFor("Through which gateway", word(address));
	if (via !== null) yield* changeByCommand(["config", "set", `route[+].to=${to}`, `route[+].via=${via}`]);
}

const BLINK_SECONDS = "10";

function* blink(): Dialogue {
	const port = yield* pickPort();
	if (port !== null) yield* run(["ports", "blink", port, BLINK_SECONDS]);
}

/** The name of one of the box's ports. */
function* pickPort(): Dialogue<string | null> {
	const { ports } = yield* facts();
	if (ports.length === 0) {
		yield* say(["No network port was found."]);
		return null;
	}
	yield* say(portList(ports));
	return (yield* choose("Which port", ports))?.name ?? null;
}
