/**
 * What `drover install` writes to another disk: the table with new identifiers, the loader, the
 * running slot into both slots, and the loader's memory as it leaves the factory. Pure.
 */
import { formatGpt, type Gpt, GptError, growLast, renewGuids, SECTOR_BYTES } from "./gpt.ts";
import type { Slot } from "./slots.ts";

export interface InstallPlan {
	readonly gpt: Gpt;
	readonly primary: Uint8Array;
	readonly backup: Uint8Array;
	readonly backupSector: number;
	/** Byte ranges of the source disk and where they go. */
	readonly copies: readonly { readonly from: number; readonly to: number; readonly lengthBytes: number }[];
}

const VERITY_BLOCK_BYTES = 4096;
/** Digests of 32 bytes in one block of dm-verity's tree. */
const VERITY_FAN_OUT = 128;

/** The part of a slot's partition that is used, from its squashfs superblock; with the verity tree behind it. */
export function usedBytes(superblock: Uint8Array, hasVerity: boolean): number {
	const view = new DataView(superblock.buffer, superblock.byteOffset, superblock.length);
	if (view.getUint32(0, true) !== 0x73717368) throw new GptError("the running slot holds no squashfs");
	let blocks = Math.ceil(Number(view.getBigUint64(40, true)) / VERITY_BLOCK_BYTES);
	let total = blocks;
	while (hasVerity && blocks > 1) {
		blocks = Math.ceil(blocks / VERITY_FAN_OUT);
		total += blocks;
	}
	return total * VERITY_BLOCK_BYTES;
}

/** `used` are the bytes to copy of each slot partition. Throws a GptError when the source is not a Drover disk or the target is too small. */
export function planInstall(
	source: Gpt,
	bootCode: Uint8Array,
	running: Slot,
	targetSectors: number,
	newGuid: () => string,
	used: Readonly<Record<"boot" | "root", number>>,
): InstallPlan {
	const partition = (name: string) => {
		const found = source.partitions.find((each) => each.name === name);
		if (found === undefined) throw new GptError(`the running disk has no partition "${name}"`);
		return found;
	};
	const gpt = growLast(
		renewGuids(source.partitions.at(-1)?.name === "data" ? shrunk(source) : source, newGuid),
		targetSectors,
	);
	const copy = (from: string, to: string, usedBytes = Number.POSITIVE_INFINITY) => ({
		from: partition(from).firstSector * SECTOR_BYTES,
		to: partition(to).firstSector * SECTOR_BYTES,
		lengthBytes: Math.min(
			usedBytes,
			(partition(from).lastSector - partition(from).firstSector + 1) * SECTOR_BYTES,
		),
	});
	return {
		gpt,
		...formatGpt(gpt, targetSectors, bootCode),
		copies: [
			...["bios", "esp", "env"].map((name) => copy(name, name)),
			...(["A", "B"] as const).flatMap((slot) => [
				copy(`boot-${running}`, `boot-${slot}`, used.boot),
				copy(`root-${running}`, `root-${slot}`, used.root),
			]),
		],
	};
}

/** The source's data partition has grown to its own disk's end; here it begins small again. */
const LEAST_DATA_SECTORS = (64 * 1024 * 1024) / SECTOR_BYTES;

function shrunk(gpt: Gpt): Gpt {
	return {
		...gpt,
		partitions: gpt.partitions.map((each) =>
			each.name === "data"
				? { ...each, lastSector: Math.min(each.lastSector, each.firstSector + LEAST_DATA_SECTORS - 1) }
				: each,
		),
	};
}
