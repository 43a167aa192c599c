/** The box around an update: which slot runs, what works on it, where its disk is. */
import { existsSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { readPorts } from "../appliance/ports.ts";
import { call } from "../bus/client.ts";
import type { DirectorStatus } from "../status/director.ts";
import type { VrrpStatus } from "../status/vrrp.ts";
import { CONSOLE_SPEED_VARIABLE, type ConsoleSpeed, readConsoleSpeed } from "./console-speed.ts";
import { loaderEnvironment, openPartition, partitionPath } from "./disk.ts";
import { readTrustedKeys } from "./keys.ts";
import { markTrial, markUnusable, other, readSlots, type Slot, type Slots, writeSlots } from "./slots.ts";
import type { Working } from "./trial.ts";
import type { Partition, SlotMarks, Target } from "./trust.ts";

const SERVICE_TIMEOUT_MS = 2_000;

export interface Running {
	readonly slot: Slot;
	/** The loader's word: preferred, trial, fallback, spent or menu. */
	readonly reason: string;
	/** Three numbers. */
	readonly version: string;
}

/** What the loader started. Throws on a box that was not started from a Drover disk. */
export function readRunning(): Running {
	const words = readFileSync("/proc/cmdline", "utf8");
	const slot = /\bdrover\.slot=([AB])\b/.exec(words)?.[1] as Slot | undefined;
	if (slot === undefined) throw new Error("this box was not started from a Drover disk, so it has no slots");
	return { slot, reason: /\bdrover\.reason=(\w+)/.exec(words)?.[1] ?? "unknown", version: runningVersion() };
}

function runningVersion(): string {
	const release = existsSync("/etc/drover-release") ? readFileSync("/etc/drover-release", "utf8") : "";
	return /^VERSION=(\d+\.\d+\.\d+)/m.exec(release)?.[1] ?? "0.0.0";
}

/** The loader's memory of both slots. */
export class LoaderSlots {
	readonly #block = loaderEnvironment();

	read(): Slots {
		return readSlots(this.#block.read());
	}

	write(slots: Slots): void {
		// What else the loader remembers, such as the serial line's speed, stays.
		this.#block.change((environment) => new Map([...environment, ...writeSlots(slots)]));
	}

	consoleSpeed(): ConsoleSpeed {
		return readConsoleSpeed(this.#block.read());
	}

	/** Loader, kernel and menu speak at it from the next start on. */
	setConsoleSpeed(speed: ConsoleSpeed): void {
		this.#block.change((environment) => new Map([...environment, [CONSOLE_SPEED_VARIABLE, String(speed)]]));
	}
}

/** Both partitions of a slot, open for writing, and their sizes. */
export function openSlot(slot: Slot): {
	readonly partitions: Readonly<Record<"boot" | "root", Partition & { close(): void }>>;
	readonly partitionBytes: Readonly<Record<"boot" | "root", number>>;
} {
	const paths = { boot: partitionPath(`boot-${slot}`), root: partitionPath(`root-${slot}`) };
	const size = (path: string) =>
		path.startsWith("/dev/")
			? Number(readFileSync(`/sys/class/block/${path.slice(5)}/size`, "utf8")) * 512
			: statSync(path).size;
	return {
		partitions: { boot: openPartition(paths.boot), root: openPartition(paths.root) },
		partitionBytes: { boot: size(paths.boot), root: size(paths.root) },
	};
}

export function slotMarks(loader: LoaderSlots, idle: Slot): SlotMarks {
	return {
		async markUnusable() {
			loader.write(markUnusable(loader.read(), idle));
		},
		async markTrial(manifest) {
			loader.write(markTrial(loader.read(), idle, manifest.version));
		},
	};
}

export function updateTarget(
	running: Running,
	partitionBytes: Target["partitionBytes"],
	allowDowngrade: boolean,
): Target {
	return {
		product: "drover",
		hardware: "x86_64",
		runningVersion: running.version,
		allowDowngrade,
		keys: readTrustedKeys(),
		partitionBytes,
	};
}

/** One look at what the box does for its users. */
export async function lookAtWorking(): Promise<Working> {
	const ask = <T>(service: string) => call<T>(service, "status", {}, SERVICE_TIMEOUT_MS).catch(() => null);
	const [vrrp, director] = await Promise.all([ask<VrrpStatus>("vrrp"), ask<DirectorStatus>("director")]);
	return {
		services: [...(vrrp === null ? [] : ["vrrp"]), ...(director === null ? [] : ["director"])],
		links: readPorts()
			.filter(({ carrier }) => carrier)
			.map(({ name }) => name),
		instances: (vrrp?.instances ?? [])
			.filter(({ state }) => state === "BACKUP" || state === "MASTER")
			.map(({ name }) => name),
		realServers: (director?.virtualServers ?? []).flatMap((server) =>
			server.realServers
				.filter(({ alive }) => alive)
				.map(({ address, port }) => `${server.name} > ${address}:${port}`),
		),
		revision: currentRevision(),
	};
}

function currentRevision(): number | null {
	try {
		return Number(/(\d+)$/.exec(readlinkSync("/data/config/current"))?.[1] ?? Number.NaN) || null;
	} catch {
		return null;
	}
}

export const idleSlot = (running: Running): Slot => other(running.slot);
