/** What the console says of the box before anything is asked: alarms first, all of it short. Pure. */
import type { Port } from "../../status/port.ts";
import { alarms } from "../alarms.ts";
import type { ConsoleFacts } from "../facts.ts";
import { linkWords } from "../network-screen.ts";
import { clock, duration } from "../quantity.ts";
import { cut, WIDTH_COLUMNS, wrap } from "../wrap.ts";

const ALARMS_SHOWN = 5;
const INSTANCES_SHOWN = 6;
const PORTS_SHOWN = 6;

export function banner(facts: ConsoleFacts): string[] {
	return [
		heading(facts),
		...alarmLines(facts),
		...instanceLines(facts),
		...portLines(facts.ports),
		...serverLines(facts),
	];
}

export function heading(facts: ConsoleFacts): string {
	const right = `up ${duration(facts.uptimeSeconds)}  ${clock(facts.nowMs)} UTC`;
	const state =
		facts.slotState === null ? "" : ` ${facts.slotState === "trial" ? "ON TRIAL" : facts.slotState}`;
	const left = `${facts.hostname}  Drover ${facts.version}  slot ${facts.slot}${state}`;
	const room = WIDTH_COLUMNS - right.length - 2;
	return `${cut(left, room)}  ${right}`;
}

function alarmLines(facts: ConsoleFacts): string[] {
	const raised = alarms(facts);
	const rest = raised.length - ALARMS_SHOWN;
	return [
		...raised.slice(0, ALARMS_SHOWN).flatMap((alarm) => wrap(alarm, "! ", "  ")),
		...(rest > 0 ? [`! and ${rest} more: 1 shows them`] : []),
	];
}

function instanceLines({ vrrp }: ConsoleFacts): string[] {
	if (vrrp.kind === "silent") return [];
	const { instances } = vrrp.status;
	const rest = instances.length - INSTANCES_SHOWN;
	return [
		...instances.slice(0, INSTANCES_SHOWN).flatMap(({ name, state, virtualAddresses, masterAddress }) => {
			const addresses = virtualAddresses.map((address) => address.replace(/\/(32|128)$/, "")).join(" ");
			const words =
				state === "MASTER"
					? `holds ${addresses}`
					: `${addresses}${masterAddress === null ? "" : ` is at ${masterAddress}`}`;
			return wrap(words, `${cut(name, 20)} ${state} `, "  ");
		}),
		...(rest > 0 ? [`and ${rest} more VRRP instances`] : []),
	];
}

function portLines(ports: readonly Port[]): string[] {
	const shown = ports.slice(0, PORTS_SHOWN).map((port) => {
		const own = port.addresses.filter((address) => !/\/(32|128)$/.test(address));
		return `${cut(port.name, 15)} ${linkWords(port)} ${own.join(" ") || "no address"}`;
	});
	const rest = ports.length - PORTS_SHOWN;
	return wrap([...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join("; "), "", "  ");
}

function serverLines({ director, cache }: ConsoleFacts): string[] {
	const words: string[] = [];
	if (director.kind === "running") {
		const { virtualServers } = director.status;
		const sum = (of: (server: (typeof virtualServers)[number]) => number) =>
			virtualServers.reduce((total, server) => total + of(server), 0);
		words.push(
			`${virtualServers.length} virtual ${virtualServers.length === 1 ? "server" : "servers"}`,
			`${sum((server) => server.aliveRealServers)} of ${sum((server) => server.totalRealServers)} real servers in`,
		);
	}
	if (cache?.kind === "running") {
		const { hitRatio } = cache.status.total;
		words.push(hitRatio === null ? "cache idle" : `cache hits ${Math.round(hitRatio * 100)} %`);
	}
	return words.length > 0 ? wrap(words.join(", "), "", "  ") : [];
}
