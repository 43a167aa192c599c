/**
 * `drover first-start`: what a box does once, before its services: the data partition grows, the
 * machine gets its identity, a drover.toml that waits somewhere becomes the first revision.
 * Every step may be repeated; the boot script calls it until it has succeeded.
 */
import { randomBytes } from "node:crypto";
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileDisk } from "../config/revisions/disk.ts";
import { Revisions } from "../config/revisions/revisions.ts";
import { configDirectory } from "../config/revisions/workspace.ts";
import { dataIsInMemory } from "./data-file-system.ts";
import { growData } from "./data-partition.ts";
import { writePasswordHash } from "./password-file.ts";
import { belongsToPreset, PRESET_NAME, parsePreset } from "./preset.ts";
import { forgetRecoveryMark, recoveryIsMarked } from "./recovery.ts";
import { emptyKeepalivedConf } from "./set-up-dialogue.ts";
import { loadStickModules, mountStick } from "./usb-stick.ts";

export const IDENTITY_DIRECTORY = "/data/identity";
/** The size of the disk that the data partition was grown on, in sectors, as the boot script compares it. */
const GROWN_FILE = `${IDENTITY_DIRECTORY}/disk-sectors`;
const PRESET_MOUNT = "/run/drover/preset";
/** A stick needs a moment to appear. */
const STICK_WAIT_MS = 6_000;
const PRESET_FILE_LIMIT_BYTES = 16 * 1024 * 1024;
/** RSA is left out: it takes half a minute on a small processor, and nothing that speaks SSH today needs it. */
const HOST_KEY_TYPES = ["ed25519", "ecdsa"] as const;

export async function main(words: readonly string[]): Promise<number> {
	if (words.length === 1 && words[0] === "--erased") {
		forgetRecoveryMark();
		return 0;
	}
	if (words.length > 0) {
		console.log(
			"usage: drover first-start [--erased]\n\nRuns by itself at the first start of a box; with --erased once its data is erased.",
		);
		return words.includes("--help") ? 0 : 2;
	}
	let status = 0;
	const step = (what: string, action: () => void) => {
		try {
			action();
		} catch (error) {
			status = 1;
			console.error(`drover: ${what}: ${error instanceof Error ? error.message : error}`);
		}
	};
	step("identity", makeIdentity);
	if (existsSync("/run/drover/disk")) {
		const disk = readFileSync("/run/drover/disk", "utf8").trim();
		step("a preset", () => takePreset(disk));
		step("growing the data partition", () => {
			if (dataIsInMemory()) return;
			growData(disk);
			// Without it the next start does all of this again: a preset that was wrong may have been put right by then.
			if (status === 0)
				writeFileSync(GROWN_FILE, readFileSync(`/sys/class/block/${disk}/size`), { flush: true });
		});
	}
	return status;
}

/** What tells this box from every other, kept on /data. Existing parts stay. */
export function makeIdentity(directory = IDENTITY_DIRECTORY): void {
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	const machineId = join(directory, "machine-id");
	if (!existsSync(machineId)) {
		writeFileSync(`${machineId}.new`, `${randomBytes(16).toString("hex")}\n`, { flush: true });
		renameSync(`${machineId}.new`, machineId);
	}
	for (const type of HOST_KEY_TYPES) {
		const path = join(directory, `ssh_host_${type}_key`);
		if (existsSync(path) && statSync(path).size > 0 && existsSync(`${path}.pub`)) continue;
		const { exitCode, stderr } = Bun.spawnSync(
			["sh", "-c", `rm -f "$0" "$0.pub"; ssh-keygen -q -t ${type} -N "" -C "" -f "$0"`, path],
			{ stdin: "ignore", stdout: "ignore", stderr: "pipe" },
		);
		if (exitCode !== 0) throw new Error(`ssh-keygen: ${stderr.toString().trim()}`);
	}
}

/** A box without any revision takes what a stick, or else its own boot partition, brings. */
function takePreset(disk: string): void {
	const revisions = new Revisions(fileDisk(configDirectory()));
	if (revisions.currentNumber() !== null) return;
	if (recoveryIsMarked()) {
		console.error(`drover: no ${PRESET_NAME} is taken: this box forbids password recovery`);
		return;
	}
	loadStickModules();
	const deadlineMs = performance.now() + STICK_WAIT_MS;
	while (!lookForPreset(revisions, disk) && performance.now() < deadlineMs) Bun.sleepSync(STICK_WAIT_MS / 8);
}

/** True when one was found and taken. Throws when it is wrong. */
function lookForPreset(revisions: Revisions, disk: string): boolean {
	for (const device of presetPlaces(disk)) {
		mkdirSync(PRESET_MOUNT, { recursive: true });
		if (!mountStick("read", device, PRESET_MOUNT)) continue;
		try {
			if (existsSync(join(PRESET_MOUNT, PRESET_NAME))) {
				commitPreset(revisions, PRESET_MOUNT, device);
				return true;
			}
		} finally {
			Bun.spawnSync(["umount", PRESET_MOUNT]);
		}
	}
	return false;
}

function commitPreset(revisions: Revisions, directory: string, from: string): void {
	const { settings, passwordHash } = parsePreset(readFileSync(join(directory, PRESET_NAME), "utf8"));
	const encoder = new TextEncoder();
	const files = new Map<string, Uint8Array>([["appliance.toml", encoder.encode(settings)]]);
	for (const name of readdirSync(directory).filter(belongsToPreset)) {
		if (statSync(join(directory, name)).size > PRESET_FILE_LIMIT_BYTES)
			throw new Error(`${name} is longer than ${PRESET_FILE_LIMIT_BYTES} bytes`);
		files.set(name, new Uint8Array(readFileSync(join(directory, name))));
	}
	if (!files.has("keepalived.conf")) files.set("keepalived.conf", encoder.encode(emptyKeepalivedConf));
	if (passwordHash !== null) writePasswordHash(passwordHash);
	mkdirSync(configDirectory(), { recursive: true, mode: 0o700 });
	revisions.recover();
	revisions.commit({
		files,
		who: "preset",
		from,
		why: PRESET_NAME,
		nowMs: Date.now(),
		confirmWithinMs: null,
	});
}

/** Partitions of sticks first, so that a stick overrules what the image was given; then the boot partition. */
function presetPlaces(disk: string): string[] {
	const partitions = (name: string) =>
		readdirSync(`/sys/class/block/${name}`)
			.filter((each) => each.startsWith(name))
			.map((each) => `/dev/${each}`);
	const sticks = readdirSync("/sys/block").filter(
		(name) => name !== disk && /^(sd|vd|nvme|mmcblk)/.test(name),
	);
	const esp = readdirSync(`/sys/class/block/${disk}`).find(
		(each) =>
			each.startsWith(disk) &&
			/^PARTNAME=esp$/m.test(readFileSync(`/sys/class/block/${each}/uevent`, "utf8")),
	);
	return [
		...sticks.flatMap((name) => [...partitions(name), `/dev/${name}`]),
		...(esp === undefined ? [] : [`/dev/${esp}`]),
	];
}
