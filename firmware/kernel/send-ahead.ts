/** Bytes that go out together with those of the next write: send(2) with MSG_MORE. */
import { MSG_DONTWAIT, MSG_MORE } from "./constants.ts";
import { native } from "./native.ts";

/**
 * Hands `bytes` to a connected stream socket without making a packet of them yet. Returns how many the kernel took,
 * 0 when it takes none now or the socket has failed: the next write says so.
 */
export function sendAhead(descriptor: number, bytes: Uint8Array): number {
	if (descriptor < 0) return 0;
	return Math.max(0, native.sendTo(descriptor, bytes, null, MSG_DONTWAIT | MSG_MORE));
}
