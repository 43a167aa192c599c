/** Who looks at the services for the receivers' sake: a look that gets no answer in time is no look. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { type BusServer, method, serve } from "../../firmware/bus/server.ts";
import type { BoxEvent } from "../../firmware/status/snmp/notification/notification.ts";
import { nothingTold } from "../../firmware/status/snmp/notification/told.ts";
import { watchBox } from "../../firmware/status/snmp/notification/watcher.ts";

/** Longer than a look waits. */
const SLOW_MS = 1_500;
const LIMIT_MS = 10_000;
let directory: string;
let director: BusServer;
let looks = 0;

beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "drover-watcher-"));
	process.env["DROVER_RUN_DIR"] = directory;
	const server = { address: "192.0.2.1", port: 80, alive: false, reason: "connection refused" };
	const status = {
		virtualServers: [
			{ name: "[192.0.2.100]:tcp:80", protocolName: "tcp", quorumUp: true, realServers: [server] },
		],
	};
	director = serve("director", {
		status: method(z.object({}), async () => {
			if (looks++ === 0) await Bun.sleep(SLOW_MS);
			return status;
		}),
	});
});
afterAll(() => {
	director.close();
	rmSync(directory, { recursive: true });
	delete process.env["DROVER_RUN_DIR"];
});

test("a service that was too busy to answer is asked again: what was so before is told", async () => {
	const told: BoxEvent[] = [];
	const end = watchBox({
		onEvent: (event) => told.push(event),
		toldUntilMs: 0,
		onTold: () => {},
		told: nothingTold(),
	});
	try {
		const deadline = performance.now() + LIMIT_MS;
		while (told.length === 0 && performance.now() < deadline) await Bun.sleep(50);
		expect(told).toMatchObject([{ kind: "director", event: { kind: "real-server", up: false } }]);
		expect(looks).toBe(2);
	} finally {
		end();
	}
});
