/**
 * The appliance as a whole, against the seconds and megabytes that it must keep: power-on to a virtual
 * address that answers, memory, an update, a crashed service, a hang. Absolute figures under QEMU's
 * emulation: run it on a quiet machine. A start is also measured beside one of a bare Bun, which a slower
 * machine slows down as much.
 */
import { createPrivateKey } from "node:crypto";
import {
	closeSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	rmSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashPassword } from "../../firmware/appliance/password.ts";
import { type BootFiles, build } from "../../image/build.ts";
import { bundle } from "../../image/bundle.ts";
import { cpio } from "../../image/cpio.ts";
import { buildDisk } from "../../image/disk/disk.ts";
import { diskBytes, partitionStart } from "../../image/disk/layout.ts";
import { runTool } from "../../image/disk/tool.ts";
import { DiskMachine, type DiskMachineOptions, slotWithoutLoader } from "../../image/lab/disk-machine.ts";
import { packedKernel } from "../../image/packed-kernel.ts";
import { Tree } from "../../image/tree.ts";
import type { BenchResult } from "./result.ts";

const BIOS_BAR_SECONDS = 11;
const KERNEL_BAR_SECONDS = 7;
/** The bars of a start were set from a bare Bun, on a faster machine: 12.9 s from power-on, some 7 s from the kernel. */
const BIOS_BAR_OF_BARE_BUN = 0.85;
const KERNEL_BAR_OF_BARE_BUN = 1;
const START_ROUNDS = 2;
const MEMORY_BAR_MEGABYTES = 220;
const UPDATE_BAR_SECONDS = 10;
const RESTART_BAR_MS = 150;
const HANG_BAR_SECONDS = 15;
const REDRAW_BAR_MS = 800;
const REDRAW_BAUD = 9_600;
const REDRAWS = 11;
/** More than the first screen has room for. */
const ALARMS = 6;
const LIMIT_MS = 120_000;
const PASSWORD = "ox and cart";
const VIRTUAL_ADDRESS = [10, 9, 9, 200] as const;

const settings = `hostname = "gate"
console_password_hash = "${hashPassword(PASSWORD)}"

[[port]]
name = "eth0"
role = "outside"
addresses = ["10.9.9.1/24"]
`;
const keepalivedConf = `vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress {
        ${VIRTUAL_ADDRESS.join(".")}/24
    }
}
virtual_server ${VIRTUAL_ADDRESS.join(".")} 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.9.9.2 80 {
    }
}
`;

/** A root's init that sets a port up and runs Bun; once that listens, it gives the port the virtual address. */
const bareInit = `#!/bin/sh
PATH=/usr/sbin:/usr/bin
export PATH
modprobe -q virtio_net
ip link set eth0 up
BUN_BE_BUN=1 exec /usr/lib/drover/bun -e 'Bun.serve({ port: 80, fetch: () => new Response() });
	Bun.spawnSync(["ip", "address", "add", "${VIRTUAL_ADDRESS.join(".")}/24", "dev", "eth0"])'
`;

/** The same kernel, initramfs and root, with nothing in it but a bare Bun that listens: an archive is laid over the root. */
function bareBun(files: BootFiles, directory: string): BootFiles {
	const tree = new Tree();
	tree.file("overlay/usr/sbin/init", bareInit, 0o755);
	// Nothing is rehearsed.
	tree.file("overlay/usr/bin/drover", "#!/bin/sh\n", 0o755);
	const initramfs = join(directory, "bare-initramfs");
	writeFileSync(initramfs, Buffer.concat([readFileSync(files.initramfs), cpio(tree)]));
	return { ...files, initramfs };
}

const row = (name: string, value: number, bar: number, unit: string): BenchResult => ({
	name,
	ours: `${value.toFixed(unit === "ms" ? 0 : 1)} ${unit}`,
	peer: `${bar} ${unit}`,
	ratio: value / bar,
	bar: 1,
});

/** The guest's Ethernet over UDP on the loopback device (QEMU's "dgram" network). */
class Wire {
	readonly #socket: Bun.udp.Socket<"buffer">;
	readonly port: number;
	readonly guestPort: number;
	#answered: ((atMs: number) => void) | null = null;

	private constructor(socket: Bun.udp.Socket<"buffer">, guestPort: number) {
		this.#socket = socket;
		this.port = socket.port;
		this.guestPort = guestPort;
	}

	static async open(): Promise<Wire> {
		// A port that is free now is free for QEMU a moment later.
		const spare = await Bun.udpSocket({ hostname: "127.0.0.1" });
		const guestPort = spare.port;
		spare.close();
		let wire: Wire;
		const socket = await Bun.udpSocket({
			hostname: "127.0.0.1",
			socket: {
				data: (_socket, frame) => wire.#receive(frame),
				// Until QEMU listens.
				error() {},
			},
		});
		wire = new Wire(socket, guestPort);
		return wire;
	}

	/** When the guest first answers an ARP request for the virtual address, on performance.now()'s scale. */
	async virtualAddressAnswers(): Promise<number> {
		const answered = new Promise<number>((resolve) => {
			this.#answered = resolve;
		});
		const timer = setInterval(() => {
			this.#socket.send(whoHas(VIRTUAL_ADDRESS), this.guestPort, "127.0.0.1");
		}, 50);
		try {
			return await Promise.race([
				answered,
				Bun.sleep(LIMIT_MS).then(() => {
					throw new Error("the virtual address did not answer");
				}),
			]);
		} finally {
			clearInterval(timer);
		}
	}

	/** An ARP reply (RFC 826: operation 2) whose sender is the virtual address. */
	#receive(frame: Uint8Array): void {
		const isReply = frame[12] === 0x08 && frame[13] === 0x06 && frame[21] === 2;
		if (isReply && VIRTUAL_ADDRESS.every((byte, at) => frame[28 + at] === byte))
			this.#answered?.(performance.now());
	}

	close(): void {
		this.#socket.close();
	}
}

function whoHas(address: readonly number[]): Uint8Array {
	const mac = [0x52, 0x54, 0, 9, 9, 2];
	const head = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ...mac, 0x08, 0x06];
	const arp = [0, 1, 0x08, 0, 6, 4, 0, 1, ...mac, 10, 9, 9, 2, 0, 0, 0, 0, 0, 0, ...address];
	return Uint8Array.from([...head, ...arp, ...new Array<number>(60 - head.length - arp.length).fill(0)]);
}

/** The shortest start of each of two machines, in turns, in seconds. */
async function startSeconds(wire: Wire, ...machines: readonly [DiskMachineOptions, DiskMachineOptions]) {
	const shortest: [number, number] = [Infinity, Infinity];
	for (let round = 0; round < START_ROUNDS; round++)
		for (const [at, options] of machines.entries()) {
			const machine = new DiskMachine(options);
			const startedAtMs = performance.now();
			try {
				await machine.powerOn();
				const seconds = ((await wire.virtualAddressAnswers()) - startedAtMs) / 1000;
				shortest[at] = Math.min(shortest[at]!, seconds);
			} finally {
				await machine.powerOff();
			}
		}
	return shortest;
}

const bareRow = (name: string, ours: number, bare: number, bar: number): BenchResult => ({
	name,
	ours: `${ours.toFixed(1)} s`,
	peer: `${bare.toFixed(1)} s`,
	ratio: ours / bare,
	bar,
});

let commands = 0;

async function run(machine: DiskMachine, command: string): Promise<string> {
	const mark = `done-${++commands}`;
	machine.type(`${command}; echo ${mark.slice(0, 2)}''${mark.slice(2)}\r`);
	await machine.shows(/\n/, LIMIT_MS);
	const [output] = await machine.shows(new RegExp(`[\\s\\S]*?${mark}\\r?\\n`), LIMIT_MS);
	return output.slice(0, output.lastIndexOf(mark)).replaceAll("\r", "");
}

/** The last number that a command printed. */
async function number(machine: DiskMachine, command: string): Promise<number> {
	const output = await run(machine, command);
	const found = /(-?[\d.]+)\s*$/.exec(output)?.[1];
	if (found === undefined) throw new Error(`"${command}" gave no number: ${output}`);
	return Number(found);
}

async function shell(machine: DiskMachine): Promise<void> {
	await machine.shows(/Password: /, LIMIT_MS);
	machine.type(`${PASSWORD}\r`);
	await machine.shows(/gate> /, LIMIT_MS);
	machine.type("shell\r");
	await machine.shows(/returns to the console/, LIMIT_MS);
}

/** From Enter to the last character of the first screen, with alarms enough to fill it; the middle one of some. */
async function redrawMs(machine: DiskMachine): Promise<number> {
	await run(
		machine,
		`mkdir -p /run/drover/alarms; for i in $(seq ${ALARMS}); do echo "ended 5 times within 60 s, last with status 1" >/run/drover/alarms/bench$i; done; stty ${REDRAW_BAUD}`,
	);
	machine.type("exit\r");
	await machine.shows(/gate> /, LIMIT_MS);
	machine.lineSpeed(REDRAW_BAUD);
	const tookMs: number[] = [];
	for (let round = 0; round < REDRAWS; round++) {
		await Bun.sleep(1_000);
		const startedAtMs = performance.now();
		machine.type("\r");
		await machine.shows(/gate> $/, LIMIT_MS);
		tookMs.push(performance.now() - startedAtMs);
	}
	machine.lineSpeed(Number.POSITIVE_INFINITY);
	machine.type("shell\r");
	await machine.shows(/returns to the console/, LIMIT_MS);
	await run(machine, "stty 115200; rm /run/drover/alarms/bench*");
	return tookMs.sort((a, b) => a - b)[REDRAWS >> 1]!;
}

export async function bench(): Promise<readonly BenchResult[]> {
	const directory = mkdtempSync(join(tmpdir(), "drover-bench-"));
	const wire = await Wire.open();
	let machine: DiskMachine | null = null;
	try {
		const files = await build({ release: true, onProgress: (line) => console.error(line) });
		const vmlinuz = packedKernel(console.error);
		const scratchDirectory = join(directory, "scratch");
		mkdirSync(scratchDirectory);
		const disk = join(directory, "disk.img");
		const slot = buildDisk(
			{ ...files, vmlinuz, version: "0.1.0", rootSquashfs: files.root, scratchDirectory },
			disk,
		);
		addToEsp(disk, scratchDirectory, { "drover.toml": settings, "keepalived.conf": keepalivedConf });
		const parcel = join(directory, "update.img");
		runTool("truncate", ["--size", "160M", parcel]);
		runTool("mkfs.vfat", [parcel]);
		writeFileSync(
			join(scratchDirectory, "new.fw"),
			bundle({
				slot,
				version: "9.0.0",
				key: createPrivateKey(readFileSync(join(import.meta.dir, "../../image/keys/development.pem"))),
				keyId: "development",
				createdAtSeconds: 1_767_225_600,
			}),
		);
		runTool("mcopy", ["-i", parcel, join(scratchDirectory, "new.fw"), "::new.fw"]);
		const options = {
			directory,
			disk,
			firmware: "BIOS",
			secondDisk: parcel,
			network: `dgram,id=net,local.type=inet,local.host=127.0.0.1,local.port=${wire.guestPort},remote.type=inet,remote.host=127.0.0.1,remote.port=${wire.port}`,
		} as const;

		// The first start takes the preset and grows; what is measured is every start after it.
		machine = new DiskMachine(options);
		await machine.powerOn();
		await wire.virtualAddressAnswers();
		await shell(machine);
		await run(machine, "sync");
		await machine.powerOff();

		const bareDirectory = join(directory, "bare");
		mkdirSync(bareDirectory);
		const bareFiles = bareBun(files, bareDirectory);
		const bareDisk = join(directory, "bare.img");
		const bareSlot = buildDisk(
			{ ...bareFiles, vmlinuz, version: "0.1.0", rootSquashfs: files.root, scratchDirectory: bareDirectory },
			bareDisk,
		);
		const bare = { ...options, disk: bareDisk };
		const [biosSeconds, bareBiosSeconds] = await startSeconds(wire, options, bare);
		const [kernelSeconds, bareKernelSeconds] = await startSeconds(
			wire,
			{ ...options, more: slotWithoutLoader(files, slot) },
			{ ...bare, more: slotWithoutLoader(bareFiles, bareSlot) },
		);

		await machine.powerOn();
		await shell(machine);
		await Bun.sleep(10_000);
		const usedMegabytes = await number(
			machine,
			'awk \'/^(MemTotal|MemAvailable):/ { v[$1] = $2 } END { print (v["MemTotal:"] - v["MemAvailable:"]) / 1000 }\' /proc/meminfo',
		);
		// runsv writes the new process's number as soon as it runs.
		const restartSeconds = await number(
			machine,
			'p=/run/sv/director/supervise/pid; read -r old <$p; read -r a _ </proc/uptime; kill -9 $old; new=$old; while [ "$new" = "$old" ] || [ -z "$new" ]; do read -r new <$p; done; read -r b _ </proc/uptime; echo "$a $b" | awk \'{ print $2 - $1 }\'',
		);
		const firstScreenMs = await redrawMs(machine);
		await run(
			machine,
			"modprobe -qa vfat nls_cp437 nls_ascii; mkdir -p /tmp/parcel; mount -o ro /dev/vdb /tmp/parcel",
		);
		const updateSeconds = await number(
			machine,
			"read -r a _ </proc/uptime; drover update install /tmp/parcel/new.fw >/dev/null && read -r b _ </proc/uptime && echo \"$a $b\" | awk '{ print $2 - $1 }'",
		);
		await machine.watchdogResets(true);
		await run(machine, "true");
		const hungAtMs = performance.now();
		machine.type("kill -STOP $(cat /run/sv/monitor/supervise/pid)\r");
		await machine.shows(/Slot [AB]: /, LIMIT_MS);
		const hangSeconds = (performance.now() - hungAtMs) / 1000;
		return [
			row("power-on to the virtual address, BIOS, disk image", biosSeconds, BIOS_BAR_SECONDS, "s"),
			row("kernel to the virtual address", kernelSeconds, KERNEL_BAR_SECONDS, "s"),
			bareRow(
				"power-on to the virtual address, and to a bare Bun that listens, same kernel and root, in turns",
				biosSeconds,
				bareBiosSeconds,
				BIOS_BAR_OF_BARE_BUN,
			),
			bareRow("the same from the kernel", kernelSeconds, bareKernelSeconds, KERNEL_BAR_OF_BARE_BUN),
			row("memory of the whole appliance", usedMegabytes, MEMORY_BAR_MEGABYTES, "MB"),
			row("first screen full of alarms redrawn at 9600 baud", firstScreenMs, REDRAW_BAR_MS, "ms"),
			row("update, verified and read back", updateSeconds, UPDATE_BAR_SECONDS, "s"),
			row("a killed service runs again", restartSeconds * 1000, RESTART_BAR_MS, "ms"),
			row("a hang to the loader, by the watchdog", hangSeconds, HANG_BAR_SECONDS, "s"),
		];
	} finally {
		await machine?.powerOff();
		wire.close();
		rmSync(directory, { recursive: true, force: true });
	}
}

/** Puts files into the disk's boot partition, as a person would on another computer. */
function addToEsp(disk: string, scratchDirectory: string, files: Readonly<Record<string, string>>): void {
	for (const [name, text] of Object.entries(files)) {
		const path = join(scratchDirectory, name);
		writeFileSync(path, text);
		runTool("mcopy", ["-i", `${disk}@@${partitionStart("esp")}`, path, `::${name}`]);
	}
	// The stick that it was written to is a little larger.
	const fd = openSync(disk, "r+");
	writeSync(fd, new Uint8Array(1), 0, 1, diskBytes + 64 * 1024 * 1024 - 1);
	closeSync(fd);
}
