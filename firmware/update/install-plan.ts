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

/** Throws a GptError when the source is not a Drover disk or the target is too small. */
export function planInstall(
	source: Gpt,
	bootCode: Uint8Array,
	running: Slot,
	targetSectors: number,
	newGuid: () => string,
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
	const copy = (from: string, to: string) => ({
		from: partition(from).firstSector * SECTOR_BYTES,
		to: partition(to).firstSector * SECTOR_BYTES,
		lengthBytes: (partition(from).lastSector - partition(from).firstSector + 1) * SECTOR_BYTES,
	});
	return {
		gpt,
		...formatGpt(gpt, targetSectors, bootCode),
		copies: [
			...["bios", "esp", "env"].map((name) => copy(name, name)),
			...(["A", "B"] as const).flatMap((slot) => [
				copy(`boot-${running}`, `boot-${slot}`),
				copy(`root-${running}`, `root-${slot}`),
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
