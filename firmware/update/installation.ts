/** One firmware from a source into the idle slot, and what is remembered of it until it has proved itself. */
import { closeSync, openSync } from "node:fs";
import { tryLock } from "../kernel/file-lock.ts";
import { type UpdateRecords, updateDirectory } from "./records.ts";
import type { Slot } from "./slots.ts";
import type { Working } from "./trial.ts";
import {
	install,
	type Partition,
	type ReadExactly,
	readManifest,
	type SlotMarks,
	type Target,
} from "./trust.ts";

export interface Installation {
	readonly read: ReadExactly;
	readonly target: Target;
	/** The idle one. */
	readonly slot: Slot;
	readonly partitions: Readonly<Record<"boot" | "root", Partition>>;
	readonly marks: SlotMarks;
	readonly records: UpdateRecords;
	/** What works on the box; asked once the file is known to be good, before anything is written. */
	readonly lookAtWorking: () => Promise<Working>;
	readonly say: (line: string) => void;
}

/** Throws with the reason, which the history keeps. What was in the slot stays when nothing was written. */
export async function installUpdate(installation: Installation): Promise<void> {
	const { read, target, slot, partitions, marks, records, lookAtWorking, say } = installation;
	let begun = false;
	try {
		const manifest = await readManifest(read, target);
		const { version } = manifest;
		const total = manifest.payloads.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
		say(
			`${version} is signed by "${manifest.keyId}"; writing ${(total / 1e6).toFixed(0)} MB into slot ${slot}`,
		);
		const before = await lookAtWorking();
		begun = true;
		records.setTrial({ slot, version, fromVersion: target.runningVersion, before });
		await install(read, manifest, partitions, marks, progressLines(total, say));
		records.note("installed", `${version} into slot ${slot}`);
		say(`Slot ${slot} holds ${version}, read back and right. It starts, on trial, at the next restart.`);
	} catch (error) {
		// Another firmware may wait there for its first start: it is judged by what was remembered of it.
		if (begun) records.setTrial(null);
		records.note("refused", error instanceof Error ? error.message : String(error));
		throw error;
	}
}

/** Nobody else installs meanwhile: two of them would mix in one slot. */
export async function alone<T>(install: () => Promise<T>, directory = updateDirectory()): Promise<T> {
	const folder = openSync(directory, "r");
	try {
		if (!tryLock(folder))
			throw new Error("another firmware is being installed at this moment: try again when that has ended");
		return await install();
	} finally {
		closeSync(folder);
	}
}

/** A line every ten percent: a serial console at 9600 baud shows it too. */
function progressLines(total: number, say: (line: string) => void): (written: number) => void {
	let shown = 0;
	return (written) => {
		const percent = Math.floor((written * 10) / total) * 10;
		if (percent > shown) say(`${percent} %`);
		shown = percent;
	};
}
