/** HOST-RESOURCES-MIB (RFC 2790) and the load and memory groups of UCD-SNMP-MIB. */
import type { Facts } from "../../box/facts.ts";
import {
	bytes,
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
} from "../view.ts";

const HOST = "1.3.6.1.2.1.25";
const STORAGE_ENTRY = `${HOST}.2.3.1`;
const PROCESSOR_ENTRY = `${HOST}.3.3.1`;
const STORAGE_RAM = parseOid(`${HOST}.2.1.2`);
const STORAGE_FIXED_DISK = parseOid(`${HOST}.2.1.4`);
const UCD_MEMORY = "1.3.6.1.4.1.2021.4";
const LOAD_MINUTES = [1, 5, 15];
const UCD_LOAD_ENTRY = "1.3.6.1.4.1.2021.10.1";
/** RFC 2790 has processors in the device table; net-snmp numbers them from here, and templates know it. */
const FIRST_PROCESSOR_INDEX = 196_608;

interface StorageRow {
	readonly type: readonly number[];
	readonly name: string;
	readonly unitBytes: number;
	readonly size: number;
	readonly used: number;
}

export function hostTree({ host }: Facts): Part[] {
	const memory = (name: string) => host.memoryKib[name] ?? 0;
	const total = memory("MemTotal");
	const cached = memory("Cached") + memory("SReclaimable");
	const storage: StorageRow[] = [
		{
			type: STORAGE_RAM,
			name: "Physical memory",
			unitBytes: 1024,
			size: total,
			used: total - memory("MemFree") - memory("Buffers") - cached,
		},
		...host.fileSystems.map((fileSystem) => ({
			type: STORAGE_FIXED_DISK,
			name: fileSystem.path,
			unitBytes: fileSystem.blockBytes,
			size: fileSystem.blocks,
			used: fileSystem.usedBlocks,
		})),
	];
	const storageRows = storage.map((row, position) => ({ ...inSignedRange(row), index: position + 1 }));
	const loadRows = host.loadAverages.map((load, position) => ({ load, index: position + 1 }));
	return [
		scalar(`${HOST}.1.1`, ticks(host.hostUpMs)),
		scalar(`${HOST}.1.2`, bytes(dateAndTime(host.dateMs))),
		scalar(`${HOST}.1.6`, gauge(host.processes)),
		scalar(`${HOST}.2.2`, integer(total)),
		...table(STORAGE_ENTRY, storageRows, ({ index }) => [index], [
			[1, ({ index }) => integer(index)],
			[2, (row) => objectId(row.type)],
			[3, (row) => text(row.name)],
			[4, (row) => integer(row.unitBytes)],
			[5, (row) => integer(row.size)],
			[6, (row) => integer(Math.max(0, row.used))],
		]),
		...table(PROCESSOR_ENTRY, host.processorLoads, (_load, position) => [FIRST_PROCESSOR_INDEX + position], [
			[1, () => objectId([0, 0])],
			[2, (load) => integer(Math.round(load))],
		]),
		scalar(`${UCD_MEMORY}.1`, integer(0)),
		scalar(`${UCD_MEMORY}.2`, text("swap")),
		scalar(`${UCD_MEMORY}.3`, integer(memory("SwapTotal"))),
		scalar(`${UCD_MEMORY}.4`, integer(memory("SwapFree"))),
		scalar(`${UCD_MEMORY}.5`, integer(total)),
		scalar(`${UCD_MEMORY}.6`, integer(memory("MemFree"))),
		scalar(`${UCD_MEMORY}.11`, integer(memory("MemFree") + memory("SwapFree"))),
		scalar(`${UCD_MEMORY}.13`, integer(memory("Shmem"))),
		scalar(`${UCD_MEMORY}.14`, integer(memory("Buffers"))),
		scalar(`${UCD_MEMORY}.15`, integer(cached)),
		// CounterBasedGauge64: a Counter64 by its tag.
		scalar(`${UCD_MEMORY}.27`, counter64(memory("MemAvailable"))),
		...table(UCD_LOAD_ENTRY, loadRows, ({ index }) => [index], [
			[1, ({ index }) => integer(index)],
			[2, ({ index }) => text(`Load-${LOAD_MINUTES[index - 1]}`)],
			[3, ({ load }) => text(load.toFixed(2))],
			[5, ({ load }) => integer(Math.round(load * 100))],
		]),
	];
}

/** hrStorageSize is an Integer32: what has more units is told in larger ones, as net-snmp does. */
function inSignedRange(row: StorageRow): StorageRow {
	let { unitBytes, size, used } = row;
	while (size > 0x7fffffff) {
		unitBytes *= 2;
		size = Math.floor(size / 2);
		used = Math.floor(used / 2);
	}
	return { ...row, unitBytes, size, used };
}

/** DateAndTime (RFC 2579), in UTC: 11 octets. */
export function dateAndTime(ms: number): Uint8Array {
	const date = new Date(ms);
	const year = date.getUTCFullYear();
	return Uint8Array.of(
		year >> 8,
		year & 0xff,
		date.getUTCMonth() + 1,
		date.getUTCDate(),
		date.getUTCHours(),
		date.getUTCMinutes(),
		date.getUTCSeconds(),
		Math.floor(date.getUTCMilliseconds() / 100),
		"+".charCodeAt(0),
		0,
		0,
	);
}
