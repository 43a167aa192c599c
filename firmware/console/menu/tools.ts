/** Item 8: looks at the network. Pure. */
import { parseFilter } from "../tools/packet.ts";
import { UsageError } from "../usage-error.ts";
import { askFor, choose, type Dialogue, facts, run, say } from "./dialogue.ts";
import { portList } from "./port-list.ts";
import { submenu } from "./submenu.ts";

export function toolMenu(): Dialogue {
	return submenu("tools", "Tools", [
		{ label: "Ping", command: "tools ping HOST", dialogue: () => withHost("ping") },
		{ label: "Traceroute", command: "tools traceroute HOST", dialogue: () => withHost("traceroute") },
		{ label: "Who else has our addresses?", command: "tools conflicts", dialogue: () => once("conflicts") },
		{ label: "Are real servers set up right?", command: "tools verify", dialogue: () => once("verify") },
		{ label: "Packets on the screen", command: "tools capture PORT", dialogue: () => capture(false) },
		{ label: "Packets to a USB stick", command: "tools capture PORT --usb", dialogue: () => capture(true) },
		{
			label: "The kernel's own table",
			command: "ipvs",
			*dialogue() {
				yield* run(["ipvs"]);
			},
		},
	]);
}

function* once(word: string): Dialogue {
	yield* run(["tools", word]);
}

function* withHost(word: string): Dialogue {
	const host = yield* askFor("Host", (text) => {
		if (!/^[A-Za-z0-9:][A-Za-z0-9:.-]*$/.test(text)) throw new UsageError("an address or a name");
		return text;
	});
	if (host !== null) yield* run(["tools", word, host]);
}

function* capture(toUsb: boolean): Dialogue {
	const { ports } = yield* facts();
	if (ports.length === 0) return yield* say(["No network port was found."]);
	yield* say(portList(ports));
	const port = yield* choose("Which port", ports);
	if (port === null) return;
	const filter = yield* askFor(
		"Filter, such as host 10.0.0.4 and port 80 (- for all)",
		(text) => {
			const words = text === "-" ? "" : text;
			parseFilter(words);
			return words;
		},
		"-",
	);
	if (filter === null) return;
	const seconds = yield* askFor(
		"For how many seconds at most",
		(text) => {
			if (!/^\d{1,4}$/.test(text) || Number(text) < 1 || Number(text) > 3_600)
				throw new UsageError("1 to 3600 seconds");
			return text;
		},
		"20",
	);
	if (seconds === null) return;
	yield* run([
		"tools",
		"capture",
		port.name,
		...["--seconds", seconds],
		...(filter === "" ? [] : ["--filter", filter]),
		...(toUsb ? ["--usb"] : []),
	]);
}
