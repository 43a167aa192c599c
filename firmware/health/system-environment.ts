/** What probes need, from this system: real time, real timers. */
import type { TlsClientConfig, TrackFileConfig } from "../config/model.ts";
import type { ProbeEnvironment } from "./checker.ts";
import type { ProgramRecord } from "./program-record.ts";
import { Wheel } from "./wheel.ts";

/** Milliseconds: `monotonic` for intervals, `now` for time stamps. */
export interface Clock {
	monotonicMs(): number;
	nowMs(): number;
}

export const systemClock: Clock = {
	monotonicMs: () => performance.now(),
	nowMs: () => Date.now(),
};

/** The parts that a configuration brings can be replaced. */
export interface MutableEnvironment extends ProbeEnvironment {
	tlsClient: TlsClientConfig | null;
	trackFiles: readonly TrackFileConfig[];
}

export function systemEnvironment(
	clock: Clock = systemClock,
	programs: ProgramRecord | null = null,
): MutableEnvironment {
	return {
		wheel: new Wheel({
			nowMs: () => clock.monotonicMs(),
			sleep(delayMs, wake) {
				const timer = setTimeout(wake, delayMs);
				return () => clearTimeout(timer);
			},
		}),
		nowMs: () => clock.monotonicMs(),
		tlsClient: null,
		trackFiles: [],
		programStarted: (pid) => programs?.started(pid) ?? (() => {}),
	};
}
