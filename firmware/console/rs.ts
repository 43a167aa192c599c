/** `drover rs`: real servers: list, add, change, drain, maintenance, remove, and why one is in or out. */
import { parseArgs } from "node:util";
import { call } from "../bus/client.ts";
import { editKeepalived } from "../config/revisions/proposal.ts";
import type { VirtualServerStatus } from "../status/director.ts";
import type { TimelineEntry } from "../status/timeline.ts";
import type { CommandHelp } from "./command-help.ts";
import { print, runCommand } from "./command-line.ts";
import { changeConfiguration, commitOptions, commitWords } from "./commit.ts";
import { whyRealServer } from "./explain-screen.ts";
import { directorStatus } from "./servers/drain.ts";
import { addRealServer, changeRealServer, removeRealServer } from "./servers/edit.ts";
import {
	endpointText,
	type FoundRealServer,
	findRealServer,
	findVirtualServer,
	NameError,
	shortName,
} from "./servers/name.ts";
import { realServerList } from "./servers/screen.ts";
import { check, endpoint, newRealServer, WEIGHT_LIMIT, whole } from "./servers/words.ts";
import { UsageError } from "./usage-error.ts";
import { overrideAndWatch } from "./vs.ts";

export const help: CommandHelp = {
	usage: [
		"rs list [VIRTUAL] [--json]",
		"rs why REAL [VIRTUAL] [--count N] [--json]",
		"rs drain|maintenance|undo REAL [VIRTUAL] [--wait SECONDS]",
		"rs add REAL VIRTUAL [--weight N] [--check C]",
		"rs change REAL VIRTUAL --weight N",
		"rs remove REAL VIRTUAL",
	],
	about:
		"Real servers. REAL is ADDRESS:PORT, or an address alone for all its ports; without VIRTUAL it is meant wherever it stands. add, change and remove show their plan, ask, and are taken back by themselves unless confirmed.",
	words: [
		["--weight N", `0 to ${WEIGHT_LIMIT} (1)`],
		["--check C", "tcp (default), http:/PATH or none"],
		["--count N", "why: how many entries of its story (40)"],
		["--wait SECONDS", "drain: how long to wait for the last connection (3600)"],
		...commitWords,
		["--json", "for programs"],
	],
	examples: [
		["rs why 10.0.0.4", "what its checks said when, and which rule took it out"],
		["rs drain 10.0.0.4:80", "no new connections; waits for the last one"],
		["rs add 10.0.0.6:80 10.0.0.1:80 --weight 3 --check http:/health", "one more real server"],
	],
};

const options = {
	json: { type: "boolean" },
	weight: { type: "string" },
	check: { type: "string" },
	count: { type: "string" },
	wait: { type: "string" },
	...commitOptions,
} as const;

const WHY_COUNT = 40;
const WHY_COUNT_LIMIT = 1_000;

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("rs", help, words, async () => {
		const { values, positionals } = parseArgs({ args: [...words], options, allowPositionals: true });
		const [action = "list", real, virtual, ...rest] = positionals;
		if (rest.length > 0) throw new UsageError(`what is "${rest[0]}"?`);
		switch (action) {
			case "list": {
				if (virtual !== undefined) throw new UsageError(`what is "${virtual}"?`);
				const { virtualServers } = await directorStatus();
				const shown = real === undefined ? virtualServers : [findVirtualServer(virtualServers, real)];
				print(values.json ?? false, shown, () =>
					shown.length === 0
						? ["No virtual server is configured."]
						: shown.flatMap((server) => [shortName(server.name), ...realServerList(server)]),
				);
				return 0;
			}
			case "why":
				return why(real, virtual, values);
			case "drain":
			case "maintenance":
			case "undo": {
				const { found } = await named(real, virtual);
				const targets = found.flatMap(({ virtualServer, places }) =>
					places.map((place) => ({
						virtualServer: virtualServer.name,
						realServer: virtualServer.realServers[place]!,
					})),
				);
				return overrideAndWatch(action, targets, values.wait);
			}
			case "add": {
				const server = newRealServer(
					endpointText(endpoint(real, "real server")),
					check(values.check ?? "tcp"),
				);
				const weight = whole(values.weight ?? "1", 0, WEIGHT_LIMIT, "--weight");
				const of = await namedVirtual(virtual);
				return changeConfiguration(
					`rs add ${endpointText(server)} ${shortName(of.name)}`,
					values,
					editKeepalived((document) => addRealServer(document, of.name, { ...server, weight })),
				);
			}
			case "change":
			case "remove": {
				const place = endpoint(real, "real server");
				const of = await namedVirtual(virtual);
				if (action === "remove")
					return changeConfiguration(
						`rs remove ${endpointText(place)} ${shortName(of.name)}`,
						values,
						editKeepalived((document) => removeRealServer(document, of.name, place)),
					);
				if (values.weight === undefined) throw new UsageError("say what to change: --weight N");
				const weight = whole(values.weight, 0, WEIGHT_LIMIT, "--weight");
				return changeConfiguration(
					`rs change ${endpointText(place)} ${shortName(of.name)}`,
					values,
					editKeepalived((document) => changeRealServer(document, of.name, place, weight)),
				);
			}
			default:
				throw new UsageError(
					`there is no "${action}": list, why, drain, maintenance, undo, add, change, remove`,
				);
		}
	});
}

async function why(
	real: string | undefined,
	virtual: string | undefined,
	values: { readonly json?: boolean | undefined; readonly count?: string | undefined },
): Promise<number> {
	const count = whole(values.count ?? String(WHY_COUNT), 1, WHY_COUNT_LIMIT, "--count");
	const { found, ipvsError } = await named(real, virtual);
	const stories = await Promise.all(
		found.flatMap(({ virtualServer, places }) =>
			places.map(async (place) => {
				const server = virtualServer.realServers[place]!;
				const timeline = await call<readonly TimelineEntry[]>("director", "timeline", {
					realServer: endpointText(server),
					virtualServer: virtualServer.name,
					count,
				});
				const { name, onSorryServer } = virtualServer;
				return { virtualServer: name, onSorryServer, ipvsError, realServer: server, timeline };
			}),
		),
	);
	print(values.json ?? false, stories, () => stories.flatMap((story) => whyRealServer(story, Date.now())));
	return 0;
}

async function named(
	real: string | undefined,
	virtual: string | undefined,
): Promise<{ readonly found: readonly FoundRealServer[]; readonly ipvsError: string | null }> {
	if (real === undefined) throw new UsageError("say which real server: drover rs list");
	const { virtualServers, ipvsError } = await directorStatus();
	if (virtual === undefined) return { found: findRealServer(virtualServers, real), ipvsError };
	const of: VirtualServerStatus = findVirtualServer(virtualServers, virtual);
	try {
		return { found: findRealServer([of], real), ipvsError };
	} catch (error) {
		if (error instanceof NameError) throw new NameError(`${shortName(of.name)}: ${error.message}`);
		throw error;
	}
}

async function namedVirtual(name: string | undefined): Promise<VirtualServerStatus> {
	if (name === undefined) throw new UsageError("say of which virtual server: drover vs list");
	return findVirtualServer((await directorStatus()).virtualServers, name);
}
