/** What the console says of the box before anything is asked: alarms first, all of it short. Pure. */
import type { Port } from "../../status/port.ts";
import { alarms } from "../alarms.ts";
import type { ConsoleFacts } from "../facts.ts";
import { linkWords } from "../network-screen.ts";
import { headingParts } from "../status-screen.ts";
import { cut, WIDTH_COLUMNS, wrap } from "../wrap.ts";

/** How much is said of each thing; what is left out is counted. */
interface Extent {
	readonly alarms: number;
	/** Else each is cut to a line. */
	readonly whole: boolean;
	readonly instances: number;
	readonly ports: number;
}

/** From all to least: alarms are the last to go. */
const extents: readonly Extent[] = [
	{ alarms: 5, whole: true, instances: 6, ports: 6 },
	{ alarms: 5, whole: true, instances: 3, ports: 3 },
	{ alarms: 5, whole: true, instances: 2, ports: 2 },
	{ alarms: 5, whole: true, instances: 1, ports: 1 },
	{ alarms: 5, whole: false, instances: 1, ports: 1 },
	{ alarms: 5, whole: false, instances: 1, ports: 0 },
	{ alarms: 4, whole: false, instances: 1, ports: 0 },
	{ alarms: 3, whole: false, instances: 1, ports: 0 },
	{ alarms: 2, whole: false, instances: 1, ports: 0 },
	{ alarms: 1, whole: false, instances: 0, ports: 0 },
];

/** As much as fits `roomCharacters`, ends of lines (CR LF) included; never less than the heading and the first alarm. */
export function banner(facts: ConsoleFacts, roomCharacters = Number.POSITIVE_INFINITY): string[] {
	for (const extent of extents) {
		const lines = bannerOf(facts, extent);
		if (charactersOf(lines) <= roomCharacters) return lines;
	}
	return bannerOf(facts, extents.at(-1)!);
}

/** What a terminal line carries to show `lines`. */
export function charactersOf(lines: readonly string[]): number {
	return lines.reduce((total, line) => total + line.length + "\r\n".length, 0);
}

function bannerOf(facts: ConsoleFacts, extent: Extent): string[] {
	return [
		heading(facts),
		...alarmLines(alarms(facts), extent),
		...instanceLines(facts, extent),
		...portLines(facts.ports, extent),
		...serverLines(facts),
	];
}

export function heading(facts: ConsoleFacts): string {
	const [left, right] = headingParts(facts);
	return `${left}  ${right}`;
}

function alarmLines(raised: readonly string[], extent: Extent): string[] {
	const rest = raised.length - extent.alarms;
	return [
		...raised.slice(0, extent.alarms).flatMap((alarm) => linesOf(alarm, "! ", extent)),
		...(rest > 0 ? [`! and ${rest} more: 1 shows them`] : []),
	];
}

const linesOf = (text: string, head: string, { whole }: Extent) =>
	whole ? wrap(text, head, "  ") : [cut(`${head}${text}`, WIDTH_COLUMNS)];

function instanceLines({ vrrp }: ConsoleFacts, extent: Extent): string[] {
	if (vrrp.kind === "silent") return [];
	const { instances } = vrrp.status;
	const limit = extent.instances;
	const rest = instances.length - limit;
	return [
		...instances.slice(0, limit).flatMap(({ name, state, virtualAddresses, masterAddress }) => {
			const addresses = virtualAddresses.map((address) => address.replace(/\/(32|128)$/, "")).join(" ");
			const words =
				state === "MASTER"
					? `holds ${addresses}`
					: `${addresses}${masterAddress === null ? "" : ` is at ${masterAddress}`}`;
			return linesOf(words, `${cut(name, 20)} ${state} `, extent);
		}),
		...(rest > 0
			? [limit > 0 ? `and ${rest} more VRRP instances` : `VRRP instances: ${rest} (4 shows them)`]
			: []),
	];
}

function portLines(ports: readonly Port[], extent: Extent): string[] {
	const limit = extent.ports;
	const shown = ports.slice(0, limit).map((port) => {
		const own = port.addresses.filter((address) => !/\/(32|128)$/.test(address));
		return `${cut(port.name, 15)} ${linkWords(port)} ${own.join(" ") || "no address"}`;
	});
	const rest = ports.length - shown.length;
	if (rest > 0) shown.push(limit > 0 ? `and ${rest} more` : `ports: ${rest} (2 shows them)`);
	return linesOf(shown.join("; "), "", extent);
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
