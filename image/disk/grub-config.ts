/**
 * The loader's script, one for BIOS and UEFI. It makes the choice of
 * firmware/update/slots.ts: preferred slot first, a trial start is counted before it is made,
 * a spent slot is passed over, and when nothing is left all good slots are filled up again.
 * GRUB has no arithmetic, so counting down is written out.
 *
 * Pitfalls that shaped it (GRUB 2.06): save_env works on a file of a FAT file system but not on
 * a block list; squash4 reads gzip, not zstd; with a serial and a redirected UEFI console every
 * line would be printed twice; a dollar sign before a closing double quote is a syntax error.
 */
import {
	CONSOLE_SPEED_VARIABLE,
	consoleSpeeds,
	DEFAULT_CONSOLE_SPEED,
} from "../../firmware/update/console-speed.ts";
import type { Slot } from "../../firmware/update/slots.ts";
import { kernelWords } from "./kernel-words.ts";
import { partitionNumber } from "./layout.ts";

/**
 * The loader waits this long for Escape before it starts the default. With a BIOS only when a key came while the usual slot
 * was read: a BIOS keeps it, and reads slowly enough for a hand. A UEFI firmware reads faster, and takes an earlier Escape
 * for its own set-up.
 */
const MENU_SECONDS = 1;
/** Said when that time begins. */
export const MENU_HINT = "Press Escape for the loader's menu.";

/** What is typed at the loader to erase all data. */
export const RESET_WORD = "erase";

const variables = [
	"preferred",
	...(["A", "B"] as const).flatMap((slot) => [`${slot}_state`, `${slot}_left`, `${slot}_version`]),
];

/** "gpt": a table that a power cut tore at the disk's start is taken from the disk's end. */
const diskWords = `ro gpt ${kernelWords} console=tty1 console=ttyS0,\${${CONSOLE_SPEED_VARIABLE}}n8`;

/**
 * A page that a kernel started by a BIOS goes without, anywhere in what it would unpack into: 16 MB and the next 60. GRUB
 * 2.06 asks its allocator for that room in a way that always fails, takes the lowest room there is, and moves all of it
 * up byte by byte. Where the memory map has a hole it asks again, for any place from 16 MB on: nothing is moved.
 */
const MISSING_PAGE = 32 << 20;
/** Where a BIOS keeps the first and the last key not read yet (its data area), and the first serial port's line status. */
const KEYS_HEAD = 0x41a;
const KEYS_TAIL = 0x41c;
const LINE_STATUS_PORT = 0x3fd;
const hex = (address: number) => `0x${address.toString(16)}`;

/** GRUB's `if` over the speeds that are allowed. */
function speedChoice(): string {
	const odd = consoleSpeeds.map((speed) => `"$${CONSOLE_SPEED_VARIABLE}" != ${speed}`).join(" -a ");
	return `if [ ${odd} ]; then set ${CONSOLE_SPEED_VARIABLE}=${DEFAULT_CONSOLE_SPEED}; fi`;
}

const forEachSlot = (write: (slot: Slot) => string) => (["A", "B"] as const).map(write).join("\n");

export function grubConfig(): string {
	return `set timeout_style=hidden
set timeout=${MENU_SECONDS}
set default=start
set gfxpayload=text
# Who stands at the machine chooses an entry, and no more: words of his own for the kernel would be a way around the password
# that no setting can forbid. Editing and the command line are for this user, who has no password.
set superusers=nobody
export superusers
# The disk that this file came from, whatever the firmware calls it.
regexp --set=1:disk "^([^,]*)," "$root"
probe --set=disk_id --part-uuid ($disk,gpt${partitionNumber("esp")})
set env=($disk,gpt${partitionNumber("env")})/grubenv
load_env --file $env ${[...variables, CONSOLE_SPEED_VARIABLE].join(" ")}

# Loader, kernel and menu at one speed. Whatever else stands there must not make the line unreadable.
${speedChoice()}
serial --unit=0 --speed=$${CONSOLE_SPEED_VARIABLE}
if [ "$grub_platform" = pc ]; then
	cutmem ${hex(MISSING_PAGE)} ${hex(MISSING_PAGE + 4096)}
	terminal_input serial console
	terminal_output serial console
fi

# A key that comes earlier opens the set-up of many UEFI firmwares instead.
echo "${MENU_HINT}"

function store {
	save_env --file $env ${variables.join(" ")}
}

# What is loaded, for which reason, with which word.
unset loaded
# A second kernel's words are lost (GRUB 2.06 frees the new ones with the old) unless another program was loaded between.
unset kernel
function forget_kernel {
	if [ "$grub_platform" = pc -a -n "$kernel" ]; then chainloader ($disk)+1; fi
	unset kernel
}
# boot_ and try_ do not come back when they work.
${forEachSlot(
	(slot) => `function load_${slot} {
	unset loaded
	set root=($disk,gpt${partitionNumber(`boot-${slot}`)})
	unset root_words
	if [ -f /slot.cfg ]; then source /slot.cfg; fi
	forget_kernel
	if linux /vmlinuz ${diskWords} drover.disk=$disk_id drover.slot=${slot} drover.reason=$reason $root_words $1; then
		set kernel=yes
		if initrd /initramfs; then set loaded="${slot} $reason $1"; fi
	fi
}

function boot_${slot} {
	echo "Slot ${slot}: $reason"
	if [ "$loaded" != "${slot} $reason $1" ]; then load_${slot} $1; fi
	if [ "$loaded" = "${slot} $reason $1" ]; then boot; fi
	echo "Slot ${slot} does not load."
}

function try_${slot} {
	if [ "$${slot}_state" = good -a "$${slot}_left" != 0 ]; then
		if [ "$preferred" = ${slot} ]; then set reason=preferred; else set reason=fallback; fi
		boot_${slot}
	elif [ "$${slot}_state" = trial -a "$${slot}_left" != 0 ]; then
		if [ "$${slot}_left" = 3 ]; then set ${slot}_left=2; elif [ "$${slot}_left" = 2 ]; then set ${slot}_left=1; else set ${slot}_left=0; fi
		store
		set reason=trial
		boot_${slot}
	fi
}`,
)}

function choose {
	if [ "$preferred" = B ]; then
		try_B
		try_A
	else
		try_A
		try_B
	fi
	# Nothing may be started any more: everything that was ever good gets another chance.
	if [ "$A_state" = good ]; then set A_left=3; fi
	if [ "$B_state" = good ]; then set B_left=3; fi
	store
	set reason=spent
	if [ "$preferred" = B ]; then
		if [ "$B_state" = good -o "$A_state" != good ]; then boot_B; fi
		boot_A
		boot_B
	else
		if [ "$A_state" = good -o "$B_state" != good ]; then boot_A; fi
		boot_B
		boot_A
	fi
}

# The usual start is loaded before a key is looked for; whatever else the menu offers takes its place.
if [ "$grub_platform" = pc ]; then
	set reason=preferred
	if [ "$preferred" = B ]; then
		if [ "$B_state" = good -a "$B_left" != 0 ]; then load_B; fi
	elif [ "$A_state" = good -a "$A_left" != 0 ]; then
		load_A
	fi
	# A hidden menu without time waits three seconds in the GRUB of Debian; a shown one is not even drawn.
	read_word -v head ${hex(KEYS_HEAD)}
	read_word -v tail ${hex(KEYS_TAIL)}
	inb -v line_status ${hex(LINE_STATUS_PORT)}
	if [ -n "$loaded" -a "$head" = "$tail" ]; then
		# Its lowest bit: something was received.
		if regexp '[02468ace]$' "$line_status"; then
			set timeout_style=menu
			set timeout=0
		fi
	fi
fi

menuentry "Start Drover" --unrestricted --id start {
	choose
}
${forEachSlot(
	(slot) => `menuentry "Start slot ${slot}" --unrestricted --id slot_${slot} {
	set reason=menu
	boot_${slot}
}`,
)}
# Both slots, the preferred one first, with a word for the firmware.
function with_word {
	set reason=menu
	if [ "$preferred" = B ]; then boot_B $1; boot_A $1; else boot_A $1; boot_B $1; fi
}
menuentry "Recover: set a new password at this console" --unrestricted --id recover {
	with_word drover.recover
}
# No menu of its own: GRUB would start what is loaded before it showed that, and know nothing of this one's words in it.
menuentry "Factory reset: erase all data" --unrestricted --id reset {
	echo "Configuration, passwords and history are erased; the firmware is kept."
	echo -n "Type ${RESET_WORD} to go on: "
	read answer
	if [ "$answer" = ${RESET_WORD} ]; then with_word drover.reset; fi
	echo "Nothing is erased."
}
`;
}
