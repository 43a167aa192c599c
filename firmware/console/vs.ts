/** `drover vs`: virtual servers: list, add, change, drain, maintenance, remove. */
import { parseArgs } from "node:util";
import { editKeepalived } from "../config/revisions/proposal.ts";
import type { CommandHelp } from "./command-help.ts";
import { print, runCommand } from "./command-line.ts";
import { changeConfiguration, commitOptions, commitWords } from "./commit.ts";
import { directorStatus, type OverrideAction, override, type Target, watchDrain } from "./servers/drain.ts";
import { addVirtualServer, changeVirtualServer, removeVirtualServer } from "./servers/edit.ts";
import { endpointText, findVirtualServer, shortName } from "./servers/name.ts";
import { virtualServerList } from "./servers/screen.ts";
import {
	check,
	endpoint,
	forwarding,
	newRealServer,
	protocol,
	scheduler,
	virtualServerChange,
	whole,
} from "./servers/words.ts";
import { UsageError } from "./usage-error.ts";

export const help: CommandHelp = {
	usage: [
		"vs list [--json]",
		"vs add ADDRESS:PORT [--protocol P] [--scheduler S] [--forward F] [--real R]...",
		"vs change VIRTUAL [--scheduler S] [--forward F] [--persistence SECONDS|off] ...",
		"vs drain|maintenance|undo VIRTUAL [--wait SECONDS]",
		"vs remove VIRTUAL",
	],
	about:
		"Virtual servers. VIRTUAL is ADDRESS:PORT, a group's name, or fwmN. add, change and remove show their plan, ask, and are taken back by themselves unless confirmed.",
	words: [
		["--protocol P", "tcp (default), udp or sctp"],
		["--scheduler S", "rr, wrr, lc, wlc (default), sh, mh, ..."],
		["--forward F", "nat (default), dr or tun"],
		["--real R", "a real server, ADDRESS:PORT or ADDRESS:PORT=WEIGHT; may be repeated"],
		["--check C", "of the real servers: tcp (default), http:/PATH or none"],
		["--persistence SECONDS", "a client stays on its real server for so long; off"],
		["--quorum N", "sum of weights below which the sorry server answers"],
		["--delay-loop SECONDS", "how often each check is made"],
		["--sorry ADDRESS:PORT", "answers while the quorum is lost; off"],
		["--wait SECONDS", "drain: how long to wait for the last connection (3600)"],
		...commitWords,
		["--json", "for programs"],
	],
	examples: [
		["vs list", "what there is, how much of it lives, what passes through it"],
		[
			"vs add 192.168.80.200:443 --forward dr --real 192.168.80.102:443 --real 192.168.80.103:443",
			"a virtual server with two real servers",
		],
		["vs change 192.168.80.200:443 --scheduler wrr", "another scheduler"],
		["vs drain 192.168.80.200:443", "no new connections; waits for the last one"],
	],
};

const options = {
	json: { type: "boolean" },
	protocol: { type: "string" },
	scheduler: { type: "string" },
	forward: { type: "string" },
	real: { type: "string", multiple: true },
	check: { type: "string" },
	persistence: { type: "string" },
	quorum: { type: "string" },
	"delay-loop": { type: "string" },
	sorry: { type: "string" },
	wait: { type: "string" },
	...commitOptions,
} as const;

export const DRAIN_WAIT_SECONDS = 3_600;
const DRAIN_WAIT_LIMIT_SECONDS = 7 * 86_400;
const DEFAULT_DELAY_SECONDS = 6;

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("vs", help, words, async () => {
		const { values, positionals } = parseArgs({ args: [...words], options, allowPositionals: true });
		const [action = "list", name, ...rest] = positionals;
		if (rest.length > 0) throw new UsageError(`what is "${rest[0]}"?`);
		switch (action) {
			case "list": {
				const { virtualServers } = await directorStatus();
				print(values.json ?? false, virtualServers, () => virtualServerList(virtualServers));
				return 0;
			}
			case "add": {
				const place = endpoint(name, "virtual server");
				const asked = check(values.check ?? "tcp");
				const server = {
					...place,
					protocol: protocol(values.protocol ?? "tcp"),
					scheduler: scheduler(values.scheduler ?? "wlc"),
					forwarding: forwarding(values.forward ?? "nat"),
					delaySeconds: whole(
						values["delay-loop"] ?? String(DEFAULT_DELAY_SECONDS),
						1,
						3_600,
						"--delay-loop",
					),
					persistenceSeconds:
						values.persistence === undefined
							? null
							: whole(values.persistence, 1, 2_678_400, "--persistence"),
					realServers: (values.real ?? []).map((text) => newRealServer(text, asked)),
				};
				return changeConfiguration(
					`vs add ${endpointText(place)}`,
					values,
					editKeepalived((document) => addVirtualServer(document, server)),
				);
			}
			case "change": {
				const change = virtualServerChange(values);
				const found = await named(name);
				return changeConfiguration(
					`vs change ${shortName(found.name)}`,
					values,
					editKeepalived((document) => changeVirtualServer(document, found.name, change)),
				);
			}
			case "remove": {
				const found = await named(name);
				return changeConfiguration(
					`vs remove ${shortName(found.name)}`,
					values,
					editKeepalived((document) => removeVirtualServer(document, found.name)),
				);
			}
			case "drain":
			case "maintenance":
			case "undo": {
				const found = await named(name);
				const targets = found.realServers.map((realServer) => ({ virtualServer: found.name, realServer }));
				return overrideAndWatch(action, targets, values.wait);
			}
			default:
				throw new UsageError(`there is no "${action}": list, add, change, drain, maintenance, undo, remove`);
		}
	});
}

async function named(name: string | undefined) {
	if (name === undefined) throw new UsageError("say which virtual server: drover vs list");
	return findVirtualServer((await directorStatus()).virtualServers, name);
}

/** Exit status 0 when it is done, 1 when connections are still open after the wait. */
export async function overrideAndWatch(
	action: OverrideAction,
	targets: readonly Target[],
	wait: string | undefined,
): Promise<number> {
	const seconds = whole(wait ?? String(DRAIN_WAIT_SECONDS), 0, DRAIN_WAIT_LIMIT_SECONDS, "--wait");
	await override(action, targets);
	for (const { virtualServer, realServer } of targets)
		console.log(`${endpointText(realServer)} of ${shortName(virtualServer)}: ${said[action]}`);
	if (action !== "drain") return 0;
	// Whoever stops watching stops nothing else.
	process.once("SIGINT", () => {
		console.log(DRAIN_GOES_ON);
		process.exit(130);
	});
	const end = await watchDrain(targets, seconds * 1_000, (line) => console.log(line));
	if (end === "open") console.log(`Connections are still open. ${DRAIN_GOES_ON}`);
	return end === "drained" ? 0 : 1;
}

const DRAIN_GOES_ON = 'The drain goes on; "undo" takes it back.';

const said: Readonly<Record<OverrideAction, string>> = {
	drain: "no new connections",
	maintenance: "out of the table",
	undo: "takes connections again",
};
