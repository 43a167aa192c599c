/**
 * The model holds what keepalived would run: its own dump of each instance, read off the real
 * program in a namespace that has the interfaces the file names, beside Drover's model of the file.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../../firmware/config/keepalived/load.ts";
import type { DroverConfig, VrrpInstanceConfig } from "../../../firmware/config/model.ts";

const corpus = join(import.meta.dir, "../../../../shared/corpus/keepalived");
const directory = mkdtempSync(join(tmpdir(), "drover-config-model-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Files that keepalived does not get to its dump with, and why. */
const withoutDump: Readonly<Record<string, string>> = {
	"01.conf": "its VRRP process crashes",
	"02.conf": "names a network namespace that is not there",
	"03.conf": "names a network namespace that is not there",
	"09.conf": "a word is missing: keepalived stops",
	"46.conf": "asks for IPVS synchronisation, which a namespace without IPVS refuses",
	"59.conf": "a template: keepalived loses the addresses behind its stray braces, and stops without them",
	"60.conf": "its VRRP process crashes",
};
/** Instances that the two programs do not share, and why. */
const notShared: Readonly<Record<string, string>> = {
	"56.conf VI_1": "its interface is the text $IF, which nobody defines: the dump has the VMAC's name instead",
};

/** What both sides say of an instance, in the dump's words. */
interface Facts {
	readonly version: string;
	readonly interface: string;
	readonly virtualRouterId: string;
	readonly priority: string;
	readonly advertIntervalMs: number;
	readonly preempt: string;
	readonly accept: string;
	readonly garpDelay: string;
	readonly garpRepeat: string;
	readonly garpRefresh: string;
	readonly addresses: number;
	readonly excluded: number;
	readonly authentication: string;
	readonly peers: number;
}

function dumped(text: string): Map<string, Facts> {
	// Its other processes log in its midst.
	const topology = text
		.slice(text.indexOf("VRRP Topology"), text.indexOf("------< Interfaces"))
		.split("\n")
		.filter((line) => line.startsWith(" "))
		.join("\n");
	const facts = new Map<string, Facts>();
	for (const part of topology.split(/^ VRRP Instance = /m).slice(1)) {
		const field = (name: string) => new RegExp(`^ +${name} = (.*)$`, "m").exec(part)?.[1] ?? "";
		const count = (title: string) =>
			Number(new RegExp(`^ +${title} \\((\\d+)\\):`, "m").exec(part)?.[1] ?? 0);
		const lines = (title: string) => {
			const at = part.search(new RegExp(`^   ${title} ?:$`, "m"));
			return at < 0
				? 0
				: part
						.slice(at)
						.split("\n")
						.slice(1)
						.findIndex((line) => !line.startsWith("     "));
		};
		const interval = /^(\d+) (milli-)?sec/.exec(field("Advert interval"))!;
		facts.set(part.split("\n", 1)[0]!, {
			version: field("VRRP Version"),
			// `vrrp.51, vmac on eth0`: the model names the interface that the file names.
			interface: field("Interface").replace(/^.* on /, ""),
			virtualRouterId: field("Virtual Router ID"),
			priority: field("Priority"),
			advertIntervalMs: Number(interval[1]) * (interval[2] === undefined ? 1000 : 1),
			preempt: field("Preempt").split(",")[0]!,
			accept: field("Accept"),
			garpDelay: field("Gratuitous ARP delay"),
			garpRepeat: field("Gratuitous ARP repeat"),
			garpRefresh: field("Gratuitous ARP refresh"),
			addresses: count("Virtual IP"),
			excluded: lines("Virtual IP Excluded"),
			authentication: /SIMPLE_PASSWORD/.test(field("Authentication type"))
				? "PASS"
				: /AH/.test(field("Authentication type"))
					? "AH"
					: "none",
			peers: lines("Unicast Peer"),
		});
	}
	return facts;
}

function modelled(instance: VrrpInstanceConfig): Facts {
	return {
		version: String(instance.version),
		interface: instance.interface ?? "",
		virtualRouterId: String(instance.virtualRouterId),
		priority: String(instance.priority),
		advertIntervalMs: instance.advertIntervalMicros / 1000,
		preempt: instance.preempt ? "enabled" : "disabled",
		accept: instance.accept ? "enabled" : "disabled",
		garpDelay: String(instance.garp.delayMs / 1000),
		garpRepeat: String(instance.garp.repeat),
		garpRefresh: String(instance.garp.refreshMs / 1000),
		addresses: instance.virtualAddresses.length,
		excluded: instance.excludedAddresses.length,
		authentication: instance.authentication?.type ?? "none",
		peers: instance.unicastPeers.length,
	};
}

/** Interfaces that a configuration names. */
function interfaces(config: DroverConfig): string[] {
	const names = new Set<string>();
	for (const instance of config.vrrpInstances) {
		if (instance.interface !== null) names.add(instance.interface);
		for (const address of [...instance.virtualAddresses, ...instance.excludedAddresses])
			if (address.interface !== null) names.add(address.interface);
		for (const tracked of instance.trackInterfaces) names.add(tracked.name);
		for (const route of [...instance.virtualRoutes, ...instance.virtualRules])
			if (route.interface !== null) names.add(route.interface);
	}
	for (const group of config.syncGroups) for (const tracked of group.trackInterfaces) names.add(tracked.name);
	for (const item of [...config.staticAddresses, ...config.staticRoutes, ...config.staticRules])
		if (item.interface !== null) names.add(item.interface);
	return [...names].filter((name) => /^[A-Za-z0-9_.@-]{1,15}$/.test(name) && name !== "lo");
}

/** keepalived's dump of a file, from a namespace with these interfaces; the program is ended when the dump is through. */
async function dumpOf(path: string, names: readonly string[], index: string): Promise<string> {
	const links = names.flatMap((name, number) => [
		`ip link add '${name}' type veth peer name drvpeer${number}`,
		`ip link set drvpeer${number} up`,
		`ip addr add 10.254.${number}.1/24 dev '${name}'`,
		`ip link set '${name}' up`,
	]);
	const pids = join(directory, index);
	const command = [
		"ip link set lo up",
		...links,
		`exec keepalived -P -n -l -G -d -f '${path}' -p ${pids}.pid -r ${pids}.vrrp.pid`,
	].join("\n");
	const child = Bun.spawn(["unshare", "-n", "sh", "-c", command], {
		cwd: corpus,
		stdin: "ignore",
		stdout: "pipe",
		stderr: "pipe",
	});
	const deadline = setTimeout(() => child.kill("SIGKILL"), 20_000);
	// Each by itself: what comes of one may end in the midst of a line.
	const read = async (stream: ReadableStream<Uint8Array>): Promise<string> => {
		const decoder = new TextDecoder();
		let text = "";
		for await (const chunk of stream) {
			text += decoder.decode(chunk, { stream: true });
			if (text.includes("------< Interfaces")) child.kill("SIGTERM");
		}
		return text;
	};
	const texts = await Promise.all([read(child.stdout), read(child.stderr)]);
	await child.exited;
	clearTimeout(deadline);
	return texts.join("\n").replace(/^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]+ \d{4}: /gm, "");
}

const names = readdirSync(corpus)
	.filter((name) => name.endsWith(".conf"))
	.sort()
	.filter((name) => withoutDump[name] === undefined)
	.filter((name) => {
		const { config } = loadConfig(join(corpus, name), { configId: hostname() });
		return config.vrrpInstances.length > 0;
	});

const dumps = new Map<string, string>();

beforeAll(async () => {
	const queue = [...names];
	// Each mostly waits for links and for its own end.
	const worker = async () => {
		for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
			const path = join(corpus, name);
			const { config } = loadConfig(path, { configId: hostname() });
			dumps.set(name, await dumpOf(path, interfaces(config), name));
		}
	};
	await Promise.all(Array.from({ length: 3 }, worker));
}, 300_000);

describe("what keepalived says it runs", () => {
	test.each(names)("%s", (name) => {
		const { config } = loadConfig(join(corpus, name), { configId: hostname() });
		const theirs = dumped(dumps.get(name)!);
		const ours = new Map(config.vrrpInstances.map((instance) => [instance.name, modelled(instance)]));
		const shared = (facts: Map<string, Facts>) =>
			Object.fromEntries(
				[...facts].filter(([instance]) => notShared[`${name} ${instance}`] === undefined).sort(),
			);
		expect(shared(ours)).toEqual(shared(theirs));
	});
});
