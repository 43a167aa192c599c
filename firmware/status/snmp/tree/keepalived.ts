/**
 * KEEPALIVED-MIB (as shipped with keepalived 2.2.7): the objects that monitoring templates
 * poll, from the configuration's model and the services' status.
 */
import type {
	AddressConfig,
	DroverConfig,
	Forwarding,
	RealServerConfig,
	Script,
	VirtualServerConfig,
	VrrpInstanceConfig,
} from "../../../config/model.ts";
import type { Facts } from "../../box/facts.ts";
import type { RealServerStatus, VirtualServerStatus } from "../../director.ts";
import type { VrrpInstanceStatus, VrrpStateName } from "../../vrrp.ts";
import { addressOctets, addressType } from "../inet-address.ts";
import {
	type Column,
	counter64,
	gauge,
	integer,
	type Part,
	scalar,
	table,
	text,
	truth,
	type Value,
} from "../view.ts";

export const KEEPALIVED_OID = "1.3.6.1.4.1.9586.100.5";
const GLOBAL = `${KEEPALIVED_OID}.1`;
const VRRP = `${KEEPALIVED_OID}.2`;
const CHECK = `${KEEPALIVED_OID}.3`;
/** The keepalived whose MIB this is; Drover's own version is in sysDescr and DROVER-MIB. */
const COMPATIBLE_VERSION = "Keepalived v2.2.7 (Drover)";

/** VrrpState of the MIB. */
export const stateNumbers: Readonly<Record<VrrpStateName, number>> = {
	INIT: 0,
	BACKUP: 1,
	MASTER: 2,
	FAULT: 3,
};
const schedulers = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];
const protocols = { TCP: 1, UDP: 2, SCTP: 3 };
const forwardings = { NAT: 1, DR: 2, TUN: 3 };
const tunnels = { ipip: 1, gue: 2, gre: 3 };
const checksums = { none: 1, csum: 2, remcsum: 3 };

const scriptText = (script: Script | null) => text(script?.command.join(" ") ?? "");

interface InstanceRow {
	readonly config: VrrpInstanceConfig;
	readonly status: VrrpInstanceStatus | null;
	readonly syncGroup: string;
	readonly syncDaemonInterface: string | null;
}

const instanceState = (row: InstanceRow): Value => integer(stateNumbers[row.status?.state ?? "INIT"]);

const instanceColumns: readonly Column<InstanceRow>[] = [
	[2, (row) => text(row.config.name)],
	[3, (row) => gauge(row.config.virtualRouterId)],
	[4, instanceState],
	[5, (row) => integer(stateNumbers[row.config.initialState])],
	[6, instanceState],
	[7, (row) => integer(row.config.priority)],
	[8, (row) => integer(row.status?.effectivePriority ?? row.config.priority)],
	[9, (row) => truth(row.status?.state === "MASTER")],
	[10, (row) => text(row.config.interface ?? "")],
	[11, (row) => truth(row.config.trackPrimary)],
	[12, (row) => gauge(row.config.advertIntervalMicros / 1e6)],
	[13, (row) => truth(row.config.preempt)],
	[14, (row) => gauge(row.config.preemptDelayMs / 1000)],
	[
		15,
		(row) =>
			integer(row.config.authentication === null ? 0 : row.config.authentication.type === "PASS" ? 1 : 2),
	],
	[16, (row) => truth(row.syncDaemonInterface !== null)],
	[17, (row) => text(row.syncDaemonInterface ?? "")],
	[18, (row) => text(row.syncGroup)],
	[19, (row) => gauge(row.config.garp.delayMs / 1000)],
	[20, (row) => truth(row.config.smtpAlert)],
	[21, (row) => truth(Object.values(row.config.notify).some((script) => script !== null))],
	[22, (row) => scriptText(row.config.notify.master)],
	[23, (row) => scriptText(row.config.notify.backup)],
	[24, (row) => scriptText(row.config.notify.fault)],
	[25, (row) => scriptText(row.config.notify.stop)],
	[26, (row) => scriptText(row.config.notify.generic)],
	[27, (row) => truth(row.config.accept)],
	[28, (row) => truth(row.config.promoteSecondaries)],
	[29, () => truth(false)],
	[30, (row) => integer(row.config.version)],
	[31, (row) => scriptText(row.config.notify.masterRxLowerPriority)],
	[32, (row) => scriptText(row.config.notify.deleted)],
	[33, (row) => truth(row.config.notify.deleted !== null)],
	[34, (row) => addressType(row.config.multicastDestination)],
	[35, (row) => addressOctets(row.config.multicastDestination)],
];

interface AddressRow {
	readonly index: readonly [instance: number, address: number];
	readonly config: AddressConfig;
	readonly advertised: boolean;
	readonly set: boolean;
	readonly interface: string;
	readonly interfaceIndex: number;
}

const addressColumns: readonly Column<AddressRow>[] = [
	[2, (row) => addressType(row.config.address)],
	[3, (row) => addressOctets(row.config.address)],
	[4, (row) => addressOctets(row.config.broadcast)],
	[5, (row) => gauge(row.config.prefixLength)],
	[7, (row) => integer(row.interfaceIndex)],
	[8, (row) => text(row.interface)],
	[9, (row) => text(row.config.label ?? "")],
	[10, (row) => truth(row.set)],
	[11, (row) => truth(row.advertised)],
	[12, (row) => addressOctets(row.config.peer)],
];

function vrrpTree(config: DroverConfig, { vrrp, interfaces }: Facts): Part[] {
	const indexOf = new Map(interfaces.map(({ name, index }) => [name, index]));
	const statusOf = new Map(vrrp?.instances.map((instance) => [instance.name, instance]));
	const rows: InstanceRow[] = config.vrrpInstances.map((instance) => ({
		config: instance,
		status: statusOf.get(instance.name) ?? null,
		syncGroup: config.syncGroups.find(({ members }) => members.includes(instance.name))?.name ?? "",
		syncDaemonInterface:
			config.global.lvsSyncDaemon?.instance === instance.name ? config.global.lvsSyncDaemon.interface : null,
	}));
	const addresses: AddressRow[] = rows.flatMap(({ config: instance, status }, position) =>
		[...instance.virtualAddresses, ...instance.excludedAddresses].map((address, number) => ({
			index: [position + 1, number + 1] as const,
			config: address,
			advertised: number < instance.virtualAddresses.length,
			set: status?.state === "MASTER",
			interface: address.interface ?? instance.interface ?? "",
			interfaceIndex: indexOf.get(address.interface ?? instance.interface ?? "") ?? 0,
		})),
	);
	const members = config.syncGroups.flatMap((group, position) =>
		group.members.map((name) => ({
			index: [position + 1, config.vrrpInstances.findIndex((instance) => instance.name === name) + 1],
			name,
		})),
	);
	const groupState = new Map(vrrp?.syncGroups.map(({ name, state }) => [name, state]));
	return [
		...table(`${VRRP}.1.1`, config.syncGroups, (_group, position) => [position + 1], [
			[2, (group) => text(group.name)],
			[3, (group) => integer(stateNumbers[groupState.get(group.name) ?? "INIT"])],
			[4, (group) => truth(group.smtpAlert)],
			[5, (group) => truth(Object.values(group.notify).some((script) => script !== null))],
			[6, (group) => scriptText(group.notify.master)],
			[7, (group) => scriptText(group.notify.backup)],
			[8, (group) => scriptText(group.notify.fault)],
			[9, (group) => scriptText(group.notify.generic)],
			[10, (group) => truth(group.trackingWeight)],
			[11, (group) => scriptText(group.notify.stop)],
		]),
		...table(`${VRRP}.2.1`, members, (row) => row.index, [[2, (row) => text(row.name)]]),
		...table(`${VRRP}.3.1`, rows, (_row, position) => [position + 1], instanceColumns),
		...table(`${VRRP}.6.1`, addresses, (row) => row.index, addressColumns),
	];
}

interface ServerRow<Config, Status> {
	readonly config: Config;
	readonly status: Status | null;
}

const tunnelColumns = (first: number, forwarding: (row: never) => Forwarding): Column<never>[] => {
	const tunnel = (row: never) => {
		const found = forwarding(row);
		return found.kind === "TUN" ? found : null;
	};
	return [
		[first, (row) => whenSet(tunnel(row), ({ tunnel: kind }) => integer(tunnels[kind]))],
		[first + 1, (row) => whenSet(tunnel(row), ({ port }) => gauge(port))],
		[first + 2, (row) => whenSet(tunnel(row), ({ checksum }) => integer(checksums[checksum]))],
	];
};
const whenSet = <T>(value: T | null, read: (value: T) => Value): Value | null =>
	value === null ? null : read(value);

type VirtualRow = ServerRow<VirtualServerConfig, VirtualServerStatus>;
const firstCheck = (server: VirtualServerConfig) => server.realServers[0]?.checks[0] ?? null;

const virtualColumns: readonly Column<VirtualRow>[] = [
	[2, ({ config }) => integer({ fwmark: 1, address: 2, group: 3 }[config.name.kind])],
	[3, ({ config }) => (config.name.kind === "group" ? text(config.name.group) : null)],
	[4, ({ config }) => (config.name.kind === "fwmark" ? gauge(config.name.fwmark) : null)],
	[5, ({ config }) => (config.name.kind === "address" ? addressType(config.name.address) : null)],
	[6, ({ config }) => (config.name.kind === "address" ? addressOctets(config.name.address) : null)],
	[7, ({ config }) => (config.name.kind === "address" ? gauge(config.name.port) : null)],
	[8, ({ config }) => integer(config.name.kind === "fwmark" ? 4 : protocols[config.protocol])],
	[9, ({ config }) => integer(schedulers.indexOf(config.scheduler) + 1 || 99)],
	[10, ({ config }) => integer(forwardings[config.forwarding.kind])],
	[11, ({ status }) => truth((status?.aliveRealServers ?? 0) > 0)],
	[13, ({ config }) => truth(config.persistenceTimeoutSeconds !== null)],
	[14, ({ config }) => whenSet(config.persistenceTimeoutSeconds, gauge)],
	[16, ({ config }) => gauge(config.delayLoopMs / 1000)],
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
	[32, ({ status }) => gauge(status?.connectionsPerSecond ?? 0)],
	[35, ({ status }) => gauge(status?.inBytesPerSecond ?? 0)],
	[36, ({ status }) => gauge(status?.outBytesPerSecond ?? 0)],
	[37, ({ config }) => truth(config.onePacket)],
	[38, ({ status }) => counter64(Math.max(0, Math.round(status?.connections ?? 0)))],
	[53, ({ config }) => truth(config.scheduler === "sh" && config.schedulerFlags.flag1)],
	[54, ({ config }) => truth(config.scheduler === "sh" && config.schedulerFlags.flag2)],
	[55, ({ config }) => truth(config.schedulerFlags.flag3)],
	[57, ({ config }) => whenSet(firstCheck(config), ({ timing }) => gauge(timing.retry))],
	[61, ({ config }) => truth(config.smtpAlert)],
	[62, ({ config }) => truth(config.scheduler === "mh" && config.schedulerFlags.flag1)],
	[63, ({ config }) => truth(config.scheduler === "mh" && config.schedulerFlags.flag2)],
	[64, ({ config }) => gauge(config.delayLoopMs * 1000)],
	...(tunnelColumns(68, (row: VirtualRow) => row.config.forwarding) as Column<VirtualRow>[]),
	[71, ({ config }) => text(config.snmpName ?? "")],
];

type RealRow = ServerRow<RealServerConfig, RealServerStatus> & { readonly index: readonly number[] };

const realColumns: readonly Column<RealRow>[] = [
	[2, () => integer(1)],
	[3, ({ config }) => addressType(config.address)],
	[4, ({ config }) => addressOctets(config.address)],
	[5, ({ config }) => gauge(config.port)],
	[6, ({ status }) => truth(status?.alive ?? false)],
	[7, ({ config, status }) => integer(status?.weight ?? config.weight)],
	[8, ({ config }) => gauge(config.upperThreshold)],
	[9, ({ config }) => gauge(config.lowerThreshold)],
	[10, ({ config }) => integer(config.inhibitOnFailure ? 2 : 1)],
	[11, ({ config }) => scriptText(config.notifyUp)],
	[12, ({ config }) => scriptText(config.notifyDown)],
	[13, ({ status }) => gauge(status?.checks.filter((check) => !check.up).length ?? 0)],
	[15, ({ status }) => gauge(status?.activeConnections ?? 0)],
	[16, ({ status }) => gauge(status?.inactiveConnections ?? 0)],
	[22, ({ status }) => gauge(status?.connectionsPerSecond ?? 0)],
	[40, ({ config }) => integer(forwardings[config.forwarding.kind])],
	[42, ({ config }) => truth(config.alpha)],
	[48, ({ config }) => truth(config.smtpAlert)],
	...(tunnelColumns(52, (row: RealRow) => row.config.forwarding) as Column<RealRow>[]),
	[55, ({ config }) => text(config.snmpName ?? "")],
];

function checkTree(config: DroverConfig, { director }: Facts): Part[] {
	// The director reports virtual servers in the file's order, as the model has them.
	const virtual: VirtualRow[] = config.virtualServers.map((server, position) => ({
		config: server,
		status: director?.virtualServers[position] ?? null,
	}));
	const real: RealRow[] = virtual.flatMap(({ config: server, status }, position) => {
		const statusOf = new Map(status?.realServers.map((each) => [`${each.address} ${each.port}`, each]));
		return server.realServers.map((each, number) => ({
			index: [position + 1, number + 1],
			config: each,
			status: statusOf.get(`${each.address} ${each.port}`) ?? null,
		}));
	});
	const daemon = config.global.lvsSyncDaemon;
	const timeouts = config.global.lvsTimeouts;
	return [
		...table(`${CHECK}.3.1`, virtual, (_row, position) => [position + 1], virtualColumns),
		...table(`${CHECK}.4.1`, real, (row) => row.index, realColumns),
		scalar(`${CHECK}.6.1`, truth(daemon !== null)),
		...(daemon === null
			? []
			: [
					scalar(`${CHECK}.6.2`, text(daemon.interface)),
					scalar(`${CHECK}.6.3`, text(daemon.instance ?? "")),
					scalar(`${CHECK}.6.4`, integer(daemon.syncId ?? 0)),
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

export function keepalivedTree(facts: Facts): Part[] {
	const { config } = facts;
	if (config === null) return [scalar(`${GLOBAL}.1`, text(COMPATIBLE_VERSION))];
	const { mail } = config.global;
	return [
		scalar(`${GLOBAL}.1`, text(COMPATIBLE_VERSION)),
		scalar(`${GLOBAL}.2`, text(config.global.routerId)),
		scalar(`${GLOBAL}.3.1`, addressType(mail.server?.host ?? null)),
		scalar(`${GLOBAL}.3.2`, addressOctets(mail.server?.host ?? null)),
		scalar(`${GLOBAL}.3.3`, gauge(mail.connectTimeoutMs / 1000)),
		scalar(`${GLOBAL}.3.4`, text(mail.sender ?? "")),
		...table(`${GLOBAL}.3.5.1`, mail.recipients, (_recipient, position) => [position + 1], [[2, text]]),
		scalar(`${GLOBAL}.3.6`, gauge(mail.server?.port ?? 0)),
		scalar(`${GLOBAL}.4`, truth(config.global.snmpTraps)),
		scalar(`${GLOBAL}.5`, integer(1)),
		scalar(`${GLOBAL}.6`, truth(config.global.lvsFlush)),
		scalar(`${GLOBAL}.7`, truth(true)),
		scalar(`${GLOBAL}.8`, text(config.global.networkNamespace ?? "")),
		scalar(`${GLOBAL}.9`, truth(false)),
		scalar(`${GLOBAL}.10`, truth(config.global.dynamicInterfaces)),
		scalar(`${GLOBAL}.11`, integer({ all: 1, none: 2, own: 3 }[config.global.lvsFlushOnStop])),
		...vrrpTree(config, facts),
		...checkTree(config, facts),
	];
}
