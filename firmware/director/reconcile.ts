/**
 * From the table that the kernel has to the table that is wanted, in as few changes as there are
 * differences. Pure.
 *
 *  - what is as wanted is not touched: its connections and counters go on
 *  - a service comes before its destinations; a scheduler is changed before new destinations join
 *  - a destination is edited, never deleted and added: deleting one silently strands its connections
 *  - within a service, servers are added before others leave, so that it is never without any
 *  - a service that is neither wanted nor ours is somebody else's and stays, unless all foreign ones are to go
 */
import {
	destinationKeyText,
	type IpvsDestination,
	type IpvsEntry,
	type IpvsOperation,
	type IpvsTable,
	sameDestination,
	sameService,
	serviceKeyText,
} from "../wire/ipvs.ts";

export interface Ownership {
	/** Keys (`serviceKeyText`) of services that this director has put there. */
	readonly owned: ReadonlySet<string>;
	/** `lvs_flush`: what is neither wanted nor ours goes too. */
	readonly removeForeign: boolean;
}

/** The changes that lead from `actual` to `desired`, in the order in which they must be made. */
export function reconcileTable(
	desired: IpvsTable,
	actual: IpvsTable,
	ownership: Ownership,
): readonly IpvsOperation[] {
	const operations: IpvsOperation[] = [];
	desired.forEach((wanted, key) => {
		reconcileEntry(wanted, actual.get(key) ?? null, operations);
	});
	for (const [key, found] of actual)
		if (!desired.has(key) && (ownership.removeForeign || ownership.owned.has(key)))
			operations.push({ kind: "delete-service", key: found.service.key });
	return operations;
}

/** Appends to `operations` what leads from `found` to `wanted`. */
export function reconcileEntry(
	wanted: IpvsEntry,
	found: IpvsEntry | null,
	operations: IpvsOperation[],
): void {
	if (wanted === found) return;
	if (found === null) {
		operations.push({ kind: "new-service", service: wanted.service, destinations: wanted.destinations });
		return;
	}
	if (wanted.service !== found.service && !sameService(found.service, wanted.service))
		operations.push({ kind: "set-service", service: wanted.service });
	if (wanted.destinations === found.destinations) return;

	reconcileDestinations(wanted, found.destinations, operations);
}

function reconcileDestinations(
	{ service: { key }, destinations: wanted }: IpvsEntry,
	found: readonly IpvsDestination[],
	operations: IpvsOperation[],
): void {
	// Rows nearly always stand in the same order on both sides; the index is only built when they do not.
	const rest = indexUnlessAligned(found, wanted);
	wanted.forEach((destination, index) => {
		const known = rest === null ? found[index]! : takeFrom(rest, destinationKeyText(destination));
		if (known === undefined) operations.push({ kind: "new-destination", key, destination });
		else if (known !== destination && !sameDestination(known, destination))
			operations.push({ kind: "set-destination", key, destination });
	});
	if (rest !== null)
		for (const destination of rest.values())
			operations.push({ kind: "delete-destination", key, destination });
}

/** The table after `operations`: what the kernel does with them. Unknown services and destinations are skipped. */
export function applyOperations(table: IpvsTable, operations: readonly IpvsOperation[]): IpvsTable {
	const next = new Map(table);
	for (const operation of operations) {
		switch (operation.kind) {
			case "new-service": {
				const { service, destinations } = operation;
				next.set(serviceKeyText(service.key), { service, destinations });
				break;
			}
			case "set-service": {
				const key = serviceKeyText(operation.service.key);
				next.set(key, {
					service: operation.service,
					destinations: next.get(key)?.destinations ?? [],
				});
				break;
			}
			case "delete-service":
				next.delete(serviceKeyText(operation.key));
				break;
			case "new-destination":
			case "set-destination":
			case "delete-destination": {
				const key = serviceKeyText(operation.key);
				const entry = next.get(key);
				if (entry === undefined) break;
				const name = destinationKeyText(operation.destination);
				const others = entry.destinations.filter((other) => destinationKeyText(other) !== name);
				if (operation.kind === "delete-destination") next.set(key, { ...entry, destinations: others });
				else {
					const position = entry.destinations.findIndex((other) => destinationKeyText(other) === name);
					const destinations =
						position < 0
							? [...others, operation.destination]
							: entry.destinations.with(position, operation.destination);
					next.set(key, { ...entry, destinations });
				}
				break;
			}
		}
	}
	return next;
}

/** Null when both lists name the same destinations in the same order; else `found` by key. */
function indexUnlessAligned(
	found: readonly IpvsDestination[],
	wanted: readonly IpvsDestination[],
): Map<string, IpvsDestination> | null {
	const aligned =
		found.length === wanted.length &&
		found.every(
			(destination, index) =>
				destination.port === wanted[index]!.port && destination.address === wanted[index]!.address,
		);
	return aligned ? null : new Map(found.map((destination) => [destinationKeyText(destination), destination]));
}

function takeFrom(map: Map<string, IpvsDestination>, key: string): IpvsDestination | undefined {
	const value = map.get(key);
	map.delete(key);
	return value;
}
