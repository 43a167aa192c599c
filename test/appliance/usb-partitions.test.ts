/** Which partitions of which sticks are looked at, and in which order. */
import { expect, test } from "bun:test";
import { type DiskSight, mountPlaces, usbPartitions } from "../../firmware/appliance/usb-partitions.ts";

const stick = (name: string, ...partitionSectors: readonly number[]): DiskSight => ({
	name,
	isUsb: true,
	sectors: 500_000,
	partitions: partitionSectors.map((sectors, index) => ({ name: `${name}${index + 1}`, sectors })),
});

const cases: readonly [
	title: string,
	disks: readonly DiskSight[],
	running: string | null,
	expected: string[],
][] = [
	["none", [], null, []],
	["a stick without partitions is one", [stick("sda")], null, ["sda"]],
	[
		"what stands behind a small boot partition comes first",
		[stick("sda", 40_960, 400_000)],
		null,
		["sda2", "sda1"],
	],
	["all sticks, whatever the kernel's order", [stick("sdb", 100), stick("sda", 100)], null, ["sda1", "sdb1"]],
	["a reader without a card is none", [{ ...stick("sda"), sectors: 0 }], null, []],
	["a disk that is no USB disk is none", [{ ...stick("sda", 100), isUsb: false }], null, []],
	["the disk that the box runs from is none", [stick("sda", 100, 200), stick("sdb", 50)], "sda", ["sdb1"]],
];

for (const [title, disks, running, expected] of cases)
	test(title, () => {
		expect(usbPartitions(disks, running)).toEqual(expected);
	});

test("where a device is mounted: the first place, with its blanks", () => {
	const mounts =
		"/dev/sda1 /media/my\\040stick vfat ro 0 0\n/dev/sda1 /tmp/again vfat ro 0 0\nproc /proc proc rw 0 0\n";
	expect([...mountPlaces(mounts)]).toEqual([
		["/dev/sda1", "/media/my stick"],
		["proc", "/proc"],
	]);
});
