/** Asks the kernel and the services for what the status screen shows. */
import { readFileSync } from "node:fs";
import { hostname, uptime } from "node:os";
import { readPorts } from "../appliance/ports.ts";
import { call } from "../bus/client.ts";
import type { DirectorStatus } from "../status/director.ts";
import type { VrrpStatus } from "../status/vrrp.ts";
import type { ConsoleFacts, ServiceFacts } from "./facts.ts";

/** A screen that waits longer for a service than this is no screen. */
const SERVICE_TIMEOUT_MS = 2_000;

export async function collectFacts(): Promise<ConsoleFacts> {
	const [vrrp, director] = await Promise.all([ask<VrrpStatus>("vrrp"), ask<DirectorStatus>("director")]);
	return {
		nowMs: Date.now(),
		hostname: hostname(),
		version: releaseField("VERSION") ?? "(development)",
		slot: firstLine("/run/drover/slot") ?? "none",
		uptimeSeconds: Math.floor(uptime()),
		ports: readPorts(),
		vrrp,
		director,
	};
}

async function ask<Status>(service: string): Promise<ServiceFacts<Status>> {
	try {
		return { kind: "running", status: await call<Status>(service, "status", {}, SERVICE_TIMEOUT_MS) };
	} catch (error) {
		return { kind: "silent", reason: error instanceof Error ? error.message : String(error) };
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
