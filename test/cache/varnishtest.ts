/** Runs .vtc files by the stock varnishtest against a varnishd of one's choice. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");

/** The commands that a .vtc may find under the name varnishd. */
export const daemons = {
	drover: `"${process.execPath}" "${join(root, "firmware/drover.ts")}" varnishd`,
	// Its C compiler may take it easy: each program runs for some seconds only.
	stock: "/usr/sbin/varnishd -p 'cc_command=%D -O0'",
} as const;

/** A PATH on which `varnishd` is that daemon, by a script made in `directory`. */
export function pathWith(directory: string, daemon: keyof typeof daemons): string {
	const folder = join(directory, daemon);
	mkdirSync(folder, { recursive: true });
	writeFileSync(join(folder, "varnishd"), `#!/bin/sh\nexec ${daemons[daemon]} "$@"\n`);
	chmodSync(join(folder, "varnishd"), 0o755);
	return `${folder}:${process.env["PATH"]}`;
}

export interface Run {
	readonly verdict: "passed" | "failed" | "skipped";
	/** What varnishtest said of it, shortened; empty when it passed. */
	readonly log: string;
}

export interface Manner {
	/** Files that run at the same time. */
	readonly atOnce: number;
	/** A file that takes longer has failed. */
	readonly limitSeconds: number;
}

/** Runs all `files` in one varnishtest; what became of each, by its name as given. Throws when one was not run. */
export async function varnishtest(
	files: readonly string[],
	path: string,
	{ atOnce, limitSeconds }: Manner,
): Promise<ReadonlyMap<string, Run>> {
	const child = Bun.spawn(["varnishtest", `-j${atOnce}`, "-k", "-t", String(limitSeconds), ...files], {
		env: { ...process.env, PATH: path },
		stdout: "pipe",
		stderr: "pipe",
	});
	const text = (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
	await child.exited;
	const runs = new Map<string, Run>();
	let lines: string[] = [];
	for (const line of text.split("\n")) {
		lines.push(line);
		const said = /^#\s+top\s+TEST (\S+) (FAILED|passed|TIMED OUT|skipped)/.exec(line);
		if (said === null) continue;
		const verdict = said[2] === "passed" || said[2] === "skipped" ? said[2] : "failed";
		runs.set(said[1]!, { verdict, log: verdict === "passed" ? "" : tail(lines) });
		lines = [];
	}
	if (runs.size !== files.length)
		throw new Error(`varnishtest ran ${runs.size} of ${files.length} files: ${tail(lines)}`);
	return runs;
}

/** A message of the compiler is among them. */
const TAIL_LINES = 60;

const tail = (lines: readonly string[]) =>
	[...lines.filter((line) => /^(----|#)/.test(line)), ...lines.slice(-TAIL_LINES)].join("\n");
