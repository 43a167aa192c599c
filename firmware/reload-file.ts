/**
 * `reload_file`: a file that is there, empty, while the configuration is read again, so that whoever writes the
 * configuration can wait for its end. keepalived.conf(5), global_defs.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { call } from "./bus/client.ts";
import { socketPath } from "./bus/socket-path.ts";
import type { Log } from "./status/log.ts";

/** Longer than any reload. */
const RELOAD_LIMIT_MS = 60_000;

/**
 * Has every service read its files again, with the file at `path` there meanwhile. `signal` is for a service that does
 * not answer yet: it reads the files when it is ready, and is not waited for.
 */
export async function readAgain<Service extends { readonly name: string }>(
	path: string,
	services: readonly Service[],
	signal: (service: Service) => void,
	log: Log,
): Promise<void> {
	try {
		writeFileSync(path, "");
	} catch (error) {
		log.error(`reload_file: ${error instanceof Error ? error.message : error}`);
	}
	const read = async (service: Service): Promise<void> => {
		if (!existsSync(socketPath(service.name))) return signal(service);
		// Why a service refuses what it has read is its own to tell.
		await call(service.name, "reload", {}, RELOAD_LIMIT_MS).catch(() => {});
	};
	await Promise.all(services.map(read));
	rmSync(path, { force: true });
}
