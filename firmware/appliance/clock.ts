/** Asks OpenNTPD for the clock: ntpctl(8). */
import { type ClockStatus, parseClockStatus } from "../status/clock.ts";

/** Null where no NTP client runs. */
export function readClock(): ClockStatus | null {
	try {
		const { exitCode, stdout } = Bun.spawnSync(["ntpctl", "-s", "status"], { timeout: 2_000 });
		return exitCode === 0 ? parseClockStatus(stdout.toString()) : null;
	} catch {
		// The program is not there.
		return null;
	}
}
