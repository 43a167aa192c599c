/** Puts the current revision into force: the box's own addresses, then the services. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { call } from "../../bus/client.ts";
import { type Connection, parseConnection } from "./own-path.ts";

const RELOAD_TIMEOUT_MS = 20_000;

export type Reloaded = "bfd" | "vrrp" | "director" | "cache";
const everyService: readonly Reloaded[] = ["bfd", "vrrp", "director", "cache"];

/**
 * Words for each part that did not take it over; empty when all did. `services` read the configuration again; one that
 * does not run is started by its supervisor.
 */
export async function applyCurrent(root: string, services = everyService): Promise<readonly string[]> {
	const troubles: string[] = [];
	if (existsSync(join(root, "current/appliance.toml")) && existsSync("/etc/drover-release")) {
		const { main } = await import("../../appliance/network.ts");
		if ((await main([])) !== 0) troubles.push("the box's own addresses are not all set");
	}
	for (const service of services)
		try {
			await call(service, "reload", { judged: true }, RELOAD_TIMEOUT_MS);
		} catch (error) {
			const message = error instanceof Error ? error.message : String(error);
			if (message !== `${service} is not running`) troubles.push(`${service}: ${message}`);
			else if (existsSync(`/run/sv/${service}`)) Bun.spawnSync(["sv", "up", `/run/sv/${service}`]);
		}
	return troubles;
}

/** The SSH connection or terminal that a command came from. */
export function whereFrom(): string {
	const connection = process.env["SSH_CONNECTION"]?.split(" ")[0];
	return connection !== undefined ? `ssh ${connection}` : (process.env["DROVER_TERMINAL"] ?? "shell");
}

/** The connection that this command is given over; null at the machine itself. */
export function ownConnection(): Connection | null {
	const text = process.env["SSH_CONNECTION"];
	return text === undefined ? null : parseConnection(text, process.env["USER"] ?? "root");
}
