/** Signals that have a number and no name, which JavaScript cannot catch: signal(7), "Real-time signals". */
import { SystemCallError } from "./errno.ts";
import { native } from "./native.ts";
import { type Watch, watchReadable } from "./watch.ts";

const COUNTER_BYTES = 8;

/** kill(2). False when there is no such process. */
export function sendSignalNumber(pid: number, number: number): boolean {
	return native.sendSignal(pid, number) >= 0;
}

/**
 * Calls back after signal `number`; several that come together are one. The signal ends nothing for the rest of the
 * process, also when the watch is closed. Throws a SystemCallError.
 */
export function onSignalNumber(number: number, onSignal: () => void): Watch {
	const fd = native.catchSignal(number);
	if (fd < 0) throw new SystemCallError(`catching signal ${number}`, fd);
	const counter = new Uint8Array(COUNTER_BYTES);
	return watchReadable(fd, () => {
		if (native.read(fd, counter) === COUNTER_BYTES) onSignal();
	});
}
