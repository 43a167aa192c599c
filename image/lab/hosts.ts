/**
 * Hosts of the lab's network: one network namespace each, held by a process of ours.
 * Everything that runs in one is a direct child and dies with this process, however it ends
 * (PR_SET_PDEATHSIG), and the kernel removes a namespace with its last process: nothing is left behind.
 */
import type { Subprocess } from "bun";

const dieWithParent = ["setpriv", "--pdeathsig", "KILL"];

export type Child = Subprocess<"ignore" | "pipe", "pipe" | "ignore", "pipe" | "ignore">;

export class Host {
	readonly name: string;
	readonly #holder: Child;
	readonly #children = new Set<Child>();

	private constructor(name: string, holder: Child) {
		this.name = name;
		this.#holder = holder;
	}

	static async start(name: string): Promise<Host> {
		const holder = Bun.spawn([...dieWithParent, "unshare", "--net", "--", "sh", "-c", "echo ready; read _"], {
			stdin: "pipe",
			stdout: "pipe",
			stderr: "pipe",
		});
		const { value } = await holder.stdout.getReader().read();
		if (value === undefined) {
			const why = (await new Response(holder.stderr).text()).trim();
			throw new Error(`no network namespace: ${why || "unshare failed"} (this needs root)`);
		}
		const host = new Host(name, holder as Child);
		host.run("ip link set lo up");
		return host;
	}

	/** The process that keeps the namespace. */
	get pid(): number {
		return this.#holder.pid;
	}

	#inside(command: readonly string[]): string[] {
		return [...dieWithParent, "nsenter", "-t", String(this.pid), "-n", "--", ...command];
	}

	/** Starts a program on this host; its pid is the program's own. */
	spawn(command: readonly string[], output: "pipe" | "ignore" = "pipe"): Child {
		const child = Bun.spawn(this.#inside(command), {
			stdin: "ignore",
			stdout: output,
			stderr: output,
		}) as Child;
		this.#children.add(child);
		void child.exited.then(() => this.#children.delete(child));
		return child;
	}

	/** Runs a shell script to its end. Throws with what it said when it fails. */
	run(script: string): string {
		const result = Bun.spawnSync(this.#inside(["sh", "-ec", script]), { stdin: "ignore", stderr: "pipe" });
		if (result.exitCode !== 0)
			throw new Error(`on ${this.name}: ${result.stderr.toString().trim() || script}`);
		return result.stdout.toString();
	}

	/** As `run`, without waiting on this thread. */
	async runLater(script: string): Promise<{ status: number; output: string }> {
		const child = this.spawn(["sh", "-c", `exec 2>&1; ${script}`]);
		const output = await new Response(child.stdout as ReadableStream).text();
		return { status: await child.exited, output };
	}

	async stop(): Promise<void> {
		const children = [...this.#children];
		for (const child of children) child.kill("SIGKILL");
		this.#holder.kill("SIGKILL");
		await Promise.all([...children, this.#holder].map((child) => child.exited));
	}
}

/** Gives `host` an interface `name` that is plugged into `bridge` on `fabric`. */
export function plugIn(fabric: Host, bridge: string, host: Host, name: string, mac: string): void {
	const far = `${host.name}-${name}`.slice(0, 15);
	fabric.run(
		`ip link add ${far} type veth peer name ${name} netns ${host.pid}
		ip link set ${far} master ${bridge} up`,
	);
	host.run(`ip link set ${name} address ${mac} up`);
}

/** A bridge that forwards from its first frame on, as a dumb switch does. */
export function addBridge(fabric: Host, name: string): void {
	fabric.run(
		`ip link add ${name} type bridge forward_delay 0 mcast_snooping 0
		ip link set ${name} up
		for family in iptables ip6tables arptables; do
			file=/proc/sys/net/bridge/bridge-nf-call-$family
			[ ! -e $file ] || echo 0 >$file
		done`,
	);
}
