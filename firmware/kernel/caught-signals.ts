/** Which signals a process catches: another one would be ended by them. proc(5), /proc/PID/status, SigCgt. */
import { readFileSync } from "node:fs";
import { constants } from "node:os";

/** False for a process that is gone. */
export function catchesSignal(pid: number, signal: NodeJS.Signals | number): boolean {
	let status: string;
	try {
		status = readFileSync(`/proc/${pid}/status`, "latin1");
	} catch {
		return false;
	}
	const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1];
	const number = typeof signal === "number" ? signal : constants.signals[signal];
	return mask !== undefined && ((BigInt(`0x${mask}`) >> BigInt(number - 1)) & 1n) === 1n;
}
