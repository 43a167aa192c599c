/**
 * Is this box alive enough to go on, and which service hangs? Pure: signs in, words out.
 * The watchdog is fed only while programs can be started from the verified root; a service that
 * runs and does not answer is restarted, since a reset of the whole box costs more.
 */
import {
	listening,
	look,
	noRestarts,
	patience,
	type Restarts,
	restarted,
	type Silence,
} from "../status/patience.ts";

/** The signs are looked at this often. */
export const INTERVAL_MS = 2_000;
/** A program that has not ended by then was not really started. */
export const PROGRAM_LIMIT_MS = 8_000;
/** A running service that has not answered for so long hangs. */
export const SERVICE_LIMIT_MS = 15_000;
/** Bun needs some seconds on a slow machine before it answers for the first time. */
export const SERVICE_START_MS = 60_000;
/** Restarts that lie further back than this are forgotten. */
export const CALM_MS = 10 * 60_000;

export interface ServiceSign {
	readonly name: string;
	/** What tells one run of it from the next, as its supervisor has it; null when it is down. */
	readonly run: string | null;
	/** Since the last look. */
	readonly answered: boolean;
}

interface ServiceHistory {
	readonly run: string | null;
	readonly everAnswered: boolean;
	readonly silence: Silence;
	readonly restarts: Restarts;
}

/** What is remembered from look to look. */
export interface VitalHistory {
	readonly program: Silence;
	readonly services: ReadonlyMap<string, ServiceHistory>;
}

export interface VitalSigns {
	readonly nowMs: number;
	/** A program was started and has ended well since the last look. */
	readonly programEnded: boolean;
	readonly services: readonly ServiceSign[];
}

export interface Diagnosis {
	readonly history: VitalHistory;
	/** Put the reset off. */
	readonly feed: boolean;
	/** Services to restart. */
	readonly hanging: readonly string[];
}

export const firstHistory = (nowMs: number): VitalHistory => ({
	program: listening(nowMs),
	services: new Map(),
});

/** One look, every INTERVAL_MS. */
export function diagnose(before: VitalHistory, { nowMs, programEnded, services }: VitalSigns): Diagnosis {
	const program = look(before.program, nowMs, programEnded, INTERVAL_MS);
	const hanging: string[] = [];
	const histories = new Map<string, ServiceHistory>();
	for (const { name, run, answered } of services) {
		const last = before.services.get(name);
		let { silence, restarts, everAnswered } = last ?? {
			silence: listening(nowMs),
			restarts: noRestarts,
			everAnswered: false,
		};
		if (run === null || run !== last?.run) {
			silence = listening(nowMs);
			everAnswered = false;
		}
		silence = look(silence, nowMs, answered, INTERVAL_MS);
		everAnswered ||= answered;
		const limitMs = (everAnswered ? 0 : SERVICE_START_MS) + SERVICE_LIMIT_MS;
		if (run !== null && silence.silent > limitMs * patience(restarts, nowMs, CALM_MS)) {
			hanging.push(name);
			silence = listening(nowMs);
			restarts = restarted(restarts, nowMs, CALM_MS);
			everAnswered = false;
		}
		histories.set(name, { run, everAnswered, silence, restarts });
	}
	return {
		history: { program, services: histories },
		feed: program.silent <= PROGRAM_LIMIT_MS,
		hanging,
	};
}
