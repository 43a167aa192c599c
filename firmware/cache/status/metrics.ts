/** `/metrics`: the counters in the OpenMetrics text format, under Varnish exporters' usual names. */
import { mainCounters } from "../log/counters.ts";
import type { Manager } from "../manager/manager.ts";

/** The text of one scrape. */
export function metricsText(manager: Manager): string {
	const figures = manager.mainFigures();
	let text = "";
	for (const counter of mainCounters.counters) {
		const name = `varnish_main_${counter.name}`;
		const gauge = counter.kind !== "counter";
		text += `# HELP ${name} ${counter.about}\n# TYPE ${name} ${gauge ? "gauge" : "counter"}\n`;
		text += `${name}${gauge ? "" : "_total"} ${figures.get(counter.name) ?? 0}\n`;
	}
	text += "# HELP varnish_backend_up backend health\n# TYPE varnish_backend_up gauge\n";
	for (const vcl of manager.vcls.values())
		for (const backend of vcl.compiled.backends) {
			const key = `${vcl.name}.${backend.name}`;
			const up = manager.isHealthy(key);
			text += `varnish_backend_up{vcl="${vcl.name}",backend="${backend.name}"} ${up ? 1 : 0}\n`;
		}
	return `${text}# EOF\n`;
}

export function serveMetrics(manager: Manager, hostname: string, port: number): void {
	Bun.serve({
		hostname,
		port,
		fetch(request) {
			const { pathname } = new URL(request.url);
			if (pathname !== "/metrics") return new Response("Only /metrics is here.\n", { status: 404 });
			return new Response(metricsText(manager), {
				headers: { "content-type": "application/openmetrics-text; version=1.0.0; charset=utf-8" },
			});
		},
	});
}
