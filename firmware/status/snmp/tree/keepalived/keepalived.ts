/**
 * KEEPALIVED-MIB (as shipped with keepalived 2.2.7): the objects that monitoring templates
 * poll, from the configuration's model and the services' status.
 */
import type {
	AddressConfig,
	DroverConfig,
	NotifyScripts,
	VrrpInstanceConfig,
} from "../../../../config/model.ts";
import { syncGroupOf } from "../../../../config/tracked.ts";
import { RT_SCOPE_UNIVERSE } from "../../../../kernel/route-address.ts";
import type { Facts } from "../../../box/facts.ts";
import { stateNumbers, type VrrpInstanceStatus } from "../../../vrrp.ts";
import { addressOctets, addressType } from "../../inet-address.ts";
import {
	type Column,
	gauge,
	integer,
	type Part,
	scalar,
	table,
	text,
	truth,
	type Value,
} from "../../view.ts";
import { checkTree } from "./checks.ts";
import { routeTree } from "./routes.ts";
import { trackingTree } from "./tracking.ts";
import { inetScope, KEEPALIVED_OID, noAddress, octets, scriptText, whenSet } from "./words.ts";

const GLOBAL = `${KEEPALIVED_OID}.1`;
const VRRP = `${KEEPALIVED_OID}.2`;
/** The keepalived whose MIB this is; Drover's own version is in sysDescr and DROVER-MIB. */
const COMPATIBLE_VERSION = "Keepalived v2.2.7 (Drover)";

interface InstanceRow {
	readonly config: VrrpInstanceConfig;
	readonly status: VrrpInstanceStatus | null;
	readonly syncGroup: string | null;
	readonly syncDaemonInterface: string | null;
}

const runsScripts = ({ saysDeleted: _, ...scripts }: NotifyScripts): boolean =>
	Object.values(scripts).some((script) => script !== null);

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
	// Seconds in VRRPv2, hundredths in VRRPv3.
	[12, ({ config }) => gauge(config.advertIntervalMicros / (config.version === 2 ? 1e6 : 1e4))],
	[13, (row) => truth(row.config.preempt)],
	[14, (row) => gauge(row.config.preemptDelayMs / 1000)],
	[
		15,
		(row) =>
			integer(row.config.authentication === null ? 0 : row.config.authentication.type === "PASS" ? 1 : 2),
	],
	[16, (row) => truth(row.syncDaemonInterface !== null)],
	[17, (row) => whenSet(row.syncDaemonInterface, text)],
	[18, (row) => whenSet(row.syncGroup, text)],
	[19, (row) => gauge(row.config.garp.delayMs / 1000)],
	[20, (row) => truth(row.config.smtpAlert)],
	[21, (row) => truth(runsScripts(row.config.notify))],
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
	[33, (row) => truth(row.config.notify.saysDeleted)],
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
	[4, ({ config }) => (config.family === "inet" ? broadcast(config) : null)],
	[5, (row) => gauge(row.config.prefixLength)],
	[6, (row) => integer(inetScope(row.config.scope ?? RT_SCOPE_UNIVERSE))],
	[7, (row) => integer(row.interfaceIndex)],
	[8, (row) => text(row.interface)],
	[9, (row) => whenSet(row.config.label, text)],
	[10, (row) => truth(row.set)],
	[11, (row) => truth(row.advertised)],
	[12, (row) => octets(row.config.peer?.split("/")[0] ?? null)],
];

/** "+" and "-" (ip-address(8)) are worked out by the kernel. */
function broadcast({ broadcast: address }: AddressConfig): Value {
	return address === null || address === "+" || address === "-" ? noAddress : addressOctets(address);
}

function vrrpTree(config: DroverConfig, facts: Facts): Part[] {
	const { vrrp, interfaces } = facts;
	const indexOf = new Map(interfaces.map(({ name, index }) => [name, index]));
	const statusOf = new Map(vrrp?.instances.map((instance) => [instance.name, instance]));
	const rows: InstanceRow[] = config.vrrpInstances.map((instance) => ({
		config: instance,
		status: statusOf.get(instance.name) ?? null,
		syncGroup: syncGroupOf(config.syncGroups, instance.name)?.name ?? null,
		syncDaemonInterface:
			config.global.lvsSyncDaemon?.instance === instance.name ? config.global.lvsSyncDaemon.interface : null,
	}));
	const addressRow = (
		address: AddressConfig,
		index: AddressRow["index"],
		primary: string | null,
		where: Pick<AddressRow, "set" | "advertised">,
	): AddressRow => {
		const name = address.interface ?? primary ?? "";
		return { index, config: address, ...where, interface: name, interfaceIndex: indexOf.get(name) ?? 0 };
	};
	const addresses: AddressRow[] = [
		// Instance 0 has the static ones.
		...config.staticAddresses.map((address, number) =>
			addressRow(address, [0, number + 1], null, { set: vrrp !== null, advertised: false }),
		),
		...rows.flatMap(({ config: instance, status }, position) =>
			[...instance.virtualAddresses, ...instance.excludedAddresses].map((address, number) =>
				addressRow(address, [position + 1, number + 1], instance.interface, {
					set: status?.state === "MASTER",
					advertised: number < instance.virtualAddresses.length,
				}),
			),
		),
	];
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
			[5, (group) => truth(runsScripts(group.notify))],
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
		...trackingTree(VRRP, config, facts),
		...routeTree(VRRP, config, facts),
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
		scalar(`${GLOBAL}.3.7`, truth(!mail.suppressFault)),
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
