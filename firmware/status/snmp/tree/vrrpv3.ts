/**
 * VRRPV3-MIB (RFC 6527): operations and statistics of every instance, version 2 ones included,
 * since monitoring looks for all of them in one place.
 */
import type { VrrpInstanceConfig } from "../../../config/model.ts";
import type { Facts } from "../../box/facts.ts";
import type { MasterReason, ProtocolError, VrrpInstanceStatus } from "../../vrrp.ts";
import { addressIndex, addressOctets } from "../inet-address.ts";
import {
	bytes,
	type Column,
	counter32,
	counter64,
	gauge,
	integer,
	type Oid,
	type Part,
	scalar,
	table,
	ticks,
	truth,
	type Value,
} from "../view.ts";

export const VRRPV3_OID = "1.3.6.1.2.1.207";
const OPERATIONS_ENTRY = `${VRRPV3_OID}.1.1.1.1`;
const ADDRESS_ENTRY = `${VRRPV3_OID}.1.1.2.1`;
const STATISTICS = `${VRRPV3_OID}.1.2`;
const STATISTICS_ENTRY = `${STATISTICS}.5.1`;
/** RowStatus (RFC 2579): active(1). */
const ACTIVE = 1;

/** vrrpv3OperationsStatus; FAULT takes no part in the election, as initialize(1). */
const statusNumbers = { INIT: 1, FAULT: 1, BACKUP: 2, MASTER: 3 };

/** vrrpv3StatisticsNewMasterReason, vrrpv3StatisticsProtoErrReason. */
const masterReasons: Readonly<Record<MasterReason, number>> = {
	"not-master": 0,
	priority: 1,
	preempted: 2,
	"no-response": 3,
};
const NO_ERROR = 0;
/** By the names of `ProtocolError`. */
export const protocolErrors: Readonly<Record<ProtocolError, number>> = {
	"hop-limit": 1,
	version: 2,
	checksum: 3,
};

interface Row {
	readonly config: VrrpInstanceConfig;
	readonly status: VrrpInstanceStatus;
	readonly interfaceIndex: number;
	readonly ownAddress: string | null;
	readonly nowMs: number;
}

const familyNumber = (config: VrrpInstanceConfig) => (config.family === "inet" ? 1 : 2);
const rowIndex = ({ config, interfaceIndex }: Row): Oid => [
	interfaceIndex,
	config.virtualRouterId,
	familyNumber(config),
];

/** Of the length that the row's InetAddressType demands, also when it is not known (RFC 4001 §3). */
function addressInFamily({ config }: Row, address: string | null): Value {
	return addressOctets(address ?? (config.family === "inet" ? "0.0.0.0" : "::"));
}

/** RFC 9568 §7.3: 00-00-5E-00-01 or -02, then the VRID. */
const virtualMac = ({ config }: Row): Value =>
	bytes(Uint8Array.of(0, 0, 0x5e, 0, familyNumber(config), config.virtualRouterId));

const count = (row: Row, name: string) => counter64(row.status.counters[name] ?? 0);

const operationsColumns: readonly Column<Row>[] = [
	[3, (row) => addressInFamily(row, row.status.masterAddress)],
	[4, (row) => addressInFamily(row, row.ownAddress)],
	[5, virtualMac],
	[6, (row) => integer(statusNumbers[row.status.state])],
	// As configured, as keepalived says it: tracking's sum is in KEEPALIVED-MIB.
	[7, (row) => gauge(row.config.priority)],
	[8, (row) => integer(row.config.virtualAddresses.length)],
	// Centiseconds.
	[9, (row) => integer(Math.round(row.config.advertIntervalMicros / 10_000))],
	[10, (row) => truth(row.config.preempt)],
	[11, (row) => truth(row.config.accept)],
	[12, (row) => ticks(Math.max(0, row.nowMs - (row.status.takesPartSinceMs ?? row.nowMs)))],
	[13, () => integer(ACTIVE)],
];

const statisticsColumns: readonly Column<Row>[] = [
	[1, (row) => counter32(row.status.counters["becameMaster"] ?? 0)],
	[2, ({ status }) => integer(masterReasons[status.masterReason ?? "not-master"])],
	[3, (row) => count(row, "advertisementsReceived")],
	[4, (row) => count(row, "advertisementIntervalErrors")],
	[5, (row) => count(row, "ttlErrors")],
	[
		6,
		({ status }) =>
			integer(status.lastProtocolError == null ? NO_ERROR : protocolErrors[status.lastProtocolError]),
	],
	[7, (row) => count(row, "priorityZeroReceived")],
	[8, (row) => count(row, "priorityZeroSent")],
	[9, (row) => count(row, "invalidTypeReceived")],
	[10, (row) => count(row, "addressListErrors")],
	[11, (row) => count(row, "packetLengthErrors")],
	[12, () => ticks(0)],
	[13, () => gauge(1000)],
];

export function vrrpv3Tree({ config, vrrp, interfaces, host }: Facts): Part[] {
	const rows: Row[] = (config?.vrrpInstances ?? []).flatMap((instance) => {
		const status = vrrp?.instances.find(({ name }) => name === instance.name);
		const port = interfaces.find(({ name }) => name === instance.interface);
		if (status === undefined || port === undefined) return [];
		// What adverts come from: with IPv6 a link-local address (RFC 9568 §5.1.2.1).
		const mayBeOwn = (address: string) =>
			instance.family === "inet" ? !address.includes(":") : address.startsWith("fe80:");
		const own = port.addresses.find(
			({ address }) =>
				mayBeOwn(address) && !instance.virtualAddresses.some((virtual) => virtual.address === address),
		);
		return [
			{
				config: instance,
				status,
				interfaceIndex: port.index,
				ownAddress: instance.sourceAddress ?? own?.address ?? null,
				nowMs: host.dateMs,
			},
		];
	});
	const addresses = rows.flatMap((row) =>
		row.config.virtualAddresses.map(({ address }) => ({ row, address })),
	);
	const total = (name: string) =>
		counter64(rows.reduce((sum, row) => sum + (row.status.counters[name] ?? 0), 0));
	return [
		...table(OPERATIONS_ENTRY, rows, rowIndex, operationsColumns),
		...table(
			ADDRESS_ENTRY,
			addresses,
			// The address is the index's last part; its type stands before it already.
			({ row, address }) => [...rowIndex(row), ...addressIndex(address).slice(1)],
			[[2, () => integer(ACTIVE)]],
		),
		scalar(`${STATISTICS}.1`, total("checksumErrors")),
		scalar(`${STATISTICS}.2`, total("versionErrors")),
		scalar(`${STATISTICS}.3`, counter64(0)),
		scalar(`${STATISTICS}.4`, ticks(0)),
		...table(STATISTICS_ENTRY, rows, rowIndex, statisticsColumns),
	];
}
