/**
 * The status screen: facts in, lines out. Pure. Plain ASCII, at most 79 columns, no cursor
 * addressing, so that it reads the same on a 9600 baud line and in a log.
 */

import { clockText } from "../status/clock.ts";
import type { RealServerStatus, VirtualServerStatus } from "../status/director.ts";
import type { Port } from "../status/port.ts";
import type { VrrpInstanceStatus } from "../status/vrrp.ts";
import { alarms } from "./alarms.ts";
import type { ConsoleFacts } from "./facts.ts";
import { amount, byteRate, clock, duration, rate } from "./quantity.ts";
import { realServerState, troubleLines, weightText } from "./servers/screen.ts";
import { cut, printable, WIDTH_COLUMNS, wrap } from "./wrap.ts";

/** More of them are counted, not listed: `status all` lists them. */
const REAL_SERVERS_SHOWN = 8;
const VIRTUAL_SERVERS_SHOWN = 8;
const ALARMS_SHOWN = 8;

export interface ScreenOptions {
	/** Lists every virtual and real server. */
	readonly all: boolean;
}

export function statusScreen(facts: ConsoleFacts, options: ScreenOptions): string[] {
	const raised = alarms(facts);
	return [
		heading(facts),
		...(raised.length > 0 ? ["", ...alarmLines(raised, options)] : []),
		"",
		"Ports",
		...facts.ports.flatMap(portLines),
		...(facts.ports.length === 0 ? ["  none found"] : []),
		"",
		"High availability",
		...vrrpLines(facts),
		"",
		...directorLines(facts, options),
		...cacheLines(facts),
		...clockLines(facts),
	];
}

/** Nothing where no cache is set up. */
function cacheLines({ cache }: ConsoleFacts): string[] {
	if (cache === null) return [];
	if (cache.kind === "silent") return ["", "Cache", `  not running: ${cut(cache.reason, 60)}`];
	const { state, recent, total, objects, usedBytes, freeBytes } = cache.status;
	const share = (ratio: number | null) => (ratio === null ? "-" : `${Math.round(ratio * 100)} %`);
	const requests = recent.seconds > 0 ? rate(recent.requests / recent.seconds) : "-";
	const words = `${state}, ${requests}, hits ${share(recent.hitRatio)} now and ${share(total.hitRatio)} since the start, ${objects} objects, ${amount(usedBytes)} used, ${amount(freeBytes)} free`;
	return ["", "Cache", ...wrap(words, "  ")];
}

/** Nothing where no time server is set. */
function clockLines({ clock: time }: ConsoleFacts): string[] {
	if (time === null) return [];
	return ["", "Clock", ...wrap(time.kind === "silent" ? time.reason : clockText(time.status), "  ")];
}

function heading(facts: ConsoleFacts): string {
	const [left, right] = headingParts(facts);
	return left.padEnd(WIDTH_COLUMNS - right.length) + right;
}

/** What the box is, and since when it runs: together, with two blanks between them, no wider than a line. */
export function headingParts(facts: ConsoleFacts): readonly [left: string, right: string] {
	const right = `up ${duration(facts.uptimeSeconds)}  ${clock(facts.nowMs)} UTC`;
	const { slot, slotState } = facts;
	const state = slotState === null ? "" : ` ${slotState === "trial" ? "ON TRIAL" : slotState}`;
	const left = `${facts.hostname}  Drover ${facts.version}  slot ${slot}${state}`;
	return [cut(left, WIDTH_COLUMNS - right.length - 2), right];
}

function alarmLines(raised: readonly string[], options: ScreenOptions): string[] {
	const shown = options.all ? raised : raised.slice(0, ALARMS_SHOWN);
	const lines = shown.flatMap((alarm) => wrap(alarm, "! ", "  "));
	if (shown.length < raised.length) lines.push(`! and ${raised.length - shown.length} more (status all)`);
	return lines;
}

function portLines(port: Port): string[] {
	const link = !port.enabled
		? "off"
		: port.carrier
			? port.speedMegabits === null
				? "link"
				: `${port.speedMegabits} Mb/s`
			: "NO LINK";
	const head = `  ${cut(port.name, 15).padEnd(8)} ${link.padEnd(11)} ${port.macAddress}  `;
	const addresses = port.addresses.length > 0 ? port.addresses.join(" ") : "no address";
	return wrap(addresses, head, " ".repeat(head.length));
}

function vrrpLines(facts: ConsoleFacts): string[] {
	if (facts.vrrp.kind === "silent") return [`  not running: ${cut(facts.vrrp.reason, 60)}`];
	const { instances } = facts.vrrp.status;
	if (instances.length === 0) return ["  no instance configured"];
	return instances.flatMap((instance) => instanceLines(instance, facts.nowMs));
}

function instanceLines(instance: VrrpInstanceStatus, nowMs: number): string[] {
	const priority =
		instance.effectivePriority === instance.basePriority
			? `priority ${instance.basePriority}`
			: `priority ${instance.effectivePriority} (of ${instance.basePriority})`;
	const since = duration((nowMs - instance.sinceMs) / 1000);
	const head = `  ${cut(instance.name, 20).padEnd(12)} ${instance.state.padEnd(7)} `;
	const first = `for ${since}, ${priority}, VRID ${instance.virtualRouterId} on ${instance.interface}`;
	const indent = " ".repeat(15);
	const master =
		instance.state !== "MASTER" && instance.masterAddress !== null
			? [
					`${indent}master is ${printable(instance.masterAddress)}${instance.masterPriority === null ? "" : `, priority ${instance.masterPriority}`}`,
				]
			: [];
	return [
		...wrap(first, head, indent),
		...(instance.reason === "" ? [] : wrap(instance.reason, indent)),
		...master,
		...wrap(
			instance.virtualAddresses.join(" "),
			`${indent}${instance.state === "MASTER" ? "holds" : "would hold"} `,
			indent,
		),
	];
}

function directorLines(facts: ConsoleFacts, options: ScreenOptions): string[] {
	if (facts.director.kind === "silent")
		return ["Virtual servers", `  not running: ${cut(facts.director.reason, 60)}`];
	const { virtualServers } = facts.director.status;
	if (virtualServers.length === 0) return ["Virtual servers", "  none configured"];
	const shown = options.all ? virtualServers : virtualServers.slice(0, VIRTUAL_SERVERS_SHOWN);
	const lines = [
		row(["Virtual servers", "live", "new conns", "in", "out"]),
		...shown.flatMap((server) => virtualServerLines(server, options)),
	];
	if (shown.length < virtualServers.length)
		lines.push(`  and ${virtualServers.length - shown.length} more (status all)`);
	return lines;
}

/** Five columns: 38, 9, 10, 10, 10. */
function row([name, live, connections, inBytes, outBytes]: readonly [
	string,
	string,
	string,
	string,
	string,
]) {
	const right = [live.padStart(9), connections.padStart(10), inBytes.padStart(10), outBytes.padStart(10)];
	return `${cut(name, 39).padEnd(39)}${right.join("")}`.trimEnd();
}

function virtualServerLines(server: VirtualServerStatus, options: ScreenOptions): string[] {
	const shown = options.all ? server.realServers : server.realServers.slice(0, REAL_SERVERS_SHOWN);
	const lines = [
		row([
			`  ${server.name} ${server.scheduler} ${server.forwarding}`,
			`${server.aliveRealServers} of ${server.totalRealServers}`,
			rate(server.connectionsPerSecond),
			byteRate(server.inBytesPerSecond),
			byteRate(server.outBytesPerSecond),
		]),
		...shown.flatMap(realServerLines),
	];
	if (shown.length < server.realServers.length)
		lines.push(`    and ${server.realServers.length - shown.length} more (status all)`);
	return lines;
}

function realServerLines(real: RealServerStatus): string[] {
	const place = real.address.includes(":")
		? `[${real.address}]:${real.port}`
		: `${real.address}:${real.port}`;
	const state = realServerState(real);
	const connections = `${real.activeConnections} active, ${real.inactiveConnections} closing`;
	const head = `    ${cut(place, 27).padEnd(27)} ${state.padEnd(5)} `;
	const weighted = `weight ${weightText(real).padEnd(3)}  ${connections}`;
	const line = `${head}${weighted.padEnd(34)} ${rate(real.connectionsPerSecond)}`;
	return [line.slice(0, WIDTH_COLUMNS), ...troubleLines(real)];
}
