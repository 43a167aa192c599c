/**
 * dm-verity's tree of digests over a file system (the kernel's Documentation/admin-guide/device-mapper/verity.rst, hash
 * type 1): as veritysetup(8) writes it, for any digest that the kernel knows.
 */

export const VERITY_BLOCK_BYTES = 4096;

export interface HashTree {
	/** Its levels one behind the other, the topmost first, in whole blocks. */
	readonly blocks: Buffer;
	/** In hexadecimal. */
	readonly rootHash: string;
}

/**
 * The tree over `data`, without a salt. `digest` gives as many bytes as a power of two. Throws on what is not at least
 * two whole blocks.
 */
export function hashTree(data: Uint8Array, digest: (block: Uint8Array) => Uint8Array): HashTree {
	if (data.length < 2 * VERITY_BLOCK_BYTES || data.length % VERITY_BLOCK_BYTES !== 0)
		throw new Error(
			`a tree is made over two or more blocks of ${VERITY_BLOCK_BYTES}, not ${data.length} bytes`,
		);
	const levels: Buffer[] = [];
	let below: Uint8Array = data;
	do {
		const digests = blocksOf(below).map(digest);
		const level = Buffer.concat(digests);
		below = Buffer.concat([level], Math.ceil(level.length / VERITY_BLOCK_BYTES) * VERITY_BLOCK_BYTES);
		levels.unshift(below as Buffer);
	} while (below.length > VERITY_BLOCK_BYTES);
	return { blocks: Buffer.concat(levels), rootHash: Buffer.from(digest(below)).toString("hex") };
}

function blocksOf(data: Uint8Array): Uint8Array[] {
	return Array.from({ length: data.length / VERITY_BLOCK_BYTES }, (_, index) =>
		data.subarray(index * VERITY_BLOCK_BYTES, (index + 1) * VERITY_BLOCK_BYTES),
	);
}
