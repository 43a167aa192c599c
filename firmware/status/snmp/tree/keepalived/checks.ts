/** Virtual servers and their real servers: KEEPALIVED-MIB, check 1 to 7. Pure. */
import type {
	CheckConfig,
	DroverConfig,
	Forwarding,
	RealServerConfig,
	VirtualServerConfig,
} from "../../../../config/model.ts";
import { type IpvsStats, zeroStats } from "../../../../wire/ipvs.ts";
import type { Facts } from "../../../box/facts.ts";
import type { RealServerStatus, VirtualServerStatus } from "../../../director.ts";
import { addressOctets, addressType } from "../../inet-address.ts";
import {
	bytes,
	type Column,
	counter32,
	counter64,
	gauge,
	integer,
	type Part,
	scalar,
	table,
	text,
	truth,
	type Value,
} from "../../view.ts";
import { forwardings, KEEPALIVED_OID, scriptText, whenSet } from "./words.ts";

const CHECK = `${KEEPALIVED_OID}.3`;
const schedulers = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];
const protocols = { TCP: 1, UDP: 2, SCTP: 3 };
const NO_PROTOCOL = 4;
const OTHER_SCHEDULER = 99;
const tunnels = { ipip: 1, gue: 2, gre: 3 };
const checksums = { none: 1, csum: 2, remcsum: 3 };
const ADDRESS_BITS = 32;
const totals = ["inPackets", "outPackets", "inBytes", "outBytes"] as const;
const rates = [
	"connectionsPerSecond",
	"inPacketsPerSecond",
	"outPacketsPerSecond",
	"inBytesPerSecond",
	"outBytesPerSecond",
] as const;

/**
 * The counters of a row. From column `totals` on: packets as Counter32, bytes as Counter64; from `rates`: each rate;
 * from `wide`: connections and packets as Counter64, then each rate in two halves of 32 bits, the low one first.
 */
function trafficColumns<Row>(
	first: { readonly totals: number; readonly rates: number; readonly wide: number },
	trafficOf: (row: Row) => IpvsStats,
): Column<Row>[] {
	const wide = ["connections", "inPackets", "outPackets"] as const;
	return [
		...totals.map(
			(name, at): Column<Row> => [
				first.totals + at,
				(row) => (at < 2 ? counter32 : counter64)(whole(trafficOf(row)[name])),
			],
		),
		...rates.map((name, at): Column<Row> => [first.rates + at, (row) => gauge(trafficOf(row)[name])]),
		...wide.map(
			(name, at): Column<Row> => [first.wide + at, (row) => counter64(whole(trafficOf(row)[name]))],
		),
		...rates.flatMap((name, at): Column<Row>[] => {
			const column = first.wide + wide.length + 2 * at;
			return [
				[column, (row) => gauge(whole(trafficOf(row)[name]) % 2 ** 32)],
				[column + 1, (row) => gauge(Math.floor(whole(trafficOf(row)[name]) / 2 ** 32))],
			];
		}),
	];
}
const whole = (value: number) => Math.max(0, Math.round(value));

function tunnelColumns<Row>(first: number, forwarding: (row: Row) => Forwarding): Column<Row>[] {
	const tunnel = (row: Row) => {
		const found = forwarding(row);
		return found.kind === "TUN" ? found : null;
	};
	return [
		[first, (row) => whenSet(tunnel(row), ({ tunnel: kind }) => integer(tunnels[kind]))],
		[first + 1, (row) => whenSet(tunnel(row), ({ port }) => gauge(port))],
		[first + 2, (row) => whenSet(tunnel(row), ({ checksum }) => integer(checksums[checksum]))],
	];
}

interface VirtualRow {
	readonly config: VirtualServerConfig;
	readonly status: VirtualServerStatus | null;
}

const firstCheck = (server: VirtualServerConfig) => server.realServers[0]?.checks[0];
const connectTimeoutMs = (check: CheckConfig) => ("target" in check ? check.target.connectTimeoutMs : null);
const virtualHost = (check: CheckConfig) => ("urls" in check ? (check.urls[0]?.virtualHost ?? null) : null);
const micros = (ms: number) => gauge(ms * 1000);
const seconds = (ms: number) => gauge(ms / 1000);
const familyOf = ({ services }: VirtualServerConfig) => services[0]?.family ?? "inet";

function netmask(length: number): Value {
	const mask = new Uint8Array(4);
	new DataView(mask.buffer).setUint32(0, length === 0 ? 0 : (0xffffffff << (ADDRESS_BITS - length)) >>> 0);
	return bytes(mask);
}

const virtualColumns: readonly Column<VirtualRow>[] = [
	[2, ({ config }) => integer({ fwmark: 1, address: 2, group: 3 }[config.name.kind])],
	[3, ({ config }) => (config.name.kind === "group" ? text(config.name.group) : null)],
	[4, ({ config }) => (config.name.kind === "fwmark" ? gauge(config.name.fwmark) : null)],
	[5, ({ config }) => integer(familyOf(config) === "inet" ? 1 : 2)],
	[6, ({ config }) => (config.name.kind === "address" ? addressOctets(config.name.address) : null)],
	[7, ({ config }) => (config.name.kind === "address" ? gauge(config.name.port) : null)],
	[8, ({ config }) => integer(config.name.kind === "fwmark" ? NO_PROTOCOL : protocols[config.protocol])],
	[9, ({ config }) => integer(schedulers.indexOf(config.scheduler) + 1 || OTHER_SCHEDULER)],
	[10, ({ config }) => integer(forwardings[config.forwarding.kind])],
	[11, ({ status }) => truth(status !== null && (status.quorumUp || status.onSorryServer))],
	[12, ({ config }) => whenSet(firstCheck(config), (check) => whenSet(virtualHost(check), text))],
	[13, ({ config }) => truth(config.persistenceTimeoutSeconds !== null)],
	[14, ({ config }) => whenSet(config.persistenceTimeoutSeconds, gauge)],
	[
		15,
		({ config }) =>
			familyOf(config) === "inet" ? netmask(config.persistenceGranularity ?? ADDRESS_BITS) : null,
	],
	[16, ({ config }) => seconds(config.delayLoopMs)],
	[17, ({ config }) => truth(config.haSuspend)],
	[18, ({ config }) => truth(config.alpha)],
	[19, ({ config }) => truth(config.omega)],
	[20, ({ config }) => gauge(config.realServers.length)],
	[21, ({ status }) => gauge(status?.aliveRealServers ?? 0)],
	[22, ({ config }) => gauge(config.quorum)],
	[23, ({ status }) => truth(status?.quorumUp ?? false)],
	[24, ({ config }) => scriptText(config.quorumUp)],
	[25, ({ config }) => scriptText(config.quorumDown)],
	[26, ({ config }) => gauge(config.hysteresis)],
	[27, ({ status }) => gauge(status?.connections ?? 0)],
	...trafficColumns<VirtualRow>(
		{ totals: 28, rates: 32, wide: 38 },
		({ status }) => status?.traffic ?? zeroStats,
	),
	[37, ({ config }) => truth(config.onePacket)],
	[51, ({ config }) => (familyOf(config) === "inet6" ? gauge(config.persistenceGranularity ?? 128) : null)],
	// Every service of the kernel's is in its hash table.
	[52, () => truth(true)],
	[53, ({ config }) => truth(config.scheduler === "sh" && config.schedulerFlags.flag1)],
	[54, ({ config }) => truth(config.scheduler === "sh" && config.schedulerFlags.flag2)],
	[55, ({ config }) => truth(config.schedulerFlags.flag3)],
	[57, ({ config }) => whenSet(firstCheck(config), ({ timing }) => gauge(timing.retry))],
	[58, ({ config }) => whenSet(firstCheck(config), ({ timing }) => seconds(timing.delayBeforeRetryMs))],
	[59, ({ config }) => whenSet(firstCheck(config), ({ timing }) => seconds(timing.warmupMs))],
	[61, ({ config }) => truth(config.smtpAlert)],
	[62, ({ config }) => truth(config.scheduler === "mh" && config.schedulerFlags.flag1)],
	[63, ({ config }) => truth(config.scheduler === "mh" && config.schedulerFlags.flag2)],
	[64, ({ config }) => micros(config.delayLoopMs)],
	[65, ({ config }) => whenSet(firstCheck(config), ({ timing }) => micros(timing.delayBeforeRetryMs))],
	[66, ({ config }) => whenSet(firstCheck(config), ({ timing }) => micros(timing.warmupMs))],
	[67, ({ config }) => whenSet(firstCheck(config), (check) => whenSet(connectTimeoutMs(check), micros))],
	...tunnelColumns<VirtualRow>(68, ({ config }) => config.forwarding),
	[71, ({ config }) => whenSet(config.snmpName, text)],
];

interface RealRow {
	readonly index: readonly number[];
	/** A sorry server has neither weight nor checks of its own. */
	readonly config: RealServerConfig | NonNullable<VirtualServerConfig["sorryServer"]>;
	readonly regular: RealServerConfig | null;
	readonly status: RealServerStatus | null;
}

const timing = <T>({ regular }: RealRow, read: (value: CheckConfig["timing"]) => T): T | null => {
	const check = regular?.checks[0];
	return check === undefined ? null : read(check.timing);
};

const realColumns: readonly Column<RealRow>[] = [
	[2, ({ regular }) => integer(regular === null ? 2 : 1)],
	[3, ({ config }) => addressType(config.address)],
	[4, ({ config }) => addressOctets(config.address)],
	[5, ({ config }) => gauge(config.port)],
	[6, ({ regular, status }) => whenSet(regular, () => truth(status?.alive ?? false))],
	[7, ({ regular, status }) => whenSet(regular, ({ weight }) => integer(status?.effectiveWeight ?? weight))],
	[8, ({ regular }) => whenSet(regular?.limits.upperThreshold || null, gauge)],
	[9, ({ regular }) => whenSet(regular?.limits.lowerThreshold || null, gauge)],
	[10, ({ regular }) => whenSet(regular?.rules, ({ inhibitOnFailure }) => integer(inhibitOnFailure ? 2 : 1))],
	[11, ({ regular }) => scriptText(regular?.rules.notifyUp ?? null)],
	[12, ({ regular }) => scriptText(regular?.rules.notifyDown ?? null)],
	[
		13,
		({ regular, status }) =>
			whenSet(regular, () => gauge(status?.checks.filter((check) => !check.up).length ?? 0)),
	],
	[14, ({ status }) => gauge(status?.connections ?? 0)],
	[15, ({ status }) => gauge(status?.activeConnections ?? 0)],
	[16, ({ status }) => gauge(status?.inactiveConnections ?? 0)],
	[17, ({ status }) => gauge(status?.persistentConnections ?? 0)],
	...trafficColumns<RealRow>(
		{ totals: 18, rates: 22, wide: 27 },
		({ status }) => status?.traffic ?? zeroStats,
	),
	[40, ({ config }) => integer(forwardings[config.forwarding.kind])],
	[41, ({ regular }) => whenSet(regular?.checks[0], (check) => whenSet(virtualHost(check), text))],
	[42, ({ regular }) => truth(regular?.rules.alpha ?? false)],
	[
		43,
		(row) =>
			whenSet(
				timing(row, ({ retry }) => retry),
				gauge,
			),
	],
	[
		44,
		(row) =>
			whenSet(
				timing(row, ({ delayBeforeRetryMs }) => delayBeforeRetryMs),
				seconds,
			),
	],
	[
		45,
		(row) =>
			whenSet(
				timing(row, ({ warmupMs }) => warmupMs),
				seconds,
			),
	],
	[
		46,
		(row) =>
			whenSet(
				timing(row, ({ delayLoopMs }) => delayLoopMs),
				seconds,
			),
	],
	[47, ({ regular }) => truth(regular?.rules.smtpAlert ?? false)],
	[
		48,
		(row) =>
			whenSet(
				timing(row, ({ delayBeforeRetryMs }) => delayBeforeRetryMs),
				micros,
			),
	],
	[
		49,
		(row) =>
			whenSet(
				timing(row, ({ warmupMs }) => warmupMs),
				micros,
			),
	],
	[
		50,
		(row) =>
			whenSet(
				timing(row, ({ delayLoopMs }) => delayLoopMs),
				micros,
			),
	],
	[51, ({ regular }) => whenSet(regular?.checks[0], (check) => whenSet(connectTimeoutMs(check), micros))],
	...tunnelColumns<RealRow>(52, ({ config }) => config.forwarding),
	[55, ({ regular }) => whenSet(regular?.rules.snmpName, text)],
];

/** As keepalived numbers them: the sorry server, when there is one, comes first. */
function realRows(virtual: readonly VirtualRow[]): RealRow[] {
	return virtual.flatMap(({ config, status }, position) => {
		const statusOf = new Map(status?.realServers.map((each) => [`${each.address} ${each.port}`, each]));
		const { sorryServer } = config;
		const first = sorryServer === null ? 1 : 2;
		const sorry: RealRow[] =
			sorryServer === null
				? []
				: [
						{
							index: [position + 1, 1],
							config: sorryServer,
							regular: null,
							status: null,
						},
					];
		return [
			...sorry,
			...config.realServers.map(
				(each, number): RealRow => ({
					index: [position + 1, number + first],
					config: each,
					regular: each,
					status: statusOf.get(`${each.address} ${each.port}`) ?? null,
				}),
			),
		];
	});
}

/** Groups in the order in which virtual servers name them, marks first, as with keepalived. */
function groupTables({ virtualServers, serverGroups }: DroverConfig): Part[] {
	const named = new Set(virtualServers.flatMap(({ name }) => (name.kind === "group" ? [name.group] : [])));
	const written = new Map(serverGroups.map(({ name, members }) => [name, members]));
	const rows = [...named].flatMap((name, group) => {
		const members = written.get(name) ?? [];
		return [
			...members.filter(({ kind }) => kind === "fwmark"),
			...members.filter(({ kind }) => kind !== "fwmark"),
		].map((member, position) => ({ index: [group + 1, position + 1], member }));
	});
	const kinds = { fwmark: 1, address: 2, range: 3 };
	return [
		...table(`${CHECK}.1.1`, [...named], (_, position) => [position + 1], [[2, text]]),
		...table(`${CHECK}.2.1`, rows, ({ index }) => index, [
			[2, ({ member }) => integer(kinds[member.kind])],
			[3, ({ member }) => (member.kind === "fwmark" ? gauge(member.fwmark) : null)],
			[4, ({ member }) => (member.kind === "fwmark" ? null : integer(member.family === "inet" ? 1 : 2))],
			[5, ({ member }) => (member.kind === "address" ? addressOctets(member.address) : null)],
			[6, ({ member }) => (member.kind === "range" ? addressOctets(member.first) : null)],
			[7, ({ member }) => (member.kind === "range" ? addressOctets(member.last) : null)],
			[8, ({ member }) => (member.kind === "fwmark" ? null : gauge(member.port))],
		]),
	];
}

export function checkTree(config: DroverConfig, { director }: Facts): Part[] {
	// The director reports virtual servers in the file's order, as the model has them.
	const virtual: VirtualRow[] = config.virtualServers.map((server, position) => ({
		config: server,
		status: director?.virtualServers[position] ?? null,
	}));
	const daemon = config.global.lvsSyncDaemon;
	const timeouts = config.global.lvsTimeouts;
	return [
		...groupTables(config),
		...table(`${CHECK}.3.1`, virtual, (_row, position) => [position + 1], virtualColumns),
		...table(`${CHECK}.4.1`, realRows(virtual), (row) => row.index, realColumns),
		scalar(`${CHECK}.6.1`, truth(daemon !== null)),
		...(daemon === null
			? []
			: [
					scalar(`${CHECK}.6.2`, text(daemon.interface)),
					scalar(`${CHECK}.6.3`, text(daemon.instance ?? "")),
					scalar(`${CHECK}.6.4`, integer(daemon.syncId ?? 0)),
					scalar(`${CHECK}.6.5`, integer(daemon.maxLengthBytes ?? 0)),
					scalar(`${CHECK}.6.6`, integer(daemon.port ?? 0)),
					scalar(`${CHECK}.6.7`, integer(daemon.ttl ?? 0)),
					...(daemon.group === null
						? []
						: [
								scalar(`${CHECK}.6.8`, addressType(daemon.group)),
								scalar(`${CHECK}.6.9`, addressOctets(daemon.group)),
							]),
				]),
		...(timeouts === null
			? []
			: [
					scalar(`${CHECK}.7.1`, integer(timeouts.tcpSeconds)),
					scalar(`${CHECK}.7.2`, integer(timeouts.tcpFinSeconds)),
					scalar(`${CHECK}.7.3`, integer(timeouts.udpSeconds)),
				]),
	];
}
