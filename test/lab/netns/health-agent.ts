/**
 * The health checks as a process of their own, inside a test's namespace: takes a configuration (JSON, one line)
 * from standard input, prints every change and once a second each server's status, as JSON lines.
 */

import type { DroverConfig } from "../../../firmware/config/model.ts";
import {
	createHealth,
	type HealthChange,
	realServerKey,
	virtualServerKey,
} from "../../../firmware/health/health.ts";
import type { VipConflict } from "../../../firmware/health/vip-claims.ts";
import { silentLog } from "../../health/fixtures.ts";

export type AgentLine =
	| ({ readonly line: "change" } & HealthChange)
	| { readonly line: "applied" }
	| {
			readonly line: "status";
			readonly conflicts: readonly VipConflict[];
			readonly servers: readonly {
				readonly virtualServer: string;
				readonly realServer: string;
				readonly alive: boolean;
				readonly reason: string;
				readonly checks: readonly {
					readonly kind: string;
					readonly up: boolean;
					readonly detail: string;
					readonly atMs: number;
				}[];
				readonly path: { readonly ok: boolean; readonly known?: boolean; readonly detail: string } | null;
			}[];
	  };

if (import.meta.main) {
	const print = (line: AgentLine) => process.stdout.write(`${JSON.stringify(line)}\n`);
	const health = createHealth({ log: silentLog() });
	health.onChange((changes) => {
		for (const change of changes) print({ line: "change", ...change });
	});
	let config: DroverConfig | null = null;
	setInterval(() => {
		const servers = (config?.virtualServers ?? []).flatMap((virtualServer) =>
			virtualServer.realServers.map((realServer) => {
				const keys = [virtualServerKey(virtualServer), realServerKey(realServer)] as const;
				const { alive, reason } = health.verdictOf(...keys);
				return {
					virtualServer: keys[0],
					realServer: keys[1],
					alive,
					reason,
					...health.statusOf(...keys),
				};
			}),
		);
		print({ line: "status", conflicts: health.conflicts(), servers });
	}, 100);
	for await (const line of console) {
		config = JSON.parse(line) as DroverConfig;
		health.apply(config);
		print({ line: "applied" });
	}
	health.close();
	process.exit(0);
}
