/**
 * From the kernel's start to the first words of user space: the disk is found on whatever bus it is, the slot's
 * verified root is opened, and data is mounted, also after a power cut that its journal cannot mend.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, truncateSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../../image/build.ts";
import { partitionStart, SECTOR_BYTES } from "../../../image/disk/layout.ts";
import { type DiskBus, DiskMachine, slotWithoutLoader } from "../../../image/lab/disk-machine.ts";
import { factoryImage } from "./factory-image.ts";

const START_LIMIT_MS = 90_000;
/** A card's size has to be a power of two. */
const DISK_BYTES = 2 ** 30;
/** Where ext4 has its superblock of 1 KiB, from the file system's start. */
const SUPERBLOCK_OFFSET = 1024;

let directory: string;
let disk: string;
let kernel: readonly string[];
beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-initramfs-"));
	disk = join(directory, "disk.img");
	const slot = await factoryImage(directory, disk);
	truncateSync(disk, DISK_BYTES);
	kernel = slotWithoutLoader(await build({ release: false, onProgress: console.log }), slot);
}, 300_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Starts the disk, which stays as it is, and returns all that the screen had shown by the line that says what was mounted. */
async function start(diskBus: DiskBus): Promise<string> {
	const more = ["-snapshot", ...kernel];
	const machine = new DiskMachine({ directory, disk, firmware: "BIOS", processors: 1, diskBus, more });
	try {
		await machine.powerOn();
		await machine.shows(/\/ is squashfs on [^\r]*\r/, START_LIMIT_MS);
		return machine.screen;
	} finally {
		await machine.powerOff();
	}
}

// From a stick and from a virtual disk whole boxes start in the other suites.
test.each([
	["ahci", "/dev/sda8"],
	["nvme", "/dev/nvme0n1p8"],
	["mmc", "/dev/mmcblk0p8"],
	["megaraid", "/dev/sda8"],
] as const)(
	"%s",
	async (bus, data) => {
		const screen = await start(bus);
		expect(screen).toContain(`/ is squashfs on /dev/dm-0, /data is ext4 on ${data}`);
		// The kernel has nothing to say on the screen of a start that goes well.
		expect(screen).not.toContain("watchdog:");
		// All programs that its scripts call are there.
		expect(screen).not.toMatch(/not found|can't execute/);
	},
	2 * START_LIMIT_MS,
);

test(
	"a superblock of which a power cut wrote one sector: data is mended from the copy",
	async () => {
		const fd = openSync(disk, "r+");
		const second = partitionStart("data") + SUPERBLOCK_OFFSET + SECTOR_BYTES;
		const bytes = new Uint8Array(SECTOR_BYTES);
		readSync(fd, bytes, 0, SECTOR_BYTES, second);
		writeSync(fd, new Uint8Array(SECTOR_BYTES).fill(0xff), 0, SECTOR_BYTES, second);
		try {
			expect(await start("nvme")).toContain("/data is ext4 on /dev/nvme0n1p8");
		} finally {
			writeSync(fd, bytes, 0, SECTOR_BYTES, second);
			closeSync(fd);
		}
	},
	2 * START_LIMIT_MS,
);
