/** Overrides of real servers, and a drain that is watched to its end. */
import { call } from "../../bus/client.ts";
import type { DirectorStatus, RealServerStatus } from "../../status/director.ts";
import { type Endpoint, endpointText } from "./name.ts";

export type OverrideAction = "drain" | "maintenance" | "undo";

const CALL_TIMEOUT_MS = 20_000;
const LOOK_EVERY_MS = 1_000;
/** Progress is told at least this often while nothing changes. */
const SAY_EVERY_MS = 30_000;

export interface Target {
	/** As in the status. */
	readonly virtualServer: string;
	readonly realServer: Endpoint;
}

export async function override(action: OverrideAction, targets: readonly Target[]): Promise<void> {
	for (const { virtualServer, realServer } of targets)
		await call(
			"director",
			"override",
			{ action, realServer: endpointText(realServer), virtualServer },
			CALL_TIMEOUT_MS,
		);
}

export const directorStatus = () => call<DirectorStatus>("director", "status", {}, CALL_TIMEOUT_MS);

/** What is still open on these servers; a server that has left the table has nothing. */
export function openConnections(status: DirectorStatus, targets: readonly Target[]): number {
	let open = 0;
	for (const { real, protocol } of found(status, targets))
		if (real.override === "draining")
			open += real.activeConnections + (protocol === "TCP" ? 0 : real.inactiveConnections);
	return open;
}

function found(status: DirectorStatus, targets: readonly Target[]) {
	return targets.flatMap(({ virtualServer, realServer }) => {
		const server = status.virtualServers.find(({ name }) => name === virtualServer);
		const real = server?.realServers.find(
			({ address, port }: RealServerStatus) => address === realServer.address && port === realServer.port,
		);
		return server === undefined || real === undefined ? [] : [{ real, protocol: server.protocol }];
	});
}

/**
 * Waits until the last connection has ended, and says how many are open whenever that changes.
 * "open" when `limitMs` passes first.
 */
export async function watchDrain(
	targets: readonly Target[],
	limitMs: number,
	say: (line: string) => void,
): Promise<"drained" | "undone" | "open"> {
	const startedAt = performance.now();
	let told = "";
	let toldAt = startedAt;
	for (;;) {
		const status = await directorStatus();
		const servers = found(status, targets);
		const draining = servers.filter(({ real }) => real.override === "draining");
		if (draining.length === 0) {
			const undone = servers.some(({ real }) => real.override !== "drained");
			say(undone ? "The drain was undone." : "Drained: no connection is left, nothing new comes.");
			return undone ? "undone" : "drained";
		}
		const open = openConnections(status, targets);
		const line = `${open} ${open === 1 ? "connection is" : "connections are"} open.`;
		const now = performance.now();
		if (line !== told || now - toldAt >= SAY_EVERY_MS) {
			say(line);
			told = line;
			toldAt = now;
		}
		if (now - startedAt >= limitMs) return "open";
		await Bun.sleep(LOOK_EVERY_MS);
	}
}
