/** IF-MIB ifTable and ifXTable (RFC 2863), and IP-MIB ipAddressTable (RFC 4293). */

import { IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE } from "../../../kernel/route-address.ts";
import type { Facts, InterfaceFacts } from "../../box/facts.ts";
import { addressIndex } from "../inet-address.ts";
import {
	bytes,
	type Column,
	counter32,
	counter64,
	gauge,
	integer,
	objectId,
	type Part,
	parseOid,
	scalar,
	table,
	text,
	ticks,
	truth,
} from "../view.ts";

const IF_NUMBER = "1.3.6.1.2.1.2.1";
const IF_ENTRY = "1.3.6.1.2.1.2.2.1";
const IF_X_ENTRY = "1.3.6.1.2.1.31.1.1.1";
const IP_ADDRESS_ENTRY = "1.3.6.1.2.1.4.34.1";
const IF_INDEX = parseOid("1.3.6.1.2.1.2.2.1.1");
/** IP-MIB: origin manual(2), storage volatile(2). */
const MANUAL = 2;
const VOLATILE = 2;
/** IANAifType. */
const LOOPBACK = 24;
const NO_ADDRESS = new Uint8Array(0);

/** IpAddressStatusTC: preferred(1), deprecated(2), tentative(6), duplicate(7). */
function addressStatus({ flags }: AddressRow): number {
	if ((flags & IFA_F_DADFAILED) !== 0) return 7;
	if ((flags & IFA_F_TENTATIVE) !== 0) return 6;
	return (flags & IFA_F_DEPRECATED) === 0 ? 1 : 2;
}

const statistic = (name: string) => (row: InterfaceFacts) => row.statistics[name] ?? 0n;
/** The kernel's rx_packets counts multicast too; SNMP wants unicast apart. */
const unicastIn = (row: InterfaceFacts) => {
	const all = row.statistics["rx_packets"] ?? 0n;
	const multicast = row.statistics["multicast"] ?? 0n;
	return all > multicast ? all - multicast : 0n;
};

const ifColumns: readonly Column<InterfaceFacts>[] = [
	[1, (row) => integer(row.index)],
	[2, (row) => text(row.name)],
	[3, (row) => integer(row.type)],
	[4, (row) => integer(row.mtu)],
	[5, (row) => gauge(Math.min(row.speedMbits * 1e6, 0xffffffff))],
	// RFC 2863: of no octets where there is no such address; the kernel has six zeros for lo.
	[6, (row) => bytes(row.type === LOOPBACK ? NO_ADDRESS : row.macAddress)],
	[7, (row) => truth(row.adminUp)],
	[8, (row) => truth(row.operUp)],
	[9, (row) => ticks(row.lastChangeMs)],
	[10, (row) => counter32(statistic("rx_bytes")(row))],
	[11, (row) => counter32(unicastIn(row))],
	[13, (row) => counter32(statistic("rx_dropped")(row))],
	[14, (row) => counter32(statistic("rx_errors")(row))],
	[16, (row) => counter32(statistic("tx_bytes")(row))],
	[17, (row) => counter32(statistic("tx_packets")(row))],
	[19, (row) => counter32(statistic("tx_dropped")(row))],
	[20, (row) => counter32(statistic("tx_errors")(row))],
];

const ifXColumns: readonly Column<InterfaceFacts>[] = [
	[1, (row) => text(row.name)],
	[2, (row) => counter32(statistic("multicast")(row))],
	[6, (row) => counter64(statistic("rx_bytes")(row))],
	[7, (row) => counter64(unicastIn(row))],
	[8, (row) => counter64(statistic("multicast")(row))],
	[10, (row) => counter64(statistic("tx_bytes")(row))],
	[11, (row) => counter64(statistic("tx_packets")(row))],
	[14, () => truth(true)],
	[15, (row) => gauge(row.speedMbits)],
	[16, () => truth(false)],
	[17, (row) => truth(row.type === 6)],
	[18, (row) => text(row.alias)],
	[19, () => ticks(0)],
];

interface AddressRow {
	readonly address: string;
	readonly interfaceIndex: number;
	/** IFA_F_*. */
	readonly flags: number;
}

const addressColumns: readonly Column<AddressRow>[] = [
	[3, (row) => integer(row.interfaceIndex)],
	[4, () => integer(1)],
	[5, () => objectId([0, 0])],
	[6, () => integer(MANUAL)],
	[7, (row) => integer(addressStatus(row))],
	[8, () => ticks(0)],
	[9, () => ticks(0)],
	[10, () => integer(1)],
	[11, () => integer(VOLATILE)],
];

export function interfacesTree({ interfaces }: Facts): Part[] {
	const addresses = new Map<string, AddressRow>();
	for (const { index, addresses: own } of interfaces)
		for (const { address, flags } of own)
			if (!address.startsWith("fe80:")) addresses.set(address, { address, interfaceIndex: index, flags });
	return [
		scalar(IF_NUMBER, integer(interfaces.length)),
		...table(IF_ENTRY, interfaces, (row) => [row.index], ifColumns),
		...table(IF_X_ENTRY, interfaces, (row) => [row.index], ifXColumns),
		...table(IP_ADDRESS_ENTRY, [...addresses.values()], (row) => addressIndex(row.address), addressColumns),
	];
}

/** The OID of a cell of ifTable, for link traps. */
export function interfaceCell(column: number, index: number): readonly number[] {
	return [...IF_INDEX.slice(0, -1), column, index];
}
