/** The file of a Unix socket that is listened on: whose it is, and that it is there before anybody listens. */
import { chmodSync, chownSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ListenerOption } from "./manager/options.ts";
import { idOf } from "./worker/credentials.ts";

/** unix(7), sun_path without its NUL. */
const SOCKET_PATH_BYTES = 107;

type Owned = Pick<ListenerOption, "user" | "group" | "mode">;

/** Gives the file to whom the option names. Throws when that cannot be done. */
export function ownSocketFile(path: string, { user, group, mode }: Owned): void {
	const id = (kind: "user" | "group", name: string | undefined) =>
		name === undefined ? -1 : (idOf(kind, name) ?? -1);
	if (user !== undefined || group !== undefined) chownSync(path, id("user", user), id("group", group));
	if (mode !== undefined) chmodSync(path, mode);
}

/**
 * Makes the files of all Unix sockets, as varnishd's manager does: what waits for one, or cannot have one, knows before
 * the first worker runs. Who connects until then is refused. Throws when one cannot be had.
 */
export function makeSocketFiles(listeners: readonly ListenerOption[]): void {
	for (const option of listeners) {
		const { path } = option;
		if (path === undefined || path.startsWith("@")) continue;
		// Bun takes the file away with its listener; not this one, which has another name by then.
		const passing = join(dirname(path), `.${process.pid.toString(36)}`);
		// The worker that listens will make it.
		if (Buffer.byteLength(passing) > SOCKET_PATH_BYTES) continue;
		try {
			const listener = Bun.listen({ unix: passing, socket: { data() {} } });
			try {
				rmSync(path, { force: true });
				renameSync(passing, path);
				ownSocketFile(path, option);
			} finally {
				listener.stop(true);
			}
		} catch (error) {
			const { code } = error as { readonly code?: string };
			throw new Error(`(-a) Could not get socket ${path}: ${code ?? error}`);
		}
	}
}
