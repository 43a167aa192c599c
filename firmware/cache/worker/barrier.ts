/** varnishtest's barriers (vtc.barrier_sync): a connection to one ends when all have come. */
import { connect } from "node:net";

/** Seconds that a barrier without a time out of its own may take. */
export const BARRIER_LIMIT_SECONDS = 30;

/** The connection to a barrier, until the other side closes it: false when it could not be had. */
export function untilClosed(address: string): { readonly ended: Promise<boolean>; giveUp(): void } {
	const [, host = "", port = ""] = /^\[?([^\]\s]*?)\]?[:\s]+(\d+)$/.exec(address) ?? [];
	const socket = connect({ host, port: Number(port) });
	const ended = new Promise<boolean>((resolve) => {
		socket.on("end", () => socket.end());
		socket.on("close", (failed) => resolve(!failed));
		socket.on("error", () => {});
		socket.resume();
	});
	return { ended, giveUp: () => socket.destroy() };
}

/** `drover cache barrier ADDRESS:PORT`: 0 when the other side has closed. */
export const waitAtBarrier = async (address: string): Promise<number> =>
	(await untilClosed(address).ended) ? 0 : 1;
