/** The lab as `make run` shows it. Pure: a snapshot in, lines out. */
import { clock, duration } from "../../firmware/console/quantity.ts";
import { cut, WIDTH_COLUMNS } from "../../firmware/console/wrap.ts";
import type { DirectorCondition, LogEntry } from "./session.ts";

export interface DirectorLine {
	readonly name: "a" | "b";
	readonly condition: DirectorCondition;
	/** Null while it says nothing. */
	readonly state: string | null;
	readonly reason: string;
	readonly priority: number | null;
	/** Real servers as this director sees them: "2 of 2". */
	readonly pool: string | null;
}

export interface WebLine {
	readonly name: string;
	readonly alive: boolean;
	/** In the master's table; null when no master says. */
	readonly inPool: boolean | null;
	readonly perSecond: number;
}

export interface LabSnapshot {
	readonly nowMs: number;
	readonly startedAtMs: number;
	readonly version: string;
	readonly virtualAddress: string;
	readonly directors: readonly DirectorLine[];
	readonly web: readonly WebLine[];
	readonly failedPerSecond: number;
	readonly answered: number;
	readonly failed: number;
	readonly log: readonly LogEntry[];
}

const BAR_COLUMNS = 30;
/** A bar of full length. */
const BAR_PER_SECOND = 20;

const keys = [
	" 1 2 kill or revive a web server    m power of the master, off or on",
	" f   freeze or thaw the master      c pull or plug the master's cable   q quit",
];

export function labScreen(lab: LabSnapshot, rows: number): string[] {
	const right = `up ${duration((lab.nowMs - lab.startedAtMs) / 1000)}`;
	const left = `Drover ${lab.version}: the lab`;
	const top = [
		left.padEnd(WIDTH_COLUMNS - right.length) + right,
		"=".repeat(WIDTH_COLUMNS),
		...lab.directors.flatMap(directorLines),
		"",
		`  client to http://${lab.virtualAddress}/: ${lab.answered} answered, ${lab.failed} not`,
		...lab.web.map(webLine),
		`  ${"no answer".padEnd(31)} ${lab.failedPerSecond.toFixed(1).padStart(5)}/s  ${bar(lab.failedPerSecond, "!")}`,
		"-".repeat(WIDTH_COLUMNS),
	];
	const room = Math.max(3, rows - top.length - keys.length - 2);
	const log = lab.log.slice(-room).map((entry) => cut(`${clock(entry.atMs)}  ${entry.text}`, WIDTH_COLUMNS));
	const filling = Array.from({ length: room - log.length }, () => "");
	return [...top, ...log, ...filling, "-".repeat(WIDTH_COLUMNS), ...keys];
}

function directorLines(director: DirectorLine): string[] {
	const state = director.condition === "off" ? "" : (director.state ?? "silent");
	const priority = director.priority === null ? "" : `priority ${director.priority}`;
	const pool = director.pool === null ? "" : `${director.pool} web servers`;
	const first = `  director ${director.name}   ${director.condition.padEnd(13)} ${state.padEnd(8)} ${priority.padEnd(14)} ${pool}`;
	const reason =
		director.reason === "" || state === "" ? [] : [cut(`               ${director.reason}`, WIDTH_COLUMNS)];
	return [first.trimEnd(), ...reason];
}

function webLine(web: WebLine): string {
	const pool = web.inPool === null ? "" : web.inPool ? "in the pool" : "out of it";
	const alive = web.alive ? "alive" : "dead";
	const rate = `${web.perSecond.toFixed(1).padStart(5)}/s`;
	return `  ${web.name.padEnd(10)}   ${alive.padEnd(5)}  ${pool.padEnd(11)} ${rate}  ${bar(web.perSecond, "#")}`.trimEnd();
}

function bar(perSecond: number, mark: string): string {
	return mark.repeat(Math.min(BAR_COLUMNS, Math.round((perSecond / BAR_PER_SECOND) * BAR_COLUMNS)));
}
