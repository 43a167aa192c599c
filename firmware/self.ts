/** The words that run this program again as another process, from the source tree and from the bundle. */
import { join } from "node:path";

export function self(): readonly string[] {
	// Where the two services are in Bun's executable, it needs no words to run them (image/services-executable.ts).
	if (Bun.main.startsWith("/$bunfs/")) return [process.execPath];
	// In the image all modules lie in one folder beside the bundled entry; a test's own main is neither.
	const entry = /(^|\/)(drover\.[jt]s|services-program\.ts)$/.test(Bun.main)
		? Bun.main
		: join(import.meta.dir, "drover.ts");
	return [process.execPath, entry];
}
