/** The places that are listened on, before anybody listens: the manager finds out whether they can be had. */
import { chmodSync, chownSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ListenerOption } from "./manager/options.ts";
import { idOf } from "./worker/credentials.ts";

/** unix(7), sun_path without its NUL. */
const SOCKET_PATH_BYTES = 107;
/** What was listened on by processes that are being killed is free so soon. */
const FREE_WITHIN_MS = 3000;
const LOOK_AGAIN_MS = 100;

/** Gives the file of a Unix socket to whom the option names. Throws when that cannot be done. */
export function ownSocketFile(
	path: string,
	{ user, group, mode }: Pick<ListenerOption, "user" | "group" | "mode">,
): void {
	const id = (kind: "user" | "group", name: string | undefined) =>
		name === undefined ? -1 : (idOf(kind, name) ?? -1);
	if (user !== undefined || group !== undefined) chownSync(path, id("user", user), id("group", group));
	if (mode !== undefined) chmodSync(path, mode);
}

/** Its file is there from the start, as with varnishd: who connects before a worker listens is refused. */
function makeSocketFile(path: string, option: ListenerOption): void {
	// Bun takes the file away with its listener; not this one, which has another name by then.
	const passing = join(dirname(path), `.${process.pid.toString(36)}`);
	// The worker that listens will make it.
	if (Buffer.byteLength(passing) > SOCKET_PATH_BYTES) return;
	const listener = Bun.listen({ unix: passing, socket: { data() {} } });
	try {
		rmSync(path, { force: true });
		renameSync(passing, path);
		ownSocketFile(path, option);
	} finally {
		listener.stop(true);
	}
}

/** Workers share their ports (SO_REUSEPORT), and would share them with those of another daemon without a word. */
async function tryPort(hostname: string, port: number): Promise<void> {
	const endMs = performance.now() + FREE_WITHIN_MS;
	for (;;)
		try {
			Bun.listen({ hostname, port, socket: { data() {} } }).stop(true);
			return;
		} catch (error) {
			if ((error as { readonly code?: string }).code !== "EADDRINUSE" || performance.now() > endMs)
				throw error;
			await Bun.sleep(LOOK_AGAIN_MS);
		}
}

/** Throws, in varnishd's words, when one of the places cannot be had. */
export async function prepareListening(listeners: readonly ListenerOption[]): Promise<void> {
	for (const option of listeners) {
		const { path } = option;
		const hostname = option.host === "" ? "0.0.0.0" : option.host;
		try {
			if (path !== undefined) {
				if (!path.startsWith("@")) makeSocketFile(path, option);
			} else if (option.port !== "0") await tryPort(hostname, Number(option.port));
		} catch (error) {
			const { code } = error as { readonly code?: string };
			const why =
				code === "EADDRINUSE"
					? "Address already in use: stop what listens there, or name another port"
					: (code ?? error);
			throw new Error(`(-a) Could not get socket ${path ?? `${hostname}:${option.port}`}: ${why}`);
		}
	}
}
