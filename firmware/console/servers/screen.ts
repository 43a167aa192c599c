/** Lists of virtual and real servers, numbered, for the menu and the commands. Pure. */
import type { RealServerStatus, VirtualServerStatus } from "../../status/director.ts";
import { byteRate, rate } from "../quantity.ts";
import { cut, WIDTH_COLUMNS, wrap } from "../wrap.ts";
import { endpointText, shortName } from "./name.ts";

/**
 * Five columns at most. The operator's own word comes before what the checks say. "zero" and "out" get no new connections
 * although their checks are well: by a weight of 0, or as the kernel's table has it (`heldBackBy`).
 */
export function realServerState(real: RealServerStatus): "maint" | "drain" | "DOWN" | "zero" | "out" | "up" {
	switch (real.override) {
		case "maintenance":
			return "maint";
		case "draining":
		case "drained":
			return "drain";
		case null:
		case undefined:
			if (!real.alive) return "DOWN";
			if (real.weight > 0) return "up";
			return real.effectiveWeight === 0 ? "zero" : "out";
	}
}

/** Why the kernel sends nothing to a real server that is "out". */
export function heldBackBy(
	{ inTable = true }: RealServerStatus,
	{ onSorryServer }: Pick<VirtualServerStatus, "onSorryServer">,
	ipvsError: string | null,
): string {
	if (ipvsError !== null) return ipvsError;
	if (onSorryServer) return "the sorry server serves while there is no quorum";
	return inTable ? "its weight in the kernel's table is 0" : "the kernel's table does not have it";
}

/** "3", or "0 of 3": what the kernel's table has of what is configured. */
export function weightText({ weight, effectiveWeight = weight }: RealServerStatus): string {
	return weight === effectiveWeight ? String(weight) : `${weight} of ${effectiveWeight}`;
}

export function virtualServerList(servers: readonly VirtualServerStatus[]): string[] {
	if (servers.length === 0) return ["No virtual server is configured."];
	return [
		`    ${"Virtual server".padEnd(32)} sched mode live${"new".padStart(11)}${"in".padStart(8)}${"out".padStart(8)}`,
		...servers.map((server, index) => {
			const live = `${server.aliveRealServers} of ${server.totalRealServers}`;
			const state = server.onSorryServer ? "SORRY" : server.quorumUp ? live : `${live}!`;
			return [
				`${String(index + 1).padStart(3)} `,
				cut(shortName(server.name), 32).padEnd(32),
				` ${cut(server.scheduler, 5).padEnd(5)} ${server.forwarding.padEnd(4)} `,
				state.padEnd(9),
				rate(server.connectionsPerSecond).padStart(6),
				byteRate(server.inBytesPerSecond).replace("/s", "").padStart(8),
				byteRate(server.outBytesPerSecond).replace("/s", "").padStart(8),
			]
				.join("")
				.slice(0, WIDTH_COLUMNS);
		}),
	];
}

export function realServerList(server: VirtualServerStatus): string[] {
	if (server.realServers.length === 0) return [`${shortName(server.name)} has no real server.`];
	return [
		`    ${"Real server".padEnd(33)} state     weight active closing    new`,
		...server.realServers.flatMap((real, index) => {
			const head = [
				`${String(index + 1).padStart(3)} `,
				cut(endpointText(real), 33).padEnd(33),
				` ${realServerState(real).padEnd(5)} `,
				weightText(real).padStart(10),
				String(real.activeConnections).padStart(7),
				String(real.inactiveConnections).padStart(8),
				rate(real.connectionsPerSecond).padStart(7),
			].join("");
			return [head.slice(0, WIDTH_COLUMNS), ...troubleLines(real)];
		}),
	];
}

/** What keeps it out, as the checks say it. */
export function troubleLines(real: RealServerStatus): string[] {
	const indent = " ".repeat(8);
	const failing = real.checks.filter((check) => !check.up);
	const lines = failing.flatMap((check) => wrap(`${check.kind}: ${check.detail}`, indent));
	if (real.path !== null && !real.path.ok) lines.push(...wrap(`path: ${real.path.detail}`, indent));
	if (lines.length === 0 && !real.alive && !real.override && real.checks.length === 0)
		lines.push(...wrap(real.reason ?? "", indent));
	return lines;
}
