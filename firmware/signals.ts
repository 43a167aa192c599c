/**
 * What keepalived 2.2.7 has signals for besides its end and its reload, by the names that `keepalived --signum` knows:
 * SIGRTMIN + 2 and SIGRTMAX - 1 of the C library, which keeps the first two for itself. Pure.
 */
export const signalNumbers: Readonly<Record<string, number>> = {
	STOP: 15,
	RELOAD: 1,
	DATA: 10,
	STATS: 12,
	STATS_CLEAR: 63,
	JSON: 36,
};
export const JSON_SIGNAL = signalNumbers["JSON"]!;
export const STATS_CLEAR_SIGNAL = signalNumbers["STATS_CLEAR"]!;

/** What a service is told by a signal: by its name, or by its number where it has none. */
export type ServiceSignal = "SIGTERM" | "SIGHUP" | "SIGUSR1" | "SIGUSR2" | number;
