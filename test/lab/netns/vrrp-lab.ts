/** Boxes on a segment that run Drover or the real keepalived from the same configuration text. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { call } from "../../../firmware/bus/client.ts";
import type { VrrpInstanceStatus, VrrpStatus } from "../../../firmware/status/vrrp.ts";
import { bunPath, type Cable, eventually, type Namespace, Network, type Segment } from "./network.ts";

const DROVER = `${import.meta.dir}/../../../firmware/drover.ts`;

export interface Running {
	readonly process: Subprocess;
	/** All that it and its successors have written so far. */
	log(): string;
	stop(): Promise<void>;
}

export class Box {
	readonly namespace: Namespace;
	readonly cable: Cable;
	readonly folder: string;
	readonly name: string;

	constructor(name: string, namespace: Namespace, cable: Cable) {
		this.name = name;
		this.namespace = namespace;
		this.cable = cable;
		this.folder = mkdtempSync(join(tmpdir(), `drover-vrrp-${process.pid}-${name}-`));
	}

	get configFile(): string {
		return join(this.folder, "keepalived.conf");
	}

	write(text: string): void {
		writeFileSync(this.configFile, text);
	}

	drover(text: string, ...flags: string[]): Running {
		this.write(text);
		return this.#run([bunPath, DROVER, "vrrp", ...flags, "-f", this.configFile], "drover.log");
	}

	keepalived(text: string): Running {
		const file = join(this.folder, "real.conf");
		writeFileSync(file, text);
		const pid = (name: string) => join(this.folder, name);
		return this.#run(
			[
				"keepalived",
				"-n",
				"-l",
				"-G",
				"-D",
				"-P",
				"-f",
				file,
				"-p",
				pid("k"),
				"-r",
				pid("v"),
				"-c",
				pid("c"),
			],
			"keepalived.log",
		);
	}

	/** Standard output and error go to a file: a successor writes there too. */
	#run(command: readonly string[], logName: string): Running {
		const path = join(this.folder, logName);
		const shell = `exec "$@" >> "${path}" 2>&1`;
		const child = this.namespace.spawn(["/bin/sh", "-c", shell, "sh", ...command], {
			stdout: "ignore",
			stderr: "ignore",
			env: { ...process.env, DROVER_RUN_DIR: join(this.folder, "run"), TMPDIR: this.folder },
		});
		const log = () => {
			try {
				return readFileSync(path, "utf8");
			} catch {
				return "";
			}
		};
		return {
			process: child,
			log,
			async stop() {
				child.kill("SIGTERM");
				await child.exited;
			},
		};
	}

	/** Throws when Drover is not there. */
	status(): Promise<VrrpStatus> {
		process.env["DROVER_RUN_DIR"] = join(this.folder, "run");
		return call<VrrpStatus>("vrrp", "status");
	}

	command(method: string, input: unknown = {}): Promise<unknown> {
		process.env["DROVER_RUN_DIR"] = join(this.folder, "run");
		return call("vrrp", method, input);
	}

	async instance(name = "VI_1"): Promise<VrrpInstanceStatus | null> {
		try {
			return (await this.status()).instances.find((instance) => instance.name === name) ?? null;
		} catch {
			return null;
		}
	}

	async becomes(
		state: VrrpInstanceStatus["state"],
		limitMs = 20_000,
		name = "VI_1",
	): Promise<VrrpInstanceStatus> {
		return eventually(
			`${this.name} is ${state}`,
			async () => {
				const instance = await this.instance(name);
				return instance?.state === state ? instance : null;
			},
			limitMs,
		);
	}

	has(address: string, device = "eth0"): boolean {
		return this.namespace.addresses(device).some((each) => each.split("/")[0] === address);
	}

	holds(address: string, limitMs = 20_000, device = "eth0"): Promise<true> {
		return eventually(`${this.name} holds ${address}`, () => this.has(address, device), limitMs);
	}

	lacks(address: string, limitMs = 20_000): Promise<true> {
		return eventually(`${this.name} lacks ${address}`, () => !this.has(address), limitMs);
	}

	/** Process ids of Drover's pair in here: the one that serves comes from its log's order of start. */
	droverPids(): number[] {
		return Bun.spawnSync(["ip", "netns", "pids", this.namespace.name])
			.stdout.toString()
			.split(/\s+/)
			.filter(Boolean)
			.map(Number)
			.filter((pid) => commandLine(pid).includes("drover.ts"));
	}
}

function commandLine(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8");
	} catch {
		return "";
	}
}

export class Lab implements Disposable {
	readonly network: Network;
	readonly segment: Segment;
	readonly #boxes: Box[] = [];

	constructor(label: string) {
		this.network = Network.create(`vrrp-${label}`);
		this.segment = this.network.segment("lan");
	}

	/** Box number N has 192.0.2.N and fe80::N. */
	box(name: string, number: number): Box {
		const namespace = this.network.namespace(name);
		namespace.sysctl("net.ipv6.conf.default.accept_dad", 0);
		// No link-local address but the one given: tests know what adverts come from.
		namespace.sysctl("net.ipv6.conf.default.addr_gen_mode", 1);
		const box = new Box(name, namespace, this.plug(namespace, number));
		this.#boxes.push(box);
		return box;
	}

	/** Gives box number N its eth0. */
	plug(namespace: Namespace, number: number): Cable {
		const cable = this.segment.plug(namespace, "eth0", `192.0.2.${number}/24`, `2001:db8::${number}/64`);
		namespace.ip("address", "add", `fe80::${number}/64`, "dev", "eth0", "nodad");
		return cable;
	}

	[Symbol.dispose](): void {
		this.network.dispose();
		for (const { folder } of this.#boxes) rmSync(folder, { recursive: true, force: true });
	}
}

export interface InstanceText {
	readonly name?: string;
	readonly virtualRouterId?: number;
	readonly priority: number;
	readonly interval?: number;
	readonly version?: 2 | 3;
	readonly addresses?: readonly string[];
	/** Further lines of the block. */
	readonly more?: string;
	readonly state?: "MASTER" | "BACKUP";
	readonly interface?: string;
}

/** A vrrp_instance as people write it. */
export function instanceText(options: InstanceText): string {
	const { name = "VI_1", virtualRouterId = 51, priority, interval = 1, version = 2, more = "" } = options;
	return `vrrp_instance ${name} {
	interface ${options.interface ?? "eth0"}
	state ${options.state ?? "BACKUP"}
	version ${version}
	virtual_router_id ${virtualRouterId}
	priority ${priority}
	advert_int ${interval}
	${more}
	virtual_ipaddress {
		${(options.addresses ?? ["192.0.2.200/24"]).join("\n\t\t")}
	}
}
`;
}

/** Times at which adverts of one source pass, in seconds, from a tcpdump in `namespace`, until `close`. */
export function watchAdverts(namespace: Namespace): { text(): string; close(): Promise<void> } {
	const child = namespace.spawn([
		"tcpdump",
		"-i",
		"eth0",
		"-U",
		"-l",
		"-nn",
		"-tt",
		"-vvv",
		"proto 112 or proto 51 or (ip6 and ip6[6] == 112)",
	]);
	let text = "";
	const reading = (async () => {
		const decoder = new TextDecoder();
		for await (const chunk of child.stdout) text += decoder.decode(chunk, { stream: true });
	})();
	return {
		text: () => text,
		async close() {
			child.kill("SIGTERM");
			await reading;
		},
	};
}

/** For how long each address of eth0 was missing, in milliseconds by the kernel's messages, until `stop`. */
export async function watchAddresses(
	namespace: Namespace,
): Promise<{ stop(): Promise<ReadonlyMap<string, readonly number[]>> }> {
	const child = namespace.spawn(["stdbuf", "-oL", "ip", "-ts", "-o", "monitor", "address"]);
	let text = "";
	const reading = (async () => {
		const decoder = new TextDecoder();
		for await (const chunk of child.stdout) text += decoder.decode(chunk, { stream: true });
	})();
	// It listens when it shows an address that comes and goes.
	await eventually("ip monitor listens", async () => {
		namespace.try("ip", "address", "add", "127.0.0.99/32", "dev", "lo");
		namespace.try("ip", "address", "del", "127.0.0.99/32", "dev", "lo");
		return text.includes("127.0.0.99");
	});
	return {
		async stop() {
			await Bun.sleep(50);
			child.kill("SIGTERM");
			await reading;
			const goneAt = new Map<string, number>();
			const gaps = new Map<string, number[]>();
			for (const line of text.split("\n")) {
				const match = /^\[(\S+)\] (Deleted )?\d+: eth0\s+inet6?\s+(\S+)\//.exec(line);
				if (match === null) continue;
				const [, stamp, deleted, address] = match;
				const at = Date.parse(`${stamp!}Z`);
				const since = goneAt.get(address!);
				if (deleted !== undefined) goneAt.set(address!, at);
				else if (since !== undefined) {
					gaps.set(address!, [...(gaps.get(address!) ?? []), at - since]);
					goneAt.delete(address!);
				}
			}
			return gaps;
		},
	};
}

/** Longest time between two adverts from `source` in a capture, in milliseconds. */
export function longestGapMs(capture: string, source: string): number {
	const times: number[] = [];
	let at = 0;
	for (const line of capture.split("\n")) {
		const stamp = /^(\d+\.\d+) /.exec(line);
		if (stamp !== null) at = Number(stamp[1]);
		if (line.includes(`${source} > `) && line.includes("dvertisement")) times.push(at);
	}
	let longest = 0;
	for (let index = 1; index < times.length; index++)
		longest = Math.max(longest, (times[index]! - times[index - 1]!) * 1000);
	return longest;
}
