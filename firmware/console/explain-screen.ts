/** The answers to "why": what is so now, and the story that led to it, oldest first. Pure. */
import type { RealServerStatus } from "../status/director.ts";
import type { TimelineEntry } from "../status/timeline.ts";
import type { VrrpInstanceStatus } from "../status/vrrp.ts";
import { duration } from "./quantity.ts";
import { endpointText, shortName } from "./servers/name.ts";
import { heldBackBy, realServerState } from "./servers/screen.ts";
import { WIDTH_COLUMNS, wrap } from "./wrap.ts";

const DAY_MS = 86_400_000;

/** One entry: when, what, from whom, and the rule below it. */
export function timelineLines(entries: readonly TimelineEntry[], nowMs: number): string[] {
	if (entries.length === 0) return ["  Nothing has happened since the service started."];
	return entries.flatMap(({ atMs, text, from, rule, times }) => {
		const head = `${moment(atMs, nowMs)}  `;
		const indent = " ".repeat(head.length);
		const repeated = times > 1 ? ` (${times} times)` : "";
		const source = from === null || text.includes(from) ? "" : ` [${from}]`;
		return [
			...wrap(`${text}${source}${repeated}`, head, indent, WIDTH_COLUMNS),
			...(rule === null ? [] : wrap(`rule: ${rule}`, indent, `${indent}      `, WIDTH_COLUMNS)),
		];
	});
}

/** "07:31:04.120"; with the date when that is another day. UTC. */
function moment(atMs: number, nowMs: number): string {
	const text = new Date(atMs).toISOString();
	const sameDay = Math.floor(atMs / DAY_MS) === Math.floor(nowMs / DAY_MS);
	return sameDay ? text.slice(11, 23) : `${text.slice(5, 10)} ${text.slice(11, 23)}`;
}

export function whyInstance(
	instance: VrrpInstanceStatus,
	timeline: readonly TimelineEntry[],
	nowMs: number,
): string[] {
	const since = duration((nowMs - instance.sinceMs) / 1000);
	const priority =
		instance.effectivePriority === instance.basePriority
			? `${instance.basePriority}`
			: `${instance.effectivePriority} (configured ${instance.basePriority})`;
	return [
		...wrap(
			`${instance.name} has been ${instance.state} for ${since}: ${instance.reason || "it was configured so"}.`,
			"",
			"  ",
		),
		...wrap(
			`Its priority is ${priority}; ${
				instance.state === "MASTER"
					? "it is the master."
					: instance.masterAddress === null
						? "no master is heard."
						: `the master is ${instance.masterAddress}${instance.masterPriority === null ? "" : `, priority ${instance.masterPriority}`}.`
			}`,
			"  ",
		),
		...(instance.resigned ? wrap('It was told to give up: "drover ha take-over" undoes that.', "  ") : []),
		...(instance.conflict === null ? [] : wrap(`! second master: ${instance.conflict}`, "  ")),
		"",
		...timelineLines(timeline, nowMs),
	];
}

export interface RealServerStory {
	readonly virtualServer: string;
	readonly onSorryServer: boolean;
	/** Why the kernel balances nothing; null when it does. */
	readonly ipvsError: string | null;
	readonly realServer: RealServerStatus;
	readonly timeline: readonly TimelineEntry[];
}

export function whyRealServer(
	{ virtualServer, onSorryServer, ipvsError, realServer, timeline }: RealServerStory,
	nowMs: number,
): string[] {
	const word = realServerState(realServer);
	const state = {
		up: "in",
		DOWN: "out",
		out: "out, though its checks are well",
		zero: "in, with weight 0: it gets no new connections",
		drain: "drained",
		maint: "in maintenance",
	}[word];
	const heldBack = word === "out" ? heldBackBy(realServer, { onSorryServer }, ipvsError) : null;
	const reason = realServer.override ? "the operator's word" : (heldBack ?? realServer.reason ?? "");
	return [
		...wrap(
			`${endpointText(realServer)} of ${shortName(virtualServer)} is ${state}${reason === "" ? "" : `: ${reason}`}.`,
			"",
			"  ",
		),
		...wrap(
			`weight ${realServer.weight} in the kernel, ${realServer.effectiveWeight ?? realServer.weight} configured and checked; ${realServer.activeConnections} active connections`,
			"  ",
		),
		...realServer.checks.flatMap(({ kind, up, detail, atMs, failures = 0 }) => {
			const ago = atMs > 0 ? `, ${duration((nowMs - atMs) / 1000)} ago` : "";
			const retried =
				up && failures > 0
					? `; bad ${failures === 1 ? "once" : `${failures} times`} in a row, tried again`
					: "";
			return wrap(`${up ? "up  " : "DOWN"} ${kind}: ${detail}${ago}${retried}`, "  ", "       ");
		}),
		...(realServer.path === null
			? []
			: wrap(`${realServer.path.ok ? "up  " : "DOWN"} path: ${realServer.path.detail}`, "  ", "       ")),
		"",
		...timelineLines(timeline, nowMs),
		"",
	];
}
