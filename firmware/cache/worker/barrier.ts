/**
 * vtc.barrier_sync(): waits until varnishtest closes the connection to a barrier. The whole worker stands still
 * meanwhile, as for vtc.sleep(): a barrier that waits for another request of the same worker never opens.
 */
import { connect } from "node:net";
import { self } from "../../self.ts";
import { VclFailure } from "../vcl/runtime.ts";

/** Seconds that a barrier without a time out of its own may take. */
const LIMIT_SECONDS = 30;

/** Blocks. Fails the task when the barrier is not there, or does not open in time. */
export function syncBarrier(address: string, timeoutSeconds: number): void {
	const { success, exitedDueToTimeout } = Bun.spawnSync([...self(), "cache", "barrier", address], {
		stdio: ["ignore", "ignore", "ignore"],
		timeout: (timeoutSeconds > 0 ? timeoutSeconds : LIMIT_SECONDS) * 1000,
	});
	if (exitedDueToTimeout) throw new VclFailure(`Barrier synchronization timed out: ${address}`);
	if (!success) throw new VclFailure(`Barrier connection failed: ${address}`);
}

/** `drover cache barrier ADDRESS:PORT`: 0 when the other side has closed. */
export function waitAtBarrier(address: string): Promise<number> {
	const [, host = "", port = ""] = /^\[?([^\]\s]*?)\]?[:\s]+(\d+)$/.exec(address) ?? [];
	return new Promise((resolve) => {
		const socket = connect({ host, port: Number(port) });
		socket.on("end", () => socket.end());
		socket.on("close", (failed) => resolve(failed ? 1 : 0));
		socket.on("error", () => {});
		socket.resume();
	});
}
