/**
 * What one slot's two partitions hold: the loader's part (kernel, initramfs, slot.cfg) as a
 * small gzip squashfs that GRUB can read, and the root squashfs with its dm-verity tree behind it.
 */
import { copyFileSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { imageTimeSeconds } from "../squashfs.ts";
import { Tree } from "../tree.ts";
import { runTool } from "./tool.ts";

export const VERITY_BLOCK_BYTES = 4096;
/** Fixed, so that two builds are equal; a salt only hides equal blocks between disks, which is no aim here. */
const SALT = "64726f766572".padEnd(64, "0");
const UUID = "d10e5000-0000-4000-8000-0000000000ff";

export interface SlotFiles {
	/** Paths of the finished payloads. */
	readonly boot: string;
	readonly root: string;
	readonly rootHash: string;
	/** Blocks of the root before its verity tree. */
	readonly dataBlocks: number;
}

export interface SlotInput {
	readonly vmlinuz: string;
	readonly initramfs: string;
	readonly rootSquashfs: string;
	readonly scratchDirectory: string;
}

export function buildSlot(input: SlotInput): SlotFiles {
	const root = join(input.scratchDirectory, "slot-root");
	copyFileSync(input.rootSquashfs, root);
	const dataBytes = Math.ceil(statSync(root).size / VERITY_BLOCK_BYTES) * VERITY_BLOCK_BYTES;
	runTool("truncate", ["--size", String(dataBytes), root]);
	const output = runTool("veritysetup", [
		"format",
		root,
		root,
		"--no-superblock",
		"--hash-offset",
		String(dataBytes),
		"--data-blocks",
		String(dataBytes / VERITY_BLOCK_BYTES),
		"--salt",
		SALT,
		"--uuid",
		UUID,
	]);
	const rootHash = /Root hash:\s+([0-9a-f]{64})/.exec(output)?.[1];
	if (rootHash === undefined) throw new Error(`veritysetup gave no root hash: ${output}`);
	const dataBlocks = dataBytes / VERITY_BLOCK_BYTES;
	const words = verityWords({ dataBlocks, rootHash });
	const boot = buildBootSquashfs(input, `set root_words="${words}"\n`);
	return { boot, root, rootHash, dataBlocks };
}

/** What the initramfs makes the verity device from: data blocks, root hash, salt. */
export function verityWords({ dataBlocks, rootHash }: Pick<SlotFiles, "dataBlocks" | "rootHash">): string {
	return `drover.verity=${dataBlocks}:${rootHash}:${SALT}`;
}

function buildBootSquashfs({ vmlinuz, initramfs, scratchDirectory }: SlotInput, slotConfig: string): string {
	const tree = new Tree();
	tree.file("vmlinuz", readFileSync(vmlinuz));
	tree.file("initramfs", readFileSync(initramfs));
	tree.file("slot.cfg", slotConfig);
	const stage = join(scratchDirectory, "slot-boot.d");
	const output = join(scratchDirectory, "slot-boot");
	tree.write(stage);
	rmSync(output, { force: true });
	const time = String(imageTimeSeconds);
	// Kernel and initramfs are compressed already: -noD -noF leaves their blocks alone.
	runTool("mksquashfs", [
		stage,
		output,
		"-noappend",
		"-no-xattrs",
		"-all-root",
		"-quiet",
		"-no-progress",
		"-reproducible",
		"-comp",
		"gzip",
		"-noD",
		"-noF",
		"-mkfs-time",
		time,
		"-all-time",
		time,
	]);
	rmSync(stage, { recursive: true });
	return output;
}
