/** `drover cache status` and `top` as text. Pure. */
import type { CacheFigures, CacheStatus, TopEntry } from "../../status/cache.ts";

const MB = 1024 * 1024;
const megabytes = (bytes: number) => `${(bytes / MB).toFixed(bytes < 10 * MB ? 1 : 0)} MB`;
const percent = (ratio: number | null) => (ratio === null ? "-" : `${(ratio * 100).toFixed(1)} %`);

export function statusText(status: CacheStatus, nowMs: number): string {
	const { total, recent, vcl, reload } = status;
	const perSecond = (count: number) => (recent.seconds === 0 ? "0" : (count / recent.seconds).toFixed(1));
	const lines = [
		`${status.state} for ${Math.round((nowMs - status.startedAtMs) / 1000)} s, ${status.workerPids.length} worker${status.workerPids.length === 1 ? "" : "s"}, VCL ${vcl === null ? "none" : `${vcl.name} (${vcl.file})`}`,
		`listens on ${status.listeners.map(({ address, port }) => (port === "-" ? address : `${address}:${port}`)).join(", ")}`,
		...(reload === null ? [] : [`last reload ${new Date(reload.atMs).toISOString()}: ${reload.message}`]),
		...(status.panic === null ? [] : [status.panic]),
		"",
		tableLine("", ["requests/s", "hit rate", "hits", "misses", "passes", "failed fetches"]),
		figuresLine("last seconds", recent, perSecond(recent.requests)),
		figuresLine("since start", total, ""),
		"",
		`${status.objects} objects, ${megabytes(status.usedBytes)} used, ${megabytes(status.freeBytes)} free, ${status.evicted} evicted, ${status.expired} expired, ${status.bans} bans, ${status.sessions} sessions`,
	];
	for (const backend of status.backends) {
		const says = [
			...(backend.admin === "auto" ? [] : [`set ${backend.admin} by the operator`]),
			...(backend.probe === null ? [] : [`probe ${backend.probe.good}/${backend.probe.window}`]),
			...(backend.director === null ? [] : [`director says ${backend.director ? "up" : "down"}`]),
		];
		lines.push(
			`${backend.name}  ${backend.healthy ? "healthy" : "sick"}${says.length > 0 ? ` (${says.join(", ")})` : ""}  ${backend.requests} requests, ${backend.failedConnects} failed connects`,
		);
	}
	return lines.join("\n");
}

/** Of a table as wide as a terminal's line, 79 columns: the name, then a column for each cell. */
const NAME_COLUMNS = 12;
const CELL_COLUMNS = [11, 9, 11, 11, 10, 15] as const;

const tableLine = (name: string, cells: readonly string[]) =>
	name.padEnd(NAME_COLUMNS) +
	cells.map((cell, column) => ` ${cell}`.padStart(CELL_COLUMNS[column]!)).join("");

function figuresLine(name: string, figures: CacheFigures, perSecond: string): string {
	const { hits, misses, passes, failedFetches } = figures;
	return tableLine(name, [
		perSecond,
		percent(figures.hitRatio),
		...[hits, misses, passes, failedFetches].map(String),
	]);
}

export function topText(entries: readonly TopEntry[]): string {
	if (entries.length === 0) return "The log holds no request.";
	const rows = entries.map(({ requests, hits, misses, passes, bytes, host, url }) => [
		String(requests),
		String(hits),
		String(misses),
		String(passes),
		megabytes(bytes),
		`${host}${url}`,
	]);
	return [["requests", "hits", "misses", "passes", "sent", "URL"], ...rows]
		.map((row) => row.map((cell, column) => (column === 5 ? `  ${cell}` : cell.padStart(10))).join(""))
		.join("\n");
}
