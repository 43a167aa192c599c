/** The OpenMetrics text format, with Prometheus's own parser as the judge; and what makes a box ill. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { DirectorStatus } from "../../firmware/status/director.ts";
import { illnesses } from "../../firmware/status/metrics/health.ts";
import {
	type MetricFamily,
	metricsAnswer,
	openMetricsText,
	stateSamples,
} from "../../firmware/status/metrics/openmetrics.ts";
import type { VrrpInstanceStatus, VrrpStatus } from "../../firmware/status/vrrp.ts";

/** Samples as the parser sees them: name, labels, value. */
function parse(
	text: string,
	format: "openmetrics." | "" = "openmetrics.",
): [string, Record<string, string>, number][] {
	const program = `import json, sys
from prometheus_client.${format}parser import text_string_to_metric_families
print(json.dumps([[s.name, s.labels, s.value]
    for family in text_string_to_metric_families(sys.stdin.buffer.read().decode()) for s in family.samples]))`;
	const { stdout, stderr, exitCode } = Bun.spawnSync(["/usr/bin/python3", "-c", program], {
		stdin: Buffer.from(text),
	});
	if (exitCode !== 0) throw new Error(stderr.toString());
	return JSON.parse(stdout.toString());
}

describe("OpenMetrics 1.0", () => {
	const family = (rest: Partial<MetricFamily>): MetricFamily => ({
		name: "x",
		kind: "gauge",
		help: "",
		samples: [],
		...rest,
	});
	test("each kind with its suffix, and its end", () => {
		const text = openMetricsText([
			family({
				name: "a_bytes",
				unit: "bytes",
				help: 'back\\slash "quoted"',
				samples: [{ labels: {}, value: 1.5 }],
			}),
			family({ name: "b", kind: "counter", samples: [{ labels: { c: "d" }, value: 2n ** 53n }] }),
			family({ name: "e", kind: "info", samples: [{ labels: { version: "1" }, value: 1 }] }),
			family({ name: "f", kind: "stateset", samples: stateSamples("f", { g: "h" }, ["on", "off"], "off") }),
			family({ name: "without_samples" }),
		]);
		expect(parse(text)).toEqual([
			["a_bytes", {}, 1.5],
			["b_total", { c: "d" }, 2 ** 53],
			["e_info", { version: "1" }, 1],
			["f", { g: "h", f: "on" }, 0],
			["f", { g: "h", f: "off" }, 1],
		]);
		expect(text).toEndWith("\n# EOF\n");
		expect(text).not.toContain("without_samples");
	});
	test("whatever an operator calls a thing", () => {
		const names = fc.sample(fc.string({ unit: "grapheme", maxLength: 30 }), { numRuns: 500, seed: 3 });
		// The parser takes only "\n" as a line end, Python's reader of lines takes more.
		const plain = [...new Set(names)].filter((name) => !/[\r\v\f\x1c-\x1e\x85\u2028\u2029]/.test(name));
		const samples = plain.map((name, value) => ({ labels: { name }, value }));
		expect(parse(openMetricsText([family({ samples })]))).toEqual(
			samples.map(({ labels, value }) => ["x", labels, value]),
		);
	});
});

describe("what a scraper gets, by its Accept", () => {
	const families: MetricFamily[] = [
		{
			name: "a_bytes",
			unit: "bytes",
			kind: "gauge",
			help: 'back\\slash "q"',
			samples: [{ labels: {}, value: 1.5 }],
		},
		{ name: "b", kind: "counter", help: "b", samples: [{ labels: { c: '"d"\\' }, value: 2 }] },
		{ name: "e", kind: "info", help: "e", samples: [{ labels: { version: "1" }, value: 1 }] },
		{ name: "f", kind: "stateset", help: "f", samples: stateSamples("f", {}, ["on", "off"], "off") },
		{ name: "none", kind: "gauge", help: "none", samples: [] },
	];
	const openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
	const plain = "text/plain; version=0.0.4; charset=utf-8";
	test.each<[who: string, accept: string | null, type: string]>([
		["nobody says anything", null, openMetrics],
		["curl", "*/*", openMetrics],
		[
			"Prometheus 2.45",
			"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
			openMetrics,
		],
		[
			"Prometheus with scrape_protocols: [PrometheusText0.0.4]",
			"text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
			plain,
		],
		[
			"Prometheus that likes text better",
			"text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4",
			plain,
		],
		[
			"Telegraf",
			"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3",
			plain,
		],
		["any text", "Text/*", plain],
		["OpenMetrics refused", "application/openmetrics-text;q=0, */*", plain],
		["neither", "application/json", openMetrics],
		["rubbish", ";q=,,x;q=y", openMetrics],
	])("%s", (_who, accept, type) => {
		expect(metricsAnswer(accept, families).headers["content-type"]).toBe(type);
	});
	test("both formats have the same samples, by Prometheus's two parsers", () => {
		const text = metricsAnswer("text/plain", families).body;
		expect(parse(text, "")).toEqual(parse(metricsAnswer(null, families).body));
		expect(text).toContain('# HELP a_bytes back\\\\slash "q"\n');
		expect(text).toContain("# TYPE b_total counter\n");
	});
	test("nothing at all is a text, too", () => {
		expect(parse(openMetricsText([]))).toEqual([]);
	});
});

describe("/healthz", () => {
	const instance = (state: "MASTER" | "FAULT", conflict: string | null = null) =>
		({ name: "VI_1", state, reason: "eth0 is down", conflict }) as VrrpInstanceStatus;
	const vrrp = (...instances: VrrpInstanceStatus[]) => ({ instances }) as unknown as VrrpStatus;
	const server = (quorumUp: boolean, onSorryServer: boolean) => ({
		name: "[v]:tcp:80",
		quorum: 1,
		quorumUp,
		onSorryServer,
	});
	const director = (ipvsError: string | null, ...virtualServers: ReturnType<typeof server>[]) =>
		({ ipvsError, virtualServers }) as unknown as DirectorStatus;
	test.each<[string, VrrpStatus | null, DirectorStatus | null, string[]]>([
		["well", vrrp(instance("MASTER")), director(null, server(true, false)), []],
		["a sorry server answers", vrrp(), director(null, server(false, true)), []],
		["nothing answers", null, null, ["neither VRRP nor the director answers"]],
		["VRRP does not answer", null, director(null), ["VRRP does not answer"]],
		["the director does not answer", vrrp(), null, ["the director does not answer"]],
		["FAULT", vrrp(instance("FAULT")), director(null), ["VI_1 is in FAULT: eth0 is down"]],
		[
			"a second master",
			vrrp(instance("MASTER", "10.0.0.2")),
			director(null),
			["VI_1: a second master: 10.0.0.2"],
		],
		["no IPVS", vrrp(), director("no module"), ["the kernel's IPVS does not answer: no module"]],
		["no quorum", vrrp(), director(null, server(false, false)), ["[v]:tcp:80 is below its quorum of 1"]],
	])("%s", (_title, election, balancing, wrong) => {
		expect(illnesses({ vrrp: election, director: balancing })).toEqual(wrong);
	});
});
