/** What `make flash` refuses to overwrite. */
import { describe, expect, test } from "bun:test";
import { refusal } from "../../image/flash.ts";

const facts = {
	isDisk: true,
	mounts: "/dev/sda2 / ext4 rw 0 0\n/dev/nvme0n1p3 /home ext4 rw 0 0\n",
	swaps: "Filename Type\n/dev/sdc1 partition\n",
	sizeBytes: 8e9,
	imageBytes: 6e8,
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
		["a partition", "/dev/sdb1", { isDisk: false }, "/dev/sdb1 is not a whole disk"],
		["a small disk", "/dev/sdb", { sizeBytes: 1e6 }, "/dev/sdb has 1000000 bytes; the image needs 600000000"],
	])("%s", (_title, disk, change, message) => {
		expect(refusal(disk, { ...facts, ...change })).toStartWith(message);
	});
});

test("a disk whose name merely begins like a used one is taken", () => {
	expect(refusal("/dev/sd", facts)).toBeNull();
	expect(refusal("/dev/sdb", facts)).toBeNull();
});
