/**
 * The lab: two directors from the image, two web servers and a client on two segments.
 *
 *     outside 192.168.80.0/24, fd00:80::/64        inside 10.80.0.0/24, fd00:81::/64
 *       client      .10
 *       director a  .100  eth0                       .100  eth1
 *       director b  .101  eth0                       .101  eth1
 *       web1        .102  eth0                       .102  eth1
 *       web2        .103  eth0                       .103  eth1
 *       VIP         .200
 *
 * Directors are virtual machines; the others are network namespaces of this machine.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BootFiles } from "../build.ts";
import { addBridge, type Child, Host, plugIn } from "./hosts.ts";
import { labOverlay, type OverlayTool, servicePorts } from "./overlay.ts";
import { VirtualMachine } from "./virtual-machine.ts";

export const virtualAddress = "192.168.80.200";

export type DirectorName = "a" | "b";
export type WebName = "web1" | "web2";

interface LabOptions {
	readonly boot: BootFiles;
	/** More programs inside the directors, for tests. */
	readonly tools?: readonly OverlayTool[];
	/** Replaces files of the directors' first configuration. */
	readonly configuration?: (director: DirectorName) => Readonly<Record<string, string>>;
}

export class Lab {
	/** Where the lab keeps its sockets and disks while it runs. */
	readonly directory: string;
	readonly fabric: Host;
	readonly client: Host;
	readonly web: Readonly<Record<WebName, WebHost>>;
	readonly directors: Readonly<Record<DirectorName, VirtualMachine>>;
	readonly #hosts: readonly Host[];

	private constructor(parts: {
		directory: string;
		fabric: Host;
		client: Host;
		web: Record<WebName, WebHost>;
		directors: Record<DirectorName, VirtualMachine>;
	}) {
		this.directory = parts.directory;
		this.fabric = parts.fabric;
		this.client = parts.client;
		this.web = parts.web;
		this.directors = parts.directors;
		this.#hosts = [parts.fabric, parts.client, parts.web.web1.host, parts.web.web2.host];
	}

	/** Builds the network and the machines and switches everything on; the directors boot meanwhile. */
	static async start(options: LabOptions): Promise<Lab> {
		removeAbandoned();
		const directory = mkdtempSync(join(tmpdir(), `${directoryPrefix}${process.pid}-`));
		const started: Host[] = [];
		const machines: VirtualMachine[] = [];
		try {
			const host = async (name: string) => {
				const made = await Host.start(name);
				started.push(made);
				return made;
			};
			const [fabric, client, web1, web2] = await Promise.all(["fabric", "client", "web1", "web2"].map(host));
			addBridge(fabric!, "outside");
			addBridge(fabric!, "inside");
			// The lab itself reads the directors' status over the inside segment.
			fabric!.run("ip address add 10.80.0.1/24 dev inside");
			const overlay = labOverlay(options.tools);
			const director = (name: DirectorName, number: number) => {
				const machine = new VirtualMachine({
					name,
					number,
					directory,
					boot: options.boot,
					overlay,
					configuration: { ...presetConfiguration(name), ...options.configuration?.(name) },
					fabric: fabric!,
				});
				machines.push(machine);
				return machine;
			};
			const directors = { a: director("a", 1), b: director("b", 2) };
			await Promise.all([directors.a.powerOn(), directors.b.powerOn()]);
			for (const name of ["a", "b"] as const) forwardServices(fabric!, directory, name);
			setUpClient(fabric!, client!);
			const web = {
				web1: new WebHost(fabric!, web1!, "web1", 102),
				web2: new WebHost(fabric!, web2!, "web2", 103),
			};
			return new Lab({ directory, fabric: fabric!, client: client!, web, directors });
		} catch (error) {
			await Promise.all([
				...machines.map((machine) => machine.powerOff()),
				...started.map((one) => one.stop()),
			]);
			rmSync(directory, { recursive: true, force: true });
			throw error;
		}
	}

	/** Resolves when both directors take commands. */
	async ready(): Promise<void> {
		await Promise.all([this.directors.a.ready(), this.directors.b.ready()]);
	}

	/** The name under which the bus client finds a director's service while DROVER_RUN_DIR is `directory`. */
	service(director: DirectorName, name: "vrrp" | "director"): string {
		return `${director}/${name}`;
	}

	/** Switches everything off and removes it. */
	async stop(): Promise<void> {
		await Promise.all([this.directors.a.powerOff(), this.directors.b.powerOff()]);
		await Promise.all(this.#hosts.map((host) => host.stop()));
		rmSync(this.directory, { recursive: true, force: true });
	}
}

const directoryPrefix = "drover-lab-";

/** Directories of labs whose process was killed before it could tidy up; nothing else of them is left. */
function removeAbandoned(): void {
	for (const name of readdirSync(tmpdir())) {
		const pid = name.startsWith(directoryPrefix)
			? /^\d+(?=-)/.exec(name.slice(directoryPrefix.length))
			: null;
		if (pid !== null && !existsSync(`/proc/${pid[0]}`))
			rmSync(join(tmpdir(), name), { recursive: true, force: true });
	}
}

/** The tutorial's configuration, as it stands in keepalived's own format, and the box's own settings. */
export function presetConfiguration(director: DirectorName): Readonly<Record<string, string>> {
	const file = (name: string) => readFileSync(join(import.meta.dir, `director-${director}`, name), "utf8");
	return { "keepalived.conf": file("keepalived.conf"), "appliance.toml": file("appliance.toml") };
}

/**
 * Sockets in the lab's directory that lead to the services inside a director: who asks over them starts no program
 * there. `fabric` needs an address on the inside segment.
 */
export function forwardServices(fabric: Host, directory: string, name: DirectorName): void {
	mkdirSync(join(directory, name));
	const address = name === "a" ? "10.80.0.100" : "10.80.0.101";
	for (const [service, port] of Object.entries(servicePorts))
		fabric.spawn(
			[
				"socat",
				`UNIX-LISTEN:${join(directory, name, `${service}.sock`)},fork`,
				`TCP:${address}:${port},connect-timeout=2`,
			],
			"ignore",
		);
}

function setUpClient(fabric: Host, client: Host): void {
	plugIn(fabric, "outside", client, "eth0", "52:54:00:80:0c:00");
	client.run(
		`ip address add 192.168.80.10/24 dev eth0
		ip address add fd00:80::10/64 dev eth0 nodad`,
	);
}

/** A machine with a web server; a real server of the tutorial, prepared for direct routing. */
export class WebHost {
	readonly host: Host;
	readonly name: WebName;
	#server: Child | null = null;

	constructor(fabric: Host, host: Host, name: WebName, number: 102 | 103) {
		this.host = host;
		this.name = name;
		const mac = `52:54:00:80:1${number - 100}`;
		plugIn(fabric, "outside", host, "eth0", `${mac}:00`);
		plugIn(fabric, "inside", host, "eth1", `${mac}:01`);
		// Holds the VIP without answering for it: the loopback device, and ARP only for what an interface owns.
		host.run(
			`echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore
			echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce
			ip address add 192.168.80.${number}/24 dev eth0
			ip address add fd00:80::${number}/64 dev eth0 nodad
			ip address add 10.80.0.${number}/24 dev eth1
			ip address add fd00:81::${number}/64 dev eth1 nodad
			ip address add ${virtualAddress}/32 dev lo`,
		);
		this.revive();
	}

	get isAlive(): boolean {
		return this.#server !== null;
	}

	/** Starts the web server. */
	revive(): void {
		if (this.#server !== null) return;
		const child = this.host.spawn(
			[process.execPath, join(import.meta.dir, "web-server.ts"), this.name, "80"],
			"ignore",
		);
		this.#server = child;
		void child.exited.then(() => {
			if (this.#server === child) this.#server = null;
		});
	}

	/** Ends the web server with SIGKILL; the machine stays. */
	async kill(): Promise<void> {
		const server = this.#server;
		server?.kill("SIGKILL");
		await server?.exited;
	}
}
