/**
 * A firmware update on a real disk, as a person does it at the serial port: install from a USB
 * stick, restart on trial, proved good, rolled back; a damaged file refused.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPrivateKey } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../../image/build.ts";
import { bundle } from "../../../image/bundle.ts";
import { buildDisk } from "../../../image/disk/disk.ts";
import { runTool } from "../../../image/disk/tool.ts";
import { DiskMachine } from "../../../image/lab/disk-machine.ts";

const BOOT_LIMIT_MS = 120_000;
const STICK_BYTES = 256 * 1024 * 1024;
const NEW_VERSION = "9.0.0";

let directory: string;
let machine: DiskMachine;

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-update-"));
	const files = await build({ release: false, onProgress: console.log });
	const scratchDirectory = join(directory, "scratch");
	mkdirSync(scratchDirectory);
	const disk = join(directory, "disk.img");
	const input = {
		version: "0.1.0",
		vmlinuz: files.vmlinuz,
		initramfs: files.initramfs,
		rootSquashfs: files.root,
		scratchDirectory,
	};
	const slot = buildDisk(input, disk);
	const key = createPrivateKey(readFileSync(join(import.meta.dir, "../../../image/keys/development.pem")));
	const good = bundle({
		slot,
		version: NEW_VERSION,
		key,
		keyId: "development",
		createdAtSeconds: 1_767_225_600,
	});
	const damaged = Uint8Array.from(good);
	damaged[good.length - 1_000_000]! ^= 1;
	const stick = join(directory, "stick.img");
	runTool("truncate", ["--size", String(STICK_BYTES), stick]);
	runTool("mkfs.vfat", ["-F", "32", stick]);
	for (const [name, bytes] of [
		["good.fw", good],
		["damaged.fw", damaged],
	] as const) {
		writeFileSync(join(scratchDirectory, name), bytes);
		runTool("mcopy", ["-i", stick, join(scratchDirectory, name), `::${name}`]);
	}
	rmSync(scratchDirectory, { recursive: true });
	machine = new DiskMachine({ directory, disk, firmware: "BIOS", stick });
	await machine.powerOn();
}, 300_000);

afterAll(async () => {
	await machine?.powerOff();
	rmSync(directory, { recursive: true, force: true });
});

/** Waits for the console and opens its shell; kernel messages may stand between. */
async function shell(): Promise<void> {
	await machine.shows(/drover> /, BOOT_LIMIT_MS);
	machine.type("shell\r");
	await machine.shows(/returns to the console/, BOOT_LIMIT_MS);
	await run(
		"mkdir -p /tmp/stick; modprobe -a usb-storage vfat nls_cp437 nls_ascii; sleep 3; mount -o ro /dev/sda /tmp/stick; ls /tmp/stick",
	);
}

let commands = 0;

/** Runs a command in the guest's shell; its output. */
async function run(command: string, limitMs = 60_000): Promise<string> {
	const mark = `done-${++commands}`;
	machine.type(`${command}; echo ${mark.slice(0, 2)}''${mark.slice(2)}\r`);
	await machine.shows(/\n/, limitMs);
	const [output] = await machine.shows(new RegExp(`[\\s\\S]*?${mark}\\r?\\n`), limitMs);
	return output.slice(0, output.lastIndexOf(mark)).replaceAll("\r", "");
}

async function statusUntil(pattern: RegExp): Promise<string> {
	const deadline = Date.now() + BOOT_LIMIT_MS;
	for (;;) {
		const text = await run("drover update status");
		if (pattern.test(text)) return text;
		if (Date.now() > deadline) throw new Error(`the status never showed ${pattern}: ${text}`);
	}
}

describe("an update", () => {
	test(
		"the factory's slots are both good",
		async () => {
			await shell();
			const status = await run("drover update status");
			expect(status).toContain("slot A: 0.1.0, good, running (preferred), started next");
			expect(status).toContain("slot B: 0.1.0, good");
		},
		BOOT_LIMIT_MS,
	);

	test("the root is verified, nothing but /data is kept", async () => {
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
			await run("until [ -s /run/drover/watchdog ]; do sleep 1; done");
			machine.type("kill -STOP $(cat /run/sv/monitor/supervise/pid)\r");
			await machine.shows(/Slot A: preferred/, BOOT_LIMIT_MS);
			await shell();
			expect(await run("cat /run/drover/reset-by-watchdog")).toContain("hang");
			expect(await run("drover update status")).toContain(
				"slot A: 0.1.0, good, 2 more hangs until the other slot is started, running",
			);
		},
		3 * BOOT_LIMIT_MS,
	);
});
