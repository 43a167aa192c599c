/**
 * Is this box alive enough to go on, and which service hangs? Pure: times in, words out.
 * The watchdog is fed only while programs can be started from the verified root; a service that
 * runs and does not answer is restarted, since a reset of the whole box costs more.
 */

/** A program that has not ended by then was not really started. */
export const PROGRAM_LIMIT_MS = 8_000;
/** A running service that has not answered for so long hangs. */
export const SERVICE_LIMIT_MS = 15_000;
/** Bun needs some seconds on a slow machine before it answers for the first time. */
export const SERVICE_START_MS = 60_000;

export interface ServiceSign {
	readonly name: string;
	/** Its supervisor says that it runs, since then; null when it is down. */
	readonly runsSinceMs: number | null;
	readonly answeredAtMs: number | null;
}

export interface VitalSigns {
	readonly nowMs: number;
	/** When a program was last started and ended well. */
	readonly programAtMs: number;
	readonly services: readonly ServiceSign[];
}

export interface Diagnosis {
	/** Put the reset off. */
	readonly feed: boolean;
	/** Services to restart. */
	readonly hanging: readonly string[];
}

export function diagnose({ nowMs, programAtMs, services }: VitalSigns): Diagnosis {
	const hangs = ({ runsSinceMs, answeredAtMs }: ServiceSign) => {
		if (runsSinceMs === null) return false;
		const lastMs =
			answeredAtMs === null || answeredAtMs < runsSinceMs ? runsSinceMs + SERVICE_START_MS : answeredAtMs;
		return nowMs - lastMs > SERVICE_LIMIT_MS;
	};
	return {
		feed: nowMs - programAtMs <= PROGRAM_LIMIT_MS,
		hanging: services.filter(hangs).map(({ name }) => name),
	};
}
