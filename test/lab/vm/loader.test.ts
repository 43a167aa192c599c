/**
 * The loader's script in the real GRUB, BIOS and UEFI: from every state it starts the slot
 * that `chooseSlot` names, for the same reason, and stores the same state.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
	closeSync,
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	readSync,
	rmSync,
	writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	ENVIRONMENT_BYTES,
	type Environment,
	formatEnvironment,
	parseEnvironment,
} from "../../../firmware/update/environment.ts";
import { recoveryIsMarkedForbidden, withRecoveryMark } from "../../../firmware/update/recovery-mark.ts";
import {
	chooseSlot,
	readSlots,
	type SlotRecord,
	type SlotState,
	type Slots,
	writeSlots,
} from "../../../firmware/update/slots.ts";
import { build } from "../../../image/build.ts";
import { buildDisk } from "../../../image/disk/disk.ts";
import { RESET_WORD } from "../../../image/disk/grub-config.ts";
import { layout, partitionStart } from "../../../image/disk/layout.ts";
import { DiskMachine } from "../../../image/lab/disk-machine.ts";
import { PROCESSOR_MODEL } from "../../../image/lab/processor-model.ts";
import { packedKernel } from "../../../image/packed-kernel.ts";
import { openLoaderMenu, startEntry } from "./loader-menu.ts";

const START_LIMIT_MS = 60_000;
const UEFI_FIRMWARE = "/usr/share/OVMF/OVMF_CODE.fd";

let directory: string;
let disk: string;
beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "drover-loader-"));
	disk = join(directory, "disk.img");
	const files = await build({ release: false, onProgress: console.log });
	const scratchDirectory = join(directory, "scratch");
	mkdirSync(scratchDirectory);
	buildDisk(
		{
			version: "1.0.0",
			vmlinuz: packedKernel(console.log),
			initramfs: files.initramfs,
			rootSquashfs: files.root,
			scratchDirectory,
		},
		disk,
	);
}, 300_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Where in the disk the environment block's bytes lie: its signature at a sector's start. */
function environmentOffset(fd: number): number {
	const size = layout.find(({ name }) => name === "env")!.sizeBytes;
	const bytes = Buffer.alloc(size);
	readSync(fd, bytes, 0, size, partitionStart("env"));
	const found = bytes.indexOf("# GRUB Environment Block\n");
	expect(found % 512).toBe(0);
	return partitionStart("env") + found;
}

function withEnvironment<T>(action: (fd: number, offset: number) => T): T {
	const fd = openSync(disk, "r+");
	try {
		return action(fd, environmentOffset(fd));
	} finally {
		closeSync(fd);
	}
}

const storeEnvironment = (environment: Environment) =>
	withEnvironment((fd, offset) =>
		writeSync(fd, formatEnvironment(environment), 0, ENVIRONMENT_BYTES, offset),
	);

const store = (slots: Slots) => storeEnvironment(writeSlots(slots));

const storedEnvironment = (): Environment =>
	withEnvironment((fd, offset) => {
		const block = Buffer.alloc(ENVIRONMENT_BYTES);
		readSync(fd, block, 0, ENVIRONMENT_BYTES, offset);
		return parseEnvironment(block)!;
	});

const stored = (): Slots => readSlots(storedEnvironment());

let starts = 0;

/** Powers the machine on until the loader has said what is awaited; its words. */
async function start(firmware: "BIOS" | "UEFI", awaited = /Slot [AB]: \w+(?=\W)/): Promise<string> {
	const log = join(directory, `serial-${starts++}.log`);
	const uefi =
		firmware === "UEFI" ? ["-drive", `if=pflash,format=raw,readonly=on,file=${UEFI_FIRMWARE}`] : [];
	const qemu = Bun.spawn(
		[
			"qemu-system-x86_64",
			"-accel",
			"tcg",
			"-cpu",
			PROCESSOR_MODEL,
			"-m",
			"512",
			...uefi,
			"-drive",
			`file=${disk},format=raw,if=virtio,cache=unsafe`,
			"-display",
			"none",
			"-serial",
			`file:${log}`,
			"-net",
			"none",
		],
		{ stdin: "ignore", stdout: "ignore", stderr: "inherit" },
	);
	try {
		const deadline = Date.now() + START_LIMIT_MS;
		for (;;) {
			const found = awaited.exec(
				await Bun.file(log)
					.text()
					.catch(() => ""),
			);
			if (found !== null) return found[0];
			if (Date.now() > deadline) throw new Error(`the loader said nothing: ${readFileSync(log, "latin1")}`);
			await Bun.sleep(50);
		}
	} finally {
		qemu.kill("SIGKILL");
		await qemu.exited;
	}
}

const record = (state: SlotState, left: number): SlotRecord => ({ state, left, version: "1.0.0" });
const cases: readonly [string, Slots][] = [
	["as it leaves the factory", { preferred: "A", A: record("good", 3), B: record("good", 3) }],
	["B on trial, first start", { preferred: "B", A: record("good", 3), B: record("trial", 3) }],
	["B on trial, last start", { preferred: "B", A: record("good", 3), B: record("trial", 1) }],
	["B's trial is over", { preferred: "B", A: record("good", 3), B: record("trial", 0) }],
	["an update of B was cut short", { preferred: "A", A: record("good", 2), B: record("unusable", 0) }],
	["A has hung too often", { preferred: "A", A: record("good", 0), B: record("good", 3) }],
	["everything is spent", { preferred: "B", A: record("good", 0), B: record("good", 0) }],
	[
		"only a spent trial and a good slot that hung",
		{ preferred: "B", A: record("good", 0), B: record("trial", 0) },
	],
];

describe.each(["BIOS"] as const)("%s", (firmware) => {
	test.each(cases)(
		"%s",
		async (_title, slots) => {
			store(slots);
			const choice = chooseSlot(slots);
			expect(await start(firmware)).toBe(`Slot ${choice.slot}: ${choice.reason}`);
			expect(stored()).toEqual(choice.slots);
		},
		START_LIMIT_MS,
	);
});

test(
	"UEFI: three starts on trial, then back",
	async () => {
		store({ preferred: "B", A: record("good", 3), B: record("trial", 1) });
		expect(await start("UEFI")).toBe("Slot B: trial");
		expect(await start("UEFI")).toBe("Slot A: fallback");
	},
	2 * START_LIMIT_MS,
);

test(
	"the serial line's speed is its own variable: kept by every store, and nonsense in it does no harm",
	async () => {
		const slots: Slots = { preferred: "B", A: record("good", 3), B: record("trial", 3) };
		for (const speed of ["9600", "fast"]) {
			withEnvironment((fd, offset) =>
				writeSync(
					fd,
					formatEnvironment(new Map([...writeSlots(slots), ["console_speed", speed]])),
					0,
					ENVIRONMENT_BYTES,
					offset,
				),
			);
			expect(await start("BIOS")).toBe("Slot B: trial");
			expect(stored()).toEqual(chooseSlot(slots).slots);
			const kept = withEnvironment((fd, offset) => {
				const block = Buffer.alloc(ENVIRONMENT_BYTES);
				readSync(fd, block, 0, ENVIRONMENT_BYTES, offset);
				return parseEnvironment(block)!.get("console_speed");
			});
			expect(kept).toBe(speed);
		}
	},
	2 * START_LIMIT_MS,
);

test(
	"a slot whose kernel does not load gives way to the other",
	async () => {
		const damaged = join(directory, "sound.img");
		copyFileSync(disk, damaged);
		const fd = openSync(disk, "r+");
		writeSync(fd, Buffer.alloc(4096), 0, 4096, partitionStart("boot-A"));
		closeSync(fd);
		store({ preferred: "A", A: record("good", 3), B: record("good", 3) });
		// It is loaded before a key is looked for, and once more when it is chosen.
		const awaited = /error: unknown filesystem[\s\S]*Slot A: preferred[\s\S]*Slot B: \w+(?=\W)/;
		expect(await start("BIOS", awaited)).toEndWith("Slot B: fallback");
		copyFileSync(damaged, disk);
	},
	2 * START_LIMIT_MS,
);

const allGood: Slots = { preferred: "A", A: record("good", 3), B: record("good", 3) };

test.each([
	["BIOS", "the usual slot, which is loaded by then, started after all", allGood, null, /Slot A: preferred/],
	[
		"BIOS",
		"the other slot in its place",
		allGood,
		"Start slot B",
		/Slot B: menu[\s\S]*, slot B \(menu\)[\s\S]*\/ is squashfs/,
	],
	[
		"BIOS",
		"the usual slot with a word",
		allGood,
		"Recover",
		/Slot A: menu[\s\S]*, slot A \(menu\)[\s\S]*Password recovery/,
	],
	[
		"BIOS",
		"a slot on trial: its start is counted when it is made",
		{ preferred: "B", A: record("good", 3), B: record("trial", 3) },
		null,
		/Slot B: trial/,
	],
	["UEFI", "the other slot", allGood, "Start slot B", /Slot B: menu/],
] satisfies readonly [string, string, Slots, string | null, RegExp][])(
	"%s, Escape while the loader asks for it, then %s",
	async (firmware, _title, slots, entry, started) => {
		store(slots);
		const machine = new DiskMachine({ directory, disk, firmware: firmware as "BIOS" | "UEFI" });
		await machine.powerOn();
		try {
			expect(await openLoaderMenu(machine, START_LIMIT_MS)).toBe(true);
			// A script's mistake is said, and passed over.
			expect(machine.screen).not.toContain("error:");
			expect(stored()).toEqual(slots);
			if (entry === null) machine.type("\r");
			else await startEntry(machine, entry);
			await machine.shows(started, START_LIMIT_MS);
		} finally {
			await machine.powerOff();
		}
		expect(stored()).toEqual(slots.B.state === "trial" ? chooseSlot(slots).slots : slots);
	},
	3 * START_LIMIT_MS,
);

test.each(["BIOS", "UEFI"] as const)(
	"%s: the menu starts what it offers, and takes no words of one's own for the kernel",
	async (firmware) => {
		store(allGood);
		const machine = new DiskMachine({ directory, disk, firmware });
		await machine.powerOn();
		try {
			expect(await openLoaderMenu(machine, START_LIMIT_MS)).toBe(true);
			// The loader's command line, and an entry's text.
			for (const key of ["c", "e"]) {
				machine.type(key);
				await machine.shows(/Enter username:/, START_LIMIT_MS);
				machine.type("nobody\r");
				await machine.shows(/Enter password:/, START_LIMIT_MS);
				machine.type("\r");
				await machine.shows(/Start slot B/, START_LIMIT_MS);
			}
			expect(machine.screen).not.toMatch(/grub>|setparams/);
			await startEntry(machine, "Start slot B");
			await machine.shows(/Slot B: menu/, START_LIMIT_MS);
		} finally {
			await machine.powerOff();
		}
	},
	3 * START_LIMIT_MS,
);

test.each([
	["BIOS", "no", /Nothing is erased\./],
	["BIOS", RESET_WORD, /Slot A: menu[\s\S]*all data is erased: this box is as it left the factory/],
	["UEFI", RESET_WORD, /Slot A: menu[\s\S]*all data is erased: this box is as it left the factory/],
] satisfies readonly [string, string, RegExp][])(
	"%s: the factory reset of the menu, with %p typed",
	async (firmware, typed, said) => {
		store(allGood);
		const machine = new DiskMachine({ directory, disk, firmware: firmware as "BIOS" | "UEFI" });
		await machine.powerOn();
		try {
			expect(await openLoaderMenu(machine, START_LIMIT_MS)).toBe(true);
			await startEntry(machine, "Factory reset");
			await machine.shows(/Type erase to go on: /, START_LIMIT_MS);
			machine.type(`${typed}\r`);
			await machine.shows(said, START_LIMIT_MS);
		} finally {
			await machine.powerOff();
		}
	},
	3 * START_LIMIT_MS,
);

test(
	"recovery forbidden, and the data lost: nobody sets the box up until it is erased, then whoever comes",
	async () => {
		storeEnvironment(withRecoveryMark(writeSlots(allGood), true));
		const data = layout.find(({ name }) => name === "data")!.sizeBytes;
		const fd = openSync(disk, "r+");
		writeSync(fd, Buffer.alloc(data, 0xdb), 0, data, partitionStart("data"));
		closeSync(fd);
		const machine = new DiskMachine({ directory, disk, firmware: "BIOS" });
		await machine.powerOn();
		try {
			await machine.shows(/does not mount: nothing is kept/, START_LIMIT_MS);
			await machine.shows(/no drover\.toml is taken/, START_LIMIT_MS);
			for (let looks = 1; looks <= 2; looks++) {
				await machine.shows(/Nobody can log in here[\s\S]*Enter looks again: /, START_LIMIT_MS);
				machine.type(looks === 1 ? "\x03" : "\r");
			}
			await machine.shows(/Enter looks again: /, START_LIMIT_MS);
			expect(machine.screen).not.toMatch(/New password|not been set up/);
		} finally {
			await machine.powerOff();
		}
		expect(recoveryIsMarkedForbidden(storedEnvironment())).toBe(true);
		await machine.powerOn();
		try {
			expect(await openLoaderMenu(machine, START_LIMIT_MS)).toBe(true);
			await startEntry(machine, "Factory reset");
			await machine.shows(/Type erase to go on: /, START_LIMIT_MS);
			machine.type(`${RESET_WORD}\r`);
			await machine.shows(/all data is erased/, START_LIMIT_MS);
			await machine.shows(/not been set up yet[\s\S]*New password/, START_LIMIT_MS);
		} finally {
			await machine.powerOff();
		}
		expect(storedEnvironment()).toEqual(writeSlots(allGood));
	},
	4 * START_LIMIT_MS,
);
