/** What instances and groups track, and what was seen of it: KEEPALIVED-MIB, vrrp 4, 5, 9 and 12 to 22. Pure. */
import type {
	DroverConfig,
	SyncGroupConfig,
	TrackReference,
	VrrpInstanceConfig,
} from "../../../../config/model.ts";
import { named } from "../../../../named.ts";
import type { Facts } from "../../../box/facts.ts";
import type { TrackedStatus } from "../../../vrrp.ts";
import { type Column, gauge, integer, type Part, table, text, truth } from "../../view.ts";

interface ReferenceRow {
	readonly index: readonly [owner: number, number: number];
	readonly reference: TrackReference;
}

/** In the order in which each owner has them; `first` is the column of the name. */
function references(
	entry: string,
	lists: readonly (readonly TrackReference[])[],
	first: number,
	numberOf: (reference: TrackReference, position: number) => number | null = (_, position) => position + 1,
): Part[] {
	const rows = lists.flatMap((list, owner) =>
		list.flatMap((reference, position): ReferenceRow[] => {
			const number = numberOf(reference, position);
			return number === null ? [] : [{ index: [owner + 1, number], reference }];
		}),
	);
	return table(entry, rows, (row) => row.index, [
		[first, ({ reference }) => text(reference.name)],
		[first + 1, ({ reference }) => integer(reference.weight)],
		[first + 2, ({ reference }) => truth(reference.reverse)],
	]);
}

type Owner = Pick<
	VrrpInstanceConfig & SyncGroupConfig,
	"trackInterfaces" | "trackScripts" | "trackFiles" | "trackBfd" | "trackProcesses"
>;

/** The five tables of what instances or groups track, and where each stands. */
function tracked(
	vrrp: string,
	owners: readonly Owner[],
	numbers: { interfaces: number; scripts: number; files: number; bfd: number; processes: number },
	interfaceIndex: (name: string) => number | null,
): Part[] {
	const of = (kind: keyof Owner) => owners.map((owner) => owner[kind]);
	return [
		...references(`${vrrp}.${numbers.interfaces}.1`, of("trackInterfaces"), 1, ({ name }) =>
			interfaceIndex(name),
		),
		...references(`${vrrp}.${numbers.scripts}.1`, of("trackScripts"), 2),
		...references(`${vrrp}.${numbers.files}.1`, of("trackFiles"), 2),
		...references(`${vrrp}.${numbers.bfd}.1`, of("trackBfd"), 2),
		...references(`${vrrp}.${numbers.processes}.1`, of("trackProcesses"), 2),
	];
}

/** vrrpScriptResult: init(1), bad(2), good(3). */
const scriptResult = (up: boolean | null | undefined) => (up === true ? 3 : up === false ? 2 : 1);
/** vrrpProcessParamMatch; without parameters there is nothing to match. */
const parameterMatch = { exact: 1, partial: 2, initial: 3 };

const nothingSeen: TrackedStatus = { scripts: {}, files: {}, processes: {}, bfd: {} };

export function trackingTree(vrrp: string, config: DroverConfig, facts: Facts): Part[] {
	const seen = facts.vrrp?.tracked ?? nothingSeen;
	const indexOf = new Map(facts.interfaces.map(({ name, index }) => [name, index]));
	const interfaceIndex = (name: string) => indexOf.get(name) ?? null;
	const position = (_: unknown, at: number) => [at + 1];
	const weight = <Row extends { weight: number; reverse: boolean }>(first: number): Column<Row>[] => [
		[first, (row) => integer(row.weight)],
		[first + 1, (row) => truth(row.reverse)],
	];
	return [
		...tracked(
			vrrp,
			config.vrrpInstances,
			{ interfaces: 4, scripts: 5, files: 12, bfd: 17, processes: 20 },
			interfaceIndex,
		),
		...tracked(
			vrrp,
			config.syncGroups,
			{ interfaces: 14, scripts: 15, files: 16, bfd: 19, processes: 22 },
			interfaceIndex,
		),
		...table(`${vrrp}.9.1`, config.trackScripts, position, [
			[2, ({ name }) => text(name)],
			[3, ({ script }) => text(script.command.join(" "))],
			[4, ({ intervalMs }) => integer(intervalMs / 1000)],
			[5, ({ weight: amount }) => integer(amount)],
			[6, ({ name }) => integer(scriptResult(named(seen.scripts, name)))],
			[7, ({ rise }) => gauge(rise)],
			[8, ({ fall }) => gauge(fall)],
			[9, ({ reverse }) => truth(reverse)],
		]),
		...table(`${vrrp}.13.1`, config.trackFiles, position, [
			[2, ({ name }) => text(name)],
			[3, ({ path }) => text(path)],
			[4, ({ name }) => integer(named(seen.files, name) ?? 0)],
			...weight<DroverConfig["trackFiles"][number]>(5),
		]),
		...table(
			`${vrrp}.18.1`,
			config.bfdInstances.filter(({ forVrrp }) => forVrrp),
			position,
			[
				[2, ({ name }) => text(name)],
				[3, ({ name }) => integer(named(seen.bfd, name) ? 1 : 0)],
				...weight<DroverConfig["bfdInstances"][number]>(4),
			],
		),
		...table(`${vrrp}.21.1`, config.trackProcesses, position, [
			[2, ({ name }) => text(name)],
			[3, ({ process }) => text(process[0] ?? "")],
			[4, ({ process }) => text(process.slice(1).join(" "))],
			[5, ({ process, match }) => integer(process.length > 1 ? parameterMatch[match] : 0)],
			...weight<DroverConfig["trackProcesses"][number]>(6),
			[8, ({ quorum }) => gauge(quorum)],
			[9, ({ quorumMax }) => integer(quorumMax ?? -1)],
			[10, ({ forkDelayMs }) => gauge(forkDelayMs * 1000)],
			[11, ({ terminateDelayMs }) => gauge(terminateDelayMs * 1000)],
			[12, ({ fullCommand }) => truth(fullCommand)],
			[13, ({ name }) => integer(named(seen.processes, name)?.count ?? 0)],
			[14, ({ name }) => truth(named(seen.processes, name)?.enough ?? false)],
		]),
	];
}
