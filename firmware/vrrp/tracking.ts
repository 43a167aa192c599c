/**
 * Tracked objects: from raw results (exit statuses, process counts, file values, link states) to what
 * they mean for priority and health, as keepalived counts them. Pure.
 */
import type { TrackProcessConfig, TrackScriptConfig } from "../config/model.ts";

/** How far a tracked object moves a router: a sum for its priority, or a reason to stay out. */
export type Effect =
	| { readonly kind: "weight"; readonly delta: number }
	| { readonly kind: "fault" }
	/** Weight 0 and no result yet. */
	| { readonly kind: "pending" };

/** keepalived: a file's product is cut here; at the lower end it means FAULT. */
const FILE_WEIGHT_MAX = 253;
const FILE_WEIGHT_FAULT = -254;

/** RFC 9568 §5.2.4: 0 and 255 are not to be had by tracking. */
const PRIORITY_MIN = 1;
const PRIORITY_MAX = 254;
export const PRIORITY_OWNER = 255;

/**
 * Something that is up or down. `null` is not known yet. `reverse`: with the weight 0 what is down is well; else what
 * the weight would add is taken away (keepalived.conf(5): the direction of the adjustment is reversed).
 */
export function effectOf(up: boolean | null, weight: number, reverse: boolean): Effect {
	if (up === null) return weight === 0 ? { kind: "pending" } : { kind: "weight", delta: 0 };
	if (weight === 0) return up !== reverse ? { kind: "weight", delta: 0 } : { kind: "fault" };
	const counts = weight > 0 === up;
	return { kind: "weight", delta: !counts ? 0 : reverse ? -weight : weight };
}

/** `track_file`: the value times the weight. */
export function fileEffect(value: number, weight: number, reverse: boolean): Effect {
	if (weight === 0) return (value !== 0) !== reverse ? { kind: "fault" } : { kind: "weight", delta: 0 };
	const product = value * weight * (reverse ? -1 : 1);
	if (product <= FILE_WEIGHT_FAULT) return { kind: "fault" };
	return { kind: "weight", delta: Math.min(product, FILE_WEIGHT_MAX) };
}

/** Base and the sum of all weights; an owner is not moved. */
export function effectivePriority(base: number, deltas: number): number {
	if (base === PRIORITY_OWNER) return base;
	return Math.min(PRIORITY_MAX, Math.max(PRIORITY_MIN, base + deltas));
}

/** A script's standing: the counter runs from 0 to rise + fall − 1. */
export interface ScriptReading {
	readonly counter: number;
	/** Null until the first result. */
	readonly up: boolean | null;
}

export function initialScript(config: TrackScriptConfig): ScriptReading {
	// One success is enough then, too.
	return config.initFail ? { counter: config.rise - 1, up: false } : { counter: 0, up: null };
}

/**
 * One result; null: the script could not be started. The first one after the start decides at once. What could not be
 * asked changes nothing, and takes no address away when nothing is known yet (keepalived 2.2.7 counts it as good).
 */
export function scriptResult(
	reading: ScriptReading,
	config: TrackScriptConfig,
	success: boolean | null,
): ScriptReading {
	const { rise, fall } = config;
	const top = rise + fall - 1;
	if (success === null) return reading.up === null ? { counter: top, up: true } : reading;
	if (reading.up === null) return success ? { counter: top, up: true } : { counter: 0, up: false };
	const { counter } = reading;
	if (success) {
		if (counter < rise - 1) return { counter: counter + 1, up: reading.up };
		return { counter: top, up: true };
	}
	if (counter > rise) return { counter: counter - 1, up: reading.up };
	return { counter: 0, up: false };
}

/** A reload keeps a script's result, measured by the new rise and fall. */
export function rescaledScript(reading: ScriptReading, config: TrackScriptConfig): ScriptReading {
	if (reading.up === null) return initialScript(config);
	return reading.up ? { counter: config.rise + config.fall - 1, up: true } : { counter: 0, up: false };
}

export function processIsUp(count: number, config: TrackProcessConfig): boolean {
	return count >= config.quorum && (config.quorumMax === null || count <= config.quorumMax);
}

/** A value that must hold for a while before it counts. */
export interface Debounced {
	readonly value: boolean | null;
	readonly candidate: boolean | null;
	readonly atMicros: number;
}

export const undecided: Debounced = { value: null, candidate: null, atMicros: 0 };

/** The first report counts at once, as does one whose delay is 0. */
export function report(state: Debounced, value: boolean, delayMicros: number, nowMicros: number): Debounced {
	if (state.value === null || delayMicros === 0) return { value, candidate: null, atMicros: 0 };
	if (value === state.value) return state.candidate === null ? state : { ...state, candidate: null };
	if (state.candidate === value) return state;
	return { ...state, candidate: value, atMicros: nowMicros + delayMicros };
}

/** The candidate counts when its time has come. */
export function ripen(state: Debounced, nowMicros: number): Debounced {
	if (state.candidate === null || nowMicros < state.atMicros) return state;
	return { value: state.candidate, candidate: null, atMicros: 0 };
}
