/**
 * The lab that all tests of this folder share: two directors from the image, one configuration with a
 * virtual server for every question, real servers for each way of forwarding. Booted once per test run.
 */
import { join } from "node:path";
import { call, subscribe } from "../../../firmware/bus/client.ts";
import type {
	DirectorStatus,
	RealServerStatus,
	VirtualServerStatus,
} from "../../../firmware/status/director.ts";
import type { VrrpStatus } from "../../../firmware/status/vrrp.ts";
import { build } from "../../../image/build.ts";
import { type Child, Host, plugIn } from "../../../image/lab/hosts.ts";
import { type DirectorName, Lab, presetConfiguration } from "../../../image/lab/lab.ts";
import { labOverlay } from "../../../image/lab/overlay.ts";
import { VirtualMachine } from "../../../image/lab/virtual-machine.ts";
import { directorConfiguration } from "./director-configuration.ts";

const labDirectory = join(import.meta.dir, "../../../image/lab");

/** Virtual addresses that the real servers for direct routing hold on their loopback device. */
export const directRoutedAddresses = ["192.168.80.201", "192.168.80.204", "192.168.80.206", "fd00:80::201"];

/** A real server of the tests: a namespace with a web server that says its name. */
export class RealServer {
	readonly host: Host;
	readonly name: string;
	#server: Child | null = null;

	constructor(host: Host, name: string) {
		this.host = host;
		this.name = name;
	}

	async start(): Promise<void> {
		if (this.#server !== null) return;
		const child = this.host.spawn([process.execPath, join(labDirectory, "web-server.ts"), this.name, "80"]);
		this.#server = child;
		await (child.stdout as ReadableStream).getReader().read();
	}

	async kill(): Promise<void> {
		this.#server?.kill("SIGKILL");
		await this.#server?.exited;
		this.#server = null;
	}
}

export interface DirectorLab {
	readonly lab: Lab;
	/** dr1, dr2, dr3: on the outside segment, with the virtual addresses on lo. */
	readonly direct: readonly RealServer[];
	/** nat1, nat2, nat3: on the inside segment, their way out leads through director a. */
	readonly translated: readonly RealServer[];
	/** A box with tun1, tun2, tun3 in it: IP in IP needs a kernel that has it. */
	readonly tunnelled: VirtualMachine;
}

let shared: Promise<DirectorLab> | null = null;

/** The first caller boots it. It ends with the process: everything in it dies with its parent. */
export function directorLab(): Promise<DirectorLab> {
	shared ??= start();
	return shared;
}

export async function stopDirectorLab(): Promise<void> {
	const running = await shared?.catch(() => null);
	shared = null;
	if (running === null || running === undefined) return;
	await running.tunnelled.powerOff();
	await Promise.all([...running.direct, ...running.translated].map(({ host }) => host.stop()));
	await running.lab.stop();
}

async function start(): Promise<DirectorLab> {
	const boot = await build({ release: false, onProgress: () => {} });
	const tools = [{ debianPackage: "ipvsadm", path: "/usr/sbin/ipvsadm" }];
	const lab = await Lab.start({
		boot,
		tools,
		configuration: (name) => ({ "keepalived.conf": directorConfiguration(name, {}) }),
	});
	process.env["DROVER_RUN_DIR"] = lab.directory;
	const tunnelled = new VirtualMachine({
		name: "t",
		number: 3,
		directory: lab.directory,
		boot,
		overlay: labOverlay(),
		configuration: {
			"appliance.toml": presetConfiguration("a")["appliance.toml"]!.replaceAll("100/", "130/"),
		},
		fabric: lab.fabric,
	});
	await tunnelled.powerOn();
	const numbers = [1, 2, 3];
	const direct = await Promise.all(numbers.map((number) => directServer(lab.fabric, number)));
	const translated = await Promise.all(numbers.map((number) => translatedServer(lab.fabric, number)));
	const clientAddresses = Array.from({ length: 29 }, (_, index) => index + 11);
	lab.client.run(
		clientAddresses
			.map(
				(number) =>
					`ip address add 192.168.80.${number}/24 dev eth0; ip address add fd00:80::${number}/64 dev eth0 nodad`,
			)
			.join("\n"),
	);
	await Promise.all([lab.ready(), tunnelled.ready()]);
	await tunnelled.agent.run(tunnelScript, 120_000);
	return { lab, direct, translated, tunnelled };
}

async function directServer(fabric: Host, number: number): Promise<RealServer> {
	const host = await Host.start(`dr${number}`);
	plugIn(fabric, "outside", host, "eth0", `52:54:00:80:2${number}:00`);
	host.run(
		`echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore
		echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce
		ip address add 192.168.80.11${number}/24 dev eth0
		ip address add fd00:80::11${number}/64 dev eth0 nodad
		${directRoutedAddresses.map((address) => `ip address add ${address}/${address.includes(":") ? 128 : 32} dev lo`).join("\n")}`,
	);
	const server = new RealServer(host, `dr${number}`);
	await server.start();
	return server;
}

async function translatedServer(fabric: Host, number: number): Promise<RealServer> {
	const host = await Host.start(`nat${number}`);
	plugIn(fabric, "inside", host, "eth0", `52:54:00:80:3${number}:00`);
	host.run(
		`ip address add 10.80.0.12${number}/24 dev eth0
		ip address add fd00:81::12${number}/64 dev eth0 nodad
		ip route add default via 10.80.0.100
		ip -6 route add default via fd00:81::100`,
	);
	const server = new RealServer(host, `nat${number}`);
	await server.start();
	return server;
}

/** Three real servers in one box: a namespace, an address and a tunnel's end each. */
const tunnelScript = `
set -e
modprobe ipip
for number in 1 2 3; do
	name=tun$number
	ip netns add $name
	ip link add mac$number link eth0 type macvlan mode bridge
	ip link set mac$number netns $name
	ip -n $name address add 192.168.80.13$number/24 dev mac$number
	ip -n $name link set mac$number up
	ip -n $name link set lo up
	ip -n $name link set tunl0 up
	ip -n $name address add 192.168.80.203/32 dev tunl0
	ip netns exec $name sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore
		echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
		echo 0 >/proc/sys/net/ipv4/conf/tunl0/rp_filter'
	mkdir -p /tmp/$name
	echo $name >/tmp/$name/index.html
	ip netns exec $name httpd -p 80 -h /tmp/$name
done`;

/** Polls until `check` gives something other than null or false. Throws with `what` after `limitMs`. */
export async function until<T>(
	what: string,
	limitMs: number,
	check: () => T | null | false | undefined | Promise<T | null | false | undefined>,
): Promise<T> {
	const started = Date.now();
	for (;;) {
		const found = await check();
		if (found !== null && found !== false && found !== undefined) return found;
		if (Date.now() - started > limitMs) throw new Error(`${what}: not within ${limitMs / 1000} s`);
		await Bun.sleep(100);
	}
}

/** A machine that is emulated beside others answers late, and that is not what is tested here. */
const STATUS_TIMEOUT_MS = 15_000;

/** Null while the service does not answer. */
export const vrrpStatus = (name: DirectorName) =>
	call<VrrpStatus>(`${name}/vrrp`, "status", {}, STATUS_TIMEOUT_MS).catch(() => null);
export const directorStatus = (name: DirectorName) =>
	call<DirectorStatus>(`${name}/director`, "status", {}, STATUS_TIMEOUT_MS).catch(() => null);

export async function vrrpState(name: DirectorName, instance: string): Promise<string | null> {
	const status = await vrrpStatus(name);
	return status?.instances.find((one) => one.name === instance)?.state ?? null;
}

/** The virtual server of director a whose name holds `part`. */
export async function virtualServer(
	part: string,
	name: DirectorName = "a",
): Promise<VirtualServerStatus | null> {
	const status = await directorStatus(name);
	return status?.virtualServers.find((server) => server.name.includes(part)) ?? null;
}

export async function realServer(part: string, address: string): Promise<RealServerStatus | null> {
	const server = await virtualServer(part);
	return server?.realServers.find((real) => real.address === address) ?? null;
}

/** Waits until director a serves `part` with this many live real servers. */
export async function servedBy(part: string, alive: number, limitMs = 60_000): Promise<void> {
	let seen: VirtualServerStatus | null = null;
	try {
		await until(`${part} has ${alive} live real servers`, limitMs, async () => {
			seen = (await virtualServer(part)) ?? seen;
			return seen?.aliveRealServers === alive;
		});
	} catch (error) {
		const real = (seen as VirtualServerStatus | null)?.realServers ?? [];
		const reasons = real.map(
			({ address, alive: up, reason }) => `${address} ${up ? "up" : "down"}: ${reason}`,
		);
		throw new Error(`${(error as Error).message}; ${reasons.join("; ") || (await silentDirector())}`);
	}
}

/** What director a is doing, when it does not answer. */
async function silentDirector(): Promise<string> {
	const { lab } = (await shared)!;
	const words = await lab.directors.a.agent
		.run("sv status /run/sv/director; uptime; ps; tail -n 20 /run/log/director/current")
		.catch(String);
	return `the director says nothing:\n${words}`;
}

/** Gives director a another configuration and waits until it is taken over. */
export async function reconfigure(
	lab: Lab,
	change: Parameters<typeof directorConfiguration>[1],
): Promise<void> {
	const text = directorConfiguration("a", change);
	const path = "/data/config/current/keepalived.conf";
	const encoded = Buffer.from(text).toString("base64");
	await lab.directors.a.agent.run(`echo ${encoded} | base64 -d >${path}.new && mv ${path}.new ${path}`);
	await call("a/director", "reload", {}, 20_000);
}

export interface Count {
	readonly answers: Readonly<Record<string, number>>;
	readonly failures: Readonly<Record<string, number>>;
}

/** All requests of one count together. A test that runs into its own limit would take the lab down with it. */
const COUNT_LIMIT_MS = 60_000;

/** Requests one after another, each on its own connection, from the client's address that ends in `from`. */
export async function count(lab: Lab, address: string, requests: number, from: number): Promise<Count> {
	const local = address.includes(":") ? `fd00:80::${from}` : `192.168.80.${from}`;
	const script = join(labDirectory, "client.ts");
	const child = lab.client.spawn([
		process.execPath,
		...[script, "count", address, "80", String(requests), local, String(nextClientPort(requests))],
	]);
	const timer = setTimeout(() => child.kill("SIGKILL"), COUNT_LIMIT_MS);
	const text = await new Response(child.stdout as ReadableStream).text();
	clearTimeout(timer);
	if (text === "")
		throw new Error(`${requests} requests to ${address}: not within ${COUNT_LIMIT_MS / 1000} s`);
	return JSON.parse(text) as Count;
}

let clientPort = 20_000;

/** The first of as many ports that no count before has used. */
function nextClientPort(ports: number): number {
	const first = clientPort + ports > 60_000 ? 20_000 : clientPort;
	clientPort = first + ports;
	return first;
}

const ATTEMPTS_LIMIT = 3;

/**
 * As `count`, from the first of `clients` during whose requests no real server came or went: on a starved
 * machine a check may fail, and the order of a pool that changes is not exact.
 */
export async function countUndisturbed(
	lab: Lab,
	address: string,
	requests: number,
	clients: readonly number[],
): Promise<Count> {
	for (const client of clients.slice(0, ATTEMPTS_LIMIT)) {
		let changes = 0;
		const unsubscribe = subscribe("a/director", () => changes++);
		const result = await count(lab, address, requests, client);
		unsubscribe();
		if (changes === 0) return result;
		await Bun.sleep(3_000);
	}
	throw new Error(`the real servers of ${address} never stood still for ${requests} requests`);
}

export interface Kept {
	readonly server: string | null;
	readonly lines: number;
	readonly ended: string;
}

/** One connection that carries a line every 100 ms. */
export async function keep(lab: Lab, address: string, seconds: number): Promise<{ ended: Promise<Kept> }> {
	const script = join(labDirectory, "client.ts");
	const child = lab.client.spawn([process.execPath, script, "kept", address, "80", String(seconds)]);
	const ended = new Response(child.stdout as ReadableStream).text().then((text) => JSON.parse(text) as Kept);
	// It says so on standard error when the first bytes have come.
	await (child.stderr as ReadableStream).getReader().read();
	return { ended };
}
