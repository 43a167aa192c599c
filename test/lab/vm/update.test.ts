/**
 * The life of a box, as a person lives it at the serial port: started from a stick, installed to the
 * built-in disk, set up, updated, rolled back, hung; then the power cuts of that life. In BIOS.
 *
 * `make soak` does the same in UEFI, goes on with recovery.soak.ts, and starts the disks that the cuts left
 * (power-cut-start.ts). For that, DROVER_KEEP_RECORDING=DIRECTORY keeps the recorded life.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, createPrivateKey } from "node:crypto";
import {
	closeSync,
	mkdtempSync,
	openSync,
	readFileSync,
	readSync,
	rmSync,
	truncateSync,
	writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatEnvironment } from "../../../firmware/update/environment.ts";
import { factorySlots, markUnusable, type Slot, STARTS, writeSlots } from "../../../firmware/update/slots.ts";
import { bundle } from "../../../image/bundle.ts";
import { diskBytes, layout, partitionStart } from "../../../image/disk/layout.ts";
import { DiskMachine, type DiskMachineOptions } from "../../../image/lab/disk-machine.ts";
import { BUILT_IN_DISK_BYTES, emptyDisk, factoryImage, presetText, stickWith } from "./factory-image.ts";
import { BOOT_LIMIT_MS, Operator, PASSWORD } from "./operator.ts";
import {
	beginRecording,
	cut,
	judge,
	type Moment,
	moments,
	type Recording,
	readRecording,
} from "./power-cut.ts";

const firmware = process.env["DROVER_FIRMWARE"] === "UEFI" ? "UEFI" : "BIOS";
/** From the last feed to the loader: 10 s, and what a busy host makes of them. */
const HANG_LIMIT_MS = 60_000;
const NEW_VERSION = "9.0.0";

let directory: string;
let recordingDirectory: string;
let machine: DiskMachine;
let operator: Operator;
let payloads: Recording["payloads"];

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-life-"));
	recordingDirectory = process.env["DROVER_KEEP_RECORDING"] ?? directory;
	const image = join(directory, "image.img");
	const slot = await factoryImage(directory, image);
	// The stick that it was written to is larger.
	truncateSync(image, diskBytes + 200 * 1024 * 1024);
	const key = createPrivateKey(readFileSync(join(import.meta.dir, "../../../image/keys/development.pem")));
	const good = bundle({
		slot,
		version: NEW_VERSION,
		key,
		keyId: "development",
		createdAtSeconds: 1_767_225_600,
	});
	const payload = (path: string) => {
		const bytes = readFileSync(path);
		return [{ lengthBytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") }];
	};
	payloads = { boot: payload(slot.boot), root: payload(slot.root) };
	const damaged = new Uint8Array(good);
	damaged[good.length - 1_000_000]! ^= 1;
	stickWith(join(directory, "stick.img"), {
		"good.fw": good,
		"damaged.fw": damaged,
		"drover.toml": presetText,
	});
	stickWith(join(directory, "small.img"), {}, 2 * 1024 * 1024);
	emptyDisk(join(directory, "disk.img"));
}, 300_000);

afterAll(async () => {
	await machine?.powerOff();
	rmSync(directory, { recursive: true, force: true });
});

/** A box, and somebody at its serial port. */
function setUp(options: Omit<DiskMachineOptions, "directory" | "firmware">): void {
	machine = new DiskMachine({ directory, firmware, ...options });
	operator = new Operator(machine);
}

const shell = () => operator.shell();
const run = (command: string, limitMs?: number) => operator.run(command, limitMs);

/** Hangs that a good slot may have before the other one is started, from `drover update status`. */
function hangsLeft(slot: Slot, status: string): number {
	const found = new RegExp(
		`slot ${slot}: \\S+ good(?:, (\\d) more hangs? until the other slot is started)?, `,
	).exec(status);
	if (found === null) throw new Error(`slot ${slot} is not good: ${status}`);
	return found[1] === undefined ? STARTS : Number(found[1]);
}

async function statusUntil(pattern: RegExp): Promise<string> {
	const deadline = Date.now() + BOOT_LIMIT_MS;
	for (;;) {
		const text = await run("drover update status");
		if (pattern.test(text)) return text;
		if (Date.now() > deadline) throw new Error(`the status never showed ${pattern}: ${text}`);
	}
}

describe("installed from a stick", () => {
	beforeAll(async () => {
		setUp({
			disk: join(directory, "image.img"),
			diskBus: "usb",
			secondDisk: join(directory, "disk.img"),
		});
		await machine.powerOn();
	});

	test(
		"first start: no password exists until one is chosen; the data partition takes the stick's rest",
		async () => {
			const shown = await shell();
			expect(shown).toContain("this box has not been set up yet");
			expect(shown).not.toContain(PASSWORD);
			expect(await run("cat /data/access/shadow")).toContain("root:$7$");
			expect(await run("df -m /data | tail -1")).toMatch(/\s2[3-6]\d\s/);
			expect(await run("ls /data/identity")).toContain("ssh_host_ed25519_key.pub");
		},
		2 * BOOT_LIMIT_MS,
	);

	test("the factory's slots are both good", async () => {
		const status = await run("drover update status");
		expect(status).toContain("slot A: 0.1.0, good, running (preferred), started next");
		expect(status).toContain("slot B: 0.1.0, good");
	}, 60_000);

	test("a BREAK on the line makes no order to the kernel of what is typed behind it", async () => {
		const bootId = async () => /[0-9a-f-]{36}/.exec(await run("cat /proc/sys/kernel/random/boot_id"))![0];
		const before = await bootId();
		await machine.sendBreak();
		// Restarts at once.
		machine.type("b");
		await Bun.sleep(1_000);
		machine.type("\x03");
		expect(await bootId()).toBe(before);
	}, 60_000);

	describe("sticks that are put in and pulled out", () => {
		/** USB disks but for the one that the box runs from. */
		const sticks = "ls /sys/block | grep ^sd | grep -v $(cat /run/drover/disk)";
		const plug = async (name: string, readOnly = false) => {
			await machine.plugStick(join(directory, name), { readOnly });
			await run(`until ${sticks}; do sleep 0.2; done`);
		};
		const pull = async () => {
			await machine.pullStick();
			await run(`while ${sticks}; do sleep 0.2; done`);
		};

		test("the one that the box runs from is none", async () => {
			await run("drover config edit; echo '# none yet' >/data/config/candidate/keepalived.conf");
			expect(await run("drover config commit")).toContain("Revision 1 is in force.");
			for (const command of ["config backup usb", "update install usb"])
				expect(await run(`drover ${command}`)).toContain("there is no USB stick: plug one in and try again");
		}, 60_000);

		test("one that is full, or can only be read, is said to be so; half a backup does not stay", async () => {
			await run(
				"cd /tmp; mkdir -p here c; echo 'hostname = \"x\"' >c/appliance.toml; echo >c/keepalived.conf",
			);
			await plug("small.img");
			const stick = `/dev/$(${sticks})`;
			await run(`cd /tmp; mkdir -p here; mount ${stick} here; cat /dev/zero >here/filler`);
			expect(await run("drover config backup usb")).toContain('mounted by hand: "umount /tmp/here"');
			await run("umount here");
			await run(
				"drover config edit; echo '# x' >>/data/config/candidate/keepalived.conf; drover config commit",
			);
			expect(await run("drover config backup usb")).toContain("the USB stick is full");
			expect(await run(`mount ${stick} here; ls here; umount here`)).not.toContain(".tar");
			await pull();
			await plug("small.img", true);
			expect(await run("drover config backup usb")).toContain("the USB stick can only be read");
			await pull();
		}, 120_000);

		test("one that is pulled out during a capture holds none", async () => {
			await plug("stick.img");
			machine.type("ip link set eth0 up; drover tools capture eth0 --usb --seconds 8; echo ov''er\r");
			await machine.shows(/Writing to capture-eth0/, BOOT_LIMIT_MS);
			await machine.pullStick();
			const [said] = await machine.shows(/[\s\S]*?over\r?\n/, BOOT_LIMIT_MS);
			expect(said).toContain("the USB stick was pulled out too early");
		}, 60_000);

		test("an update from one that is given up leaves it to whoever comes next", async () => {
			await plug("stick.img");
			machine.type("drover update install usb\r");
			await machine.shows(/Taking good\.fw[\s\S]*?10 %/, BOOT_LIMIT_MS);
			machine.type("\x03");
			expect(await run("cat /proc/mounts")).not.toContain("/run/drover/usb");
			// A program that was killed could not let it go.
			await run(`mount -o ro /dev/$(${sticks}) /run/drover/usb`);
			expect(await run("drover config backup usb")).toMatch(
				/drover-\S+\.tar on the USB stick holds revision/,
			);
			await run("drover config restore usb");
			expect(await run("drover config compare")).toContain("No difference.");
			await pull();
		}, 120_000);
	});

	test("the disk that runs is refused, and a wrong name", async () => {
		expect(await run("drover install sda --name sda")).toContain("is the disk that this system runs from");
		expect(await run("drover install vda --name sda")).toContain("that was not the disk's name");
	}, 60_000);

	test("the built-in disk is written and read back", async () => {
		const text = await run("drover install vda --name vda", 300_000);
		expect(text).toContain("/dev/vda: ");
		expect(text).toContain("2.0 GB");
		expect(text).toContain("100 % compared");
		expect(text).toContain("/dev/vda holds Drover 0.1.0, read back and right.");
	}, 300_000);
});

describe("on its own disk", () => {
	beforeAll(async () => {
		await machine.powerOff();
		emptySlotB(join(directory, "disk.img"));
		const disk = join(directory, "disk.img");
		setUp({
			disk,
			record: beginRecording(recordingDirectory, disk, { bytes: BUILT_IN_DISK_BYTES, payloads }),
			stick: join(directory, "stick.img"),
		});
		await machine.powerOn();
	}, 60_000);

	test(
		"first start with a stick that says what the box is to be: only the password is asked for",
		async () => {
			const shown = await shell();
			expect(shown).not.toContain("Name of this box");
			expect(shown).toContain("gate-7> ");
			expect(await run("df -m /data | tail -1")).toMatch(/\s1[2-4]\d\d\s/);
			expect(await run("ip -4 -o address show eth0")).toContain("10.0.2.15/24");
		},
		2 * BOOT_LIMIT_MS,
	);

	test("the root is verified, nothing but /data is kept", async () => {
		await run("mkdir -p /tmp/stick; mount -o ro /dev/sda /tmp/stick");
		const mounts = await run("cat /proc/mounts");
		expect(mounts).toMatch(/^\/dev\/\S+ \/ squashfs ro/m);
		expect(mounts).toMatch(/^\/dev\/vda8 \/data ext4 rw/m);
		expect(await run("cat /sys/class/block/dm-0/dm/name")).toContain("root");
	});

	test("a damaged file is refused, the running slot untouched, the other one never started", async () => {
		expect(await run("drover update install /tmp/stick/damaged.fw", 120_000)).toContain(
			"the root payload is damaged: its SHA-256 differs from the signed one",
		);
		const status = await run("drover update status");
		expect(status).toContain("slot A: 0.1.0, good, running (preferred), started next");
		expect(status).toContain("slot B: empty, unusable");
	}, 150_000);

	test(
		"a good one is written, read back, and started on trial",
		async () => {
			const text = await run("drover update install /tmp/stick/good.fw", 120_000);
			expect(text).toContain(`${NEW_VERSION} is signed by "development"`);
			expect(text).toContain(`Slot B holds ${NEW_VERSION}, read back and right.`);
			machine.type("reboot\r");
			await machine.shows(/Slot B: trial/, BOOT_LIMIT_MS);
			await shell();
			expect(await run("cat /proc/cmdline")).toContain("drover.slot=B drover.reason=trial");
		},
		3 * BOOT_LIMIT_MS,
	);

	test(
		"it proves itself and stays",
		async () => {
			expect(await statusUntil(/slot B: 9\.0\.0, good/)).toContain(
				`slot B: ${NEW_VERSION}, good, running (trial), started next`,
			);
			expect(await run("drover update history")).toMatch(
				/good: \S+ in slot B: does what the one before it did/,
			);
		},
		BOOT_LIMIT_MS,
	);

	test(
		"an operator's roll back starts the old one, unless it was overwritten",
		async () => {
			expect(await run("drover update rollback")).toContain("Slot A (0.1.0) starts at the next restart.");
			machine.type("reboot\r");
			await machine.shows(/Slot A: preferred/, BOOT_LIMIT_MS);
		},
		BOOT_LIMIT_MS,
	);

	test(
		"hung user space is reset by the watchdog, counted, and back in service",
		async () => {
			await shell();
			// Whoever loaded its driver: closing it, or writing "V" to it, does not stop it.
			expect(await run("cat /sys/class/watchdog/watchdog0/nowayout")).toMatch(/^1$/m);
			const hang = async () => {
				await run("until [ -s /run/drover/watchdog ]; do sleep 1; done", BOOT_LIMIT_MS);
				const before = hangsLeft("A", await run("drover update status"));
				await machine.watchdogResets(true);
				machine.type("kill -STOP $(cat /run/sv/monitor/supervise/pid)\r");
				await machine.shows(/Slot A: preferred/, HANG_LIMIT_MS);
				await machine.watchdogResets(false);
				return before;
			};
			const before = await hang().catch(async (error: Error) => {
				// This machine starved the guest while it started, and QEMU's watchdog ran out unseen, which the next
				// start counts: once more.
				console.log(`the watchdog did not reset the box, once more: ${error.message}`);
				await machine.watchdogResets(false);
				machine.type("reboot\r");
				await machine.shows(/Slot A: preferred/, BOOT_LIMIT_MS);
				await shell();
				return hang();
			});
			await shell();
			expect(await run("cat /run/drover/reset-by-watchdog")).toContain("hang");
			expect(hangsLeft("A", await run("drover update status"))).toBe(before - 1);
		},
		3 * BOOT_LIMIT_MS,
	);
});

const POWER_CUTS = Number(process.env["DROVER_POWER_CUTS"] ?? 50);
const SEED = Number(process.env["DROVER_SEED"] ?? 1);

describe(`the power goes at ${POWER_CUTS} moments of that life, with torn, dropped and reordered sectors (seed ${SEED})`, () => {
	let recording: Recording;
	let chosen: readonly Moment[];
	beforeAll(async () => {
		await machine.powerOff();
		recording = readRecording(recordingDirectory)!;
		chosen = moments(recording.entries, POWER_CUTS, SEED);
	}, 60_000);

	test("each leaves a disk that starts the old firmware or the complete new one", () => {
		const starts = new Map<string, number>();
		for (const moment of chosen) {
			const disk = cut(recording, moment);
			const verdict = judge(recording, disk);
			disk.close();
			expect({ ...moment, faults: verdict.faults }).toEqual({ ...moment, faults: [] });
			const word = `${verdict.starts}: ${verdict.reason}`;
			starts.set(word, (starts.get(word) ?? 0) + 1);
		}
		// Both sides of the flip were looked at.
		expect([...starts.keys()].sort()).toContain("A: preferred");
		expect([...starts.keys()].some((word) => word.startsWith("B"))).toBe(true);
	}, 600_000);

	test("the judge finds a slot that is damaged", () => {
		const last = recording.entries.length;
		const bulk = recording.entries.findLastIndex(
			({ kind, sector }) =>
				kind === "write" && sector * 512 >= partitionStart("root-B") && sector * 512 < partitionStart("data"),
		);
		const disk = cut(
			{ ...recording, entries: recording.entries.filter((_, index) => index !== bulk) },
			{ seed: 1, cutAt: last - 1 },
		);
		expect(judge(recording, disk).faults.join()).toContain(
			"slot B may be started (good), and its root is neither",
		);
		disk.close();
	}, 60_000);
});

/** Rubbish in slot B and no mark on it, so that only a complete update can make it look right. */
function emptySlotB(disk: string): void {
	const fd = openSync(disk, "r+");
	const rubbish = Buffer.alloc(1024 * 1024, "rubbish ");
	for (const { name, sizeBytes } of layout)
		if (name === "boot-B" || name === "root-B")
			for (let offset = 0; offset < sizeBytes; offset += rubbish.length)
				writeSync(fd, rubbish, 0, rubbish.length, partitionStart(name) + offset);
	const env = Buffer.alloc(layout.find(({ name }) => name === "env")!.sizeBytes);
	readSync(fd, env, 0, env.length, partitionStart("env"));
	const block = formatEnvironment(writeSlots(markUnusable(factorySlots("0.1.0"), "B")));
	writeSync(fd, block, 0, block.length, partitionStart("env") + env.indexOf("# GRUB Environment Block"));
	closeSync(fd);
}
