/** Drover's checks as one process, for the benchmark: `bun health-load.ts FILE`; prints a JSON line when all have answered. */
import { loadConfig } from "../../firmware/config/keepalived/load.ts";
import { tidyMemory } from "../../firmware/director/tidy-memory.ts";
import { createHealth, realServerKey, virtualServerKey } from "../../firmware/health/health.ts";
import { openLog } from "../../firmware/status/log.ts";

if (import.meta.main) {
	const { config } = loadConfig(process.argv[2]!);
	// As in the service: every verdict is logged.
	const health = createHealth({ log: openLog("director") });
	const missing = new Set<string>();
	for (const virtualServer of config.virtualServers)
		for (const realServer of virtualServer.realServers)
			missing.add(`${virtualServerKey(virtualServer)} ${realServerKey(realServer)}`);
	const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
	const total = missing.size;
	let down = 0;
	health.onChange((changes) => {
		for (const { kind, up, virtualServer, realServer } of changes) {
			if (kind !== "alive") continue;
			if (up) missing.delete(`${virtualServer} ${realServer}`);
			else say({ event: "down", count: ++down, atMs: Date.now() });
		}
		if (missing.size === 0) {
			say({ event: "all", total, atMs: Date.now() });
			missing.add("told");
		}
	});
	health.apply(config);
	// As in the service, too.
	tidyMemory(null);
}
