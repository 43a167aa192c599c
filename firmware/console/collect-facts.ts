/** Asks the kernel, the disk and the services for what the screens show. */
import { existsSync, readdirSync, readFileSync, statfsSync } from "node:fs";
import { hostname, uptime } from "node:os";
import { readClock } from "../appliance/clock.ts";
import { dataIsInMemory } from "../appliance/data-file-system.ts";
import { readPasswordHash } from "../appliance/password-file.ts";
import { readPorts } from "../appliance/ports.ts";
import { call } from "../bus/client.ts";
import { runDirectory, socketPath } from "../bus/socket-path.ts";
import { leftToConfirmMs, readClocks } from "../config/revisions/deadline.ts";
import { fileDisk } from "../config/revisions/disk.ts";
import { Revisions } from "../config/revisions/revisions.ts";
import { configDirectory } from "../config/revisions/workspace.ts";
import type { DirectorStatus } from "../status/director.ts";
import type { VrrpStatus } from "../status/vrrp.ts";
import type { CacheGlance, ConsoleFacts, ServiceFacts } from "./facts.ts";

/** A screen that waits longer for a service than this is no screen. */
const SERVICE_TIMEOUT_MS = 2_000;

export async function collectFacts(): Promise<ConsoleFacts> {
	const [vrrp, director, cache, slotState] = await Promise.all([
		ask<VrrpStatus>("vrrp"),
		ask<DirectorStatus>("director"),
		existsSync(socketPath("cache")) ? ask<CacheGlance>("cache") : null,
		readSlotState(),
	]);
	const slot = firstLine("/run/drover/slot") ?? "none";
	return {
		nowMs: Date.now(),
		hostname: hostname(),
		version: releaseField("VERSION") ?? "(development)",
		slot,
		slotState,
		bootReason: /\bdrover\.reason=(\w+)/.exec(firstLine("/proc/cmdline") ?? "")?.[1] ?? null,
		uptimeSeconds: Math.floor(uptime()),
		ports: readPorts(),
		vrrp,
		director,
		cache,
		revision: revision(),
		reverted: firstLine("/run/drover/reverted"),
		password: readPasswordHash() === null ? "none" : "set",
		clock: clock(),
		data: slot === "none" ? null : data(),
		crashing: crashing(),
	};
}

async function ask<Status>(service: string): Promise<ServiceFacts<Status>> {
	try {
		return { kind: "running", status: await call<Status>(service, "status", {}, SERVICE_TIMEOUT_MS) };
	} catch (error) {
		return { kind: "silent", reason: error instanceof Error ? error.message : String(error) };
	}
}

function clock(): ConsoleFacts["clock"] {
	if (!existsSync(`${runDirectory()}/wanted/ntp`)) return null;
	const status = readClock();
	return status === null
		? { kind: "silent", reason: "the NTP client does not answer" }
		: { kind: "running", status };
}

function data(): ConsoleFacts["data"] {
	if (dataIsInMemory()) return { kind: "memory" };
	const { bavail, bsize } = statfsSync("/data");
	return { kind: "disk", freeBytes: bavail * bsize };
}

/** runit's finish scripts leave an alarm here for a service that ends again and again. */
function crashing(): ConsoleFacts["crashing"] {
	const directory = `${runDirectory()}/alarms`;
	if (!existsSync(directory)) return [];
	return readdirSync(directory)
		.sort()
		.map((service) => ({ service, text: firstLine(`${directory}/${service}`) ?? "" }));
}

/** A damaged store of revisions must not take the console with it. */
function revision(): ConsoleFacts["revision"] {
	try {
		const revisions = new Revisions(fileDisk(configDirectory()));
		const pending = revisions.pending();
		const clocks = readClocks();
		return {
			current: revisions.currentNumber(),
			pending:
				pending === null ? null : { ...pending, deadlineMs: clocks.nowMs + leftToConfirmMs(pending, clocks) },
		};
	} catch {
		return { current: null, pending: null };
	}
}

async function readSlotState(): Promise<ConsoleFacts["slotState"]> {
	if (!/\bdrover\.slot=[AB]\b/.test(firstLine("/proc/cmdline") ?? "")) return null;
	try {
		const { LoaderSlots, readRunning } = await import("../update/box.ts");
		return new LoaderSlots().read()[readRunning().slot].state;
	} catch {
		return null;
	}
}

function firstLine(path: string): string | null {
	try {
		return readFileSync(path, "utf8").split("\n")[0]!.trim() || null;
	} catch {
		return null;
	}
}

function releaseField(name: string): string | null {
	try {
		const text = readFileSync("/etc/drover-release", "utf8");
		return new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1] ?? null;
	} catch {
		return null;
	}
}
