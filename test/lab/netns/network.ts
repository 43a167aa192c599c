/**
 * Networks for tests: namespaces, veth cables and switches, with unique names and certain clean-up.
 *
 *   using network = Network.create("vrrp");
 *   const a = network.namespace("a");
 *   const b = network.namespace("b");
 *   const lan = network.segment("lan");
 *   const cableA = lan.plug(a, "eth0", "10.0.0.1/24");
 *   lan.plug(b, "eth0", "10.0.0.2/24", "fd00::2/64");
 *   a.run("ping", "-c1", "10.0.0.2");      // throws with both outputs when it fails
 *   const child = a.spawn(["sleep", "9"]); // ends with the network
 *   cableA.unplug(); cableA.plugIn();
 *
 * Names begin with `drover-PID-`. What a crashed run left behind is swept by the next `Network.create`:
 * every namespace whose PID is dead, with the processes in it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { Subprocess } from "bun";

const NAMESPACE_FOLDER = "/run/netns";
let networks = 0;

export interface CommandResult {
	readonly status: number;
	readonly stdout: string;
	readonly stderr: string;
}

function execute(command: readonly string[], stdin?: string): CommandResult {
	const child = Bun.spawnSync([...command], {
		stdin: stdin === undefined ? "ignore" : Buffer.from(stdin),
		stdout: "pipe",
		stderr: "pipe",
	});
	return { status: child.exitCode ?? -1, stdout: child.stdout.toString(), stderr: child.stderr.toString() };
}

function must(command: readonly string[], stdin?: string): string {
	const result = execute(command, stdin);
	if (result.status !== 0)
		throw new Error(
			`${command.join(" ")}: exit status ${result.status}\n${stdin ?? ""}${result.stdout}${result.stderr}`,
		);
	return result.stdout;
}

/** Processes that start others while they are killed are killed so often; one that the kernel holds is left. */
const KILL_ROUNDS = 20;

/** Ends every process inside and removes the namespace. */
function removeNamespace(name: string): void {
	// Again while there are any: what is killed may have started something in that moment.
	for (let round = 0; round < KILL_ROUNDS; round++) {
		const pids = execute(["ip", "netns", "pids", name]).stdout.split(/\s+/).filter(Boolean);
		if (pids.length === 0) break;
		for (const pid of pids)
			try {
				process.kill(Number(pid), "SIGKILL");
			} catch {
				// It ended by itself.
			}
	}
	execute(["ip", "netns", "delete", name]);
}

function sweep(): void {
	if (!existsSync(NAMESPACE_FOLDER)) return;
	for (const name of readdirSync(NAMESPACE_FOLDER)) {
		const pid = /^drover-(\d+)-/.exec(name)?.[1];
		if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeNamespace(name);
	}
}

/** One network namespace. */
export class Namespace {
	readonly name: string;
	/** For `nsenter --net=PATH` and `native.setNetworkNamespace`. */
	readonly path: string;
	readonly #children = new Set<Subprocess>();

	constructor(name: string) {
		this.name = name;
		this.path = `${NAMESPACE_FOLDER}/${name}`;
	}

	/** argv that runs `command` in here. */
	command(command: readonly string[]): string[] {
		return ["nsenter", `--net=${this.path}`, ...command];
	}

	/** Runs to the end and returns standard output; throws with both outputs when the exit status is not 0. */
	run(...command: string[]): string {
		return must(this.command(command));
	}

	/** Runs to the end whatever the exit status. */
	try(...command: string[]): CommandResult {
		return execute(this.command(command));
	}

	/** `ip -n HERE words…`; throws when it fails. */
	ip(...words: string[]): string {
		return must(["ip", "-n", this.name, ...words]);
	}

	/** `ip -j …` parsed; `T` is the shape the caller expects of each record. */
	ipJson<T>(...words: string[]): T[] {
		return JSON.parse(must(["ip", "-n", this.name, "-j", ...words]) || "[]");
	}

	/** Writes one sysctl, named with slashes or dots. */
	sysctl(name: string, value: string | number): void {
		must(this.command(["sysctl", "-qw", `${name}=${value}`]));
	}

	/** Starts a process in here; it is killed when the network is disposed. Default outputs: piped. */
	spawn(
		command: readonly string[],
		options: {
			stdin?: "ignore" | "pipe";
			stdout?: "ignore" | "inherit" | "pipe";
			stderr?: "ignore" | "inherit" | "pipe";
			env?: Record<string, string | undefined>;
			cwd?: string;
		} = {},
	): Subprocess<"ignore" | "pipe", "pipe", "pipe"> {
		const child = Bun.spawn(this.command(command), {
			stdin: options.stdin ?? "ignore",
			stdout: options.stdout ?? "pipe",
			stderr: options.stderr ?? "pipe",
			env: options.env ?? process.env,
			...(options.cwd === undefined ? {} : { cwd: options.cwd }),
		});
		this.#children.add(child);
		child.exited.then(() => this.#children.delete(child));
		return child as unknown as Subprocess<"ignore" | "pipe", "pipe", "pipe">;
	}

	/** The addresses on `device` as `address/prefix`, as the real `ip` sees them. */
	addresses(device: string): string[] {
		type Link = { addr_info?: readonly { local: string; prefixlen: number }[] };
		const links = this.ipJson<Link>("address", "show", "dev", device);
		return links.flatMap((link) =>
			(link.addr_info ?? []).map((entry) => `${entry.local}/${entry.prefixlen}`),
		);
	}

	/** The MAC address of `device`. */
	macAddress(device: string): string {
		return this.ipJson<{ address: string }>("link", "show", "dev", device)[0]!.address;
	}

	[Symbol.dispose](): void {
		for (const child of this.#children) child.kill("SIGKILL");
		removeNamespace(this.name);
	}
}

/** A veth pair between a port of a switch and an interface of a namespace. */
export class Cable {
	readonly namespace: Namespace;
	readonly device: string;
	readonly #switch: Namespace;
	readonly port: string;

	constructor(namespace: Namespace, device: string, segment: Namespace, port: string) {
		this.namespace = namespace;
		this.device = device;
		this.#switch = segment;
		this.port = port;
	}

	/** Carrier off at both ends, as a pulled cable: the interface stays up but not running. */
	unplug(): void {
		this.#switch.ip("link", "set", this.port, "down");
	}

	plugIn(): void {
		this.#switch.ip("link", "set", this.port, "up");
	}

	/** tc-netem(8) on what leaves the switch towards the namespace: `netem("loss", "20%")`; no words removes it. */
	netem(...words: string[]): void {
		this.#switch.try("tc", "qdisc", "del", "dev", this.port, "root");
		if (words.length > 0) this.#switch.run("tc", "qdisc", "add", "dev", this.port, "root", "netem", ...words);
	}
}

/** A switch: a bridge in a namespace of its own, without spanning tree and snooping. */
export class Segment {
	readonly namespace: Namespace;
	#ports = 0;

	constructor(namespace: Namespace) {
		this.namespace = namespace;
		namespace.ip("link", "add", "bridge", "type", "bridge", "stp_state", "0", "mcast_snooping", "0");
		namespace.ip("link", "set", "bridge", "up");
	}

	/** Connects `device` of `namespace` and gives it `addresses` (with prefix length). */
	plug(namespace: Namespace, device: string, ...addresses: string[]): Cable {
		const port = `port${this.#ports++}`;
		const here = this.namespace.name;
		const batch = [
			`link add ${port} type veth peer name ${device} netns ${namespace.name}`,
			`link set ${port} master bridge`,
			`link set ${port} up`,
		];
		must(["ip", "-n", here, "-batch", "-"], `${batch.join("\n")}\n`);
		const inside = [
			...addresses.map(
				(address) => `address add ${address} dev ${device}${address.includes(":") ? " nodad" : ""}`,
			),
			`link set ${device} up`,
		];
		must(["ip", "-n", namespace.name, "-batch", "-"], `${inside.join("\n")}\n`);
		return new Cable(namespace, device, this.namespace, port);
	}
}

/** All that one test builds. Disposing it removes everything. */
export class Network {
	readonly #prefix: string;
	readonly #namespaces: Namespace[] = [];

	private constructor(area: string) {
		this.#prefix = `drover-${process.pid}-${area}${networks++}`;
	}

	/** `area` is a short word that shows up in the names. */
	static create(area: string): Network {
		sweep();
		return new Network(area);
	}

	/** A new namespace with loopback up and IPv6 without duplicate address detection (addresses work at once). */
	namespace(label: string): Namespace {
		const name = `${this.#prefix}-${label}`;
		must(["ip", "netns", "add", name]);
		const namespace = new Namespace(name);
		this.#namespaces.push(namespace);
		namespace.run(
			"sh",
			"-c",
			"echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up",
		);
		return namespace;
	}

	segment(label: string): Segment {
		return new Segment(this.namespace(`switch-${label}`));
	}

	/** A cable straight between two namespaces. */
	veth(a: Namespace, deviceA: string, b: Namespace, deviceB: string): void {
		must([
			"ip",
			"-n",
			a.name,
			"link",
			"add",
			deviceA,
			"type",
			"veth",
			"peer",
			"name",
			deviceB,
			"netns",
			b.name,
		]);
		a.ip("link", "set", deviceA, "up");
		b.ip("link", "set", deviceB, "up");
	}

	[Symbol.dispose](): void {
		for (const namespace of this.#namespaces.splice(0)) namespace[Symbol.dispose]();
	}

	dispose(): void {
		this[Symbol.dispose]();
	}
}

/** How long a busy machine may take for what is not a matter of time. */
const LIMIT_MS = 20_000;

/** Polls until `probe` gives something true, and returns it; throws with `what` after `limitMs`. */
export async function eventually<T>(
	what: string,
	probe: () => T | Promise<T>,
	limitMs = LIMIT_MS,
): Promise<Exclude<T, false | null | undefined>> {
	const deadline = performance.now() + limitMs;
	for (;;) {
		const value = await probe();
		if (value) return value as Exclude<T, false | null | undefined>;
		if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
		await Bun.sleep(10);
	}
}

/** The path of a Bun that a namespace's process can start: the one that runs this. */
export const bunPath = process.execPath;

/** `comm` of a process, or null when it is gone. */
export function processName(pid: number): string | null {
	try {
		return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
	} catch {
		return null;
	}
}
