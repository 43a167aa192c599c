/** What a slot holds, and what becomes of it, in the operator's words. Pure. */
import type { Running } from "./box.ts";
import { type Slot, type SlotRecord, type Slots, STARTS } from "./slots.ts";

const count = (left: number, what: string) => `${left} more ${what}${left === 1 ? "" : "s"}`;

/** One line of `drover update status`. */
export function slotWords(slots: Slots, slot: Slot, running: Pick<Running, "slot" | "reason">): string {
	const runs = slot === running.slot;
	return [
		`slot ${slot}: ${slots[slot].version || "empty"}`,
		...stateWords(slots[slot], runs),
		...(runs ? [`running (${running.reason})`] : []),
		...(slot === slots.preferred ? ["started next"] : []),
	].join(", ");
}

function stateWords({ state, left }: SlotRecord, runs: boolean): readonly string[] {
	switch (state) {
		case "good":
			return left < STARTS ? ["good", `${count(left, "hang")} until the other slot is started`] : ["good"];
		case "trial":
			// The loader takes a start away before it makes it.
			return left > 0 || runs ? [`on trial, ${count(left, "start")}`] : ["did not prove itself"];
		case "unusable":
			return ["unusable"];
	}
}
