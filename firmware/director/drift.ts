/** What somebody else changed in the kernel's table, in the operator's words. Pure. */
import {
	destinationKeyText,
	endpointText,
	forwardingName,
	type IpvsDestination,
	type IpvsOperation,
	type IpvsService,
	type IpvsServiceKey,
	type IpvsTable,
	serviceKeyText,
} from "../wire/ipvs.ts";

export interface Drift {
	/** `serviceKeyText` of the service concerned. */
	readonly service: string;
	/** "10.0.0.1:80" of the destination concerned; null when it is the service itself. */
	readonly destination: string | null;
	readonly reason: string;
}

/** One finding for each operation that leads from `actual`, as found, back to what is wanted. */
export function describeDrift(operations: readonly IpvsOperation[], actual: IpvsTable): readonly Drift[] {
	const found: Drift[] = [];
	for (const operation of operations) {
		switch (operation.kind) {
			case "new-service":
				found.push({
					service: serviceKeyText(operation.service.key),
					destination: null,
					reason: `service ${serviceName(operation.service.key)} was missing; put back`,
				});
				break;
			case "set-service": {
				const service = serviceKeyText(operation.service.key);
				const before = actual.get(service)?.service;
				const changes = before === undefined ? "" : serviceChanges(before, operation.service);
				found.push({
					service,
					destination: null,
					reason: `service ${serviceName(operation.service.key)} was changed (${changes}); set back`,
				});
				break;
			}
			case "delete-service":
				found.push({
					service: serviceKeyText(operation.key),
					destination: null,
					reason: `service ${serviceName(operation.key)} was there again; removed`,
				});
				break;
			case "new-destination":
			case "set-destination":
			case "delete-destination": {
				const service = serviceKeyText(operation.key);
				const name = endpointText(operation.destination);
				found.push({
					service,
					destination: name,
					reason: destinationReason(
						operation.kind,
						name,
						operation.destination,
						actual.get(service)?.destinations,
					),
				});
				break;
			}
		}
	}
	return found;
}

function destinationReason(
	kind: "new-destination" | "set-destination" | "delete-destination",
	name: string,
	wanted: IpvsDestination,
	actual: readonly IpvsDestination[] | undefined,
): string {
	switch (kind) {
		case "new-destination":
			return `real server ${name} was missing; put back`;
		case "delete-destination":
			return `real server ${name} did not belong there; removed`;
		case "set-destination": {
			const key = destinationKeyText(wanted);
			const before = actual?.find((row) => destinationKeyText(row) === key);
			const changes = before === undefined ? "" : destinationChanges(before, wanted);
			return `real server ${name} was changed (${changes}); set back`;
		}
	}
}

export function serviceName(key: IpvsServiceKey): string {
	return key.kind === "fwmark"
		? `fwmark ${key.fwmark}${key.family === "inet6" ? " IPv6" : ""}`
		: `${key.protocol} ${endpointText(key)}`;
}

function serviceChanges(before: IpvsService, wanted: IpvsService): string {
	return changes([
		["scheduler", before.scheduler, wanted.scheduler],
		["flags", before.flags, wanted.flags],
		["persistence", before.timeoutSeconds, wanted.timeoutSeconds],
		["netmask", before.netmask, wanted.netmask],
		["engine", before.persistenceEngine ?? "none", wanted.persistenceEngine ?? "none"],
	]);
}

function destinationChanges(before: IpvsDestination, wanted: IpvsDestination): string {
	return changes([
		["weight", before.weight, wanted.weight],
		["forwarding", forwardingName(before.forwarding), forwardingName(wanted.forwarding)],
		["upper threshold", before.limits.upperThreshold, wanted.limits.upperThreshold],
		["lower threshold", before.limits.lowerThreshold, wanted.limits.lowerThreshold],
		["tunnel", tunnelName(before), tunnelName(wanted)],
	]);
}

function tunnelName({ forwarding }: IpvsDestination): string {
	return forwarding.kind === "TUN"
		? `${forwarding.tunnel} ${forwarding.port} ${forwarding.checksum}`
		: "none";
}

function changes(rows: readonly (readonly [string, string | number, string | number])[]): string {
	return rows
		.filter(([, before, wanted]) => before !== wanted)
		.map(([name, before, wanted]) => `${name} ${before} instead of ${wanted}`)
		.join(", ");
}
