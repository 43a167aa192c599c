/**
 * One manager for one store file: two that write to it would serve what the other has overwritten.
 * The claim is an abstract socket address (unix(7)), which ends with the process, however that ends.
 */
import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";

export interface StoreClaim {
	release(): void;
}

/** The folder of `path` exists. Throws in the operator's words when another manager has the file. */
export function claimStore(path: string): StoreClaim {
	const file = join(realpathSync(dirname(path)), basename(path));
	const name = createHash("sha256").update(file).digest("hex").slice(0, 32);
	try {
		const listener = Bun.listen({ unix: `\0drover-store-${name}`, socket: { data() {} } });
		return { release: () => listener.stop(true) };
	} catch (error) {
		if ((error as { code?: string }).code !== "EADDRINUSE") throw error;
		throw new Error(`(-s) ${path} is in use by another varnishd: give each a file of its own`);
	}
}
