import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashTree, VERITY_BLOCK_BYTES } from "../../image/disk/hash-tree.ts";
import { runTool } from "../../image/disk/tool.ts";

const sha256 = (block: Uint8Array) => createHash("sha256").update(block).digest();

test("a tree of one, two and three levels is veritysetup's, byte for byte", () => {
	const directory = mkdtempSync(join(tmpdir(), "drover-tree-"));
	const file = join(directory, "data");
	try {
		for (const dataBlocks of [2, 128, 129, 128 * 128 + 1]) {
			const data = Buffer.alloc(dataBlocks * VERITY_BLOCK_BYTES);
			for (let block = 0; block < dataBlocks; block++) data.writeUInt32LE(block, block * VERITY_BLOCK_BYTES);
			writeFileSync(file, data);
			const words = ["--no-superblock", "--salt", "-", "--data-blocks", String(dataBlocks)];
			const said = runTool("veritysetup", [
				...["format", file, file, "--hash", "sha256"],
				...[...words, "--hash-offset", String(data.length)],
			]);
			const { blocks, rootHash } = hashTree(data, sha256);
			expect(said).toMatch(new RegExp(`Root hash:\\s+${rootHash}\\n`));
			expect(Buffer.compare(Buffer.concat([data, blocks]), readFileSync(file))).toBe(0);
		}
	} finally {
		rmSync(directory, { recursive: true });
	}
});

test("what is no two whole blocks is refused", () => {
	for (const bytes of [0, VERITY_BLOCK_BYTES, 2 * VERITY_BLOCK_BYTES + 1])
		expect(() => hashTree(new Uint8Array(bytes), sha256)).toThrow("two or more blocks");
});
