/** The USB stick that somebody put in: found, mounted, and let go again, so that it can be pulled. */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

const mountPoint = "/run/drover/usb";
/** Modules that a stick may need; a missing one shows when mounting fails. */
const modules = ["usb-storage", "uas", "vfat", "exfat", "nls_cp437", "nls_ascii", "ext4"];
const SETTLE_MS = 3_000;
const LOOK_EVERY_MS = 200;

/** No stick, or one that cannot be used; the message is for the operator. */
export class StickError extends Error {}

/** Partitions (or whole disks without any) behind USB, such as "/dev/sda1". */
function usbPartitions(): string[] {
	const disks = readdirSync("/sys/block").filter((name) => {
		try {
			return name.startsWith("sd") && readlinkSync(`/sys/block/${name}`).includes("/usb");
		} catch {
			return false;
		}
	});
	return disks.flatMap((disk) => {
		const parts = readdirSync(`/sys/block/${disk}`).filter((name) => name.startsWith(disk));
		return (parts.length > 0 ? parts : [disk]).map((name) => `/dev/${name}`);
	});
}

/** Read-only keeps the stick as it is, whatever becomes of the box meanwhile. */
export type StickAccess = "read" | "write";

/** Runs `use` with the stick's folder. Throws a StickError. */
export async function withStick<T>(access: StickAccess, use: (folder: string) => Promise<T>): Promise<T> {
	Bun.spawnSync(["modprobe", "-qa", ...modules], { stdio: ["ignore", "ignore", "ignore"] });
	const deadline = performance.now() + SETTLE_MS;
	while (usbPartitions().length === 0 && performance.now() < deadline) await Bun.sleep(LOOK_EVERY_MS);
	const devices = usbPartitions().filter((device) => !isMounted(device));
	if (devices.length === 0) throw new StickError("there is no USB stick: plug one in and try again");
	mkdirSync(mountPoint, { recursive: true });
	const words: string[] = [];
	for (const device of devices) {
		const { exitCode, stderr } = Bun.spawnSync([
			"mount",
			"-o",
			`${access === "read" ? "ro" : "rw"},nosuid,nodev,noexec`,
			device,
			mountPoint,
		]);
		if (exitCode !== 0) {
			words.push(`${device}: ${stderr.toString().trim().split("\n")[0] ?? "does not mount"}`);
			continue;
		}
		try {
			return await use(mountPoint);
		} finally {
			Bun.spawnSync(["sync"]);
			Bun.spawnSync(["umount", mountPoint]);
		}
	}
	throw new StickError(`the USB stick cannot be read: ${words.join("; ")}`);
}

function isMounted(device: string): boolean {
	const mounts = existsSync("/proc/mounts") ? readFileSync("/proc/mounts", "utf8") : "";
	return mounts.split("\n").some((line) => line.startsWith(`${device} `));
}
