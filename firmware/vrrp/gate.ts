/** The other services of a starting box wait at a gate until the election has begun (rootfs/usr/lib/drover/after-vrrp). */
import { closeSync, constants, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { runDirectory } from "../bus/socket-path.ts";

/** For one who found the gate before it was removed, and has not opened it yet. */
const HELD_MS = 1_000;

/** Nothing happens where there is no gate: on a box that runs already, and on other machines. */
export function openGate(): void {
	const gate = join(runDirectory(), "gate");
	try {
		// Who opens a FIFO to read waits until somebody could write.
		const fd = openSync(gate, constants.O_RDWR | constants.O_NONBLOCK);
		setTimeout(() => closeSync(fd), HELD_MS).unref();
		unlinkSync(gate);
	} catch {
		// Somebody else opened it.
	}
}
