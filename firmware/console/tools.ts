/** `drover tools`: ping, traceroute, who else has our addresses, are the real servers right, packets. */
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readPorts } from "../appliance/ports.ts";
import { StickError, withStick } from "../appliance/usb-stick.ts";
import { call } from "../bus/client.ts";
import { configDirectory } from "../config/revisions/workspace.ts";
import type { DirectorStatus } from "../status/director.ts";
import type { VrrpStatus } from "../status/vrrp.ts";
import { pcapHeader, pcapRecord } from "../wire/pcap.ts";
import type { CommandHelp } from "./command-help.ts";
import { print, runCommand } from "./command-line.ts";
import { NameError } from "./servers/name.ts";
import { whole } from "./servers/words.ts";
import { parseFilter } from "./tools/packet.ts";
import { pingFacts, traceFacts } from "./tools/reach.ts";
import { UsageError } from "./usage-error.ts";
import { wrap } from "./wrap.ts";

export const help: CommandHelp = {
	usage: [
		"tools ping HOST [--count N] [--json]",
		"tools traceroute HOST [--json]",
		"tools conflicts [--json]",
		"tools verify [--json]",
		"tools capture PORT [--filter EXPRESSION] [--count N] [--seconds N] [--usb]",
	],
	about: "Looks at the network from this box.",
	words: [
		["conflicts", "asks with ARP and neighbour discovery who else has an address of this box"],
		["verify", "asks every real server once whether it is set up right"],
		["capture", "shows packets, or writes them to a USB stick"],
		["--filter EXPRESSION", "host A, port N, tcp, udp, icmp, arp, vrrp ..., joined by and, with not"],
		["--count N", "ping: 5; capture: 50 packets on the screen, 100000 to USB"],
		["--seconds N", "capture: ends after so long (60)"],
		["--json", "all but capture: for programs, once it has ended"],
	],
	examples: [
		["tools ping 10.0.0.4", "five times, a line each"],
		["tools conflicts", "finds the second box that has the virtual address"],
		['tools capture eth0 --filter "vrrp" --count 5', "the next five adverts"],
	],
};

const options = {
	json: { type: "boolean" },
	count: { type: "string" },
	seconds: { type: "string" },
	filter: { type: "string" },
	usb: { type: "boolean" },
} as const;

const PING_COUNT = 5;
const PING_COUNT_LIMIT = 1_000;
const TRACE_HOPS = 20;
const CAPTURE_SCREEN_COUNT = 50;
const CAPTURE_FILE_COUNT = 100_000;
const CAPTURE_COUNT_LIMIT = 1_000_000;
const CAPTURE_LIMIT_BYTES = 512 * 1024 * 1024;
const CAPTURE_SECONDS = 60;
const CAPTURE_SECONDS_LIMIT = 3_600;

type Values = ReturnType<typeof parse>["values"];
const parse = (words: readonly string[]) => parseArgs({ args: [...words], options, allowPositionals: true });

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("tools", help, words, async () => {
		const { values, positionals } = parse(words);
		const [action, subject, ...rest] = positionals;
		if (rest.length > 0) throw new UsageError(`what is "${rest[0]}"?`);
		switch (action) {
			case "ping": {
				const count = whole(values.count ?? String(PING_COUNT), 1, PING_COUNT_LIMIT, "--count");
				const command = ["ping", "-c", String(count), "-W", "2", host(subject)];
				return values.json ? told(command, pingFacts) : run(command);
			}
			case "traceroute": {
				const command = ["traceroute", "-w", "2", "-q", "1", "-m", String(TRACE_HOPS), host(subject)];
				return values.json ? told(command, (text) => ({ hops: traceFacts(text) })) : run(command);
			}
			case "conflicts":
				return conflicts(values.json ?? false);
			case "verify":
				return verify(values.json ?? false);
			case "capture":
				return capture(subject, values);
			default:
				throw new UsageError(
					action === undefined
						? "say what: ping, traceroute, conflicts, verify, capture"
						: `there is no "${action}": ping, traceroute, conflicts, verify, capture`,
				);
		}
	});
}

/** An address or a name; nothing that a program could take for an option. */
function host(text: string | undefined): string {
	if (text === undefined) throw new UsageError("say which host");
	if (isIP(text) === 0 && !/^[A-Za-z0-9]([A-Za-z0-9.-]{0,252})$/.test(text))
		throw new UsageError(`"${text}" is neither an address nor a name`);
	return text;
}

async function run(command: readonly string[]): Promise<number> {
	const child = Bun.spawn([...command], { stdin: "ignore", stdout: "inherit", stderr: "inherit" });
	return child.exited;
}

/** What `facts` makes of the command's output once it has ended, as JSON. What it complains of is shown as it is. */
async function told(command: readonly string[], facts: (text: string) => unknown): Promise<number> {
	const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
	const text = await new Response(child.stdout).text();
	const status = await child.exited;
	print(true, facts(text), () => []);
	return status;
}

async function conflicts(json: boolean): Promise<number> {
	const ask = <Status>(service: string) => call<Status>(service, "status").catch(() => null);
	const [vrrp, director] = await Promise.all([ask<VrrpStatus>("vrrp"), ask<DirectorStatus>("director")]);
	const bare = (cidr: string) => cidr.split("/")[0]!;
	const addresses = new Set([
		...readPorts().flatMap((port) => port.addresses.map(bare)),
		...(vrrp?.instances ?? []).flatMap((instance) => instance.virtualAddresses.map(bare)),
	]);
	const realServers = new Set(
		(director?.virtualServers ?? []).flatMap((server) => server.realServers.map(({ address }) => address)),
	);
	if (!json) console.log(`Asking who has ${[...addresses].join(" ")} (5 s)`);
	const { scanConflicts } = await import("./tools/conflicts.ts");
	const found = await scanConflicts(addresses, realServers);
	print(json, { addresses: [...addresses], conflicts: found }, () =>
		found.length === 0
			? [
					`Nobody else has ${addresses.size === 1 ? "this address" : `one of these ${addresses.size} addresses`}.`,
				]
			: found.flatMap(({ detail, interface: name }) => wrap(`${name}: ${detail}`, "! ", "  ")),
	);
	return found.length === 0 ? 0 : 1;
}

async function verify(json: boolean): Promise<number> {
	const file = join(configDirectory(), "current/keepalived.conf");
	if (!existsSync(file)) throw new NameError("there is no configuration yet, so there are no real servers");
	const { main: realserver } = await import("../health/realserver.ts");
	return realserver(["verify", file, ...(json ? ["--json"] : [])]);
}

async function capture(port: string | undefined, values: Values): Promise<number> {
	const ports = readPorts().map(({ name }) => name);
	if (port === undefined) throw new UsageError(`say which port: ${ports.join(", ")}`);
	if (!ports.includes(port))
		throw new NameError(`there is no port "${port}"; there are ${ports.join(", ") || "none"}`);
	const seconds = whole(values.seconds ?? String(CAPTURE_SECONDS), 1, CAPTURE_SECONDS_LIMIT, "--seconds");
	const most = values.usb ? CAPTURE_FILE_COUNT : CAPTURE_SCREEN_COUNT;
	const count = whole(values.count ?? String(most), 1, CAPTURE_COUNT_LIMIT, "--count");
	const filter = parseFilter(values.filter ?? "");
	const limits = { count, seconds, bytes: CAPTURE_LIMIT_BYTES };
	const { capture: listen } = await import("./tools/capture.ts");
	if (!values.usb) {
		const seen = await listen(port, filter, limits, (_frame, { text }, atMs) =>
			console.log(wrap(text, `${new Date(atMs).toISOString().slice(11, 23)}  `, " ".repeat(14)).join("\n")),
		);
		console.log(`${seen} ${seen === 1 ? "packet" : "packets"}.`);
		return 0;
	}
	try {
		const packets = await withStick("write", async (folder) => {
			const name = `capture-${port}-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}.pcap`;
			const file = openSync(join(folder, name), "w");
			let seen: number;
			try {
				writeSync(file, pcapHeader());
				console.log(`Writing to ${name}, ${seconds} s at most.`);
				seen = await listen(port, filter, limits, (frame, _sight, atMs) => {
					writeSync(file, pcapRecord(frame, atMs * 1_000));
				});
			} finally {
				closeSync(file);
			}
			return `${seen} ${seen === 1 ? "packet is" : "packets are"}`;
		});
		console.log(`${packets} on the stick, which can be pulled out now.`);
		return 0;
	} catch (error) {
		if (error instanceof StickError) throw new NameError(error.message);
		throw error;
	}
}
