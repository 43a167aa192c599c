/**
 * One box as it is sold: a disk, firmware (BIOS or UEFI), a serial port, nothing else. It is
 * driven as a person would: by what the serial port shows and takes.
 */
import { rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { kernelWords } from "../disk/kernel-words.ts";
import { partitionGuid } from "../disk/layout.ts";
import { type SlotFiles, verityWords } from "../disk/slot.ts";
import { PROCESSOR_MODEL } from "./processor-model.ts";
import { Qmp } from "./qmp.ts";
import { SlowLine } from "./slow-line.ts";
import { connectWhenThere } from "./unix-socket.ts";
import { recordedDrive } from "./write-log.ts";

const UEFI_FIRMWARE = "/usr/share/OVMF/OVMF_CODE.fd";
const MEMORY_MEGABYTES = 512;
const START_LIMIT_MS = 20_000;
/** Each bus that a disk may be on, as QEMU makes it; the disk is the drive "disk". */
const buses = {
	virtio: ["-device", "virtio-blk-pci,drive=disk"],
	usb: ["-device", "usb-storage,drive=disk"],
	ahci: ["-device", "ide-hd,drive=disk"],
	nvme: ["-device", "nvme,drive=disk,serial=1"],
	/** What eMMC is, too: a card in an SDHCI slot. Its size has to be a power of two. */
	mmc: ["-device", "sdhci-pci", "-device", "sd-card,drive=disk"],
	megaraid: ["-device", "megasas", "-device", "scsi-hd,drive=disk"],
} as const satisfies Readonly<Record<string, readonly string[]>>;
export type DiskBus = keyof typeof buses;
/** What the screen keeps; older text is dropped. */
const SCREEN_LIMIT_CHARACTERS = 1 << 20;

export interface DiskMachineOptions {
	readonly directory: string;
	/** The raw disk; written by the guest. */
	readonly disk: string;
	readonly firmware: "BIOS" | "UEFI";
	/** 2 unless told. */
	readonly processors?: number;
	/** How the disk is attached; "usb" is a stick that the box starts from. */
	readonly diskBus?: DiskBus;
	/** Every write to the disk and every flush is recorded into this file (write-log.ts). */
	readonly record?: string;
	/** A second, built-in disk. */
	readonly secondDisk?: string;
	/** A USB stick's raw image. */
	readonly stick?: string;
	/** QEMU's words for where the port leads (its id is "net"); a network of its own without a way out otherwise. */
	readonly network?: string;
	/** More words for QEMU. */
	readonly more?: readonly string[];
	/** What the disk does with a write before its barrier; "unsafe" survives the machine's death, not the host's. */
	readonly cache?: "unsafe" | "writeback";
}

export class DiskMachine {
	readonly #options: DiskMachineOptions;
	#process: Subprocess | null = null;
	#socket: Socket | null = null;
	#screen = "";
	/** Text before it was already waited for. */
	#seen = 0;
	#plugged = 0;
	#line = new SlowLine(Number.POSITIVE_INFINITY);

	constructor(options: DiskMachineOptions) {
		this.#options = options;
	}

	get screen(): string {
		return this.#screen;
	}

	/** Switches on; resolves when the serial port is there. */
	async powerOn(): Promise<void> {
		const path = join(this.#options.directory, "serial.sock");
		rmSync(path, { force: true });
		this.#screen = "";
		this.#seen = 0;
		if (this.#options.record !== undefined) writeFileSync(this.#options.record, "");
		const child = Bun.spawn(this.#command(path), { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
		this.#process = child;
		this.#socket = await connectWhenThere(path, START_LIMIT_MS, () => child.exitCode !== null);
		this.#socket.on("data", (chunk) => {
			this.#screen += chunk.toString("latin1");
			this.#line.take(chunk.length);
			if (this.#screen.length > SCREEN_LIMIT_CHARACTERS) {
				const dropped = this.#screen.length - SCREEN_LIMIT_CHARACTERS / 2;
				this.#screen = this.#screen.slice(dropped);
				this.#seen = Math.max(0, this.#seen - dropped);
			}
		});
		this.#socket.on("error", () => {});
	}

	/** Power loss. */
	async powerOff(): Promise<void> {
		this.#socket?.destroy();
		this.#process?.kill("SIGKILL");
		await this.#process?.exited;
		this.#process = null;
	}

	/**
	 * Whether a watchdog that runs out resets the machine from now on. At first it does not: on a busy host a guest
	 * may get no processor for longer than that. QEMU's watchdog that has run out is off until the next start.
	 */
	async watchdogResets(resets: boolean): Promise<void> {
		const qmp = await Qmp.open(join(this.#options.directory, "qmp.sock"));
		await qmp.execute("set-action", { watchdog: resets ? "reset" : "none" });
		qmp.close();
	}

	/** What a serial line that is unplugged does, and a terminal server's key: a BREAK. */
	async sendBreak(): Promise<void> {
		const qmp = await Qmp.open(join(this.#options.directory, "qmp.sock"));
		await qmp.execute("chardev-send-break", { id: "serial" });
		qmp.close();
	}

	/** Puts a USB stick in: a raw image. The machine needs a USB port: `diskBus: "usb"`, or a stick at power-on. */
	async plugStick(image: string, { readOnly = false } = {}): Promise<void> {
		const qmp = await Qmp.open(join(this.#options.directory, "qmp.sock"));
		// What QEMU still has open of an earlier one is another node.
		const node = `plugged${++this.#plugged}`;
		const file = { driver: "file", filename: image };
		await qmp.execute("blockdev-add", { driver: "raw", "node-name": node, "read-only": readOnly, file });
		await qmp.execute("device_add", { driver: "usb-storage", drive: node, id: "plugged" });
		qmp.close();
	}

	/** Pulls out what `plugStick` put in, whatever is being written; the kernel learns of it a moment later. */
	async pullStick(): Promise<void> {
		const qmp = await Qmp.open(join(this.#options.directory, "qmp.sock"));
		await qmp.execute("device_del", { id: "plugged" });
		qmp.close();
	}

	type(text: string): void {
		this.#socket?.write(text);
	}

	/** What the machine sends from now on counts as shown once a line of this speed would have carried it. */
	lineSpeed(baud: number): void {
		this.#line = new SlowLine(baud);
	}

	/** The match of `awaited` in what was shown since the last one. Throws with the screen when it does not come. */
	async shows(awaited: RegExp, limitMs: number): Promise<RegExpExecArray> {
		const deadline = Date.now() + limitMs;
		for (;;) {
			const found = awaited.exec(this.#screen.slice(this.#seen));
			if (found !== null) {
				this.#seen += found.index + found[0].length;
				await this.#line.carried();
				return found;
			}
			if (Date.now() > deadline)
				throw new Error(
					`${awaited} was not shown within ${limitMs / 1000} s; the screen:\n${this.#screen.slice(-3000)}`,
				);
			await Bun.sleep(20);
		}
	}

	#command(serialPath: string): string[] {
		const {
			record,
			firmware,
			disk,
			diskBus = "virtio",
			secondDisk,
			stick,
			cache = "unsafe",
			processors = 2,
			network = "user,id=net,restrict=on",
			more = [],
		} = this.#options;
		return [
			// A machine does not outlive the program that switched it on, however that ended.
			...["setpriv", "--pdeathsig", "KILL", "nice", "-n", "5"],
			"qemu-system-x86_64",
			...[
				"-M",
				"q35",
				"-accel",
				"tcg,thread=multi",
				"-cpu",
				PROCESSOR_MODEL,
				"-smp",
				String(processors),
				"-m",
				String(MEMORY_MEGABYTES),
			],
			...["-nodefaults", "-display", "none", "-device", "virtio-rng-pci"],
			...(firmware === "UEFI" ? ["-drive", `if=pflash,format=raw,readonly=on,file=${UEFI_FIRMWARE}`] : []),
			...(record === undefined
				? ["-drive", `if=none,id=disk,format=raw,cache=${cache},file=${disk}`]
				: recordedDrive("disk", disk, record)),
			...(diskBus === "usb" || stick !== undefined ? ["-device", "qemu-xhci"] : []),
			...attached(diskBus, more.includes("-kernel")),
			...(secondDisk === undefined
				? []
				: [
						...["-drive", `if=none,id=second,format=raw,cache=${cache},file=${secondDisk}`],
						...["-device", "virtio-blk-pci,drive=second"],
					]),
			...(stick === undefined
				? []
				: [
						...["-drive", `if=none,id=stick,format=raw,cache=unsafe,file=${stick}`],
						...["-device", "usb-storage,drive=stick"],
					]),
			...["-netdev", network, "-device", "virtio-net-pci,netdev=net"],
			...["-device", "i6300esb", "-action", "watchdog=none"],
			...["-chardev", `socket,id=serial,path=${serialPath},server=on,wait=off`, "-serial", "chardev:serial"],
			...["-qmp", `unix:${join(this.#options.directory, "qmp.sock")},server=on,wait=off`],
			...more,
		];
	}
}

/** QEMU starts a kernel that it is given before anything else, and a card only when nothing else is there. */
function attached(bus: DiskBus, isGivenKernel: boolean): readonly string[] {
	const words: readonly string[] = buses[bus];
	return isGivenKernel || bus === "mmc" ? words : words.with(-1, `${words.at(-1)},bootindex=0`);
}

/** QEMU's words for a disk's slot A that is started without firmware and loader. */
export function slotWithoutLoader(
	files: { readonly vmlinux: string; readonly initramfs: string },
	slot: Pick<SlotFiles, "dataBlocks" | "rootHash">,
): readonly string[] {
	const words = [
		`ro gpt ${kernelWords} no_timer_check console=ttyS0,115200n8`,
		`drover.disk=${partitionGuid("esp")} drover.slot=A drover.reason=preferred ${verityWords(slot)}`,
	];
	return ["-kernel", files.vmlinux, "-initrd", files.initramfs, "-append", words.join(" ")];
}
