/**
 * A program of the image that is loaded while the box is still being set up (rootfs/usr/lib/drover/set-up): with the
 * word `--after-set-up` it begins when that is done.
 */
import { existsSync } from "node:fs";
import { runDirectory } from "../bus/socket-path.ts";

const WORD = "--after-set-up";
/** Cheap beside what it would cost to be late. */
const LOOK_EVERY_MS = 10;

/** Whether the box has its drivers, data and addresses. */
export const isSetUp = () => existsSync(`${runDirectory()}/set-up`);

/** Runs `main` with `given`, WORD left out; sets the exit status. */
export async function runProgram(
	given: readonly string[],
	main: (words: readonly string[]) => Promise<number>,
): Promise<void> {
	const words = given.filter((word) => word !== WORD);
	if (words.length < given.length) {
		while (!isSetUp()) await Bun.sleep(LOOK_EVERY_MS);
		// Without a configuration it is not wanted; the run script knows what to do then.
		const file = words[words.indexOf("-f") + 1];
		if (file === undefined || !existsSync(file)) return;
	}
	process.exitCode = await main(words);
}
