/** The OpenMetrics text format 1.0 (openmetrics.io, draft-ietf-opsawg-openmetrics-00 §4), written. Pure. */

export type MetricKind = "gauge" | "counter" | "info" | "stateset";

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
	readonly labels: Labels;
	readonly value: number | bigint;
}

export interface MetricFamily {
	/** Without the suffix that the kind brings; ends with the unit when there is one. */
	readonly name: string;
	readonly kind: MetricKind;
	/** "bytes", "seconds", "ratio": base units (§4.2). */
	readonly unit?: string;
	readonly help: string;
	readonly samples: readonly Sample[];
}

export const CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/** §4.1: families one after the other, a sum of lines, closed by "# EOF". Families without samples are left out. */
export function openMetricsText(families: readonly MetricFamily[]): string {
	const lines: string[] = [];
	for (const { name, kind, unit, help, samples } of families) {
		if (samples.length === 0) continue;
		lines.push(`# TYPE ${name} ${kind}`);
		if (unit !== undefined) lines.push(`# UNIT ${name} ${unit}`);
		lines.push(`# HELP ${name} ${escapeText(help)}`);
		const suffix = { gauge: "", counter: "_total", info: "_info", stateset: "" }[kind];
		for (const { labels, value } of samples) lines.push(`${name}${suffix}${labelText(labels)} ${value}`);
	}
	return `${lines.join("\n")}\n# EOF\n`;
}

function labelText(labels: Labels): string {
	const entries = Object.entries(labels);
	if (entries.length === 0) return "";
	return `{${entries.map(([name, value]) => `${name}="${escapeText(value)}"`).join(",")}}`;
}

/** §3.2: the backslash, the quote and the line end. */
function escapeText(text: string): string {
	return text.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));
}

/** §4.4.5: one sample for each state, 1 for the one that is. The label has the family's name. */
export function stateSamples(name: string, labels: Labels, states: readonly string[], now: string): Sample[] {
	return states.map((state) => ({ labels: { ...labels, [name]: state }, value: state === now ? 1 : 0 }));
}
