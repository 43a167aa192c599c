/** One box of the lab: QEMU without hardware help, two network ports, a serial console, a power switch. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BootFiles } from "../build.ts";
import { kernelWords } from "../disk/kernel-words.ts";
import { makeDataDisk } from "./data-disk.ts";
import { GuestAgent } from "./guest-agent.ts";
import type { Child, Host } from "./hosts.ts";
import { PROCESSOR_MODEL } from "./processor-model.ts";
import { Qmp } from "./qmp.ts";

/**
 * An ordinary PC of our days. QEMU's "microvm" would boot 1 s sooner, but it has no timer to
 * calibrate by but the PIT, and on a busy machine its kernel sometimes stops right there.
 */
const MACHINE = process.env["DROVER_MACHINE"] ?? "q35";
const MEMORY_MEGABYTES = 512;
/** Two emulated boxes on a busy machine take minutes. */
const BOOT_LIMIT_MS = 300_000;

export interface MachineOptions {
	readonly name: string;
	/** Distinguishes MAC addresses. */
	readonly number: number;
	readonly directory: string;
	readonly boot: BootFiles;
	readonly overlay: Uint8Array;
	/** The files of the first configuration revision. */
	readonly configuration: Readonly<Record<string, string>>;
	/** Where the bridges "outside" and "inside" are. */
	readonly fabric: Host;
}

export type PortName = "outside" | "inside";

export class VirtualMachine {
	readonly name: string;
	readonly consolePath: string;
	readonly consoleLogPath: string;
	readonly #options: MachineOptions;
	#process: Child | null = null;
	#qmp: Qmp | null = null;
	#agent: GuestAgent | null = null;

	constructor(options: MachineOptions) {
		this.#options = options;
		this.name = options.name;
		this.consolePath = this.#path("console.sock");
		this.consoleLogPath = this.#path("console.log");
		writeFileSync(
			this.#path("initramfs"),
			Buffer.concat([readFileSync(options.boot.initramfs), options.overlay]),
		);
		makeDataDisk(this.#path("data.img"), options.configuration);
		for (const port of ["outside", "inside"] as const)
			options.fabric.run(
				`ip tuntap add ${this.#tap(port)} mode tap
				ip link set ${this.#tap(port)} master ${port} up`,
			);
	}

	#path(name: string): string {
		return join(this.#options.directory, `${this.#options.name}-${name}`);
	}

	#tap(port: PortName): string {
		return `${this.#options.name}-${port}`;
	}

	/** MAC address of eth0 (outside) or eth1 (inside). */
	mac(port: PortName): string {
		return `52:54:00:80:0${this.#options.number}:0${port === "outside" ? 0 : 1}`;
	}

	get isOn(): boolean {
		return this.#process !== null;
	}

	get pid(): number | null {
		return this.#process?.pid ?? null;
	}

	get agent(): GuestAgent {
		if (this.#agent === null) throw new Error(`${this.name} is off`);
		return this.#agent;
	}

	/** Switches it on; the disk keeps what it had. Resolves when QEMU runs, before the guest is up. */
	async powerOn(): Promise<void> {
		if (this.#process !== null) return;
		const sockets = [this.#path("qmp.sock"), this.#path("agent.sock"), this.consolePath];
		// Those of the last power-on would be taken for QEMU's new ones.
		for (const path of sockets) rmSync(path, { force: true });
		const child = this.#options.fabric.spawn(this.#command());
		this.#process = child;
		void child.exited.then(() => this.#ended(child));
		for (let waited = 0; !sockets.every((path) => existsSync(path)); waited += 20) {
			if (this.#process !== child || waited > 20_000)
				throw new Error(`QEMU did not start: ${await new Response(child.stderr as ReadableStream).text()}`);
			await Bun.sleep(20);
		}
		this.#agent = await GuestAgent.open(this.#path("agent.sock"));
		this.#qmp = await Qmp.open(this.#path("qmp.sock"));
	}

	/** Resolves when commands can be run in the guest. */
	async ready(): Promise<void> {
		try {
			await this.agent.ready(BOOT_LIMIT_MS);
		} catch (error) {
			throw new Error(
				`${this.name}: ${(error as Error).message}; its console:\n${this.consoleText().slice(-3000)}`,
			);
		}
	}

	/** Everything that the serial console has shown since the last power-on. */
	consoleText(): string {
		return existsSync(this.consoleLogPath) ? readFileSync(this.consoleLogPath, "utf8") : "";
	}

	/** Power loss: nothing is written any more. */
	async powerOff(): Promise<void> {
		const child = this.#process;
		if (child === null) return;
		child.kill("SIGKILL");
		await child.exited;
		this.#ended(child);
	}

	/** The processor stops; the box stays plugged in. */
	async freeze(): Promise<void> {
		await this.#tell("stop");
	}

	async thaw(): Promise<void> {
		await this.#tell("cont");
	}

	/** Pulls or plugs one port's cable: the guest sees its carrier go and come. */
	async setCable(port: PortName, plugged: boolean): Promise<void> {
		await this.#tell("set_link", { name: port, up: plugged });
	}

	async #tell(name: string, args: Readonly<Record<string, unknown>> = {}): Promise<void> {
		if (this.#qmp === null) throw new Error(`${this.name} is off`);
		await this.#qmp.execute(name, args);
	}

	#ended(child: Child): void {
		if (this.#process !== child) return;
		this.#process = null;
		this.#qmp?.close();
		this.#agent?.close();
		this.#qmp = null;
		this.#agent = null;
	}

	/**
	 * QEMU's command line. no_timer_check: the kernel's own test of its timer counts ticks in real time,
	 * and panics when a busy machine gives the emulator none meanwhile.
	 */
	#command(): string[] {
		const { boot } = this.#options;
		const port = (name: PortName) => [
			"-netdev",
			`tap,id=${name},ifname=${this.#tap(name)},script=no,downscript=no`,
			"-device",
			`virtio-net-pci,netdev=${name},id=${name}-port,mac=${this.mac(name)}`,
		];
		const socket = (id: string, path: string, more = "") => [
			"-chardev",
			`socket,id=${id},path=${path},server=on,wait=off${more}`,
		];
		return [
			"qemu-system-x86_64",
			...[
				"-name",
				this.name,
				"-M",
				MACHINE,
				"-accel",
				"tcg,thread=multi",
				"-cpu",
				PROCESSOR_MODEL,
				"-smp",
				"1",
			],
			...["-m", String(MEMORY_MEGABYTES), "-nodefaults", "-no-user-config", "-display", "none"],
			...["-kernel", boot.vmlinux, "-initrd", this.#path("initramfs")],
			...[
				"-append",
				`console=ttyS0,115200 ${kernelWords} no_timer_check drover.root=/dev/vda drover.data=/dev/vdb drover.slot=lab`,
			],
			...["-drive", `if=none,id=root,format=raw,readonly=on,file=${boot.root}`],
			...["-device", "virtio-blk-pci,drive=root"],
			...["-drive", `if=none,id=data,format=raw,cache=unsafe,file=${this.#path("data.img")}`],
			...["-device", "virtio-blk-pci,drive=data"],
			...port("outside"),
			...port("inside"),
			...["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"],
			...socket("console", this.consolePath, `,logfile=${this.consoleLogPath}`),
			...["-serial", "chardev:console"],
			...socket("agent", this.#path("agent.sock")),
			...["-device", "virtserialport,chardev=agent,name=drover.agent"],
			...["-qmp", `unix:${this.#path("qmp.sock")},server=on,wait=off`],
		];
	}
}
