/** `/metrics`: the counters as OpenMetrics families, under Varnish exporters' usual names. */
import { type MetricFamily, metricsAnswer } from "../../status/metrics/openmetrics.ts";
import { mainCounters } from "../log/counters.ts";
import type { Manager } from "../manager/manager.ts";

/** What one scrape is told. */
export function cacheMetrics(manager: Manager): MetricFamily[] {
	const figures = manager.mainFigures();
	return [
		...mainCounters.counters.map(
			({ name, kind, about }): MetricFamily => ({
				name: `varnish_main_${name}`,
				kind: kind === "counter" ? "counter" : "gauge",
				help: about,
				samples: [{ labels: {}, value: figures.get(name) ?? 0 }],
			}),
		),
		{
			name: "varnish_backend_up",
			kind: "gauge",
			help: "1 while the backend is healthy",
			samples: [...manager.vcls.values()].flatMap(({ name: vcl, compiled }) =>
				compiled.backends.map(({ name: backend }) => ({
					labels: { vcl, backend },
					value: manager.isHealthy(`${vcl}.${backend}`) ? 1 : 0,
				})),
			),
		},
	];
}

export function serveMetrics(manager: Manager, hostname: string, port: number): void {
	Bun.serve({
		hostname,
		port,
		fetch(request) {
			const { pathname } = new URL(request.url);
			if (pathname !== "/metrics") return new Response("Only /metrics is here.\n", { status: 404 });
			if (request.method !== "GET" && request.method !== "HEAD")
				return new Response("only GET and HEAD\n", { status: 405, headers: { allow: "GET, HEAD" } });
			const { body, headers } = metricsAnswer(request.headers.get("accept"), cacheMetrics(manager));
			return new Response(body, { headers });
		},
	});
}
