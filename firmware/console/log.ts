/** `drover log [COUNT] [SERVICE]`: the newest lines of the services' logs; `log events`: what happened. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { call } from "../bus/client.ts";
import type { TimelineEntry } from "../status/timeline.ts";
import type { CommandHelp } from "./command-help.ts";
import { print, runCommand } from "./command-line.ts";
import { timelineLines } from "./explain-screen.ts";
import { formatLogLine, inOrder, type LogLine, mergeLogs, parseLogLine } from "./log-text.ts";
import { UsageError } from "./usage-error.ts";

const LOG_DIRECTORY = "/run/log";
/** Other logs that are kept, by the word that asks for them. */
const keptLogs: Readonly<Record<string, string>> = {
	last: "/data/log/last",
	failed: "/data/log/failed-update",
};
const DEFAULT_COUNT = 20;
const COUNT_LIMIT = 10_000;
/** As many as one service keeps. */
const EVENT_LIMIT = 2_000;
/** Of each service the newest bytes are looked at: two of svlogd's files. */
const TAIL_LIMIT_BYTES = 2 * 1024 * 1024;

export const help: CommandHelp = {
	usage: ["log [last|failed] [COUNT] [SERVICE] [warn] [--json]", "log events [COUNT] [--json]"],
	about: `The newest COUNT (${DEFAULT_COUNT}) lines of all services' logs, or of one, in order of time.`,
	words: [
		["last", "what was kept of the boot before this one"],
		["failed", "what was kept of an update that was taken back"],
		["warn", "warnings and errors only"],
		["events", "elections, real servers, quorums: what was seen and what was decided"],
		["--json", "for programs"],
	],
	examples: [
		["log 100 vrrp", "the election's last hundred lines"],
		["log 50 warn", "what went wrong, wherever"],
		["log events", "the story of the last twenty events"],
	],
};

export async function main(words: readonly string[]): Promise<number> {
	return runCommand("log", help, words, async () => {
		const json = words.includes("--json");
		const rest = words.filter((word) => word !== "--json");
		if (rest[0] === "events") return events(rest.slice(1), json);
		const kept = Object.hasOwn(keptLogs, rest[0] ?? "") ? keptLogs[rest[0]!] : undefined;
		const query = parseLogQuery(kept === undefined ? rest : rest.slice(1));
		if (query === null) throw new UsageError(`"${rest.join(" ")}" is not COUNT, SERVICE or warn`);
		const found = readLog(query, kept);
		if (typeof found === "string") {
			console.error(`drover log: ${found}`);
			return 1;
		}
		print(json, found, () => (found.length > 0 ? found.flatMap(formatLogLine) : ["nothing logged yet"]));
		return 0;
	});
}

export interface LogQuery {
	readonly count: number;
	readonly service: string | null;
	readonly warningsOnly: boolean;
}

/** Null when the words are not understood. */
export function parseLogQuery(words: readonly string[]): LogQuery | null {
	let count = DEFAULT_COUNT;
	let service: string | null = null;
	let warningsOnly = false;
	for (const word of words)
		if (/^\d{1,6}$/.test(word)) count = Math.min(Math.max(Number(word), 1), COUNT_LIMIT);
		else if (word === "warn") warningsOnly = true;
		else if (/^[a-z][a-z0-9-]*$/.test(word) && service === null) service = word;
		else return null;
	return { count, service, warningsOnly };
}

/** The lines, oldest first; or why there are none. */
export function readLog(
	{ count, service, warningsOnly }: LogQuery,
	directory = LOG_DIRECTORY,
): LogLine[] | string {
	if (!existsSync(directory)) return `there are no logs in ${directory}`;
	const services = readdirSync(directory).filter((name) => statSync(join(directory, name)).isDirectory());
	if (service !== null && !services.includes(service))
		return `there is no log of "${service}": there are ${services.join(", ") || "none"}`;
	const wanted = services.filter((name) => service === null || name === service);
	const keep = (line: LogLine) => !warningsOnly || ["warn", "error", "fatal"].includes(line.level);
	const logs = wanted.map((name) => readService(join(directory, name), name, count, keep));
	return mergeLogs(logs, count, Date.now());
}

/** svlogd's files: `current` is written, `@TIME.s` and `@TIME.u` are older. */
function readService(
	directory: string,
	service: string,
	count: number,
	keep: (line: LogLine) => boolean,
): LogLine[] {
	const rotated = readdirSync(directory)
		.filter((name) => name.startsWith("@"))
		.sort();
	const lines: LogLine[] = [];
	let bytes = 0;
	for (const name of ["current", ...rotated.reverse()]) {
		const path = join(directory, name);
		if (!existsSync(path)) continue;
		const text = readFileSync(path, "utf8");
		const read = text.split("\n").filter((line) => line !== "");
		lines.unshift(...read.map((line) => parseLogLine(line, service)).filter(keep));
		bytes += text.length;
		if (lines.length >= count || bytes > TAIL_LIMIT_BYTES) break;
	}
	return lines.slice(-count);
}

/** Both services' stories in one; a service that does not run has none. */
async function events(words: readonly string[], json: boolean): Promise<number> {
	const [text = String(DEFAULT_COUNT), ...rest] = words;
	const count = Number(text);
	if (!/^\d{1,6}$/.test(text) || count < 1 || rest.length > 0)
		throw new UsageError(`"${words.join(" ")}" is no number of events`);
	const limit = Math.min(count, EVENT_LIMIT);
	const of = async (service: string) => {
		const entries = await call<readonly TimelineEntry[]>(service, "timeline", { count: limit });
		return entries.map((entry) => ({ ...entry, service }));
	};
	const answers = await Promise.allSettled(["vrrp", "director"].map(of));
	const silent = answers.filter((answer) => answer.status === "rejected");
	if (silent.length === answers.length) throw silent[0]!.reason;
	const stories = answers.map((answer) => (answer.status === "fulfilled" ? answer.value : []));
	const all = inOrder(stories, ({ atMs }) => atMs, Date.now()).slice(-limit);
	print(json, all, () =>
		timelineLines(
			all.map((entry) =>
				entry.subject === "" ? entry : { ...entry, text: `${entry.subject}: ${entry.text}` },
			),
			Date.now(),
		),
	);
	return 0;
}
