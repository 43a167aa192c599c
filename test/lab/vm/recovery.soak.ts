/**
 * What a box's owner does when things have gone wrong, at the serial port: factory reset, a forgotten password,
 * flashing the disk again. The disk is flashed by the tool that `make flash` is, onto a block device.
 *
 *   bun test --timeout=300000 ./test/lab/vm/recovery.soak.ts      DROVER_FIRMWARE=UEFI for the other firmware
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { runTool } from "../../../image/disk/tool.ts";
import { DiskMachine, type DiskMachineOptions } from "../../../image/lab/disk-machine.ts";
import { emptyDisk, factoryImage, presetText, stickWith } from "./factory-image.ts";
import { openLoaderMenu, startEntry } from "./loader-menu.ts";
import { BOOT_LIMIT_MS, Operator } from "./operator.ts";

const firmware = process.env["DROVER_FIRMWARE"] === "UEFI" ? "UEFI" : "BIOS";
const FLASH_LIMIT_MS = 120_000;

let directory: string;
let machine: DiskMachine;
let operator: Operator;
/** The factory's, the second life's, the third's. */
const machineIds: string[] = [];

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-recovery-"));
	await factoryImage(directory, join(directory, "factory.img"));
	stickWith(join(directory, "stick.img"), { "drover.toml": presetText });
	emptyDisk(join(directory, "disk.img"));
}, 300_000);

afterAll(async () => {
	await machine?.powerOff();
	rmSync(directory, { recursive: true, force: true });
});

/** Switched on, and somebody at its serial port. */
async function switchOn(options: Pick<DiskMachineOptions, "stick">): Promise<void> {
	machine = new DiskMachine({ directory, firmware, disk: join(directory, "disk.img"), ...options });
	operator = new Operator(machine);
	await machine.powerOn();
	await machine.shows(/Slot A: preferred/, BOOT_LIMIT_MS);
}

/** `make flash` without the building before it, its question answered; what it said. */
async function flashDisk(): Promise<string> {
	const device = runTool("losetup", ["--find", "--show", join(directory, "disk.img")]).trim();
	try {
		const tool = join(import.meta.dir, "../../../image/flash.ts");
		const child = Bun.spawn([process.execPath, tool, device, join(directory, "factory.img")], {
			stdin: Buffer.from(`${basename(device)}\n`),
			stdout: "pipe",
		});
		const text = await new Response(child.stdout).text();
		expect(text).toContain("Everything on it will be lost.");
		expect(text).toContain("100 % compared");
		expect(text).toContain(`${device} is ready: put it into the box and switch on.`);
		expect(await child.exited).toBe(0);
		return text;
	} finally {
		runTool("losetup", ["--detach", device]);
	}
}

async function expectNewIdentity(): Promise<void> {
	const id = await operator.run("cat /data/identity/machine-id");
	const hex = /^[0-9a-f]{32}$/m.exec(id)?.[0];
	expect(hex).toBeString();
	expect(machineIds).not.toContain(hex!);
	machineIds.push(hex!);
}

describe("flashed", () => {
	test(
		"an empty disk is shown as such, written, read back",
		async () => {
			expect(await flashDisk()).toContain("no partitions; empty");
		},
		FLASH_LIMIT_MS,
	);

	test(
		"it starts with what the stick presets",
		async () => {
			await switchOn({ stick: join(directory, "stick.img") });
			expect(await operator.shell()).toContain("gate-7> ");
			await expectNewIdentity();
			// So that there is something to lose.
			expect(await operator.run("drover update rollback")).toContain(
				"Slot B (0.1.0) starts at the next restart.",
			);
			expect(await operator.run("drover update history")).toContain("rollback");
		},
		2 * BOOT_LIMIT_MS,
	);
});

describe("factory reset", () => {
	test("another name than the box's changes nothing", async () => {
		expect(await operator.run("drover factory-reset --name drover")).toContain(
			"Nothing is erased: this box is called gate-7.",
		);
	}, 60_000);

	test(
		"all data goes, the firmware and the choice of it stay",
		async () => {
			expect(await operator.run("drover factory-reset --name gate-7")).toContain(
				"All data goes at the next start.",
			);
			await operator.restart("B: preferred");
			await machine.shows(/all data is erased/, BOOT_LIMIT_MS);
			// The stick is still there, and would preset it again.
			expect(await operator.shell()).toContain("New password");
			expect(await operator.run("drover update history")).not.toContain("rollback");
			await expectNewIdentity();
			// QEMU's watchdog may have run out meanwhile on a busy host, which counts as a hang.
			expect(await operator.run("drover update status")).toMatch(
				/slot B: 0\.1\.0, good, (?:.*, )?running \(preferred\), started next/,
			);
		},
		3 * BOOT_LIMIT_MS,
	);
});

describe("a forgotten password", () => {
	test(
		"the loader's entry sets a new one, keeps the data, and the log says so",
		async () => {
			await restartIntoLoaderMenu();
			await startEntry(machine, "Recover");
			await machine.shows(/Slot B: menu/, BOOT_LIMIT_MS);
			await machine.shows(/Password recovery\. It is logged\./, BOOT_LIMIT_MS);
			expect(await operator.shell()).toContain("The new password is set.");
			expect(await operator.run("drover log 100 console")).toContain("a new password was set by recovery");
			expect(await operator.run("cat /data/identity/machine-id")).toContain(machineIds.at(-1)!);
		},
		3 * BOOT_LIMIT_MS,
	);
});

describe("flashed again after that life", () => {
	test(
		"the tool shows what is on the disk",
		async () => {
			await machine.powerOff();
			expect(await flashDisk()).toMatch(/squashfs "root-A"\n[\s\S]* ext "data"\n/);
		},
		FLASH_LIMIT_MS,
	);

	test(
		"it starts as a box that nobody has set up: nothing of its former life is left",
		async () => {
			await switchOn({});
			expect(await operator.shell()).toContain("this box has not been set up yet");
			expect(await operator.run("grep -rl gate''-7 /data; drover update history")).not.toMatch(
				/gate-7|rollback/,
			);
			const status = await operator.run("drover update status");
			expect(status).toContain("slot A: 0.1.0, good, running (preferred), started next");
			expect(status).toContain("slot B: 0.1.0, good");
			expect(await operator.run("df -m /data | tail -1")).toMatch(/\s1[2-4]\d\d\s/);
			await expectNewIdentity();
		},
		2 * BOOT_LIMIT_MS,
	);
});

/** Restarts from the shell, and opens the loader's menu. */
async function restartIntoLoaderMenu(): Promise<void> {
	for (let restarts = 1; ; restarts++) {
		machine.type("reboot\r");
		if (await openLoaderMenu(machine, BOOT_LIMIT_MS)) return;
		// A busy host may let the moment pass.
		if (restarts === 3) throw new Error(`the loader shows no menu:\n${machine.screen.slice(-2000)}`);
		await operator.shell();
	}
}
