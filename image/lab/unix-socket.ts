/** A connection to the Unix socket of a program that was just started. */
import { connect, type Socket } from "node:net";

const LOOK_EVERY_MS = 20;

/**
 * Resolves once somebody listens at `path`: the socket may not be there yet, or be there and not listen yet.
 * Rejects after `limitMs`, or as soon as `hasEnded` says that nobody ever will.
 */
export async function connectWhenThere(
	path: string,
	limitMs: number,
	hasEnded: () => boolean = () => false,
): Promise<Socket> {
	const deadline = Date.now() + limitMs;
	for (;;) {
		try {
			return await new Promise<Socket>((resolve, reject) => {
				const socket = connect(path, () => resolve(socket));
				socket.on("error", reject);
			});
		} catch (error) {
			const isEarly = ["ENOENT", "ECONNREFUSED"].includes((error as NodeJS.ErrnoException).code ?? "");
			if (!isEarly || Date.now() > deadline || hasEnded())
				throw new Error(`nobody listens at ${path}: ${(error as Error).message}`, { cause: error });
			await Bun.sleep(LOOK_EVERY_MS);
		}
	}
}
