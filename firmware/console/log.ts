/** `drover log [COUNT] [SERVICE]`: the newest lines of the services' logs, in order of time. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { formatLogLine, type LogLine, mergeLogs, parseLogLine } from "./log-text.ts";

export const LOG_DIRECTORY = "/run/log";
const DEFAULT_COUNT = 20;
const COUNT_LIMIT = 10_000;
/** Of each service the newest bytes are looked at: two of svlogd's files. */
const TAIL_LIMIT_BYTES = 2 * 1024 * 1024;

const usage = `usage: drover log [COUNT] [SERVICE]

Shows the newest COUNT (${DEFAULT_COUNT}) lines of all services, or of one: drover log 100 vrrp`;

export async function main(words: readonly string[]): Promise<number> {
	const query = parseLogQuery(words);
	if (query === null) {
		console.log(usage);
		return words.includes("--help") ? 0 : 2;
	}
	console.log(logLines(query).join("\n"));
	return 0;
}

export interface LogQuery {
	readonly count: number;
	readonly service: string | null;
}

/** Null when the words are not understood. */
export function parseLogQuery(words: readonly string[]): LogQuery | null {
	let count = DEFAULT_COUNT;
	let service: string | null = null;
	for (const word of words)
		if (/^\d{1,6}$/.test(word)) count = Math.min(Math.max(Number(word), 1), COUNT_LIMIT);
		else if (/^[a-z][a-z0-9-]*$/.test(word) && service === null) service = word;
		else return null;
	return { count, service };
}

/** Ready to print. */
export function logLines(query: LogQuery, directory = LOG_DIRECTORY): string[] {
	if (!existsSync(directory)) return [`no logs in ${directory}`];
	const services = readdirSync(directory).filter((name) => statSync(join(directory, name)).isDirectory());
	if (query.service !== null && !services.includes(query.service))
		return [`no log of "${query.service}": there are ${services.join(", ") || "none"}`];
	const wanted = services.filter((name) => query.service === null || name === query.service);
	const logs = wanted.map((service) => readService(join(directory, service), service, query.count));
	const lines = mergeLogs(logs, query.count).flatMap(formatLogLine);
	return lines.length > 0 ? lines : ["nothing logged yet"];
}

/** svlogd's files: `current` is written, `@TIME.s` and `@TIME.u` are older. */
function readService(directory: string, service: string, count: number): LogLine[] {
	const rotated = readdirSync(directory)
		.filter((name) => name.startsWith("@"))
		.sort();
	const lines: string[] = [];
	let bytes = 0;
	for (const name of ["current", ...rotated.reverse()]) {
		const path = join(directory, name);
		if (!existsSync(path)) continue;
		const text = readFileSync(path, "utf8");
		lines.unshift(...text.split("\n").filter((line) => line !== ""));
		bytes += text.length;
		if (lines.length >= count || bytes > TAIL_LIMIT_BYTES) break;
	}
	return lines.slice(-count).map((line) => parseLogLine(line, service));
}
