/**
 * What one slot's two partitions hold: the loader's part (kernel, initramfs, slot.cfg) as a
 * small gzip squashfs that GRUB can read, and the root squashfs with its dm-verity tree behind it.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { imageTimeSeconds } from "../squashfs.ts";
import { Tree } from "../tree.ts";
import { hashTree, VERITY_BLOCK_BYTES } from "./hash-tree.ts";
import { runTool } from "./tool.ts";

/**
 * What verity hashes with, by the kernel's name. It is as strong as SHA-256 and takes half of the time where the processor
 * has no instructions for that: measured in the lab, 17 in place of 33 ms for each megabyte, of which a start reads 16.
 */
const VERITY_DIGEST = "blake2b-256";
const blake2b256 = (block: Uint8Array) => new Bun.CryptoHasher("blake2b256").update(block).digest();

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
	const squashfs = readFileSync(input.rootSquashfs);
	const dataBlocks = Math.ceil(squashfs.length / VERITY_BLOCK_BYTES);
	const data = Buffer.concat([squashfs], dataBlocks * VERITY_BLOCK_BYTES);
	const { blocks, rootHash } = hashTree(data, blake2b256);
	writeFileSync(root, Buffer.concat([data, blocks]));
	const words = verityWords({ dataBlocks, rootHash });
	const boot = buildBootSquashfs(input, `set root_words="${words}"\n`);
	return { boot, root, rootHash, dataBlocks };
}

/** What the initramfs makes the verity device from: data blocks, digest, root hash. */
export function verityWords({ dataBlocks, rootHash }: Pick<SlotFiles, "dataBlocks" | "rootHash">): string {
	return `drover.verity=${dataBlocks}:${VERITY_DIGEST}:${rootHash}`;
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
