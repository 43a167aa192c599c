/** The choice of a slot: what the loader starts, and that no history leaves a box that does not start. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatEnvironment, parseEnvironment } from "../../firmware/update/environment.ts";
import { slotWords } from "../../firmware/update/slot-words.ts";
import {
	chooseSlot,
	countHang,
	factorySlots,
	markGood,
	markTrial,
	markUnusable,
	other,
	readSlots,
	rollBack,
	type Slot,
	type SlotState,
	type Slots,
	STARTS,
	writeSlots,
} from "../../firmware/update/slots.ts";

const updated = markTrial(markUnusable(factorySlots("1.0.0"), "B"), "B", "1.1.0");

/** Starts the box `times` times without anything else happening; the slots it started. */
function starts(slots: Slots, times: number): string {
	let now = slots;
	return Array.from({ length: times }, () => {
		const choice = chooseSlot(now);
		now = choice.slots;
		return `${choice.slot} ${choice.reason}`;
	}).join(", ");
}

describe("the loader", () => {
	test("a confirmed slot is started for ever: power cuts and restarts cost nothing", () => {
		expect(new Set(starts(factorySlots("1.0.0"), 100).split(", "))).toEqual(new Set(["A preferred"]));
	});
	test("a new slot has three starts to prove itself, then the old one is back", () => {
		expect(starts(updated, 5)).toBe("B trial, B trial, B trial, A fallback, A fallback");
	});
	test("a new slot that proved itself stays", () => {
		expect(starts(markGood(chooseSlot(updated).slots, "B"), 4)).toBe(
			"B preferred, B preferred, B preferred, B preferred",
		);
	});
	test("a confirmed slot that hangs three times gives way", () => {
		let slots = factorySlots("1.0.0");
		for (let hang = 0; hang < STARTS; hang++) slots = countHang(slots, "A");
		expect(starts(slots, 1)).toBe("B fallback");
	});
	test("an update that was cut short is never started", () => {
		expect(starts(markUnusable(factorySlots("1.0.0"), "B"), 2)).toBe("A preferred, A preferred");
	});
	test("when everything is spent it starts anyway, with all that was ever good", () => {
		let slots = factorySlots("1.0.0");
		for (const slot of ["A", "B"] as const)
			for (let hang = 0; hang < STARTS; hang++) slots = countHang(slots, slot);
		expect(starts(slots, 2)).toBe("A spent, A preferred");
	});
});

describe("the operator", () => {
	test("roll back goes to the other good slot", () => {
		const confirmed = markGood(updated, "B");
		expect(starts(rollBack(confirmed, "B")!, 1)).toBe("A preferred");
	});
	test("there is no way back to a slot that was never good", () => {
		expect(rollBack(markUnusable(factorySlots("1.0.0"), "B"), "A")).toBeNull();
	});
});

test("the environment carries everything, within one sector", () => {
	expect(readSlots(parseEnvironment(formatEnvironment(writeSlots(updated)))!)).toEqual(updated);
});

test("a damaged environment never stops a start", () => {
	const values = fc.constantFrom("good", "trial", "unusable", "3", "0", "-1", "x", "");
	const names = fc.constantFrom("preferred", "A_state", "A_left", "B_state", "B_left");
	fc.assert(
		fc.property(fc.array(fc.tuple(names, values)), (pairs) => {
			expect(["A", "B"]).toContain(chooseSlot(readSlots(new Map(pairs))).slot);
		}),
	);
});

test("whatever happened before, the running slot is never the one that an update writes", () => {
	type Act = "start" | "hang" | "install" | "cut" | "confirm" | "rollback";
	const acts = fc.array(fc.constantFrom<Act>("start", "hang", "install", "cut", "confirm", "rollback"), {
		maxLength: 40,
	});
	fc.assert(
		fc.property(acts, (list) => {
			let slots = factorySlots("1.0.0");
			let running: Slot = "A";
			const complete: Record<Slot, boolean> = { A: true, B: true };
			for (const act of list) {
				const idle = other(running);
				if (act === "hang") slots = countHang(slots, running);
				if (act === "install" || act === "cut") {
					slots = markUnusable(slots, idle);
					complete[idle] = false;
					if (act === "install") {
						complete[idle] = true;
						slots = markTrial(slots, idle, "1.1.0");
					}
				}
				if (act === "confirm") slots = markGood(slots, running);
				if (act === "rollback") slots = rollBack(slots, running) ?? slots;
				const choice = chooseSlot(slots);
				slots = choice.slots;
				running = choice.slot;
				// the slot that starts is always one that was written whole
				expect(complete[running]).toBe(true);
			}
		}),
	);
});

describe("in the operator's words", () => {
	const running = { slot: "A", reason: "preferred" } as const;
	const words = (state: SlotState, left: number, slot: "A" | "B") =>
		slotWords(
			{ ...factorySlots("1.0.0"), [slot]: { state, left, version: state === "unusable" ? "" : "2.0.0" } },
			slot,
			running,
		);
	test.each<[SlotState, number, "A" | "B", string]>([
		["good", 3, "A", "slot A: 2.0.0, good, running (preferred), started next"],
		["good", 1, "B", "slot B: 2.0.0, good, 1 more hang until the other slot is started"],
		["trial", 3, "B", "slot B: 2.0.0, on trial, 3 more starts"],
		["trial", 0, "A", "slot A: 2.0.0, on trial, 0 more starts, running (preferred), started next"],
		["trial", 0, "B", "slot B: 2.0.0, did not prove itself"],
		["unusable", 0, "B", "slot B: empty, unusable"],
	])("%s, %d left, slot %s", (state, left, slot, expected) => {
		expect(words(state, left, slot)).toBe(expected);
	});
});
