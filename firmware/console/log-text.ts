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

/** Never throws: a line that is not JSON is text. */
export function parseLogLine(line: string, service: string): LogLine {
	const raw = line.slice(0, LINE_LIMIT_BYTES);
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

/** The newest `count` of all services' lines in the order of their times; a line without one stays by its neighbour. */
export function mergeLogs(logs: readonly (readonly LogLine[])[], count: number): LogLine[] {
	const dated = logs.flatMap((lines) => {
		let last = 0;
		return lines.map((line) => {
			last = line.timeMs ?? last;
			return { line, at: last };
		});
	});
	return dated
		.sort((a, b) => a.at - b.at)
		.slice(-count)
		.map(({ line }) => line);
}

/** "12:03:44.120 vrrp     warn  text", wrapped under the text. */
export function formatLogLine(line: LogLine): string[] {
	const time = line.timeMs === null ? "" : new Date(line.timeMs).toISOString().slice(11, 23);
	const level = line.level === "info" ? "" : `${line.level}: `;
	const head = `${time.padEnd(12)} ${cut(line.service, 8).padEnd(8)} `;
	const lines = wrap(level + printable(line.text), head, " ".repeat(head.length));
	return lines.map((text) => text.slice(0, WIDTH_COLUMNS));
}
