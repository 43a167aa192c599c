/** What `make flash` and `drover install` refuse to overwrite, and a real block device that is written. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
	closeSync,
	constants,
	mkdtempSync,
	openSync,
	readFileSync,
	readSync,
	rmSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentOf, describeDisk, lookAtDisk, refusal } from "../../firmware/update/disk-target.ts";
import { GptError, PRIMARY_SECTORS, parseGpt, SECTOR_BYTES } from "../../firmware/update/gpt.ts";
import { diskBytes, partitionStart, sfdiskScript } from "../../image/disk/layout.ts";
import { runTool } from "../../image/disk/tool.ts";
import { flash } from "../../image/flash.ts";

const facts = {
	isDisk: true,
	mounts: "/dev/sda2 / ext4 rw 0 0\n/dev/nvme0n1p3 /home ext4 rw 0 0\n",
	swaps: "Filename Type\n/dev/sdc1 partition\n",
	sizeBytes: 8e9,
	imageBytes: 6e8,
	runningDisk: "sdq",
	holders: [] as (readonly [string, string])[],
	trouble: null as string | null,
	sectorBytes: 512,
};

describe("refused", () => {
	test.each<[string, string, Partial<typeof facts>, string]>([
		["the running system's disk", "/dev/sda", {}, "/dev/sda is in use: /dev/sda2 is mounted on /"],
		[
			"a disk with a mounted partition",
			"/dev/nvme0n1",
			{},
			"/dev/nvme0n1 is in use: /dev/nvme0n1p3 is mounted on /home",
		],
		["a disk with swap", "/dev/sdc", {}, "/dev/sdc is in use: /dev/sdc1 is swap"],
		["the firmware's own disk", "/dev/sdq", {}, "/dev/sdq is the disk that this system runs from"],
		["a partition", "/dev/sdb1", { isDisk: false }, "/dev/sdb1 is not a whole disk"],
		[
			"a disk below LVM, RAID or encryption",
			"/dev/sdb",
			{ holders: [["sdb3", "vg-root"]] },
			"/dev/sdb is in use: sdb3 is part of vg-root",
		],
		["a disk that somebody has", "/dev/sdb", { trouble: "is in use" }, "/dev/sdb is in use"],
		["large sectors", "/dev/sdb", { sectorBytes: 4096 }, "/dev/sdb has sectors of 4096 bytes"],
		["a small disk", "/dev/sdb", { sizeBytes: 1e6 }, "/dev/sdb has 1000000 bytes; the image needs 600000000"],
	])("%s", (_title, disk, change, message) => {
		expect(refusal(disk, { ...facts, ...change })).toStartWith(message);
	});
});

test("a disk whose name merely begins like a used one is taken", () => {
	expect(refusal("/dev/sd", facts)).toBeNull();
	expect(refusal("/dev/sdb", facts)).toBeNull();
});

test.each<[string, string, readonly string[]]>([
	["ext", "mke2fs", ["-q", "-F"]],
	["FAT", "mkfs.vfat", []],
	["swap", "mkswap", []],
	["empty", "true", []],
])("what is on a disk is said: %s", (name, program, words) => {
	const directory = mkdtempSync(join(tmpdir(), "drover-content-"));
	const path = join(directory, "disk");
	writeFileSync(path, "");
	truncateSync(path, 4_000_000);
	runTool(program, [...words, path]);
	expect(contentOf(readFileSync(path).subarray(0, 70_000))).toBe(name);
	rmSync(directory, { recursive: true });
});

test("what cannot be read is not called empty", () => {
	expect(describeDisk(lookAtDisk("/dev/nowhere"))).toEqual([
		"/dev/nowhere: unknown model, 0.0 GB",
		"  no partitions; cannot be read",
	]);
});

describe("a real block device", () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-flash-"));
	const image = join(directory, "image");
	const backing = join(directory, "disk");
	let device: string;
	beforeAll(() => {
		for (const [path, size] of [
			[image, diskBytes],
			[backing, diskBytes + 50_000_000],
		] as const) {
			writeFileSync(path, "");
			truncateSync(path, size);
		}
		runTool("sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", image], sfdiskScript());
		const fd = openSync(image, "r+");
		writeSync(fd, Buffer.from("the slot's root"), 0, 15, partitionStart("root-A") + 5_000_000);
		closeSync(fd);
		device = runTool("losetup", ["--find", "--show", "--partscan", backing]).trim();
	});
	afterAll(() => {
		runTool("losetup", ["--detach", device]);
		rmSync(directory, { recursive: true });
	});

	const written = (offset: number, length: number) => {
		const fd = openSync(device, "r");
		const bytes = Buffer.alloc(length);
		readSync(fd, bytes, 0, length, offset);
		closeSync(fd);
		return bytes;
	};

	test("is written, read back, and has identifiers of its own", async () => {
		const said: string[] = [];
		const status = await flash(
			device,
			image,
			async () => device.slice(5),
			(line) => said.push(line),
		);
		expect(said.join("\n")).toContain("Everything on it will be lost.");
		expect(said).toContain("100 % compared");
		expect(status).toBe(0);
		const table = parseGpt(written(0, PRIMARY_SECTORS * SECTOR_BYTES));
		expect(table.diskGuid).not.toStartWith("d10e5000");
		expect(new Set(table.partitions.map(({ guid }) => guid)).size).toBe(8);
		expect(written(partitionStart("root-A") + 5_000_000, 15).toString()).toBe("the slot's root");
		expect(runTool("sfdisk", ["--verify", device])).toContain("No errors detected");
	}, 60_000);

	test("what is on it is told from its own table, or from the copy at its end", () => {
		const shown = describeDisk(lookAtDisk(device));
		const name = device.slice("/dev/".length);
		expect(shown).toHaveLength(1 + 8);
		expect(shown[1]).toMatch(new RegExp(`^  ${name}p1 +0\\.0 GB  empty "bios"$`));
		expect(shown[6]).toMatch(new RegExp(`^  ${name}p6 +0\\.2 GB  empty "root-A"$`));
		const fd = openSync(device, "r+");
		const header = new Uint8Array(SECTOR_BYTES);
		readSync(fd, header, 0, SECTOR_BYTES, SECTOR_BYTES);
		try {
			writeSync(fd, new Uint8Array(SECTOR_BYTES), 0, SECTOR_BYTES, SECTOR_BYTES);
			expect(describeDisk(lookAtDisk(device))).toEqual(shown);
		} finally {
			writeSync(fd, header, 0, SECTOR_BYTES, SECTOR_BYTES);
			closeSync(fd);
		}
	});

	test("another name than its own leaves it alone", async () => {
		const before = Bun.hash(written(0, 1 << 20));
		expect(
			await flash(
				device,
				image,
				async () => "sda",
				() => {},
			),
		).toBe(1);
		expect(Bun.hash(written(0, 1 << 20))).toBe(before);
	});

	test("broken off, it starts nothing, not even what was on it before", async () => {
		const flashed = (say: (line: string) => void) =>
			flash(device, image, async () => device.slice("/dev/".length), say);
		expect(await flashed(() => {})).toBe(0);
		const breakOff = (line: string) => {
			if (line === "50 % written") throw new Error("the power fails");
		};
		await expect(flashed(breakOff)).rejects.toThrow("the power fails");
		expect(() => parseGpt(written(0, PRIMARY_SECTORS * SECTOR_BYTES))).toThrow(GptError);
	}, 60_000);

	test("is refused while somebody has it for himself, as LVM and RAID have their disks", async () => {
		const fd = openSync(device, constants.O_RDWR | constants.O_EXCL);
		try {
			const said: string[] = [];
			const name = async () => device.slice("/dev/".length);
			expect(await flash(device, image, name, (line) => said.push(line))).toBe(1);
			expect(said).toEqual([`Not written: ${device} is in use by the system or by another program.`]);
		} finally {
			closeSync(fd);
		}
	});

	test("is refused while it is mounted", async () => {
		runTool("mke2fs", ["-q", "-F", device]);
		const place = join(directory, "mounted");
		runTool("mkdir", [place]);
		runTool("mount", [device, place]);
		try {
			const said: string[] = [];
			expect(
				await flash(
					device,
					image,
					async () => device.slice(5),
					(line) => said.push(line),
				),
			).toBe(1);
			expect(said[0]).toContain(`${device} is mounted on ${place}`);
		} finally {
			runTool("umount", [place]);
		}
	}, 30_000);
});
