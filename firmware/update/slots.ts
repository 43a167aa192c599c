/**
 * The choice of a slot: two slots, each good, on trial, or unusable, and how many more starts
 * it is given. Pure. The loader's script (image/disk/grub-config.ts) makes the same choice
 * before any of this runs; `chooseSlot` is its specification, and the simulator's loader.
 *
 * | state    | a start by the loader | a hang (watchdog)        |
 * |----------|-----------------------|--------------------------|
 * | good     | costs nothing         | costs one of its starts  |
 * | trial    | costs one start       | (already counted)        |
 * | unusable | is not made           |                          |
 *
 * So a power cut or a wanted restart never spends a confirmed slot. When nothing may be
 * started any more, everything that was ever good is tried again: a box always starts.
 */
import type { Environment } from "./environment.ts";

export type Slot = "A" | "B";
export type SlotState = "good" | "trial" | "unusable";

/** How many starts a slot on trial is given, and how many hangs a good one. */
export const STARTS = 3;

export interface SlotRecord {
	readonly state: SlotState;
	/** 0–3. */
	readonly left: number;
	/** Empty when nothing was ever written there. */
	readonly version: string;
}

export interface Slots {
	/** The one that is started when both may be. */
	readonly preferred: Slot;
	readonly A: SlotRecord;
	readonly B: SlotRecord;
}

/** Why a slot was started; the kernel's command line carries it as `drover.reason=`. */
export type BootReason = "preferred" | "trial" | "fallback" | "spent";

export const other = (slot: Slot): Slot => (slot === "A" ? "B" : "A");

/** A box as it leaves the factory: the same good firmware in both slots. */
export function factorySlots(version: string): Slots {
	const record: SlotRecord = { state: "good", left: STARTS, version };
	return { preferred: "A", A: record, B: record };
}

export function readSlots(environment: Environment): Slots {
	const record = (slot: Slot): SlotRecord => {
		const state = environment.get(`${slot}_state`);
		const left = Number(environment.get(`${slot}_left`));
		return {
			state: state === "good" || state === "trial" ? state : "unusable",
			left: Number.isInteger(left) && left >= 0 && left <= STARTS ? left : 0,
			version: environment.get(`${slot}_version`) ?? "",
		};
	};
	return { preferred: environment.get("preferred") === "B" ? "B" : "A", A: record("A"), B: record("B") };
}

export function writeSlots(slots: Slots): Environment {
	const variables = new Map([["preferred", slots.preferred as string]]);
	for (const slot of ["A", "B"] as const) {
		variables.set(`${slot}_state`, slots[slot].state);
		variables.set(`${slot}_left`, String(slots[slot].left));
		variables.set(`${slot}_version`, slots[slot].version);
	}
	return variables;
}

/** What the loader does at power-on: the slot it starts, why, and what it stores before it does. */
export function chooseSlot(slots: Slots): {
	readonly slot: Slot;
	readonly reason: BootReason;
	readonly slots: Slots;
} {
	for (const slot of [slots.preferred, other(slots.preferred)]) {
		const record = slots[slot];
		if (record.state === "unusable" || record.left === 0) continue;
		if (record.state === "trial")
			return { slot, reason: "trial", slots: { ...slots, [slot]: { ...record, left: record.left - 1 } } };
		return { slot, reason: slot === slots.preferred ? "preferred" : "fallback", slots };
	}
	const again = (record: SlotRecord): SlotRecord =>
		record.state === "good" ? { ...record, left: STARTS } : record;
	const refilled: Slots = { ...slots, A: again(slots.A), B: again(slots.B) };
	const slot =
		[slots.preferred, other(slots.preferred)].find((each) => refilled[each].state === "good") ??
		slots.preferred;
	return { slot, reason: "spent", slots: refilled };
}

/** The idle slot is about to be written. */
export function markUnusable(slots: Slots, slot: Slot): Slots {
	return { ...slots, preferred: other(slot), [slot]: { state: "unusable", left: 0, version: "" } };
}

/** The idle slot is complete: start it next. */
export function markTrial(slots: Slots, slot: Slot, version: string): Slots {
	return { ...slots, preferred: slot, [slot]: { state: "trial", left: STARTS, version } };
}

/** The running slot has proved itself. What was chosen for the next start meanwhile stays chosen. */
export function markGood(slots: Slots, slot: Slot): Slots {
	return { ...slots, [slot]: { ...slots[slot], state: "good", left: STARTS } };
}

/** The running slot hung and the watchdog reset the box: a good slot has one start fewer until it proves itself again. */
export function countHang(slots: Slots, slot: Slot): Slots {
	const record = slots[slot];
	return record.state === "good"
		? { ...slots, [slot]: { ...record, left: Math.max(0, record.left - 1) } }
		: slots;
}

/** The operator wants the other slot back. Null when it holds nothing that may be started. */
export function rollBack(slots: Slots, running: Slot): Slots | null {
	const target = other(running);
	if (slots[target].state !== "good") return null;
	return { ...slots, preferred: target, [target]: { ...slots[target], left: STARTS } };
}
