/**
 * Power cuts, after the fact: of a recorded life of a disk, any moment can be looked at as if the
 * power had gone there, with what was not flushed dropped, torn and reordered from a seed.
 */
import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { ENVIRONMENT_BYTES, parseEnvironment } from "../../../firmware/update/environment.ts";
import {
	BACKUP_SECTORS,
	GptError,
	PRIMARY_SECTORS,
	parseBackupGpt,
	parseGpt,
} from "../../../firmware/update/gpt.ts";
import { chooseSlot, readSlots, type Slot, type Slots } from "../../../firmware/update/slots.ts";
import { layout, partitionStart, SECTOR_BYTES } from "../../../image/disk/layout.ts";
import { runTool } from "../../../image/disk/tool.ts";
import { CutDisk, cutPower, type LogEntry, random, readWriteLog } from "../../../image/lab/write-log.ts";

export interface Recording {
	/** The disk before. */
	readonly base: string;
	readonly log: string;
	readonly entries: readonly LogEntry[];
	readonly diskBytes: number;
	/** What a slot may hold when it may be started, by partition: length and SHA-256 of each known payload. */
	readonly payloads: Readonly<
		Record<"boot" | "root", readonly { readonly lengthBytes: number; readonly sha256: string }[]>
	>;
}

export interface Moment {
	readonly seed: number;
	readonly cutAt: number;
}

/**
 * Moments of a recording: half anywhere, half next to a write outside of the slots' payloads,
 * where what is decided is written: the loader's memory, the partition table, the data.
 */
export function moments(entries: readonly LogEntry[], count: number, seed: number): Moment[] {
	const next = random(seed);
	const isBulk = ({ sector }: LogEntry) =>
		sector * SECTOR_BYTES >= partitionStart("boot-A") && sector * SECTOR_BYTES < partitionStart("data");
	const isData = ({ sector }: LogEntry) => sector * SECTOR_BYTES >= partitionStart("data");
	const telling = entries.flatMap((entry, index) =>
		entry.kind === "write" && !isBulk(entry) && !isData(entry) ? [index] : [],
	);
	return Array.from({ length: count }, (_, number) => {
		const near = telling[Math.floor(next() * telling.length)]! + 1 + Math.floor(next() * 4);
		const anywhere = Math.floor(next() * (entries.length + 1));
		return {
			seed: seed * 1000 + number,
			cutAt: Math.min(number % 2 === 0 ? near : anywhere, entries.length),
		};
	});
}

export interface Verdict {
	readonly slots: Slots;
	readonly starts: Slot;
	readonly reason: string;
	/** Empty: the box starts the old firmware or the complete new one. */
	readonly faults: readonly string[];
}

export function cut({ base, log, entries }: Recording, { seed, cutAt }: Moment): CutDisk {
	return new CutDisk(base, log, cutPower(entries, cutAt, random(seed)));
}

/** What the box would do with this disk, without starting it. */
export function judge(recording: Recording, disk: CutDisk): Verdict {
	const faults: string[] = [];
	const table = soundTable(disk, recording.diskBytes);
	if (table === null) faults.push("neither partition table can be read");
	else
		for (const { name } of layout) {
			const found = table.partitions.find((each) => each.name === name);
			if (found?.firstSector !== partitionStart(name) / SECTOR_BYTES)
				faults.push(`partition ${name} is not in its place`);
		}
	const env = disk.read(partitionStart("env"), layout.find(({ name }) => name === "env")!.sizeBytes);
	const offset = env.indexOf("# GRUB Environment Block\n");
	const environment = offset < 0 ? null : parseEnvironment(env.subarray(offset, offset + ENVIRONMENT_BYTES));
	if (environment === null) faults.push("the loader's environment cannot be read");
	const slots = readSlots(environment ?? new Map());
	const choice = chooseSlot(slots);
	for (const slot of ["A", "B"] as const) {
		const mayStart = slot === choice.slot || (slots[slot].state !== "unusable" && slots[slot].left > 0);
		if (!mayStart) continue;
		for (const part of ["boot", "root"] as const) {
			if (!holdsPayload(recording, disk, part, slot))
				faults.push(
					`slot ${slot} may be started (${slots[slot].state}), and its ${part} is neither the old nor the complete new one`,
				);
		}
	}
	return { slots, starts: choice.slot, reason: choice.reason, faults };
}

/** Partitions that were looked at: what the cut had left there, and whether that was a payload. */
const lookedAt = new WeakMap<Recording, Map<string, boolean>>();

/** Whether a slot's partition holds one of its payloads, whole. Most cuts leave there what another one has left. */
function holdsPayload(recording: Recording, disk: CutDisk, part: "boot" | "root", slot: Slot): boolean {
	const seen = lookedAt.get(recording) ?? new Map<string, boolean>();
	lookedAt.set(recording, seen);
	const start = partitionStart(`${part}-${slot}`);
	return recording.payloads[part].some(({ lengthBytes, sha256 }) => {
		const whole = Math.ceil(lengthBytes / SECTOR_BYTES) * SECTOR_BYTES;
		const key = `${disk.fingerprint(start, whole)} ${start} ${sha256}`;
		const holds =
			seen.get(key) ??
			createHash("sha256").update(disk.read(start, whole).subarray(0, lengthBytes)).digest("hex") === sha256;
		seen.set(key, holds);
		return holds;
	});
}

function soundTable(disk: CutDisk, diskBytes: number) {
	try {
		return parseGpt(disk.read(0, PRIMARY_SECTORS * SECTOR_BYTES));
	} catch (error) {
		if (!(error instanceof GptError)) throw error;
	}
	try {
		return parseBackupGpt(
			disk.read(diskBytes - BACKUP_SECTORS * SECTOR_BYTES, BACKUP_SECTORS * SECTOR_BYTES),
		);
	} catch (error) {
		if (error instanceof GptError) return null;
		throw error;
	}
}

/** Sectors that are written in one piece, at most. */
const MATERIALIZED_SECTORS_MAX = 2048;

/** The disk after the cut as a file of its own, to be started. */
export function materialize({ base }: Recording, disk: CutDisk, path: string): void {
	runTool("cp", ["--sparse=always", base, path]);
	const fd = openSync(path, "r+");
	try {
		const sectors = Float64Array.from(disk.changed.keys()).sort();
		for (let at = 0; at < sectors.length; ) {
			let run = 1;
			while (run < MATERIALIZED_SECTORS_MAX && sectors[at + run] === sectors[at]! + run) run++;
			const offset = sectors[at]! * SECTOR_BYTES;
			const bytes = disk.read(offset, run * SECTOR_BYTES);
			writeSync(fd, bytes, 0, bytes.length, offset);
			at += run;
		}
	} finally {
		closeSync(fd);
	}
}

/** The files of a recording in its folder, and what else is known of it. */
const recordingFiles = { base: "before.img", log: "writes.log", rest: "recording.json" } as const;

export interface RecordedDisk {
	readonly bytes: number;
	readonly payloads: Recording["payloads"];
}

/** Begins a recording of `disk`, switched off, in `directory`; returns where its writes are to be logged. */
export function beginRecording(directory: string, disk: string, { bytes, payloads }: RecordedDisk): string {
	mkdirSync(directory, { recursive: true });
	runTool("cp", ["--sparse=always", disk, join(directory, recordingFiles.base)]);
	writeFileSync(join(directory, recordingFiles.rest), JSON.stringify({ diskBytes: bytes, payloads }));
	return join(directory, recordingFiles.log);
}

/** What was recorded in `directory` so far; null when nothing was. */
export function readRecording(directory: string): Recording | null {
	const log = join(directory, recordingFiles.log);
	if (!existsSync(log)) return null;
	const rest = JSON.parse(readFileSync(join(directory, recordingFiles.rest), "utf8")) as Pick<
		Recording,
		"diskBytes" | "payloads"
	>;
	return { ...rest, base: join(directory, recordingFiles.base), log, entries: readWriteLog(log) };
}
