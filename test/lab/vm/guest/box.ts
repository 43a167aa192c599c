/**
 * Inside the guest: a network of namespaces around IPVS, the director as a process, and what tests ask of both.
 * The director stands in the guest's own namespace; clients and web servers have one each.
 */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";

const project = new URL("../../../..", import.meta.url).pathname;
const bun = process.execPath;

export function run(...command: string[]): string {
	const result = Bun.spawnSync(command, { stderr: "pipe", stdin: "ignore" });
	if (result.exitCode !== 0)
		throw new Error(`${command.join(" ")}: ${result.exitCode} ${result.stderr.toString()}`);
	return result.stdout.toString();
}

export const sh = (script: string) => run("sh", "-ec", script);
export const ipvsadm = (...words: string[]) => run("ipvsadm", ...words);
/** The table as `ipvsadm -Sn` has it, line by line. */
export const saved = () => savedLines(ipvsadm("-Sn"));
export const savedLines = (text: string) => text.split("\n").filter((line) => line !== "");

/** Waits until `condition` holds; throws with its last value, or error, after `limitMs`. */
export async function until<T>(what: string, condition: () => T | Promise<T>, limitMs = 60_000): Promise<T> {
	const deadline = performance.now() + limitMs;
	for (;;) {
		let seen: unknown;
		try {
			const value = await condition();
			if (value) return value;
			seen = value;
		} catch (error) {
			seen = error;
		}
		if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what} (${seen})`);
		await Bun.sleep(25);
	}
}

export class DirectorProcess {
	readonly directory = mkdtempSync("/tmp/director-");
	readonly file = `${this.directory}/keepalived.conf`;
	readonly #log = `${this.directory}/log`;
	#child: Bun.Subprocess | null = null;

	write(config: string): void {
		writeFileSync(this.file, config);
	}

	start(config?: string): void {
		if (config !== undefined) this.write(config);
		this.#child = Bun.spawn([bun, `${project}/firmware/drover.ts`, "director", "-f", this.file], {
			stdin: "ignore",
			stdout: Bun.file(`${this.directory}/stdout`),
			stderr: Bun.file(`${this.directory}/stderr`),
			env: this.environment,
		});
	}

	get environment() {
		return { ...process.env, DROVER_RUN_DIR: this.directory, DROVER_LOG: this.#log };
	}

	get pid(): number {
		return this.#child!.pid;
	}

	log(): string {
		try {
			return readFileSync(this.#log, "utf8");
		} catch {
			return "";
		}
	}

	/** `drover director WORDS`, from outside. Throws when it fails. */
	ask(...words: string[]): string {
		const result = Bun.spawnSync([bun, `${project}/firmware/drover.ts`, "director", ...words], {
			env: this.environment,
			stderr: "pipe",
		});
		if (result.exitCode !== 0) throw new Error(result.stderr.toString().trim());
		return result.stdout.toString();
	}

	signal(name: NodeJS.Signals): void {
		this.#child?.kill(name);
	}

	async stop(): Promise<number | null> {
		this.#child?.kill("SIGTERM");
		await this.#child?.exited;
		const status = this.#child?.exitCode ?? null;
		this.#child = null;
		return status;
	}

	async kill(): Promise<void> {
		this.#child?.kill("SIGKILL");
		await this.#child?.exited;
		this.#child = null;
	}
}

/** A namespace with one cable to the bridge `lan` of the guest, and both families' addresses. */
export class Host {
	readonly name: string;

	constructor(name: string, ...addresses: string[]) {
		this.name = name;
		sh(`ip netns add ${name}
			ip link add ${name} type veth peer name eth0 netns ${name}
			ip link set ${name} master lan up
			ip -n ${name} link set lo up
			ip netns exec ${name} sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0
			ip -n ${name} link set eth0 up`);
		for (const address of addresses)
			this.ip(`addr add ${address} dev eth0${address.includes(":") ? " nodad" : ""}`);
	}

	ip(words: string): void {
		sh(`ip -n ${this.name} ${words}`);
	}

	sh(script: string): string {
		return run("ip", "netns", "exec", this.name, "sh", "-ec", script);
	}

	spawn(...command: string[]): Bun.Subprocess<"ignore", "pipe", "inherit"> {
		return Bun.spawn(["ip", "netns", "exec", this.name, ...command], {
			stdin: "ignore",
			stdout: "pipe",
			stderr: "inherit",
		});
	}
}

/** A bridge in the guest's own namespace, with the director's address on it. */
export function createLan(...addresses: string[]): void {
	sh(`ip link add lan type bridge
		sysctl -qw net.ipv6.conf.lan.accept_dad=0
		ip link set lan up
		sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
		sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0 net.ipv4.conf.lan.send_redirects=0
		sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.lan.rp_filter=0 net.ipv4.vs.conntrack=0`);
	for (const address of addresses)
		sh(`ip addr add ${address} dev lan${address.includes(":") ? " nodad" : ""}`);
}
