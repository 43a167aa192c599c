/** `drover ipvs`: the kernel's table, with ipvsadm's words and in ipvsadm's form, or as JSON. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { NoSuchFamily } from "../kernel/genetlink.ts";
import { IpvsClient } from "../kernel/ipvs-client.ts";
import { inNetworkNamespace } from "../kernel/network-namespace.ts";
import { endpointText } from "../wire/ipvs.ts";
import { connectionsText, parseConnections } from "./connections.ts";
import {
	daemonsText,
	destinationRecord,
	type IpvsStateEntry,
	type ListStyle,
	listText,
	saveText,
	sortEntries,
	timeoutsText,
} from "./ipvs-text.ts";

const help = `usage: drover ipvs [OPTION]…

Prints the kernel's table of virtual and real servers, as ipvsadm -Ln does.
      --stats            counters
      --rate             per second
      --thresholds       connection limits
      --persistent-conn  persistent connections
  -c, --connection       the connections
      --timeout          the timeouts
      --daemon           the synchronisation daemons
  -S, --save             what ipvsadm --restore reads
      --json             everything there is, as JSON
  -t, -u, -f, --sctp-service SERVICE  this one only
      --exact            counters in full
      --nosort           in the kernel's order
  -N, --namespace=NAME   of this network namespace
-L, -l, -n and --numeric are accepted; nothing is ever resolved.

examples:
  drover ipvs --rate -t 192.168.80.200:80
      what passes through one virtual server, per second
  drover ipvs --save >table
      for ipvsadm --restore`;

const parse = (words: readonly string[]) =>
	parseArgs({
		args: [...words],
		options: {
			list: { type: "boolean", short: "L" },
			l: { type: "boolean", short: "l" },
			numeric: { type: "boolean", short: "n" },
			stats: { type: "boolean" },
			rate: { type: "boolean" },
			thresholds: { type: "boolean" },
			"persistent-conn": { type: "boolean" },
			connection: { type: "boolean", short: "c" },
			timeout: { type: "boolean" },
			daemon: { type: "boolean" },
			save: { type: "boolean", short: "S" },
			json: { type: "boolean" },
			"tcp-service": { type: "string", short: "t" },
			"udp-service": { type: "string", short: "u" },
			"sctp-service": { type: "string" },
			"fwmark-service": { type: "string", short: "f" },
			ipv6: { type: "boolean", short: "6" },
			exact: { type: "boolean" },
			sort: { type: "boolean" },
			nosort: { type: "boolean" },
			namespace: { type: "string", short: "N" },
			help: { type: "boolean", short: "h" },
		},
	});

type Values = ReturnType<typeof parse>["values"];

export async function main(words: readonly string[]): Promise<number> {
	let values: Values;
	try {
		({ values } = parse(words));
	} catch (error) {
		console.error(`drover ipvs: ${error instanceof Error ? error.message : error}\n\n${help}`);
		return 2;
	}
	if (values.help) {
		console.log(help);
		return 0;
	}
	try {
		const text =
			values.namespace === undefined
				? print(values)
				: inNetworkNamespace(
						values.namespace.includes("/") ? values.namespace : `/run/netns/${values.namespace}`,
						() => print(values),
					);
		await Bun.write(Bun.stdout, text);
		return 0;
	} catch (error) {
		console.error(
			`drover ipvs: ${
				error instanceof NoSuchFamily
					? "the kernel has no IPVS (modprobe ip_vs)"
					: error instanceof Error
						? error.message
						: error
			}`,
		);
		return 1;
	}
}

function print(values: Values): string {
	if (values.connection && !values.json) return connectionsText(readConnections());
	const client = IpvsClient.open();
	try {
		if (values.timeout) return timeoutsText(client.timeouts());
		if (values.daemon) return daemonsText(client.daemons());
		const chosen = chosenService(values);
		const services = client.services().filter(({ key }) => chosen === null || chosen(key));
		if (chosen !== null && services.length === 0) throw new Error("there is no such service");
		const found: IpvsStateEntry[] = services.map((service) => ({
			service,
			destinations: client.destinations(service.key),
		}));
		const entries = values.nosort ? found : sortEntries(found);
		if (values.json)
			return `${JSON.stringify(
				{
					info: client.info,
					timeouts: client.timeouts(),
					daemons: client.daemons(),
					services: entries.map(({ service, destinations }) => ({
						...service,
						destinations: destinations.map(destinationRecord),
					})),
					...(values.connection ? { connections: readConnections() } : {}),
				},
				null,
				2,
			)}\n`;
		if (values.save) return saveText(entries);
		return listText(chosen === null ? client.info : null, entries, {
			style: styleOf(values),
			exact: values.exact ?? false,
		});
	} finally {
		client.close();
	}
}

function styleOf(values: Values): ListStyle {
	if (values.stats) return "stats";
	if (values.rate) return "rate";
	if (values.thresholds) return "thresholds";
	return values["persistent-conn"] ? "persistent" : "connections";
}

/** The thread's own view: /proc/net is the process's, whose first thread may be in another namespace. */
function readConnections() {
	return parseConnections(readFileSync("/proc/thread-self/net/ip_vs_conn", "latin1"));
}

/** What `-t`, `-u`, `-f` and `--sctp-service` ask for; null is everything. */
function chosenService(values: Values): ((key: IpvsStateEntry["service"]["key"]) => boolean) | null {
	const mark = values["fwmark-service"];
	if (mark !== undefined)
		return (key) =>
			key.kind === "fwmark" && key.fwmark === Number(mark) && key.family === (values.ipv6 ? "inet6" : "inet");
	for (const [protocol, place] of [
		["TCP", values["tcp-service"]],
		["UDP", values["udp-service"]],
		["SCTP", values["sctp-service"]],
	] as const)
		if (place !== undefined)
			return (key) => key.kind === "address" && key.protocol === protocol && endpointText(key) === place;
	return null;
}
