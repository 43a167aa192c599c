/** Whatever bus the disk is on, the initramfs finds it there, opens the slot's verified root, and data is mounted. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BootFiles, build } from "../../../image/build.ts";
import { buildDisk } from "../../../image/disk/disk.ts";
import { type SlotFiles, verityWords } from "../../../image/disk/slot.ts";
import { type DiskBus, DiskMachine, diskBuses } from "../../../image/lab/disk-machine.ts";

const START_LIMIT_MS = 90_000;
/** A card's size has to be a power of two. */
const DISK_BYTES = 2 ** 30;

const dataOf: Readonly<Record<DiskBus, string>> = {
	virtio: "/dev/vda8",
	usb: "/dev/sda8",
	ahci: "/dev/sda8",
	nvme: "/dev/nvme0n1p8",
	mmc: "/dev/mmcblk0p8",
	megaraid: "/dev/sda8",
};

let directory: string;
let disk: string;
let files: BootFiles;
let slot: SlotFiles;
beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-disks-"));
	disk = join(directory, "disk.img");
	files = await build({ release: false, onProgress: console.log });
	const scratchDirectory = join(directory, "scratch");
	mkdirSync(scratchDirectory);
	const { vmlinuz, initramfs, root: rootSquashfs } = files;
	slot = buildDisk({ version: "1.0.0", vmlinuz, initramfs, rootSquashfs, scratchDirectory }, disk);
	truncateSync(disk, DISK_BYTES);
}, 300_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

// From a stick and from a virtual disk whole boxes start in the other suites.
test.each(diskBuses.filter((bus) => !["virtio", "usb"].includes(bus)))(
	"%s",
	async (bus) => {
		const machine = new DiskMachine({
			directory,
			disk,
			firmware: "BIOS",
			processors: 1,
			diskBus: bus,
			more: [
				...["-snapshot", "-kernel", files.vmlinux, "-initrd", files.initramfs],
				...[
					"-append",
					`ro gpt quiet loglevel=3 panic=10 no_timer_check console=ttyS0,115200n8 drover.disk=d10e5000-0000-4000-8000-000000000002 drover.slot=A drover.reason=preferred ${verityWords(slot)}`,
				],
			],
		});
		try {
			await machine.powerOn();
			const [words] = await machine.shows(/\/ is squashfs on [^\r]*\r/, START_LIMIT_MS);
			expect(words).toStartWith(`/ is squashfs on /dev/dm-0, /data is ext4 on ${dataOf[bus]}`);
			// The kernel has nothing to say on the screen of a start that goes well.
			expect(machine.screen).not.toContain("watchdog:");
		} finally {
			await machine.powerOff();
		}
	},
	2 * START_LIMIT_MS,
);
