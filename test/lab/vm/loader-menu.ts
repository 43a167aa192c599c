/** The loader's menu, opened as a hand at the serial port does. */
import { MENU_HINT } from "../../../image/disk/grub-config.ts";
import type { DiskMachine } from "../../../image/lab/disk-machine.ts";

/** The next line, on every terminal (^N). */
const DOWN = "\x0e";
/** A key that comes right behind an Escape may be taken for a part of it, and is lost. */
const KEY_LIMIT_MS = 5_000;
/** More than the menu has entries. */
const DOWN_LIMIT = 8;

/**
 * Presses Escape from the loader's word on, again and again: a UEFI firmware keeps a single one back for two seconds, in
 * case it begins a longer key. False when a slot started all the same. Throws when neither is shown in time.
 */
export async function openLoaderMenu(machine: DiskMachine, limitMs: number): Promise<boolean> {
	await machine.shows(new RegExp(MENU_HINT), limitMs);
	const next = /Start slot B|Slot [AB]: \w+/;
	for (const deadline = Date.now() + limitMs; ; ) {
		machine.type("\x1b");
		const found = await machine.shows(next, 100).catch((error) => {
			if (Date.now() > deadline) throw error;
		});
		if (found !== undefined) return found[0] === "Start slot B";
	}
}

/** Goes down to the entry that begins so, as the mark in front of it shows, and starts it. */
export async function startEntry(machine: DiskMachine, entry: string): Promise<void> {
	for (let downs = 1; downs <= DOWN_LIMIT; downs++) {
		machine.type(DOWN);
		// An entry fills its line: what is behind the mark is there as a whole when blanks follow.
		const marked = await machine.shows(/\*(\w[^\x1b]*?) {2}/, KEY_LIMIT_MS).catch(() => null);
		if (marked?.[1]?.startsWith(entry) !== true) continue;
		machine.type("\r");
		return;
	}
	throw new Error(`the loader's menu has no "${entry}":\n${machine.screen.slice(-2000)}`);
}
