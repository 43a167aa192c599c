/** The kernel's packet filter, by nft(8). */

const NFT_LIMIT_MS = 5_000;

/** Has `script` carried out as one transaction. Null, or why not, in one line. */
export function applyFilter(script: string): string | null {
	try {
		const done = Bun.spawnSync(["nft", "-f", "-"], {
			stdin: Buffer.from(script),
			stdout: "ignore",
			stderr: "pipe",
			timeout: NFT_LIMIT_MS,
		});
		if (done.exitCode === 0) return null;
		return `nft: ${done.stderr.toString().trim().split("\n")[0] ?? ""}`;
	} catch (error) {
		return `${error instanceof Error ? error.message : error}; install nftables`;
	}
}
