/** The services' log lines (one JSON object each) as a person reads them. Pure. */
import { cut, printable, WIDTH_COLUMNS, wrap } from "./wrap.ts";

export interface LogLine {
	/** Unix milliseconds; null when the line carries no time. */
	readonly timeMs: number | null;
	readonly service: string;
	readonly level: string;
	readonly text: string;
}

/** A longer line is cut before it is looked at. */
const LINE_LIMIT_BYTES = 16 * 1024;
/** What several writers of one log disagree by, without a clock that was set: a clock that steps by less changes little. */
const CLOCK_STEP_MS = 60_000;

/** Never throws: a line that is not JSON is text. */
export function parseLogLine(line: string, service: string): LogLine {
	// sshd ends its lines with CR LF.
	const raw = line.slice(0, LINE_LIMIT_BYTES).trimEnd();
	const plain: LogLine = { timeMs: null, service, level: "", text: raw };
	if (!raw.startsWith("{")) return plain;
	let value: Record<string, unknown>;
	try {
		value = JSON.parse(raw);
	} catch {
		return plain;
	}
	const { time, level, msg, name: _, service: __, ...rest } = value;
	const timeMs = typeof time === "string" ? Date.parse(time) : typeof time === "number" ? time : Number.NaN;
	const message = typeof msg === "string" ? msg : "";
	const fields = Object.entries(rest).map(([key, field]) => `${key}=${fieldText(field)}`);
	return {
		timeMs: Number.isNaN(timeMs) ? null : timeMs,
		service,
		level: typeof level === "string" ? level : "",
		text: [message, ...fields].filter((part) => part !== "").join(" "),
	};
}

function fieldText(field: unknown): string {
	return typeof field === "string" ? field : (JSON.stringify(field) ?? "");
}

/**
 * Several logs in one, oldest first. In each of them the order is what it is; between them it goes by the times (Unix
 * milliseconds; null goes with the one before). What is said to be later than `nowMs`, or than what was said after it, is
 * from before the clock was set back: it comes first.
 */
export function inOrder<Entry>(
	logs: readonly (readonly Entry[])[],
	timeOf: (entry: Entry) => number | null,
	nowMs: number,
): Entry[] {
	const dated = logs.flatMap((entries) => {
		let before = 0;
		const times = entries.map((entry) => {
			before = timeOf(entry) ?? before;
			return before;
		});
		let after = nowMs;
		let isOfOldClock = false;
		return entries
			.map((entry, index) => ({ entry, at: times[index]! }))
			.reverse()
			.map(({ entry, at }) => {
				isOfOldClock ||= at > after + CLOCK_STEP_MS;
				after = at;
				return { entry, at, isOfOldClock };
			})
			.reverse();
	});
	return dated
		.sort((a, b) => Number(b.isOfOldClock) - Number(a.isOfOldClock) || a.at - b.at)
		.map(({ entry }) => entry);
}

/** The newest `count` of all services' lines, oldest first; a line without a time stays by its neighbour. */
export function mergeLogs(
	logs: readonly (readonly LogLine[])[],
	count: number,
	nowMs = Number.POSITIVE_INFINITY,
): LogLine[] {
	return inOrder(logs, ({ timeMs }) => timeMs, nowMs).slice(-count);
}

/** "12:03:44.120 vrrp     warn  text", wrapped under the text. */
export function formatLogLine(line: LogLine): string[] {
	const time = line.timeMs === null ? "" : new Date(line.timeMs).toISOString().slice(11, 23);
	const level = line.level === "info" ? "" : `${line.level}: `;
	const head = `${time.padEnd(12)} ${cut(line.service, 8).padEnd(8)} `;
	const lines = wrap(level + printable(line.text), head, " ".repeat(head.length));
	return lines.map((text) => text.slice(0, WIDTH_COLUMNS));
}
