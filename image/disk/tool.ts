import { imageTimeSeconds } from "../squashfs.ts";

/** A program of the building machine, run to its end. */

/** Returns its standard output. Throws with what it said when it fails or is missing. */
export function runTool(program: string, words: readonly string[], input?: string): string {
	const path = Bun.which(program, { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` });
	if (path === null) throw new Error(`${program} is missing: run "make image", which installs what it needs`);
	// mksquashfs refuses the variable beside the same times on its command line.
	const { SOURCE_DATE_EPOCH: _, ...env } = process.env;
	const { exitCode, stdout, stderr } = Bun.spawnSync([path, ...words], {
		stdin: input === undefined ? "ignore" : new TextEncoder().encode(input),
		env: { ...env, TZ: "UTC", LC_ALL: "C", E2FSPROGS_FAKE_TIME: String(imageTimeSeconds) },
	});
	if (exitCode !== 0)
		throw new Error(`${program} failed: ${stderr.toString().trim() || stdout.toString().trim()}`);
	return stdout.toString();
}
