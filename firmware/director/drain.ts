/** When is a real server drained? What still hangs on it in the kernel. */
import type { IpvsClient } from "../kernel/ipvs-client.ts";
import { destinationKeyText } from "../wire/ipvs.ts";
import { destinationKeyOf, serviceKeyOf } from "./desired.ts";
import type { Pool } from "./pool.ts";

/** Open connections of a pool's member, over all its services; not 0 while it still gets new ones. Throws a NetlinkError. */
export function openConnections(client: IpvsClient, { config }: Pool, member: number): number {
	let open = 0;
	for (const address of config.services) {
		const name = destinationKeyOf(config.realServers[member]!, address);
		const row = client
			.destinations(serviceKeyOf(config, address), { stats: false })
			.find((destination) => destinationKeyText(destination) === name);
		if (row === undefined) continue;
		// UDP knows no end: an entry is "inactive" until it times out.
		open += row.activeConnections;
		if (config.protocol !== "TCP") open += row.inactiveConnections;
		if (row.weight > 0) open++;
	}
	return open;
}
