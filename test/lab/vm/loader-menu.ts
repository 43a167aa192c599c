/** The loader's menu, opened as a hand at the serial port does. */
import { MENU_HINT } from "../../../image/disk/grub-config.ts";
import type { DiskMachine } from "../../../image/lab/disk-machine.ts";

/**
 * Presses Escape from the loader's word on, again and again: a UEFI firmware keeps a single one back for two seconds, in
 * case it begins a longer key. False when a slot started all the same. Throws when the loader says nothing in time.
 */
export async function openLoaderMenu(machine: DiskMachine, limitMs: number): Promise<boolean> {
	await machine.shows(new RegExp(MENU_HINT), limitMs);
	for (;;) {
		machine.type("\x1b");
		const found = await machine.shows(/Start slot B|Slot [AB]: \w+/, 100).catch(() => null);
		if (found !== null) return found[0] === "Start slot B";
	}
}
