/**
 * What `bun test` printed, read back: its totals, and each test that failed with its file and its reason.
 * The runner says them again at its end, where the last screen of a long log shows them.
 */

export interface Totals {
	passed: number;
	failed: number;
}

export interface Failure {
	/** As bun prints it, "test/wire/bfd.test.ts"; empty if it failed outside of any file. */
	readonly file: string;
	/** The describe blocks and the test, "outer > inner > test". */
	readonly test: string;
	/** The last lines before the verdict. */
	readonly why: readonly string[];
}

/** What a reader needs to see of one failure: the values and where. */
const WHY_LINES_MAX = 14;

/** The totals that bun test prints at its end; a run without them, or without a test, is one failure. */
export function bunTotals(text: string, status: number): Totals {
	const last = (word: string) =>
		Number([...text.matchAll(new RegExp(`^ *(\\d+) ${word}$`, "gm"))].at(-1)?.[1] ?? 0);
	const passed = last("pass");
	const failed = last("fail") + last("skip") + last("todo");
	if (passed + failed === 0 || (status !== 0 && failed === 0)) return { passed, failed: 1 };
	return { passed, failed };
}

/** What another run printed, so that no line of it reads as a verdict of this one. */
export const quoted = (text: string): string => text.replaceAll(/^/gm, "| ");

/** The failed tests, in the order in which they failed. The list that bun repeats at its end is left out. */
export function bunFailures(text: string): readonly Failure[] {
	const failures: Failure[] = [];
	let file = "";
	let before: string[] = [];
	for (const line of text.split("\n")) {
		const header = /^(\S+\.test\.ts):$/.exec(line);
		const verdict = /^\((pass|fail|skip|todo)\) (.*?)(?: \[[\d.]+m?s\])?$/.exec(line);
		if (/^\d+ tests? failed:$/.test(line)) break;
		if (header !== null) file = header[1] ?? "";
		else if (verdict === null) {
			if (line.trim() !== "") before.push(line);
			continue;
		} else if (verdict[1] === "fail")
			failures.push({ file, test: verdict[2] ?? "", why: before.slice(-WHY_LINES_MAX) });
		before = [];
	}
	return failures;
}
