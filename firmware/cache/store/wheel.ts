/**
 * When objects are past all use: a wheel of one-second steps, each a list of the slots that are due in it or in one of
 * its later turns. Under the store's lock.
 */
import type { Book } from "./book.ts";
import { Control, SLOT_WORDS, Slot, WHEEL_STEPS } from "./layout.ts";

export class Wheel {
	readonly book: Book;

	constructor(book: Book) {
		this.book = book;
	}

	add(slot: number, deadline: number): void {
		const second = Math.min(Math.max(deadline, 0), 0x7fffffff);
		const step = second & (WHEEL_STEPS - 1);
		const at = slot * SLOT_WORDS;
		this.book.slots[at + Slot.deadline] = second;
		this.book.slots[at + Slot.wheelPrevious] = 0;
		this.book.slots[at + Slot.wheelNext] = this.book.wheel[step]!;
		if (this.book.wheel[step]! > 0)
			this.book.slots[(this.book.wheel[step]! - 1) * SLOT_WORDS + Slot.wheelPrevious] = slot + 1;
		this.book.wheel[step] = slot + 1;
	}

	remove(slot: number): void {
		const at = slot * SLOT_WORDS;
		const next = this.book.slots[at + Slot.wheelNext]!;
		const previous = this.book.slots[at + Slot.wheelPrevious]!;
		if (previous > 0) this.book.slots[(previous - 1) * SLOT_WORDS + Slot.wheelNext] = next;
		else {
			const step = this.book.slots[at + Slot.deadline]! & (WHEEL_STEPS - 1);
			if (this.book.wheel[step] === slot + 1) this.book.wheel[step] = next;
		}
		if (next > 0) this.book.slots[(next - 1) * SLOT_WORDS + Slot.wheelPrevious] = previous;
		this.book.slots[at + Slot.wheelNext] = 0;
		this.book.slots[at + Slot.wheelPrevious] = 0;
	}

	/** Gives what is past its deadline to `drop`, at most `limit` slots; returns how many. */
	turn(nowSeconds: number, limit: number, drop: (slot: number) => void): number {
		const { control, slots, wheel } = this.book;
		const now = Math.floor(nowSeconds);
		let removed = 0;
		let second = Math.max(control[Control.wheelSecond]!, now - WHEEL_STEPS);
		while (second < now && removed < limit) {
			let slot = wheel[second & (WHEEL_STEPS - 1)]! - 1;
			while (slot >= 0 && removed < limit) {
				const next = slots[slot * SLOT_WORDS + Slot.wheelNext]! - 1;
				if (slots[slot * SLOT_WORDS + Slot.deadline]! <= now) {
					drop(slot);
					removed++;
				}
				slot = next;
			}
			if (removed < limit) second++;
		}
		control[Control.wheelSecond] = second;
		return removed;
	}
}
