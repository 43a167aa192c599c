/**
 * A disk as a power cut left it, started: the real loader chooses, the kernel of that slot runs, its verified root
 * and its data are mounted, and the first words of user space say so on the serial port. What comes after that is
 * a start like any other.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { DiskMachine } from "../../../image/lab/disk-machine.ts";
import { Operator } from "./operator.ts";
import { cut, judge, type Moment, materialize, type Recording } from "./power-cut.ts";

/** Emulated, beside another one, on a machine that may be busy: some 15 s when it is not. */
const START_LIMIT_MS = 180_000;

export interface Started {
	/** What booted, such as "A: preferred". */
	readonly started: string;
	readonly seconds: number;
}

/** Throws with the screen when it is not the slot that the judge foretold, or when the disk has faults before that. */
export async function startCut(
	recording: Recording,
	moment: Moment,
	options: {
		readonly directory: string;
		readonly firmware: "BIOS" | "UEFI";
		/** Goes on until somebody is logged in and the firmware says of itself which slot it is. */
		readonly whole: boolean;
	},
): Promise<Started> {
	const path = join(options.directory, "cut.img");
	const disk = cut(recording, moment);
	const { starts, reason, faults } = judge(recording, disk);
	if (faults.length === 0) materialize(recording, disk, path);
	disk.close();
	if (faults.length > 0) throw new Error(faults.join("; "));
	const { directory, firmware } = options;
	const machine = new DiskMachine({ directory, firmware, disk: path, processors: 1 });
	const began = performance.now();
	try {
		await machine.powerOn();
		await machine.shows(new RegExp(`Slot ${starts}: ${reason}`), START_LIMIT_MS);
		await machine.shows(
			new RegExp(
				`Drover \\S+, slot ${starts} \\(${reason}\\)\\r?\\n/ is squashfs on /dev/dm-0, /data is ext4 on /dev/vda8`,
			),
			START_LIMIT_MS,
		);
		if (options.whole) {
			const operator = new Operator(machine);
			await operator.shell();
			const status = await operator.run("drover update status");
			if (!new RegExp(`^slot ${starts}: .*running \\(${reason}\\)`, "m").test(status))
				throw new Error(`slot ${starts} (${reason}) runs, and the status says: ${status}`);
		}
	} finally {
		await machine.powerOff();
		rmSync(path, { force: true });
	}
	return { started: `${starts}: ${reason}`, seconds: (performance.now() - began) / 1000 };
}
