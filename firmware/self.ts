/** The words that run this program again as another process, from the source tree and from the bundle. */
import { join } from "node:path";

export function self(): readonly string[] {
	// In the image all modules lie in one folder beside the bundled entry; a test's own main is neither.
	const entry = /(^|\/)(drover\.[jt]s|services\.js|services-program\.ts)$/.test(Bun.main)
		? Bun.main
		: join(import.meta.dir, "drover.ts");
	return [process.execPath, entry];
}
