/**
 * The OpenMetrics text format 1.0 (openmetrics.io, draft-ietf-opsawg-openmetrics-00 §4), written; and Prometheus's
 * older text format 0.0.4 for scrapers that know no other. Pure.
 */

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

/** What a scraper gets. */
export interface MetricsAnswer {
	readonly body: string;
	readonly headers: Readonly<Record<string, string>>;
}

const OPEN_METRICS = "application/openmetrics-text";
const PLAIN_TEXT = "text/plain";

/** In OpenMetrics, unless the request's Accept (RFC 9110 §12.5.1; null: none) likes plain text better. */
export function metricsAnswer(accept: string | null, families: readonly MetricFamily[]): MetricsAnswer {
	const answer = (type: string, body: string): MetricsAnswer => ({
		body,
		headers: { "content-type": `${type}; charset=utf-8`, vary: "accept" },
	});
	return qualityOf(PLAIN_TEXT, accept) > qualityOf(OPEN_METRICS, accept)
		? answer(`${PLAIN_TEXT}; version=0.0.4`, prometheusText(families))
		: answer(`${OPEN_METRICS}; version=1.0.0`, openMetricsText(families));
}

/** How much a media type is liked, 0 to 1: the most specific range that has it decides. */
function qualityOf(type: string, accept: string | null): number {
	if (accept === null || accept.trim() === "") return 1;
	const ranges = accept.split(",").map((range) => {
		const [name = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
		const quality = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
		return { name, quality: quality === undefined ? 1 : Number(quality) || 0 };
	});
	const named = (name: string) => {
		const found = ranges.filter((range) => range.name === name).map(({ quality }) => quality);
		return found.length === 0 ? null : Math.max(...found);
	};
	return named(type) ?? named(`${type.split("/")[0]}/*`) ?? named("*/*") ?? 0;
}

/** What samples' names have behind their family's (§5). */
const suffixes: Readonly<Record<MetricKind, string>> = {
	gauge: "",
	counter: "_total",
	info: "_info",
	stateset: "",
};

/** §4.1: families one after the other, a sum of lines, closed by "# EOF". Families without samples are left out. */
export function openMetricsText(families: readonly MetricFamily[]): string {
	const lines: string[] = [];
	for (const { name, kind, unit, help, samples } of families) {
		if (samples.length === 0) continue;
		lines.push(`# TYPE ${name} ${kind}`);
		if (unit !== undefined) lines.push(`# UNIT ${name} ${unit}`);
		lines.push(`# HELP ${name} ${escapeText(help)}`);
		lines.push(...sampleLines(`${name}${suffixes[kind]}`, samples));
	}
	lines.push("# EOF");
	return lines.map((line) => `${line}\n`).join("");
}

/** The same families as Prometheus's format 0.0.4: it knows counters and gauges, and names a family as its samples. */
export function prometheusText(families: readonly MetricFamily[]): string {
	const lines: string[] = [];
	for (const { name, kind, help, samples } of families) {
		if (samples.length === 0) continue;
		const sampleName = `${name}${suffixes[kind]}`;
		lines.push(`# HELP ${sampleName} ${help.replace(/[\\\n]/g, escaped)}`);
		lines.push(`# TYPE ${sampleName} ${kind === "counter" ? "counter" : "gauge"}`);
		lines.push(...sampleLines(sampleName, samples));
	}
	return lines.map((line) => `${line}\n`).join("");
}

/** Of samples with the same labels the first: an operator's file may have a thing twice, and a text may not (§4.5). */
function sampleLines(name: string, samples: readonly Sample[]): string[] {
	const seen = new Set<string>();
	return samples.flatMap(({ labels, value }) => {
		const series = `${name}${labelText(labels)}`;
		if (seen.has(series)) return [];
		seen.add(series);
		return [`${series} ${value}`];
	});
}

function labelText(labels: Labels): string {
	const entries = Object.entries(labels);
	if (entries.length === 0) return "";
	return `{${entries.map(([name, value]) => `${name}="${escapeText(value)}"`).join(",")}}`;
}

/** §3.2: the backslash, the quote and the line end. */
function escapeText(text: string): string {
	return text.replace(/[\\"\n]/g, escaped);
}

const escaped = (character: string) => (character === "\n" ? "\\n" : `\\${character}`);

/** §4.4.5: one sample for each state, 1 for the one that is. The label has the family's name. */
export function stateSamples(name: string, labels: Labels, states: readonly string[], now: string): Sample[] {
	return states.map((state) => ({ labels: { ...labels, [name]: state }, value: state === now ? 1 : 0 }));
}
