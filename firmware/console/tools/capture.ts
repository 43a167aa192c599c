/** Frames of one port, in and out: handed to a reader until there are enough, or the time is over. */
import { ETH_P_ALL } from "../../kernel/constants.ts";
import { PacketSocket } from "../../kernel/packet-socket.ts";
import { RouteNetlink } from "../../kernel/rtnetlink.ts";
import { lookAt, type PacketFilter, type Sight } from "./packet.ts";

export interface CaptureLimits {
	readonly count: number;
	readonly seconds: number;
	/** Of all frames that are handed on. */
	readonly bytes: number;
}

/**
 * Resolves with the number of frames that passed the filter. Throws a SystemCallError when the port cannot be
 * listened to, and what the reader threw. A frame is valid during the call only.
 */
export async function capture(
	port: string,
	filter: PacketFilter,
	limits: CaptureLimits,
	onFrame: (frame: Uint8Array, sight: Sight, atMs: number) => void,
): Promise<number> {
	const netlink = RouteNetlink.open();
	const link = netlink.links().find(({ name }) => name === port);
	netlink.close();
	if (link === undefined) throw new Error(`there is no port ${port}`);
	const socket = PacketSocket.open({ interfaceIndex: link.index, etherType: ETH_P_ALL, outgoing: true });
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	const timer = setTimeout(resolve, limits.seconds * 1_000);
	const interrupted = () => resolve();
	process.once("SIGINT", interrupted);
	let count = 0;
	let bytes = 0;
	socket.receive((frame) => {
		if (count >= limits.count || bytes >= limits.bytes) return;
		const sight = lookAt(frame);
		if (!filter(sight)) return;
		count++;
		bytes += frame.length;
		try {
			onFrame(frame, sight, Date.now());
		} catch (error) {
			reject(error);
		}
		if (count >= limits.count || bytes >= limits.bytes) resolve();
	});
	try {
		await promise;
	} finally {
		clearTimeout(timer);
		process.off("SIGINT", interrupted);
		socket.close();
	}
	return count;
}
