/** The hardware watchdog (linux/watchdog.h): a box that hangs is reset by a timer that nobody fed. */
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { SystemCallError } from "./errno.ts";
import { native } from "./native.ts";

const WATCHDOG_PATH = "/dev/watchdog";
/** _IOWR('W', 6, int): WDIOC_SETTIMEOUT, seconds. */
const SET_TIMEOUT = 0xc0045706;

export class Watchdog {
	readonly #fd: number;
	/** What the driver made of the wish, seconds. */
	readonly timeoutSeconds: number;

	private constructor(fd: number, timeoutSeconds: number) {
		this.#fd = fd;
		this.timeoutSeconds = timeoutSeconds;
	}

	/** Null when the box has none. Throws a SystemCallError when somebody else feeds it. */
	static open(timeoutSeconds: number): Watchdog | null {
		if (!existsSync(WATCHDOG_PATH)) return null;
		const fd = openSync(WATCHDOG_PATH, "w");
		const argument = new Uint8Array(new Int32Array([timeoutSeconds]).buffer);
		const status = native.ioctl(fd, SET_TIMEOUT, argument);
		if (status < 0) {
			closeSync(fd);
			throw new SystemCallError(`setting the watchdog to ${timeoutSeconds} s`, status);
		}
		return new Watchdog(fd, new Int32Array(argument.buffer)[0]!);
	}

	/** Any byte but "V" puts the reset off by the timeout; with nowayout nothing stops the timer. */
	feed(): void {
		writeSync(this.#fd, "\0");
	}
}
