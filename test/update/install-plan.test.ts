/** What `drover install` writes to another disk. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Gpt, GptError, parseGpt } from "../../firmware/update/gpt.ts";
import { planInstall, usedBytes } from "../../firmware/update/install-plan.ts";
import { diskBytes, layout, partitionStart } from "../../image/disk/layout.ts";
import { runTool } from "../../image/disk/tool.ts";

const SECTOR_BYTES = 512;
const source: Gpt = {
	diskGuid: "00000000-0000-4000-8000-000000000001",
	partitions: layout.map(({ name, sizeBytes }, index) => ({
		number: index + 1,
		typeGuid: "0fc63daf-8483-4772-8e79-3d69d8477de4",
		guid: `00000000-0000-4000-8000-00000000000${index + 2}`,
		firstSector: partitionStart(name) / SECTOR_BYTES,
		// The stick's data partition has grown over 16 GB.
		lastSector: (name === "data" ? 16e9 : partitionStart(name) + sizeBytes) / SECTOR_BYTES - 1,
		name,
		attributes: 0n,
	})),
};
let count = 0;
const newGuid = () => `11111111-0000-4000-8000-${String(++count).padStart(12, "0")}`;
const used = { boot: 10_000_000, root: 60_000_000 };
const code = new Uint8Array(440).fill(7);

test("from slot B of a large stick to a smaller disk: both slots get B, the data partition the rest", () => {
	const sectors = 2e9 / SECTOR_BYTES;
	const plan = planInstall(source, code, "B", sectors, newGuid, used);
	const table = parseGpt(plan.primary);
	expect(table).toEqual(plan.gpt);
	expect(table.partitions.every(({ guid }) => guid.startsWith("11111111"))).toBe(true);
	expect(sectors - table.partitions.at(-1)!.lastSector).toBeLessThan(2048 + 34);
	expect(plan.copies.map(({ from, to }) => [from, to])).toEqual([
		...(["bios", "esp", "env"] as const).map((name) => [partitionStart(name), partitionStart(name)]),
		...(["A", "B"] as const).flatMap((slot) =>
			(["boot", "root"] as const).map((part) => [
				partitionStart(`${part}-B`),
				partitionStart(`${part}-${slot}`),
			]),
		),
	]);
	expect(plan.copies.map(({ lengthBytes }) => lengthBytes).slice(3)).toEqual([10e6, 60e6, 10e6, 60e6]);
	expect(plan.primary.subarray(0, 440)).toEqual(code);
	expect(plan.copies.some(({ to }) => to >= partitionStart("data"))).toBe(false);
});

test("a disk that is too small, and a source that is not ours", () => {
	expect(() => planInstall(source, code, "A", diskBytes / SECTOR_BYTES - 4096, newGuid, used)).toThrow(
		GptError,
	);
	const other = { ...source, partitions: source.partitions.slice(3) };
	expect(() => planInstall(other, code, "A", 1e9, newGuid, used)).toThrow('no partition "bios"');
});

test("what is used of a partition: the squashfs, and for a root the verity tree behind it, as veritysetup makes it", () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-used-"));
	const path = join(directory, "root");
	for (const blocks of [1, 128, 129, 20_000]) {
		const bytes = new Uint8Array(blocks * 4096);
		const view = new DataView(bytes.buffer);
		view.setUint32(0, 0x73717368, true);
		view.setBigUint64(40, BigInt(bytes.length - 100), true);
		writeFileSync(path, bytes);
		runTool("veritysetup", [
			"format",
			path,
			path,
			"--no-superblock",
			"--hash-offset",
			String(bytes.length),
			"--data-blocks",
			String(blocks),
		]);
		expect(usedBytes(bytes.subarray(0, 4096), true)).toBe(statSync(path).size);
		expect(usedBytes(bytes.subarray(0, 4096), false)).toBe(bytes.length);
	}
	rmSync(directory, { recursive: true });
	expect(() => usedBytes(new Uint8Array(4096), true)).toThrow("no squashfs");
});
