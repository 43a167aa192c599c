/** The USB stick that somebody put in: found, mounted, and let go again, so that it can be pulled. */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { tryLock } from "../kernel/file-lock.ts";
import { type DiskSight, mountPlaces, usbPartitions } from "./usb-partitions.ts";

const mountPoint = "/run/drover/usb";
const lockPath = "/run/drover/usb.lock";
/** Modules that a stick may need; a missing one shows when mounting fails. */
const modules = ["sd_mod", "usb-storage", "uas", "vfat", "exfat", "nls_cp437", "nls_ascii", "ext4"];
/** What a stick may hold, with the options under which looking at it changes nothing. */
const fileSystems = [
	["vfat", "ro"],
	["exfat", "ro"],
	["ext4", "ro,noload"],
] as const;
const NEVER = "nosuid,nodev,noexec";
const SETTLE_MS = 3_000;
const LOOK_EVERY_MS = 200;

/** No stick, or one that cannot be used; the message is for the operator. */
export class StickError extends Error {}

/** Read-only keeps the stick as it is, whatever becomes of the box meanwhile. */
export type StickAccess = "read" | "write";

/** Loads what a stick needs that the start of a box does not. */
export function loadStickModules(): void {
	Bun.spawnSync(["modprobe", "-qa", ...modules], { stdio: ["ignore", "ignore", "ignore"] });
}

/** Mounts `device` at `folder` if it holds a file system that a stick may hold. */
export function mountStick(access: StickAccess, device: string, folder: string): boolean {
	return fileSystems.some(([type, readOptions]) => {
		const options = `${access === "read" ? readOptions : "rw"},${NEVER}`;
		return succeeds(["mount", "-t", type, "-o", options, device, folder]);
	});
}

/**
 * Runs `use` with the folder of the stick's largest partition; for one that only reads, and finds nothing there (null),
 * with those of the others. Null when there is nothing on any. What was written is on the stick when this resolves.
 * Throws a StickError, also for what `use` met because of the stick. ^C lets go of the stick before it ends the program;
 * a `use` that listens to SIGINT itself has to end upon it.
 */
export async function withStick<T>(
	access: StickAccess,
	use: (folder: string) => Promise<T | null>,
): Promise<T | null> {
	mkdirSync(mountPoint, { recursive: true });
	const lock = openSync(lockPath, "a", 0o600);
	const interrupted = (signal: NodeJS.Signals) => {
		if (process.listenerCount(signal) > 1) return;
		letGo();
		process.exit(signal === "SIGINT" ? 130 : 143);
	};
	try {
		if (!tryLock(lock)) throw new StickError("another command uses the USB stick at this moment: try again");
		process.on("SIGINT", interrupted).on("SIGTERM", interrupted);
		// A program that was killed left it there.
		letGo();
		return await overPartitions(access, await usablePartitions(), use);
	} finally {
		process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
		closeSync(lock);
	}
}

async function overPartitions<T>(
	access: StickAccess,
	names: readonly string[],
	use: (folder: string) => Promise<T | null>,
): Promise<T | null> {
	let mounted = 0;
	for (const name of names) {
		if (!mountStick(access, `/dev/${name}`, mountPoint)) continue;
		mounted++;
		let result: T | null;
		try {
			result = await use(mountPoint);
			if (access === "write" && !(succeeds(["sync", "-f", mountPoint]) && isThere(name)))
				throw new StickError(pulledOut);
		} catch (error) {
			throw stickTrouble(error);
		} finally {
			letGo();
		}
		if (result !== null || access === "write") return result;
	}
	if (mounted > 0) return null;
	throw new StickError(
		`the USB stick (${names.join(", ")}) holds nothing that can be read here: format it with FAT, exFAT or ext4`,
	);
}

const pulledOut = "the USB stick was pulled out too early, or is broken";

/** What came of the stick, in its own words; any other error as it is. */
function stickTrouble(error: unknown): unknown {
	switch ((error as NodeJS.ErrnoException | null)?.code) {
		case "ENOSPC":
			return new StickError("the USB stick is full");
		case "EROFS":
			return new StickError("the USB stick can only be read: is it write-protected, or damaged?");
		case "EIO":
		case "ENXIO":
		case "ENODEV":
			return new StickError(pulledOut);
		default:
			return error;
	}
}

/** Partitions that are not in use. Throws a StickError when there are none. */
async function usablePartitions(): Promise<readonly string[]> {
	loadStickModules();
	const deadline = performance.now() + SETTLE_MS;
	let found = readUsbPartitions();
	while (found.length === 0 && performance.now() < deadline) {
		await Bun.sleep(LOOK_EVERY_MS);
		found = readUsbPartitions();
	}
	if (found.length === 0) throw new StickError("there is no USB stick: plug one in and try again");
	const places = mountPlaces(readFileSync("/proc/mounts", "utf8"));
	const usable = found.filter((name) => !places.has(`/dev/${name}`));
	if (usable.length > 0) return usable;
	const place = places.get(`/dev/${found[0]}`);
	throw new StickError(`the USB stick is mounted by hand: "umount ${place}", and try again`);
}

function readUsbPartitions(): readonly string[] {
	const running = "/run/drover/disk";
	return usbPartitions(
		readdirSync("/sys/block")
			.filter((name) => name.startsWith("sd"))
			.flatMap(readDisk),
		existsSync(running) ? readFileSync(running, "utf8").trim() : null,
	);
}

/** None when it goes while it is looked at. */
function readDisk(name: string): DiskSight[] {
	const folder = `/sys/block/${name}`;
	const sectors = (at: string) => Number(readFileSync(`${at}/size`, "utf8"));
	try {
		return [
			{
				name,
				isUsb: readlinkSync(folder).includes("/usb"),
				sectors: sectors(folder),
				partitions: readdirSync(folder)
					.filter((each) => each.startsWith(name))
					.map((each) => ({ name: each, sectors: sectors(`${folder}/${each}`) })),
			},
		];
	} catch {
		return [];
	}
}

const isThere = (name: string) => existsSync(`/sys/class/block/${name}`);

/** Writes what waits, and takes the stick off its folder, even from under somebody who stands in it. */
function letGo(): void {
	if (![...mountPlaces(readFileSync("/proc/mounts", "utf8")).values()].includes(mountPoint)) return;
	succeeds(["sync", "-f", mountPoint]);
	if (!succeeds(["umount", mountPoint])) succeeds(["umount", "-l", mountPoint]);
}

function succeeds(command: readonly string[]): boolean {
	return Bun.spawnSync([...command], { stdio: ["ignore", "ignore", "ignore"] }).exitCode === 0;
}
