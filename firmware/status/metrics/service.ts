/**
 * `drover metrics`: `/metrics` in OpenMetrics and `/healthz`, on the addresses of the inside ports alone.
 * Like the SNMP agent it asks the services at most once a second, and may crash without anyone noticing.
 */
import type { ApplianceSettings } from "../../appliance/settings/schema.ts";
import { inNetwork } from "../../wire/ip-network.ts";
import type { BoxFacts } from "../box/facts.ts";
import { newMemory, readBox } from "../box/read-facts.ts";
import { openLog } from "../log.ts";
import { runOptionalService, toldToEnd } from "../optional-service.ts";
import { boxMetrics } from "./box-metrics.ts";
import { illnesses } from "./health.ts";
import { metricsAnswer } from "./openmetrics.ts";

const LOOK_LIFETIME_MS = 1_000;
const IDLE_SECONDS = 10;
/** No request that is answered here has a body. */
const BODY_LIMIT_BYTES = 1024;

export async function main(words: readonly string[]): Promise<number> {
	return runOptionalService(
		{
			name: "metrics",
			about: "Answers /metrics (OpenMetrics) and /healthz on the inside ports, as appliance.toml says.",
			options: {},
			lacks: ({ metrics }) => (metrics.enabled ? null : "enabled = true"),
			run: serve,
		},
		words,
	);
}

async function serve({ metrics, port }: ApplianceSettings): Promise<number> {
	const log = openLog("metrics");
	const memory = newMemory({});
	let cached: { readonly facts: Promise<BoxFacts>; readonly at: number } | null = null;
	const look = () => {
		const now = performance.now();
		if (cached === null || now - cached.at > LOOK_LIFETIME_MS) cached = { at: now, facts: readBox(memory) };
		return cached.facts;
	};
	const addresses = port
		.filter(({ role }) => role === "inside")
		.flatMap((each) => each.addresses.map((prefix) => prefix.split("/")[0]!));
	const servers = [];
	for (const hostname of addresses)
		try {
			servers.push(
				Bun.serve({
					hostname,
					port: metrics.port,
					idleTimeout: IDLE_SECONDS,
					maxRequestBodySize: BODY_LIMIT_BYTES,
					development: false,
					fetch: (request, server) => {
						const from = server.requestIP(request)?.address ?? "";
						if (metrics.sources.length > 0 && !metrics.sources.some((network) => inNetwork(from, network)))
							return text(403, "this source is not allowed\n");
						return answer(request, look);
					},
				}),
			);
		} catch (error) {
			log.error({ address: hostname }, `cannot listen: ${error instanceof Error ? error.message : error}`);
		}
	if (servers.length === 0) return 1;
	log.info({ addresses, port: metrics.port }, "answering");
	await toldToEnd(log);
	for (const server of servers) void server.stop(true);
	return 0;
}

async function answer(request: Request, look: () => Promise<BoxFacts>): Promise<Response> {
	if (request.method !== "GET" && request.method !== "HEAD") return text(405, "only GET and HEAD\n");
	switch (new URL(request.url).pathname) {
		case "/metrics": {
			const { body, headers } = metricsAnswer(request.headers.get("accept"), boxMetrics(await look()));
			return new Response(body, { headers });
		}
		case "/healthz": {
			const wrong = illnesses(await look());
			return wrong.length === 0 ? text(200, "ok\n") : text(503, `${wrong.join("\n")}\n`);
		}
		default:
			return text(404, "here are /metrics and /healthz\n");
	}
}

const text = (status: number, body: string) =>
	new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
