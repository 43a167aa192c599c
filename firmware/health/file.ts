/** FILE_CHECK: a number in a file moves the weight, or takes the server out. Read when the file changes. */
import { type FSWatcher, readFileSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { leadingNumber } from "../config/keepalived/numbers.ts";
import type { TrackFileConfig } from "../config/model.ts";
import { type CheckOf, failed, type Outcome, passed } from "./checker.ts";
import { reasonOf } from "./reason.ts";

/** A longer file holds no number that means anything. */
const FILE_LIMIT_BYTES = 4096;
const DOWN_AT = -(2 ** 31);
const ADD_LIMIT = 2 ** 31 - 1;

/** The verdict for the number of one reading. */
export function judgeFile(check: Pick<CheckOf<"FILE_CHECK">, "weight" | "reverse">, value: number): Outcome {
	if (check.weight === 0) {
		const down = (value !== 0) !== check.reverse;
		return down ? failed(`file holds ${value}`) : passed(`file holds ${value}`);
	}
	const amount = value * check.weight * (check.reverse ? -1 : 1);
	if (amount <= DOWN_AT) return failed(`file holds ${value}`);
	return passed(`file holds ${value}`, { kind: "add", amount: Math.min(ADD_LIMIT, amount) });
}

/** What the check says now. */
export function readFileCheck(check: CheckOf<"FILE_CHECK">, trackFiles: readonly TrackFileConfig[]): Outcome {
	const file = trackFiles.find(({ name }) => name === check.trackFile);
	if (file === undefined) return failed(`there is no track_file ${check.trackFile}`);
	return judgeFile(check, readNumber(file.path) ?? 0);
}

/**
 * Reports the file's verdict now and whenever it changes. The folder is watched, so that a file that is
 * replaced, removed or created later is seen.
 */
export function watchFile(
	check: CheckOf<"FILE_CHECK">,
	path: string,
	report: (outcome: Outcome) => void,
): () => void {
	let last = "";
	let value = 0;
	let watcher: FSWatcher | null = null;
	const read = () => {
		value = readNumber(path) ?? value;
		const outcome = judgeFile(check, value);
		const text = JSON.stringify(outcome);
		if (text === last) return;
		last = text;
		report(outcome);
	};
	try {
		watcher = watch(dirname(path), (_event, name) => {
			if (name === null || name === basename(path)) read();
		});
		watcher.on("error", () => {});
	} catch (error) {
		const code = (error as { errno?: number }).errno;
		const detail = `cannot watch ${dirname(path)}: ${code === undefined ? String(error) : reasonOf(code)}`;
		queueMicrotask(() => report(failed(detail)));
	}
	queueMicrotask(read);
	return () => watcher?.close();
}

/** A file that is not there holds 0, as in keepalived; null: a number that says nothing. */
function readNumber(path: string): number | null {
	try {
		return leadingNumber(readFileSync(path, "latin1").slice(0, FILE_LIMIT_BYTES));
	} catch {
		return 0;
	}
}
